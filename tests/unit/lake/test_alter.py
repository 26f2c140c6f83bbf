"""Changes of a table's columns, and what happens if the table changes meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from pyspark.sql.types import IntegerType, StructField

from headwater.errors import AnalysisError, ConcurrentWriteError, UnsupportedError
from headwater.io.local import LocalStorage
from headwater.lake import alter
from headwater.lake.actions import Commit, Metadata, Protocol
from headwater.lake.alter import Changes, NewColumn, changed, with_columns
from headwater.lake.log import DeltaLog
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query

SCHEMA = parse_schema("id int, m map<string, struct<x: int>>, l array<struct<x: int>>")
NEW = StructField("n", IntegerType())


@pytest.mark.parametrize(
    ("path", "position", "wanted"),
    [
        (("n",), None, "id int, m map<string, struct<x: int>>, l array<struct<x: int>>, n int"),
        (("n",), "AFTER ID", "id int, n int, m map<string, struct<x: int>>, l array<struct<x: int>>"),
        (("m", "value", "n"), "FIRST", "id int, m map<string, struct<n: int, x: int>>, l array<struct<x: int>>"),
        (("L", "element", "n"), None, "id int, m map<string, struct<x: int>>, l array<struct<x: int, n: int>>"),
    ],
)
def test_a_column_goes_where_it_is_told(path: tuple[str, ...], position: str | None, wanted: str) -> None:
    assert with_columns(SCHEMA, [NewColumn(path, NEW, position)]) == parse_schema(wanted)


@pytest.mark.parametrize(
    ("path", "condition"),
    [
        (("id", "n"), "DELTA_ADD_COLUMN_PARENT_NOT_STRUCT"),
        (("l", "n"), "DELTA_ADD_COLUMN_PARENT_NOT_STRUCT"),
        (("m", "value", "y", "n"), "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        (("L", "element", "X"), "FIELD_ALREADY_EXISTS"),
    ],
)
def test_a_column_that_has_no_place(path: tuple[str, ...], condition: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        with_columns(SCHEMA, [NewColumn(path, StructField(path[-1], IntegerType()))])
    assert caught.value.condition == condition


def test_a_column_keeps_what_is_not_changed() -> None:
    schema = parse_schema("a int not null comment 'x', b int")
    assert changed(schema, ("A",), Changes(position="AFTER b"))[0] == parse_schema("b int, a int not null comment 'x'")
    assert changed(schema, ("a",), Changes(nullable=True))[0] == parse_schema("a int comment 'x', b int")
    assert changed(schema, ("a",), Changes(type=IntegerType()))[0] == schema


def test_of_two_changes_of_one_version_one_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = LakeTable.create(str(tmp_path / "t"), parse_schema("id int"))
    other = LakeTable.open(table.path)

    def meanwhile(_: str) -> None:
        monkeypatch.undo()
        alter.set_properties(other, {"theirs": "1"})

    monkeypatch.setattr(alter, "crash_point", meanwhile)
    with pytest.raises(ConcurrentWriteError, match="DELTA_METADATA_CHANGED"):
        alter.set_properties(table, {"mine": "1"})
    assert LakeTable.open(table.path).metadata.configuration == {"theirs": "1"}


def test_rows_that_come_meanwhile_are_no_matter_for_a_property(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = LakeTable.create(str(tmp_path / "t"), parse_schema("id int"))
    other = LakeTable.open(table.path)

    def meanwhile(_: str) -> None:
        monkeypatch.undo()
        other.append(connection(), query("SELECT 1 AS id"), parse_schema("id int"))

    monkeypatch.setattr(alter, "crash_point", meanwhile)
    assert alter.set_properties(table, {"mine": "1"}).version == 2
    assert len(LakeTable.open(table.path).snapshot().files) == 1


def test_a_table_that_is_not_written_here_is_not_altered(tmp_path: Path) -> None:
    metadata = Metadata("id", parse_schema("id int").json())
    protocol = Protocol(1, 7, (), ("rowTracking", "domainMetadata"))
    DeltaLog(str(tmp_path), LocalStorage()).write(Commit(0, metadata=metadata, protocol=protocol))
    with pytest.raises(UnsupportedError, match="rowTracking"):
        alter.add_columns(LakeTable.open(str(tmp_path)), [NewColumn(("n",), NEW)])
