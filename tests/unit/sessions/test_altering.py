"""ALTER TABLE of Delta tables, as a user would."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.sessions import stored
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t (id INT, v STRING COMMENT 'old', s STRUCT<a: INT, b: ARRAY<STRUCT<x: INT>>>) USING delta")
    sql("INSERT INTO t VALUES (1, 'a', named_struct('a', 1, 'b', array(named_struct('x', 1))))")
    yield sql
    sql.close()


def operation(sql: Sql, name: str = "t") -> tuple[str, dict[str, Any]]:
    row = sql(f"DESCRIBE HISTORY {name}")[0]
    return row[4], dict(row[5])


def columns(sql: Sql) -> str:
    return stored.schema_of(stored.existing(("t",), sql.session), sql.session).simpleString()


def test_added_columns_are_null_in_old_rows_and_there_for_new_ones(sql: Sql) -> None:
    sql("ALTER TABLE t ADD COLUMNS (m BIGINT COMMENT 'mc' FIRST, k DOUBLE AFTER id)")
    assert operation(sql) == (
        "ADD COLUMNS",
        {
            "columns": '[{"column":{"name":"m","type":"long","nullable":true,"metadata":{"comment":"mc"}},'
            '"position":"FIRST"},{"column":{"name":"k","type":"double","nullable":true,"metadata":{}},'
            '"position":"AFTER id"}]'
        },
    )
    sql("INSERT INTO t (m, id, k) VALUES (7, 2, 0.5)")
    assert sorted(sql("SELECT m, id, k, v FROM t"), key=repr) == [(7, 2, 0.5, None), (None, 1, None, "a")]
    assert sql("DESCRIBE t")[0] == ("m", "bigint", "mc")


def test_fields_are_added_inside_structs_and_arrays(sql: Sql) -> None:
    sql("ALTER TABLE t ADD COLUMNS (s.c STRING, s.b.element.y INT FIRST)")
    assert columns(sql) == "struct<id:int,v:string,s:struct<a:int,b:array<struct<y:int,x:int>>,c:string>>"
    assert sql("SELECT s FROM t") == [({"a": 1, "b": [{"y": None, "x": 1}], "c": None},)]
    assert sql("SELECT s.c, s.b[0].x, s.b[0].y, s.a FROM t") == [(None, 1, None, 1)]


@pytest.mark.parametrize(
    ("change", "condition"),
    [
        ("ADD COLUMN ID INT", "FIELD_ALREADY_EXISTS"),
        ("ADD COLUMN q INT NOT NULL", "DELTA_OPERATION_NOT_ALLOWED"),
        ("ADD COLUMN q INT AFTER nope", "FIELD_NOT_FOUND"),
        ("ADD COLUMN nope.q INT", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("ADD COLUMN v.q INT", "DELTA_ADD_COLUMN_PARENT_NOT_STRUCT"),
        ("ADD COLUMN `a b` INT", "DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES"),
        ("ADD COLUMN q INT DEFAULT 5", "WRONG_COLUMN_DEFAULTS_FOR_DELTA_ALTER_TABLE_ADD_COLUMN_NOT_SUPPORTED"),
        ("ALTER COLUMN nope COMMENT 'x'", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("ALTER COLUMN id TYPE BIGINT", "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP"),
        ("RENAME COLUMN v TO w", "DELTA_UNSUPPORTED_RENAME_COLUMN"),
        ("DROP COLUMN v", "DELTA_UNSUPPORTED_DROP_COLUMN"),
        ("SET TBLPROPERTIES ('delta.nope' = 'y')", "DELTA_UNKNOWN_CONFIGURATION"),
        ("SET TBLPROPERTIES ('delta.constraints.k' = 'id > 0')", "DELTA_ADD_CONSTRAINTS"),
        ("SET LOCATION '/nowhere'", "DELTA_MISSING_DELTA_TABLE"),
    ],
)
def test_what_delta_refuses_leaves_the_table_as_it_was(sql: Sql, change: str, condition: str) -> None:
    sql.refused(f"ALTER TABLE t {change}", condition)
    assert len(sql("DESCRIBE HISTORY t")) == 2
    assert columns(sql) == "struct<id:int,v:string,s:struct<a:int,b:array<struct<x:int>>>>"


def test_a_column_gets_another_comment_and_place(sql: Sql) -> None:
    sql("ALTER TABLE t CHANGE COLUMN v v STRING COMMENT 'new' FIRST")
    assert sql("DESCRIBE t")[:2] == [("v", "string", "new"), ("id", "int", None)]
    sql("ALTER TABLE t ALTER COLUMN s.b FIRST")
    assert columns(sql) == "struct<v:string,id:int,s:struct<b:array<struct<x:int>>,a:int>>"
    assert json.loads(operation(sql)[1]["column"])["name"] == "s.b"
    assert sql("SELECT id, v, s.a, s.b[0].x FROM t") == [(1, "a", 1, 1)]


def test_a_column_takes_no_null_once_it_has_none(sql: Sql) -> None:
    sql("INSERT INTO t (v) VALUES ('b')")
    error = sql.refused("ALTER TABLE t ALTER COLUMN id SET NOT NULL", "DELTA_NEW_NOT_NULL_VIOLATION")
    assert "1 rows" in str(error)
    sql("DELETE FROM t WHERE id IS NULL")
    sql("ALTER TABLE t ALTER COLUMN id SET NOT NULL")
    sql.refused("INSERT INTO t (v) VALUES ('b')", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED")
    sql("ALTER TABLE t ALTER COLUMN id DROP NOT NULL")
    sql("INSERT INTO t (v) VALUES ('b')")
    assert operation(sql)[0] == "WRITE"


def test_properties_are_set_and_unset(sql: Sql) -> None:
    sql("ALTER TABLE t SET TBLPROPERTIES ('x' = 'y', 'delta.APPENDONLY' = 'true', 'comment' = 'words')")
    assert operation(sql) == (
        "SET TBLPROPERTIES",
        {"properties": '{"x":"y","delta.appendOnly":"true","comment":"words"}'},
    )
    sql.refused("DELETE FROM t", "DELTA_CANNOT_MODIFY_APPEND_ONLY")
    assert sql("DESCRIBE DETAIL t")[0][3] == "words"
    sql("ALTER TABLE t UNSET TBLPROPERTIES IF EXISTS ('delta.appendOnly', 'nope')")
    assert operation(sql)[0] == "UNSET TBLPROPERTIES"
    sql("DELETE FROM t")
    shown = dict(sql("SHOW TBLPROPERTIES t"))
    assert shown == {"x": "y", "delta.minReaderVersion": "1", "delta.minWriterVersion": "2"}


def test_a_property_that_needs_a_feature_raises_the_protocol(sql: Sql) -> None:
    sql("ALTER TABLE t SET TBLPROPERTIES ('delta.feature.vacuumProtocolCheck' = 'supported')")
    shown = dict(sql("SHOW TBLPROPERTIES t"))
    assert (shown["delta.minReaderVersion"], shown["delta.minWriterVersion"]) == ("3", "7")
    assert shown["delta.feature.vacuumProtocolCheck"] == "supported"
    sql("INSERT INTO t (id) VALUES (2)")


def test_a_table_takes_another_name_with_its_files(sql: Sql) -> None:
    before = stored.existing(("t",), sql.session).location
    sql("CREATE TABLE taken (a INT)")
    sql.refused("ALTER TABLE t RENAME TO taken", "TABLE_OR_VIEW_ALREADY_EXISTS")
    sql("ALTER TABLE t RENAME TO u")
    sql.refused("SELECT * FROM t", "TABLE_OR_VIEW_NOT_FOUND")
    assert sql("SELECT id FROM u") == [(1,)]
    sql("CREATE TABLE t (a INT)")
    assert stored.existing(("t",), sql.session).location == before
    sql("DROP TABLE u")
    assert sql("SELECT * FROM t") == []


@pytest.mark.parametrize("point", ["catalog.table_named", "catalog.table_moved"])
def test_a_rename_that_is_cut_short_loses_nothing(sql: Sql, point: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def die(reached: str) -> None:
        if reached == point:
            raise KeyboardInterrupt

    monkeypatch.setattr("headwater.sessions.commands.altering.crash_point", die)
    with pytest.raises(KeyboardInterrupt):
        sql("ALTER TABLE t RENAME TO u")
    name = {"catalog.table_named": "t", "catalog.table_moved": "u"}[point]
    assert sql(f"SELECT id FROM {name}") == [(1,)]


def test_a_table_moves_to_a_folder_with_the_same_columns(sql: Sql, tmp_path: Path) -> None:
    sql(f"CREATE TABLE o LOCATION '{tmp_path}/o' AS SELECT 5 AS n")
    sql("CREATE TABLE n AS SELECT 1 AS n")
    sql.refused(f"ALTER TABLE t SET LOCATION '{tmp_path}/o'", "DELTA_SET_LOCATION_SCHEMA_MISMATCH")
    sql(f"ALTER TABLE n SET LOCATION '{tmp_path}/o'")
    assert sql("SELECT * FROM n") == [(5,)]


def test_a_table_is_named_by_its_path_too_but_not_renamed(sql: Sql) -> None:
    path = stored.existing(("t",), sql.session).location
    sql(f"ALTER TABLE delta.`{path}` ADD COLUMN n INT")
    assert sql("SELECT n FROM t") == [(None,)]
    sql.refused(f"ALTER TABLE delta.`{path}` RENAME TO u", "DELTA_CANNOT_RENAME_PATH")
    sql.refused("ALTER TABLE nope ADD COLUMN n INT", "TABLE_OR_VIEW_NOT_FOUND")
    sql("CREATE TABLE c (a INT) USING csv")
    sql.refused("ALTER TABLE c ADD COLUMN n INT", "DELTA_TABLE_ONLY_OPERATION")
