"""Genuine Spark reads tables whose columns are mapped, renamed, dropped and widened here; we read what it changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from headwater.lake.table import LakeTable
from support.genuine_spark import ask_spark
from support.lake import rows
from support.sql_session import Sql

COLUMNS = "id INT, v STRING, s STRUCT<a: INT, l: ARRAY<STRUCT<b: STRING>>>, m MAP<STRING, STRUCT<c: INT>>, p STRING"
VALUES = "named_struct('a', {0}, 'l', array(named_struct('b', 'b{0}'))), map('k', named_struct('c', {0})), 'p{0}'"
WRITES = [
    *(f"INSERT INTO {{t}} VALUES ({n}, 'v{n}', {VALUES.format(n)})" for n in (1, 2, 3)),
    "UPDATE {t} SET s = named_struct('a', 20, 'l', NULL) WHERE id = 2",
    "DELETE FROM {t} WHERE id = 3",
    "ALTER TABLE {t} RENAME COLUMN v TO `new v`",
    "ALTER TABLE {t} RENAME COLUMN s.l.element.b TO bb",
    "ALTER TABLE {t} RENAME COLUMN m.value.c TO cc",
    "ALTER TABLE {t} RENAME COLUMN p TO part",
    "MERGE INTO {t} t USING (SELECT 4 AS id, 'v4' AS v) s ON t.id = s.id"
    " WHEN NOT MATCHED THEN INSERT (id, `new v`, part) VALUES (s.id, s.v, 'p1')",
    "ALTER TABLE {t} ADD COLUMNS (gone INT, s.n INT)",
    "UPDATE {t} SET gone = 1 WHERE id = 4",
    "ALTER TABLE {t} DROP COLUMNS (gone, s.a)",
    "ALTER TABLE {t} ADD COLUMNS (gone STRING)",
    "ALTER TABLE {t} SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true')",
    "ALTER TABLE {t} ALTER COLUMN id TYPE BIGINT",
    "ALTER TABLE {t} ALTER COLUMN m.value.cc TYPE DECIMAL(12,2)",
    "INSERT INTO {t} VALUES (5000000000, 'v5', named_struct('l', NULL, 'n', 5), map('k', named_struct('cc', 5.25)),"
    " 'p1', 'text')",
    "OPTIMIZE {t}",
]
WAYS = {
    "name": ("'delta.columnMapping.mode' = 'name'", ()),
    "id": ("'delta.columnMapping.mode' = 'id'", ()),
    "upgraded": ("'a' = 'b'", ("ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",)),
}
ASK = """
import os
answer = {}
def plain(rows): return sorted((json.loads(line) for line in rows), key=json.dumps)
for table in tables:
    name = f"delta.`{root}/{table}`"
    found = {"rows": plain(spark.table(name).toJSON().collect()), "schema": spark.table(name).schema.simpleString()}
    found["old"] = plain(spark.sql(f"SELECT * FROM {name} VERSION AS OF 3").toJSON().collect())
    answer[table] = found
    if table != "name":
        continue
    found["history"] = [r.operation for r in spark.sql(f"DESCRIBE HISTORY {name}").collect()][::-1]
    found["skipped"] = [r[0] for r in spark.table(name).where("`new v` = 'v2' and part = 'p2'").select("id").collect()]
    feed = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", last[table])
    found["feed"] = plain(feed.load(f"{root}/{table}").drop("_commit_timestamp", "_commit_version").toJSON().collect())
    # Spark goes on from here.
    spark.sql(f"INSERT INTO {name} SELECT 6, 'v6', named_struct('l', NULL, 'n', 6), NULL, 'p6', 'g'")
    spark.sql(f"UPDATE {name} SET gone = 'u' WHERE id = 1")
    spark.sql(f"ALTER TABLE {name} RENAME COLUMN gone TO back")
    spark.sql(f"ALTER TABLE {name} DROP COLUMN s.n")
    spark.sql(f"ALTER TABLE {name} ALTER COLUMN m.value.cc TYPE DECIMAL(14,3)")
    found["end"] = plain(spark.table(name).toJSON().collect())
    found["end schema"] = spark.table(name).schema.simpleString()
"""


def made(sql: Sql, name: str, properties: str, then: tuple[str, ...]) -> int:
    """The table after every write; the version of its last rows."""
    feed = "'delta.enableChangeDataFeed' = 'true'"
    sql(f"CREATE TABLE {name} ({COLUMNS}) USING delta PARTITIONED BY (p) TBLPROPERTIES ({properties}, {feed})")
    for statement in (*then, *WRITES):
        sql(statement.format(t=name))
    return int(sql(f"DESCRIBE HISTORY {name} LIMIT 1")[0][0]) - 1


def shown(sql: Sql, name: str) -> list[dict[str, Any]]:
    """The rows as Spark prints them as JSON: without what is null."""
    columns = LakeTable.open(sql(f"DESCRIBE DETAIL {name}")[0][4].removeprefix("file:")).schema.names
    found = [_known(dict(zip(columns, row, strict=True))) for row in sql(f"SELECT * FROM {name}")]
    return sorted(json.loads(json.dumps(found, default=float)), key=json.dumps)


def _known(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _known(one) for key, one in value.items() if one is not None}
    if isinstance(value, list):
        pairs = all(isinstance(one, tuple) for one in value) and value
        return {key: _known(one) for key, one in value} if pairs else [_known(one) for one in value]
    return value


def test_each_engine_reads_and_goes_on_with_the_other_s_changed_columns(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse"
    sql = Sql(str(warehouse), **{"spark.sql.session.timeZone": "UTC"})
    last = {name: made(sql, name, properties, then) for name, (properties, then) in WAYS.items()}
    # The files have nothing any more of what is in the struct.
    sql("ALTER TABLE upgraded ADD COLUMNS (s.only INT)")
    sql("ALTER TABLE upgraded DROP COLUMNS (s.l, s.n)")
    ours = {name: shown(sql, name) for name in WAYS}
    schemas = {name: LakeTable.open(str(warehouse / name)).schema.simpleString() for name in WAYS}

    answer = ask_spark(
        f"root, tables, last = {str(warehouse)!r}, {list(WAYS)!r}, {last!r}\n" + ASK, tmp_path, timeout=900
    )

    for name, (_, then) in WAYS.items():
        found = answer[name]
        assert (found["rows"], found["schema"]) == (ours[name], schemas[name])
        assert len(found["rows"]) == 4
        assert len(found["old"]) == 3 if not then else len(found["old"]) == 2
    name, found = "name", answer["name"]
    assert found["skipped"] == [2]
    assert found["history"] == [row[4] for row in sql(f"DESCRIBE HISTORY {name}")[::-1]][: len(found["history"])]
    assert [row["id"] for row in found["feed"]] == [5000000000]
    assert found["end schema"] == LakeTable.open(str(warehouse / name)).schema.simpleString()
    assert found["end"] == shown(sql, name)
    assert len(rows(LakeTable.open(str(warehouse / name)))) == 5
    sql.close()
