"""RENAME COLUMN and DROP COLUMN against writers who change the table meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import ConcurrentWriteError
from headwater.lake import alter, renaming
from headwater.lake.actions import Metadata
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query, rows

PAIRS = parse_schema("id bigint, name string")


def made(tmp_path: Path) -> LakeTable:
    table = LakeTable.create(str(tmp_path / "t"), PAIRS, properties={"delta.columnMapping.mode": "name"})
    table.append(connection(), query("SELECT 1::BIGINT AS id, 'x' AS name"), PAIRS)
    return table


def nobody(_metadata: Metadata, _path: tuple[str, ...]) -> None:
    """No expression names a column."""


def test_rows_added_meanwhile_have_the_new_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = made(tmp_path)
    other = LakeTable.open(table.path)

    def meanwhile(_point: str) -> None:
        other.append(connection(), query("SELECT 2::BIGINT AS id, 'y' AS name"), PAIRS)

    monkeypatch.setattr(alter, "crash_point", meanwhile)
    assert renaming.rename_column(table, ("id",), "k", nobody).version == 3
    assert LakeTable.open(table.path).schema.names == ["k", "name"]
    assert rows(LakeTable.open(table.path)) == [(1, "x"), (2, "y")]


def test_of_two_renames_at_once_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = made(tmp_path)
    other = LakeTable.open(table.path)

    def meanwhile(_point: str) -> None:
        monkeypatch.undo()
        renaming.drop_columns(other, [("name",)], nobody)

    monkeypatch.setattr(alter, "crash_point", meanwhile)
    with pytest.raises(ConcurrentWriteError, match="DELTA_METADATA_CHANGED"):
        renaming.rename_column(table, ("name",), "n", nobody)
    assert LakeTable.open(table.path).schema.names == ["id"]


def test_a_writer_who_knew_the_old_name_is_told_so(tmp_path: Path) -> None:
    table = made(tmp_path)
    renaming.rename_column(LakeTable.open(table.path), ("id",), "k", nobody)
    added = parse_schema("k bigint, name string")
    table.append(connection(), query("SELECT 3::BIGINT AS k, 'z' AS name"), added)
    assert rows(table) == [(1, "x"), (3, "z")]
