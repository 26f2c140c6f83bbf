"""OPTIMIZE under SIGKILL and beside writers of other processes: the table is always readable and no row is lost."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.forked import run_code
from support.kill import KILLED
from support.lake import by_deltalake, by_duckdb, connection, duplicated, numbers, rows
from support.lake_writer import main

TESTS = Path(__file__).resolve().parents[1]
WRITER = TESTS / "support" / "lake_writer.py"
SCRIPT = """
import sys
from headwater.errors import ConcurrentWriteError
from headwater.lake.file_sizes import Limits
from headwater.lake.optimize import Optimize, optimize
from headwater.lake.table import LakeTable
from support.lake import connection
table, session = LakeTable.open(sys.argv[1]), connection()
columns = tuple((name,) for name in sys.argv[3].split(",") if name)
for _ in range(int(sys.argv[2])):
    optimize(table, session, Optimize(zorder_by=columns, limits=Limits(1 << 30, 2000)))
"""


def start(*command: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    return subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )


def optimizing(path: Path, times: int) -> subprocess.Popen[str]:
    return start("-c", SCRIPT, str(path), str(times), "")


def filled(path: Path) -> LakeTable:
    table = LakeTable.at(str(path))
    for index in range(6):
        table.append(connection(), numbers(10, index * 10), parse_schema("id bigint, name string"))
    return table


def check_exact(path: Path, count: int) -> None:
    """Every row once, by every reader."""
    ids = [row[0] for row in by_deltalake(str(path))]
    assert duplicated(ids) == []
    assert sorted(ids) == list(range(count))
    assert rows(LakeTable.open(str(path))) == by_deltalake(str(path)) == by_duckdb(str(path))


@pytest.mark.parametrize("columns", ["", "name,id"])
@pytest.mark.parametrize("point", ["lake.optimize_written", "storage.temp", "storage.link", "lake.committed"])
def test_a_kill_at_any_point_leaves_the_rows_as_they_were(tmp_path: Path, point: str, columns: str) -> None:
    path = tmp_path / "t"
    version = filled(path).version
    killed = run_code(SCRIPT, str(path), "1", columns, crash=f"{point}:1")
    assert killed.status == KILLED, killed.error
    check_exact(path, 60)
    landed = point in ("storage.link", "lake.committed")
    assert LakeTable.open(str(path)).version == version + landed
    again = run_code(SCRIPT, str(path), "1", columns)
    assert again.status == 0, again.error
    check_exact(path, 60)
    assert LakeTable.open(str(path)).history(1)[0].info["operation"] == "OPTIMIZE"


def test_kills_at_random_moments_beside_a_writer_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "t"
    main(str(path), 0, 3)
    writer = start(str(WRITER), str(path), "4", "59")
    while writer.poll() is None:
        child = optimizing(path, 50)
        time.sleep(0.7)
        child.kill()
        child.communicate(timeout=60)
        ids = [row[0] for row in by_deltalake(str(path))]
        assert duplicated(ids) == []
        assert sorted(ids) == list(range(len(ids)))
    assert writer.returncode == 0, writer.communicate()[1]
    check_exact(path, 600)


def test_a_writer_and_an_optimizer_do_not_disturb_each_other(tmp_path: Path) -> None:
    path = tmp_path / "t"
    main(str(path), 0, 9)
    writer, optimizer = start(str(WRITER), str(path), "10", "59"), optimizing(path, 20)
    for process in (writer, optimizer):
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    check_exact(path, 600)
    operations = {commit.info["operation"] for commit in LakeTable.open(str(path)).history()}
    assert operations == {"WRITE", "OPTIMIZE"}
