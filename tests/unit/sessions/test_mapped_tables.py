"""Every way to write rows gives the same table whether its columns are mapped or not; files know the physical names."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow.parquet as pq
import pytest
from sqlglot import exp

from headwater.lake.actions import Metadata
from headwater.lake.mapping import physical_partitions, physical_type
from headwater.lake.snapshot import local_path
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query
from support.sql_session import Sql

COLUMNS = "id INT, v STRING, s STRUCT<a: INT, l: ARRAY<STRUCT<b: STRING>>>, m MAP<STRING, STRUCT<c: INT>>, p STRING"
ROWS = """VALUES
 (1, 'one', named_struct('a', 1, 'l', array(named_struct('b', 'x'))), map('k', named_struct('c', 1)), 'p'),
 (2, NULL, NULL, NULL, NULL), (3, 'three', named_struct('a', NULL, 'l', array(NULL)), NULL, 'q ü'),
 (4, 'four', named_struct('a', 4, 'l', NULL), map('k', NULL), 'p')"""
ROW = "SELECT 9 AS id, 'nine' AS v, named_struct('a', 9, 'l', array(named_struct('b', 'z'))) AS s"
WRITES = f"""
INSERT INTO {{t}} {ROWS}
UPDATE {{t}} SET v = 'changed', s = named_struct('a', 7, 'l', array(named_struct('b', 'y'))) WHERE id = 2
DELETE FROM {{t}} WHERE id = 3
MERGE INTO {{t}} t USING ({ROW}, map('k', named_struct('c', 9)) AS m, 'p' AS p) s ON t.id = s.id
 WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *
MERGE INTO {{t}} t USING (SELECT 9 AS id) s ON t.id = s.id
 WHEN MATCHED THEN UPDATE SET m = map('w', named_struct('c', 2))
INSERT INTO {{t}} (id, p) VALUES (10, 'q ü')
OPTIMIZE {{t}}
OPTIMIZE {{t}} ZORDER BY (id, v)
INSERT INTO {{t}} VALUES (10, 'ten', NULL, NULL, 'r')
INSERT INTO {{t}} SELECT 11, 'eleven', named_struct('a', 11, 'l', NULL), NULL, 'r'
ALTER TABLE {{t}} ADD COLUMNS (extra BIGINT AFTER id, s.n STRING)
INSERT INTO {{t}} SELECT 12, 12, 'twelve', named_struct('a', 12, 'l', NULL, 'n', 'new'), NULL, 'p'
UPDATE {{t}} SET extra = id * 2 WHERE extra IS NULL
"""
STATEMENTS = WRITES.strip().replace("\n ", " ").splitlines()
WAYS: dict[str, tuple[str, str]] = {
    "name": ("'delta.columnMapping.mode' = 'name'", ""),
    "id": ("'delta.columnMapping.mode' = 'id'", ""),
    "upgraded": ("'a' = 'b'", "ALTER TABLE {t} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"),
}


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sql]:
    sql = Sql(str(tmp_path_factory.mktemp("warehouse")), **{"spark.sql.session.timeZone": "UTC"})
    yield sql
    sql.close()


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A table's name that no other test has."""
    return "t" + "".join(char for char in request.node.name if char.isalnum())


def lake(sql: Sql, name: str) -> LakeTable:
    return LakeTable.open(sql(f"DESCRIBE DETAIL {name}")[0][4].removeprefix("file:"))


def run(sql: Sql, name: str, properties: str, then: str) -> list[list[tuple[Any, ...]]]:
    """The table's rows after each statement."""
    more = "'delta.enableChangeDataFeed' = 'true'"
    sql(f"CREATE TABLE {name} ({COLUMNS}) USING delta PARTITIONED BY (p) TBLPROPERTIES ({properties}, {more})")
    found = []
    for number, statement in enumerate(STATEMENTS):
        if number == 1 and then:
            sql(then.format(t=name))
        sql(statement.format(t=name))
        found.append(sorted(sql(f"SELECT * FROM {name}"), key=repr))
    return found


@pytest.fixture(scope="module")
def plain(sql: Sql) -> list[list[tuple[Any, ...]]]:
    return run(sql, "plain", "'a' = 'b'", "")


def names_of(values: Mapping[str, Any], prefix: str = "") -> set[str]:
    found = set()
    for key, value in values.items():
        found |= names_of(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key}
    return found


def changes(sql: Sql, name: str, shift: int) -> list[tuple[Any, ...]]:
    """The feed without times; `shift`: versions that the table has more than another."""
    rows = sql(f"SELECT * FROM table_changes('{name}', 0)")
    return sorted([(*row[:-2], row[-2] - (shift if row[-2] > 1 else 0)) for row in rows], key=repr)


@pytest.mark.parametrize("way", WAYS)
def test_a_mapped_table_holds_what_a_plain_one_holds_after_every_write(
    sql: Sql, plain: list[list[tuple[Any, ...]]], way: str
) -> None:
    properties, then = WAYS[way]
    assert run(sql, way, properties, then) == plain
    assert changes(sql, way, 1 if then else 0) == changes(sql, "plain", 0)
    _check_files(sql, way)


def _check_files(sql: Sql, name: str) -> None:
    """What the log and the Parquet files say of columns, they say by physical names and ids."""
    table = lake(sql, name)
    snapshot, metadata = table.snapshot(), table.metadata
    leaves = names_of(_shape(physical_type(metadata.schema, "name")))
    ids = _ids(metadata)
    assert len(set(ids.values())) == len(ids)
    assert metadata.configuration["delta.columnMapping.maxColumnId"] == str(max(ids.values()))
    assert snapshot.files
    for file in snapshot.files:
        assert set(file.partition_values) == set(physical_partitions(metadata))
        stats = json.loads(file.stats or "{}")
        assert names_of({**stats["minValues"], **stats["nullCount"]}) <= leaves
        assert stats["minValues"]
        found = pq.ParquetFile(local_path(table.path, file)).schema_arrow
        assert found.names == [one for one in ids if "." not in one and one not in physical_partitions(metadata)]
        assert [int(found.field(one).metadata[b"PARQUET:field_id"]) for one in found.names] == [
            ids[one] for one in found.names
        ]


def _shape(kind: Any) -> dict[str, Any]:
    fields = {field.name: field.dataType for field in kind.fields}
    return {name: _shape(inner) if hasattr(inner, "fields") else None for name, inner in fields.items()}


def _ids(metadata: Metadata) -> dict[str, int]:
    """Ids by physical names, dotted, in the schema's order."""
    found: dict[str, int] = {}

    def walk(kind: Any, prefix: str) -> None:
        for field in getattr(kind, "fields", ()):
            name = prefix + field.metadata["delta.columnMapping.physicalName"]
            found[name] = field.metadata["delta.columnMapping.id"]
            walk(field.dataType, name + ".")
        for part in ("elementType", "keyType", "valueType"):
            if hasattr(kind, part):
                walk(getattr(kind, part), prefix + part + ".")

    walk(metadata.schema, "")
    return found


def test_an_upgraded_table_keeps_its_names_and_a_new_column_gets_one_of_its_own(sql: Sql, name: str) -> None:
    sql(f"CREATE TABLE {name} (a INT, s STRUCT<x: INT>) USING delta")
    sql(f"ALTER TABLE {name} SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    sql(f"ALTER TABLE {name} ADD COLUMNS (b INT, s.y INT)")
    names = list(_ids(lake(sql, name).metadata))
    assert names[:3] == ["a", "s", "s.x"]
    assert all(name.removeprefix("s.").startswith("col-") for name in names[3:])


def test_a_column_of_a_dropped_one_s_name_is_another_column(sql: Sql, name: str) -> None:
    sql(f"CREATE TABLE {name} (a INT, b INT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    sql(f"INSERT INTO {name} VALUES (1, 2)")
    sql(f"ALTER TABLE {name} DROP COLUMN b")
    sql(f"ALTER TABLE {name} ADD COLUMN b INT")
    assert sql(f"SELECT * FROM {name}") == [(1, None)]
    sql(f"UPDATE {name} SET b = 3")
    assert sql(f"SELECT b FROM {name} WHERE b > 2") == [(3,)]
    assert lake(sql, name).metadata.configuration["delta.columnMapping.maxColumnId"] == "3"


def test_structs_whose_fields_were_all_dropped_are_still_there(sql: Sql, name: str) -> None:
    inner = "STRUCT<x: INT, y: TIMESTAMP>"
    columns = f"id INT, s {inner}, l ARRAY<{inner}>, m MAP<{inner}, {inner}>, n STRUCT<s: {inner}, z: INT>"
    sql(f"CREATE TABLE {name} ({columns}) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    made = "named_struct('x', 1, 'y', current_timestamp())"
    sql(
        f"INSERT INTO {name} VALUES (1, {made}, array({made}, NULL), map({made}, {made}),"
        f" named_struct('s', {made}, 'z', 1)), (2, NULL, NULL, NULL, named_struct('s', NULL, 'z', 2))"
    )
    for path in ("s", "l.element", "m.value", "n.s"):
        sql(f"ALTER TABLE {name} ADD COLUMNS ({path}.new INT)")
        sql(f"ALTER TABLE {name} DROP COLUMNS ({path}.x, {path}.y)")
    sql(f"ALTER TABLE {name} DROP COLUMN m.key.x")
    new = {"new": None}
    query = f"SELECT id, s, l, map_values(m), n FROM {name} ORDER BY id"
    expected = [(1, new, [new, None], [new], {"s": new, "z": 1}), (2, None, None, None, {"s": None, "z": 2})]
    assert sql(query) == expected
    added = "named_struct('new', 5)"
    key = "named_struct('y', current_timestamp())"
    sql(
        f"INSERT INTO {name} VALUES (3, {added}, array({added}), map({key}, {added}),"
        f" named_struct('s', {added}, 'z', 3))"
    )
    five = {"new": 5}
    expected.append((3, five, [five], [five], {"s": five, "z": 3}))
    assert sql(query) == expected
    sql(f"OPTIMIZE {name}")
    assert sql(query) == expected


def test_a_replaced_table_takes_over_the_columns_that_stay(sql: Sql, name: str) -> None:
    mapped = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
    sql(f"CREATE TABLE {name} (a INT, b INT) USING delta {mapped}")
    before = lake(sql, name).metadata.schema
    sql(f"CREATE OR REPLACE TABLE {name} (a INT, b STRING, c INT) USING delta {mapped}")
    after = lake(sql, name).metadata
    assert after.schema["a"].metadata == before["a"].metadata
    assert [field.metadata["delta.columnMapping.id"] for field in after.schema.fields] == [1, 3, 4]
    sql(f"CREATE OR REPLACE TABLE {name} (a INT) USING delta")
    assert lake(sql, name).metadata.schema["a"].metadata == {}


@pytest.mark.parametrize("mode", ["name", "id"])
def test_rows_that_meet_a_condition_are_replaced_and_recorded(sql: Sql, name: str, mode: str) -> None:
    properties = f"'delta.columnMapping.mode' = '{mode}', 'delta.enableChangeDataFeed' = 'true'"
    sql(f"CREATE TABLE {name} (a INT, b STRING) USING delta TBLPROPERTIES ({properties})")
    sql(f"INSERT INTO {name} VALUES (1, 'x'), (2, 'y')")
    sql(f"ALTER TABLE {name} RENAME COLUMN a TO k")
    condition = exp.EQ(this=exp.column("k", quoted=True), expression=exp.Literal.number(2))
    rows = query("SELECT 2::INT AS k, 'z' AS b")
    lake(sql, name).overwrite(connection(), rows, parse_schema("k int, b string"), replace_where=condition)
    assert sorted(sql(f"SELECT * FROM {name}")) == [(1, "x"), (2, "z")]
    found = sql(f"SELECT k, b, _change_type FROM table_changes('{name}', 2)")
    assert sorted(found) == [(2, "y", "delete"), (2, "z", "insert")]


def test_names_with_any_character_need_mapping(sql: Sql, name: str) -> None:
    columns = "(`a b` INT, `c;{}=,` STRING, `d.e` INT)"
    sql.refused(f"CREATE TABLE {name} {columns} USING delta", "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES")
    sql(f"CREATE TABLE {name} {columns} USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    sql(f"INSERT INTO {name} VALUES (1, 'x', 2)")
    sql(f"UPDATE {name} SET `a b` = `a b` + 1 WHERE `d.e` = 2")
    assert sql(f"SELECT `a b`, `c;{{}}=,`, `d.e` FROM {name}") == [(2, "x", 2)]


@pytest.mark.parametrize(
    ("made", "change", "condition"),
    [
        (
            "none",
            "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'id')",
            "DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE",
        ),
        (
            "id",
            "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')",
            "DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE",
        ),
        ("name", "SET TBLPROPERTIES ('delta.columnMapping.maxColumnId' = '9')", "DELTA_CANNOT_MODIFY_TABLE_PROPERTY"),
    ],
)
def test_other_changes_of_the_mapping_are_refused(sql: Sql, name: str, made: str, change: str, condition: str) -> None:
    sql(f"CREATE TABLE {name} (a INT) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = '{made}')")
    sql.refused(f"ALTER TABLE {name} {change}", condition)
