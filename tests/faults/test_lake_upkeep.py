"""RESTORE, SHALLOW CLONE and CONVERT TO DELTA under SIGKILL: all of it is there or nothing."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.forked import run_code
from support.kill import FAILED
from support.lake import by_deltalake, connection, numbers, rows

HEAD = (
    "import sys; from headwater.io.local import LocalStorage; from headwater.lake.table import LakeTable;"
    "from headwater.lake.clone import clone; from headwater.lake.convert import Conversion, convert;"
    "from headwater.lake.restore import restore; from support.lake import connection;"
    "source, target = LakeTable.at(sys.argv[1]), LakeTable.at(sys.argv[2]);"
)
DO = {
    "restore": "restore(source, 1)",
    "clone": "clone(target, source, 1, 's')",
    "convert": "convert(target, connection(), LocalStorage(), Conversion())",
}


def run(folder: Path, what: str, crash_at: str | None = None) -> int:
    return run_code(HEAD + DO[what], str(folder / "source"), str(folder / what), crash=crash_at).status


def prepared(folder: Path) -> list[tuple[object, ...]]:
    """A table of three versions, and a folder of files to convert; the rows of version 1."""
    table, session = LakeTable.at(str(folder / "source")), connection()
    schema = parse_schema("id bigint, name string")
    table.append(session, numbers(10), schema)
    table.append(session, numbers(10, 10), schema)
    expected = rows(table)
    (folder / "convert").mkdir()
    for file in table.snapshot().files:
        (folder / "convert" / file.path).write_bytes((folder / "source" / file.path).read_bytes())
    table.overwrite(session, numbers(10, 20), schema)
    return expected


@pytest.mark.parametrize("what", sorted(DO))
@pytest.mark.parametrize("point", ["ready", "storage.temp", "storage.link"])
def test_a_kill_at_any_point_leaves_all_or_nothing(tmp_path: Path, what: str, point: str) -> None:
    expected = prepared(tmp_path)
    changed = str(tmp_path / ("source" if what == "restore" else what))
    crash_at = f"lake.{what}_ready:1" if point == "ready" else f"{point}:1"
    assert run(tmp_path, what, crash_at) == -signal.SIGKILL

    landed = point == "storage.link"
    if what == "restore":
        assert len(rows(LakeTable.open(changed))) == (20 if landed else 10)
    else:
        assert LakeTable.exists(changed) == landed
    if what == "clone" and landed:
        assert run(tmp_path, what) == FAILED, "a clone that is there is not made again"
    else:
        assert run(tmp_path, what) == 0
    assert rows(LakeTable.open(changed)) == by_deltalake(changed) == expected
    assert len(rows(LakeTable.open(str(tmp_path / "source")).snapshot(2))) == 10
