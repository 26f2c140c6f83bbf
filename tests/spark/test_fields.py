"""UPDATE and MERGE of structs end here as with genuine Spark and Delta: the same rows, or the same error class.

The changes follow each other on one table; most of what is refused is refused before Spark starts a job.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from headwater.errors import SparkError
from support.genuine_spark import ask_spark
from support.sql_session import Sql

S, L = "STRUCT<a: INT, b: STRUCT<c: INT, d: STRING>>", "ARRAY<STRUCT<q: INT, r: INT>>"
TABLE = f"CREATE TABLE n (id INT, s {S}, l {L}) USING delta"
FIRST = "SELECT 1, named_struct('a', 1, 'b', named_struct('c', 2, 'd', 'x')), NULL"
ROWS = f"INSERT INTO n {FIRST} UNION ALL SELECT 2, NULL, NULL"
SOURCE = "CREATE TABLE u (id INT, s STRUCT<b: STRUCT<d: STRING, c: INT>, a: INT>, q INT) USING delta"
GIVEN = "INSERT INTO u VALUES (1, named_struct('b', named_struct('d', 'y', 'c', 20), 'a', 10), 5), (3, NULL, 6)"
MERGE = "MERGE INTO n t USING u ON t.id = u.id WHEN"
CHANGES = [
    "UPDATE n x SET x.S.B.D = 5, x.s.a = x.s.b.c + 1",
    "UPDATE n SET l = array(named_struct('r', 1, 'q', 2)), s.b = named_struct('d', 'z', 'C', '7') WHERE id = 1",
    "UPDATE n SET s.b = named_struct('d', 'z')",
    "UPDATE n SET l = array(named_struct('r', 1))",
    "UPDATE n SET s.zz = 1",
    "UPDATE n SET l.q = 1",
    "UPDATE n SET id.q = 1",
    "UPDATE n SET s.a = 1, s = NULL",
    "UPDATE n SET s.a = array(1)",
    f"{MERGE} MATCHED THEN UPDATE SET t.s.a = u.s.a, s.b.d = u.s.b.d "
    "WHEN NOT MATCHED THEN INSERT (id, s) VALUES (u.id, u.s) WHEN NOT MATCHED BY SOURCE THEN UPDATE SET s.a = '4'",
    f"{MERGE} NOT MATCHED THEN INSERT (id, s.a) VALUES (u.id, 1)",
    f"{MERGE} MATCHED THEN UPDATE SET s = u.s",
    f"{MERGE} MATCHED THEN UPDATE SET t.l = array(named_struct('q', 1))",
]

ASK = f"""
answer = []
for text in {[TABLE, SOURCE, GIVEN, ROWS]!r}:
    spark.sql(text)
for change in {CHANGES!r}:
    try:
        spark.sql(change)
        answer.append(sorted(row[0] for row in spark.sql("SELECT to_json(struct(*)) FROM n").collect()))
    except Exception as error:
        answer.append(error.getCondition())
"""


def outcome(sql: Sql, change: str) -> Any:
    try:
        sql(change)
    except SparkError as error:
        return error.condition
    return sorted(row[0] for row in sql("SELECT to_json(struct(*)) FROM n"))


def test_structs_are_changed_as_spark_changes_them(tmp_path: Path) -> None:
    sql = Sql(str(tmp_path / "warehouse"))
    for text in (TABLE, SOURCE, GIVEN, ROWS):
        sql(text)
    ours = {change: outcome(sql, change) for change in CHANGES}
    sql.close()
    assert ours == dict(zip(CHANGES, ask_spark(ASK, tmp_path, timeout=600), strict=True))
