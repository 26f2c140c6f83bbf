"""Conditions on a table that genuine Spark wrote and checkpointed: its rows, out of few of its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.genuine_spark import ask_spark
from support.sql_session import Sql

FEW = [
    "id = 1234",
    "id BETWEEN 990 AND 1010",
    "id IN (5, 7995)",
    "amount = 12.34",
    "amount > 79.5",
    "note = 'long prefix of more than thirty-two characters 5000'",
    "note LIKE 'short 3%'",
    "at = TIMESTAMP'2024-01-01 00:00:05.000123'",
    "at > '2024-01-01 00:00:07.999000'",
    "day = DATE'2024-01-03'",
    "day < '2024-01-02'",
    "x BETWEEN 1.5D AND 2.5D",
    "place.y = 4321",
    "part = 1 AND id < 2000",
    "part IS NULL",
    "none IS NOT NULL",
    "NOT (id >= 1000 OR part = 1)",
]
ALL = ["x > 3.99D", "upper(note) = 'SHORT 1'", "id % 1000 = 1"]

ASK = f"""
spark.conf.set("spark.sql.session.timeZone", "UTC")
made = '''
    SELECT id, cast(id / 100 AS decimal(10, 2)) AS amount, IF(id = 4001, double('NaN'), id / 2000) AS x,
        concat(IF(id > 4000, 'long prefix of more than thirty-two characters ', 'short '), id) AS note,
        timestamp_millis(1704067200000 + id) + make_dt_interval(0, 0, 0, 0.000123) AS at,
        date_add(DATE'2024-01-01', int(id DIV 1000)) AS day, named_struct('y', id) AS place,
        cast(NULL AS int) AS none, IF(id >= 6000, NULL, int(id DIV 1000 % 2)) AS part FROM range({{0}}, {{1}})
'''
for first in range(0, 8000, 1000):
    rows = spark.sql(made.format(first, first + 1000)).coalesce(1).write.format("delta").mode("append")
    rows.partitionBy("part").option("delta.checkpointPolicy", "v2").option("delta.checkpointInterval", "3").save("t")
texts = json.loads({json.dumps(json.dumps(FEW + ALL))})
counted = spark.read.format("delta").load("t").selectExpr(*(f"count_if({{text}})" for text in texts)).first()
answer = dict(zip(texts, counted))
"""


@pytest.fixture
def sql(tmp_path: Path) -> Sql:
    return Sql(str(tmp_path / "warehouse"), **{"spark.sql.session.timeZone": "UTC"})


def test_rows_are_those_of_spark_and_files_are_few(sql: Sql, tmp_path: Path) -> None:
    expected = ask_spark(ASK, tmp_path)
    log = tmp_path / "t" / "_delta_log"
    assert (log / "_sidecars").exists()
    for commit in sorted(log.glob("*.json"))[:3]:
        if "checkpoint" not in commit.name:
            commit.unlink()
    files = {}
    for text, rows in expected.items():
        query = f"SELECT * FROM delta.`{tmp_path}/t` WHERE {text}"
        assert len(sql(query)) == rows, text
        relation = sql.relation(query)
        assert relation is not None
        files[text] = len(sql.session.input_files(relation))
    assert {text for text, count in files.items() if count == 8} == set(ALL)
    assert max(files[text] for text in FEW) <= 4
    sql.close()
