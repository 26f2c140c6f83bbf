"""Genuine Spark reads the tables defined and altered here, finds their definition, and enforces their constraints."""

from __future__ import annotations

from pathlib import Path

from support.genuine_spark import ask_spark
from support.sql_session import Sql

STATEMENTS = """
CREATE TABLE c (id INT, v STRING COMMENT 'old', s STRUCT<a: INT>) USING delta COMMENT 'words' TBLPROPERTIES ('k' = 'v')
INSERT INTO c VALUES (1, 'a', named_struct('a', 1))
ALTER TABLE c ADD COLUMNS (first BIGINT FIRST, s.b STRING, n INT AFTER id)
ALTER TABLE c ALTER COLUMN v COMMENT 'new'
ALTER TABLE c ALTER COLUMN id SET NOT NULL
ALTER TABLE c SET TBLPROPERTIES ('x' = 'y', 'delta.checkpointInterval' = '3')
ALTER TABLE c UNSET TBLPROPERTIES ('k')
ALTER TABLE c ADD CONSTRAINT pos CHECK (id > 0 AND s.a < 10)
ALTER TABLE c ADD CONSTRAINT gone CHECK (id < 1000)
ALTER TABLE c DROP CONSTRAINT gone
INSERT INTO c VALUES (9, 2, 3, 'b', named_struct('a', 2, 'b', 'x'))
UPDATE c SET n = 5 WHERE id = 1
CREATE TABLE g (id INT, at TIMESTAMP, day DATE GENERATED ALWAYS AS (CAST(at AS DATE)),
  twice BIGINT GENERATED ALWAYS AS (id * 2)) USING delta PARTITIONED BY (day)
INSERT INTO g (id, at) VALUES (1, TIMESTAMP'2024-01-02 03:04:05'), (2, NULL)
CREATE TABLE r (id INT) USING delta TBLPROPERTIES ('a' = 'b')
INSERT INTO r VALUES (1)
CREATE OR REPLACE TABLE r (w STRING NOT NULL) USING delta COMMENT 'anew'
INSERT INTO r VALUES ('z')
CREATE TABLE n (at TIMESTAMP_NTZ) USING delta
ALTER TABLE n ADD CONSTRAINT k CHECK (at IS NOT NULL)
"""

ASK = """
def name(table): return f"delta.`{root}/{table}`"
def rows(table):
    return sorted((json.loads(line) for line in spark.table(name(table)).toJSON().collect()), key=json.dumps)
def refused(text):
    try:
        spark.sql(text).collect()
    except Exception as error:
        return str(error)
    return "not refused"
answer = {table: rows(table) for table in ("c", "g", "r", "n")}
answer["schema"] = spark.table(name("c")).schema.simpleString()
answer["comments"] = [f.metadata.get("comment") for f in spark.table(name("c")).schema.fields]
answer["nullable"] = [f.nullable for f in spark.table(name("c")).schema.fields]
answer["properties"] = {r.key: r.value for r in spark.sql(f"SHOW TBLPROPERTIES {name('c')}").collect()}
answer["history"] = [r.operation for r in spark.sql(f"DESCRIBE HISTORY {name('c')}").collect()]
answer["detail"] = [spark.sql(f"DESCRIBE DETAIL {name(t)}").collect()[0].description for t in ("c", "r")]
answer["old"] = [r.id for r in spark.sql(f"SELECT * FROM {name('r')} VERSION AS OF 1").collect()]
answer["refused"] = [
    refused(f"INSERT INTO {name('c')} VALUES (1, -1, 1, 'q', named_struct('a', 1, 'b', 'x'))"),
    refused(f"INSERT INTO {name('c')} VALUES (1, 5, 1, 'q', NULL)"),
    refused(f"INSERT INTO {name('r')} VALUES (NULL)"),
    refused(f"INSERT INTO {name('g')} VALUES (1, NULL, NULL, 3)"),
    refused(f"INSERT INTO {name('n')} VALUES (NULL)"),
]
spark.sql("SELECT 7 AS id, TIMESTAMP'2025-06-07 00:00:00' AS at").write.format("delta").mode("append").save(f"{root}/g")
spark.sql(f"ALTER TABLE {name('c')} ADD CONSTRAINT spark_s CHECK (v <> 'bad')")
answer["appended"] = [(str(r.day), r.twice) for r in spark.table(name("g")).where("id = 7").collect()]
"""


def test_spark_finds_the_definition_and_enforces_the_constraints(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse"
    sql = Sql(str(warehouse), **{"spark.sql.session.timeZone": "UTC"})
    for statement in STATEMENTS.replace("\n  ", " ").strip().splitlines():
        sql(statement)

    answer = ask_spark(f"root = {str(warehouse)!r}\n" + ASK, tmp_path, timeout=900)

    assert answer["c"] == [
        {"first": 9, "id": 2, "n": 3, "v": "b", "s": {"a": 2, "b": "x"}},
        {"id": 1, "n": 5, "v": "a", "s": {"a": 1}},
    ]
    assert answer["g"] == [
        {"id": 1, "at": "2024-01-02T03:04:05.000Z", "day": "2024-01-02", "twice": 2},
        {"id": 2, "twice": 4},
    ]
    assert (answer["r"], answer["n"], answer["old"]) == ([{"w": "z"}], [], [1])
    assert answer["schema"] == "struct<first:bigint,id:int,n:int,v:string,s:struct<a:int,b:string>>"
    assert answer["comments"] == [None, None, None, "new", None]
    assert answer["nullable"] == [True, False, True, True, True]
    properties = {"x": "y", "delta.checkpointInterval": "3", "delta.constraints.pos": "id > 0 AND s.a < 10"}
    assert answer["properties"] == properties | {"delta.minReaderVersion": "1", "delta.minWriterVersion": "3"}
    assert answer["history"][::-1] == [
        "CREATE TABLE",
        "WRITE",
        "ADD COLUMNS",
        "CHANGE COLUMN",
        "CHANGE COLUMN",
        "SET TBLPROPERTIES",
        "UNSET TBLPROPERTIES",
        "ADD CONSTRAINT",
        "ADD CONSTRAINT",
        "DROP CONSTRAINT",
        "WRITE",
        "UPDATE",
    ]
    assert answer["detail"] == ["words", "anew"]
    violated = "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"
    for refusal, wanted in zip(
        answer["refused"],
        [violated, violated, "DELTA_NOT_NULL_CONSTRAINT_VIOLATED", violated, violated],
        strict=True,
    ):
        assert wanted in refusal
    assert answer["appended"] == [["2025-06-07", 14]]

    path = warehouse / "c"
    sql.refused(f"INSERT INTO delta.`{path}` VALUES (1, 5, 1, 'bad', named_struct('a', 1, 'b', 'x'))", violated)
    sql.close()
