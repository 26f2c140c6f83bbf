"""SHOW and DESCRIBE tell here what genuine Spark tells of Delta tables, tables of files, and views.

Left out on both sides: times, who made it, and where the warehouse is. Two things are told here as Databricks tells
them, and are not asked of Spark: the partitions and the CREATE statement of a Delta table, and its clustering columns
as a section of their own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from headwater.errors import SparkError
from support.genuine_spark import ask_spark
from support.sql_session import Sql

DEFINITIONS = [
    "CREATE TABLE e (id INT COMMENT 'the id', p STRING, q INT) USING DELTA PARTITIONED BY (p, q) COMMENT 'words' "
    "TBLPROPERTIES ('a.b' = 'c')",
    "INSERT INTO e VALUES (1, 'x', 2), (2, 'y', 3)",
    "CREATE TABLE c (id INT, s STRUCT<a: INT COMMENT 'in'>) USING DELTA CLUSTER BY (id, s.a)",
    "CREATE TABLE f (id INT, p STRING) USING parquet PARTITIONED BY (p) COMMENT 'files'",
    "INSERT INTO f VALUES (1, 'x'), (2, 'y z')",
    "CREATE VIEW v AS SELECT id, p AS part FROM e",
    "CREATE TEMP VIEW w AS SELECT id FROM e",
]
QUESTIONS = [
    *(f"{words} {table}" for words in ("DESCRIBE", "DESCRIBE TABLE EXTENDED", "SHOW COLUMNS IN") for table in "efvw"),
    *(f"DESCRIBE {words} {table} ID" for words in ("", "EXTENDED") for table in "ecfvw"),
    *(f"DESCRIBE {table} nope" for table in "efvw"),
    *(f"SHOW TBLPROPERTIES {table}" for table in "ecf"),
    "DESCRIBE c s",
    "DESCRIBE c s.a",
    "DESCRIBE f PARTITION (p = 'x')",
    "DESCRIBE EXTENDED f PARTITION (P = 'y z')",
    "DESCRIBE e PARTITION (p = 'x')",
    "DESCRIBE v PARTITION (p = 'x')",
    "DESCRIBE e AS JSON",
    "SHOW TABLE EXTENDED LIKE 'e'",
    "SHOW TABLE EXTENDED IN default LIKE 'f|v|c*'",
    "SHOW TABLE EXTENDED LIKE 'nope'",
    "SHOW TABLE EXTENDED IN nowhere LIKE 'e'",
    "SHOW TABLE EXTENDED LIKE 'f' PARTITION (p = 'x')",
    "SHOW TABLE EXTENDED LIKE 'e' PARTITION (p = 'x', q = 2)",
    "SHOW TABLE EXTENDED LIKE 'nope' PARTITION (p = 'x')",
    "SHOW TABLE EXTENDED IN default LIKE 'v' PARTITION (p = 'x')",
    "SHOW PARTITIONS f",
    "SHOW PARTITIONS f PARTITION (p = 'x')",
    "SHOW PARTITIONS f PARTITION (z = 'x')",
    "SHOW PARTITIONS v",
    "SHOW PARTITIONS w",
    "SHOW CREATE TABLE f",
    "SHOW CREATE TABLE w",
]
ASK = f"""
answer = []
for text in {DEFINITIONS!r}:
    spark.sql(text)
for text in {QUESTIONS!r}:
    try:
        answer.append([list(row) for row in spark.sql(text).collect()])
    except Exception as error:
        answer.append(error.getCondition())
"""
OWN = [
    (r"file:\S*?/warehouse/", "file:/warehouse/"),
    (r"Created Time: .*", "Created Time: "),
    (r"Created By: .*", "Created By: "),
]


def plain(told: Any) -> Any:
    if isinstance(told, str):
        for pattern, text in OWN:
            told = re.sub(pattern, text, told)
        return told
    if isinstance(told, list | tuple):
        if told and told[0] in ("Created Time", "Created By"):
            return [told[0]]
        return [plain(one) for one in told]
    return told


def outcome(sql: Sql, text: str) -> Any:
    try:
        return sql(text)
    except SparkError as error:
        return error.condition


def test_what_is_told_of_tables_is_what_spark_tells(tmp_path: Path) -> None:
    sql = Sql(str(tmp_path / "warehouse"), **{"spark.sql.session.timeZone": "UTC"})
    for text in DEFINITIONS:
        sql(text)
    ours = {text: plain(outcome(sql, text)) for text in QUESTIONS}
    sql.close()
    theirs = dict(zip(QUESTIONS, map(plain, ask_spark(ASK, tmp_path, timeout=600)), strict=True))
    assert ours == theirs
