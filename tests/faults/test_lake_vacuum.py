"""VACUUM under SIGKILL: the table is readable at every moment, and another VACUUM ends what one has begun."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.forked import run_code
from support.lake import by_deltalake, by_duckdb, connection, numbers, rows, unnamed_files

SCRIPT = (
    "import sys; from headwater.io.local import LocalStorage; from headwater.lake.table import LakeTable;"
    "from headwater.lake.vacuum import Vacuum, vacuum;"
    "vacuum(LakeTable.open(sys.argv[1]), Vacuum(0, checked=False, lite=sys.argv[2] == 'lite'), LocalStorage())"
)


def vacuum(path: str, kind: str, crash_at: str | None = None) -> int:
    return run_code(SCRIPT, path, kind, crash=crash_at).status


@pytest.mark.parametrize("kind", ["full", "lite"])
@pytest.mark.parametrize(
    "point",
    ["lake.committed:1", "lake.vacuum_begun:1", "lake.file_deleted:1", "lake.file_deleted:3", "lake.committed:2"],
)
def test_a_kill_at_any_point_leaves_every_row_readable(tmp_path: Path, kind: str, point: str) -> None:
    path = str(tmp_path / "t")
    table, session = LakeTable.at(path), connection()
    schema = parse_schema("id bigint, name string")
    for start in range(0, 50, 10):
        table.overwrite(session, numbers(10, start), schema)
    table.append(session, numbers(10, 100), schema)
    expected = rows(table)
    assert len(unnamed_files(path)) == 4

    assert vacuum(path, kind, point) == -signal.SIGKILL
    assert rows(LakeTable.open(path)) == by_deltalake(path) == by_duckdb(path) == expected
    assert vacuum(path, kind) == 0
    assert unnamed_files(path) == []
    assert rows(LakeTable.open(path)) == by_deltalake(path) == by_duckdb(path) == expected
    assert LakeTable.open(path).history(1)[0].info["operation"] == "VACUUM END"
