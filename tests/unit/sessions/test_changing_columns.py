"""RENAME COLUMN, DROP COLUMN and ALTER COLUMN … TYPE, as a user would: what is there after, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from headwater.lake.table import LakeTable
from support.sql_session import Sql

MAPPED = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
WIDENED = "TBLPROPERTIES ('delta.enableTypeWidening' = 'true')"


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"), **{"spark.sql.session.timeZone": "UTC"})
    yield sql
    sql.close()


def lake(sql: Sql, name: str = "t") -> LakeTable:
    return LakeTable.open(sql(f"DESCRIBE DETAIL {name}")[0][4].removeprefix("file:"))


def operation(sql: Sql, name: str = "t") -> tuple[str, dict[str, Any]]:
    """The newest operation in the table's history and its parameters."""
    row = sql(f"DESCRIBE HISTORY {name} LIMIT 1")[0]
    return row[4], dict(row[5])


def changes(sql: Sql, column: str) -> Any:
    return lake(sql).metadata.schema[column].metadata.get("delta.typeChanges")


# ── other names ─────────────────────────────────────────────────────────────────────────────────────────────


def nested(sql: Sql) -> None:
    sql(
        "CREATE TABLE t (id INT, s STRUCT<x: INT, l: ARRAY<STRUCT<y: INT, z: STRING>>>, m MAP<STRING, STRUCT<w: INT>>,"
        f" p STRING) USING delta PARTITIONED BY (p) {MAPPED}"
    )
    sql(
        "INSERT INTO t VALUES (1, named_struct('x', 2, 'l', array(named_struct('y', 3, 'z', 'a'))),"
        " map('k', named_struct('w', 4)), 'p')"
    )


@pytest.mark.parametrize(
    ("path", "name", "query"),
    [
        ("id", "number", "SELECT number FROM t WHERE number = 1"),
        ("p", "part", "SELECT part FROM t WHERE part = 'p'"),
        ("s", "`odd name`", "SELECT `odd name`.x FROM t"),
        ("S.X", "xx", "SELECT s.xx FROM t WHERE s.xx > 1"),
        ("s.l.element.z", "zz", "SELECT s.l[0].zz FROM t"),
        ("m.value.w", "ww", "SELECT m['k'].ww FROM t"),
        ("id", "ID", "SELECT ID FROM t"),
    ],
)
def test_a_column_is_found_by_its_new_name(sql: Sql, path: str, name: str, query: str) -> None:
    nested(sql)
    values = sql("SELECT * FROM t")
    files = [file.path for file in lake(sql).snapshot().files]
    sql(f"ALTER TABLE t RENAME COLUMN {path} TO {name}")
    assert len(sql(query)) == 1
    assert str([list(row) for row in sql("SELECT * FROM t")]).count("1") == str(values).count("1")
    assert [file.path for file in lake(sql).snapshot().files] == files
    what, facts = operation(sql)
    assert what == "RENAME COLUMN"
    assert facts["newColumnPath"].split(".")[-1] == name


def test_rows_written_before_and_after_a_rename_are_one_column(sql: Sql) -> None:
    nested(sql)
    sql("ALTER TABLE t RENAME COLUMN s.l.element.y TO why")
    sql("INSERT INTO t SELECT 2, named_struct('x', 5, 'l', array(named_struct('why', 6, 'z', 'b'))), NULL, 'q'")
    assert sorted(sql("SELECT id, s.l[0].why FROM t")) == [(1, 3), (2, 6)]
    assert sql("SELECT * FROM t VERSION AS OF 1")[0][1] == {"x": 2, "l": [{"y": 3, "z": "a"}]}


def test_two_names_are_swapped_by_way_of_a_third(sql: Sql) -> None:
    sql(f"CREATE TABLE t (a INT, b INT) USING delta {MAPPED}")
    sql("INSERT INTO t VALUES (1, 2)")
    for old, new in (("a", "c"), ("b", "a"), ("c", "b")):
        sql(f"ALTER TABLE t RENAME COLUMN {old} TO {new}")
    assert sql("SELECT a, b FROM t") == [(2, 1)]
    assert sql("SELECT a FROM t WHERE a = 2") == [(2,)]


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ("RENAME COLUMN nope TO x", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("RENAME COLUMN id TO S", "FIELD_ALREADY_EXISTS"),
        ("RENAME COLUMN s.x TO l", "FIELD_ALREADY_EXISTS"),
        ("RENAME COLUMN m.value TO v", "INVALID_FIELD_NAME"),
        ("DROP COLUMN nope", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("DROP COLUMN p", "DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN"),
        ("DROP COLUMN m.value", "DELTA_UNSUPPORTED_DROP_NESTED_COLUMN_FROM_NON_STRUCT_TYPE"),
        ("DROP COLUMN m.value.w", "DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA"),
        ("DROP COLUMNS (s.x, s.l)", "DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA"),
        ("DROP COLUMN s.l.element.y", "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE"),
        ("RENAME COLUMN id TO k", "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE"),
        ("DROP COLUMN s", "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE"),
    ],
)
def test_what_cannot_be_renamed_or_dropped_is_refused(sql: Sql, change: str, condition: str) -> None:
    nested(sql)
    sql("ALTER TABLE t ADD CONSTRAINT c CHECK (id > 0 AND s.x > 0)")
    sql("ALTER TABLE t ADD CONSTRAINT d CHECK (size(s.l) >= 0)")
    before = lake(sql).version
    sql.refused(f"ALTER TABLE t {change}", condition)
    assert lake(sql).version == before


def test_a_column_that_others_are_generated_from_stays(sql: Sql) -> None:
    columns = "at TIMESTAMP, day DATE GENERATED ALWAYS AS (CAST(at AS DATE))"
    sql(f"CREATE TABLE t ({columns}) USING delta TBLPROPERTIES ('delta.columnMapping.mode' = 'name')")
    for change in ("RENAME COLUMN at TO time", "DROP COLUMN at"):
        sql.refused(f"ALTER TABLE t {change}", "DELTA_GENERATED_COLUMNS_DEPENDENT_COLUMN_CHANGE")
    sql("ALTER TABLE t RENAME COLUMN day TO d")
    sql("INSERT INTO t (at) VALUES (TIMESTAMP'2024-05-06 07:08:09')")
    assert sql("SELECT d FROM t") == [(date(2024, 5, 6),)]


@pytest.mark.parametrize("change", ["RENAME COLUMN a TO b", "DROP COLUMN a"])
def test_a_table_without_mapping_is_told_what_to_do(sql: Sql, change: str) -> None:
    sql("CREATE TABLE t (a INT, c INT) USING delta")
    condition = "DELTA_UNSUPPORTED_" + change.replace(" ", "_", 1).split(" ", 1)[0]
    error = sql.refused(f"ALTER TABLE t {change}", condition)
    assert "SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')" in str(error)


def test_dropped_columns_are_gone_and_the_rest_stays(sql: Sql) -> None:
    nested(sql)
    sql("ALTER TABLE t DROP COLUMNS (id, s.x, s.l.element.y)")
    assert sql("SELECT * FROM t") == [({"l": [{"z": "a"}]}, [("k", {"w": 4})], "p")]
    assert operation(sql) == ("DROP COLUMNS", {"columns": '["id","s.x","s.l.element.y"]'})
    before = lake(sql).version
    sql("ALTER TABLE t DROP COLUMN IF EXISTS id")
    assert lake(sql).version == before


def test_the_columns_of_statistics_are_renamed_and_dropped_too(sql: Sql) -> None:
    named = "'delta.dataSkippingStatsColumns' = 'a,s.x,b'"
    sql(f"CREATE TABLE t (a INT, b INT, s STRUCT<x: INT, y: INT>) USING delta {MAPPED[:-1]}, {named})")
    sql("ALTER TABLE t RENAME COLUMN s TO r")
    sql("ALTER TABLE t RENAME COLUMN a TO aa")
    sql("ALTER TABLE t DROP COLUMN b")
    assert lake(sql).metadata.configuration["delta.dataSkippingStatsColumns"] == "aa,r.x"


# ── other types ─────────────────────────────────────────────────────────────────────────────────────────────

WIDER = [
    ("TINYINT", "1", "SMALLINT", "300", (1, 300)),
    ("SMALLINT", "1", "INT", "70000", (1, 70000)),
    ("INT", "-1", "BIGINT", "5000000000", (-1, 5000000000)),
    ("INT", "7", "DOUBLE", "0.5", (7.0, 0.5)),
    ("INT", "7", "DECIMAL(12,2)", "9999999999.25", (Decimal("7.00"), Decimal("9999999999.25"))),
    ("BIGINT", "7", "DECIMAL(20,0)", "12345678901234567890", (Decimal(7), Decimal("12345678901234567890"))),
    ("FLOAT", "0.1", "DOUBLE", "0.1", (0.10000000149011612, 0.1)),
    ("DECIMAL(5,2)", "1.25", "DECIMAL(7,3)", "1000.125", (Decimal("1.250"), Decimal("1000.125"))),
    ("DATE", "DATE'2024-05-06'", "TIMESTAMP_NTZ", "TIMESTAMP_NTZ'2024-05-06 07:08:09'",
     (datetime(2024, 5, 6), datetime(2024, 5, 6, 7, 8, 9))),
]  # fmt: skip


@pytest.mark.parametrize(("old", "first", "new", "second", "values"), WIDER, ids=[f"{w[0]}-{w[2]}" for w in WIDER])
def test_a_wider_column_holds_old_and_new_values(
    sql: Sql, old: str, first: str, new: str, second: str, values: tuple[Any, Any]
) -> None:
    sql(f"CREATE TABLE t (k INT, c {old}, a ARRAY<STRUCT<x: {old}>>) USING delta {WIDENED}")
    sql(f"INSERT INTO t VALUES (1, {first}, array(named_struct('x', {first})))")
    sql(f"ALTER TABLE t ALTER COLUMN c TYPE {new}")
    sql(f"ALTER TABLE t ALTER COLUMN a.element.x TYPE {new}")
    sql(f"INSERT INTO t VALUES (2, {second}, array(named_struct('x', {second})))")
    assert sql("SELECT c, a[0].x FROM t ORDER BY k") == [(value, value) for value in values]
    assert sql(f"SELECT k FROM t WHERE c = CAST({second} AS {new})") in ([(2,)], [(1,), (2,)])
    (change,) = changes(sql, "c")
    assert set(change) == {"fromType", "toType"}
    sql("OPTIMIZE t")
    assert sql("SELECT c, a[0].x FROM t ORDER BY k") == [(value, value) for value in values]
    assert sql("SELECT typeof(c) FROM t VERSION AS OF 1") == [(old.lower(),)]


def test_parts_of_arrays_and_maps_become_wider_too(sql: Sql) -> None:
    sql(f"CREATE TABLE t (a ARRAY<INT>, m MAP<INT, ARRAY<FLOAT>>) USING delta {WIDENED}")
    sql("INSERT INTO t VALUES (array(1), map(1, array(CAST(0.5 AS FLOAT))))")
    for part, kind in (("a.element", "BIGINT"), ("m.key", "BIGINT"), ("m.value.element", "DOUBLE")):
        sql(f"ALTER TABLE t ALTER COLUMN {part} TYPE {kind}")
    assert sql("SELECT * FROM t") == [([1], [(1, [0.5])])]
    assert changes(sql, "a") == [{"toType": "long", "fromType": "integer", "fieldPath": "element"}]
    assert changes(sql, "m") == [
        {"toType": "long", "fromType": "integer", "fieldPath": "key"},
        {"toType": "double", "fromType": "float", "fieldPath": "value.element"},
    ]
    told = json.loads(operation(sql)[1]["column"])
    assert (told["name"], told["type"]) == ("m.value.element", "double")


def test_changes_of_one_column_are_told_in_their_order(sql: Sql) -> None:
    sql(f"CREATE TABLE t (a TINYINT, p INT) USING delta PARTITIONED BY (p) {WIDENED}")
    sql("INSERT INTO t VALUES (1, 2)")
    for kind in ("SMALLINT", "INT", "DOUBLE"):
        sql(f"ALTER TABLE t ALTER COLUMN a TYPE {kind}")
    sql("ALTER TABLE t ALTER COLUMN p TYPE BIGINT")
    assert [(c["fromType"], c["toType"]) for c in changes(sql, "a")] == [
        ("byte", "short"),
        ("short", "integer"),
        ("integer", "double"),
    ]
    assert sql("SELECT * FROM t WHERE p = 2") == [(1.0, 2)]
    assert "typeWidening" in sql("DESCRIBE DETAIL t")[0][-1]


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ("a TYPE SMALLINT", "NOT_SUPPORTED_CHANGE_COLUMN"),
        ("a TYPE DECIMAL(9,0)", "NOT_SUPPORTED_CHANGE_COLUMN"),
        ("a TYPE FLOAT", "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP"),
        ("a TYPE STRING", "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP"),
        ("d TYPE TIMESTAMP", "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP"),
        ("v TYPE INT", "NOT_SUPPORTED_CHANGE_COLUMN"),
        ("v TYPE VARCHAR(3)", "NOT_SUPPORTED_CHANGE_COLUMN"),
        ("s TYPE STRUCT<x: BIGINT>", "CANNOT_UPDATE_FIELD.STRUCT_TYPE"),
        ("l TYPE ARRAY<BIGINT>", "CANNOT_UPDATE_FIELD.ARRAY_TYPE"),
        ("m TYPE MAP<STRING, BIGINT>", "CANNOT_UPDATE_FIELD.MAP_TYPE"),
        ("nope TYPE BIGINT", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("c TYPE BIGINT", "DELTA_CONSTRAINT_DEPENDENT_COLUMN_CHANGE"),
    ],
)
def test_other_changes_of_type_are_refused(sql: Sql, change: str, condition: str) -> None:
    columns = "a INT, c INT, d DATE, v STRING, s STRUCT<x: INT>, l ARRAY<INT>, m MAP<STRING, INT>"
    sql(f"CREATE TABLE t ({columns}) USING delta {WIDENED}")
    sql("ALTER TABLE t ADD CONSTRAINT k CHECK (c > 0)")
    sql.refused(f"ALTER TABLE t ALTER COLUMN {change}", condition)
    assert lake(sql).version == 1


def test_without_the_table_s_leave_no_type_changes(sql: Sql) -> None:
    sql("CREATE TABLE t (a INT) USING delta")
    sql.refused("ALTER TABLE t ALTER COLUMN a TYPE BIGINT", "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP")
    sql("ALTER TABLE t SET TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")
    sql("ALTER TABLE t ALTER COLUMN a TYPE BIGINT")
    assert sql("DESCRIBE t")[0][1] == "bigint"


def test_a_text_may_become_longer_in_any_table(sql: Sql) -> None:
    sql("CREATE TABLE t (v VARCHAR(3)) USING delta")
    sql.refused("ALTER TABLE t ALTER COLUMN v TYPE VARCHAR(2)", "NOT_SUPPORTED_CHANGE_COLUMN")
    sql("ALTER TABLE t ALTER COLUMN v TYPE VARCHAR(5)")
    assert lake(sql).metadata.schema["v"].metadata == {"__CHAR_VARCHAR_TYPE_STRING": "varchar(5)"}
    sql("ALTER TABLE t ALTER COLUMN v TYPE STRING")
    assert lake(sql).metadata.schema["v"].metadata == {}


def test_a_write_that_may_change_the_schema_makes_columns_wider(sql: Sql) -> None:
    sql("SET spark.databricks.delta.schema.autoMerge.enabled = true")
    sql(f"CREATE TABLE t (id INT, x TINYINT, s STRUCT<y: INT>) USING delta {WIDENED}")
    sql("INSERT INTO t VALUES (1, 2Y, named_struct('y', 3))")
    sql(
        "MERGE INTO t USING (SELECT 1L AS id, 5000000000L AS x, named_struct('y', 6000000000L, 'z', 'new') AS s) s"
        " ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    assert sql("SELECT * FROM t") == [(1, 5000000000, {"y": 6000000000, "z": "new"})]
    assert changes(sql, "x") == [{"toType": "long", "fromType": "byte"}]


@pytest.mark.parametrize("mode", ["name", "id"])
def test_a_table_of_partition_columns_alone_has_its_rows(sql: Sql, mode: str) -> None:
    properties = f"TBLPROPERTIES ('delta.columnMapping.mode' = '{mode}')"
    sql(f"CREATE TABLE t (a INT, b STRING, p STRING) USING delta PARTITIONED BY (p) {properties}")
    sql("INSERT INTO t VALUES (1, 'x', 'u'), (2, 'y', 'u'), (3, 'z', 'v')")
    sql("ALTER TABLE t DROP COLUMNS (a, b)")
    assert sorted(sql("SELECT * FROM t")) == [("u",), ("u",), ("v",)]
    assert sql("SELECT count(*) FROM t WHERE p = 'u'") == [(2,)]
    sql("ALTER TABLE t ADD COLUMN c INT")
    sql("INSERT INTO t VALUES ('w', 7)")
    assert sorted(sql("SELECT p, c FROM t"), key=str) == [("u", None), ("u", None), ("v", None), ("w", 7)]
