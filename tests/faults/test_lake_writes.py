"""Appends to a Delta table under SIGKILL, races and a full disk: no row lost, doubled or torn."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headwater.lake.table import LakeTable
from support.forked import run_code
from support.kill import KILLED
from support.lake import by_deltalake, by_duckdb, duplicated, rows

TESTS = Path(__file__).resolve().parents[1]
WRITER = TESTS / "support" / "lake_writer.py"
CODE = "import sys; from support.lake_writer import main; main(sys.argv[1], *map(int, sys.argv[2:]))"


def start(path: Path, first: int, last: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, str(WRITER), str(path), str(first), str(last)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def check_exact(path: Path, batches: int) -> None:
    """Every batch once, by every reader."""
    ids = [row[0] for row in by_deltalake(str(path))]
    assert duplicated(ids) == []
    assert sorted(ids) == list(range(batches * 10))
    assert rows(LakeTable.open(str(path))) == by_deltalake(str(path)) == by_duckdb(str(path))


@pytest.mark.parametrize("point", ["lake.data_written", "storage.temp", "storage.link", "lake.committed"])
@pytest.mark.parametrize("hit", [1, 11])
def test_a_kill_at_any_point_of_an_append_loses_and_doubles_nothing(tmp_path: Path, point: str, hit: int) -> None:
    path = tmp_path / "t"
    killed = run_code(CODE, str(path), "0", "11", crash=f"{point}:{hit}")
    assert killed.status == KILLED, killed.error
    again = run_code(CODE, str(path), "0", "11")
    assert again.status == 0, again.error
    check_exact(path, 12)


def test_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    path = tmp_path / "t"
    for _ in range(8):
        child = run_code(CODE, str(path), "0", "39", kill_after_ms=chance.randint(10, 250))
        assert child.status in (KILLED, 0), f"seed {seed}: {child.error}"
    last = run_code(CODE, str(path), "0", "39")
    assert last.status == 0, f"seed {seed}: {last.error}"
    check_exact(path, 40)


def test_of_four_processes_with_the_same_batches_each_batch_is_won_once(tmp_path: Path) -> None:
    path = tmp_path / "t"
    racers = [start(path, 0, 24) for _ in range(4)]
    outputs = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0], outputs
    won = sorted(int(line.split()[0]) for out, _ in outputs for line in out.splitlines() if line.endswith("added"))
    assert won == list(range(25))
    check_exact(path, 25)
    assert DeltaTable(str(path)).version() == 24


def test_writers_of_different_streams_all_get_their_rows_in(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    script = (
        "import sys; from headwater.lake.table import LakeTable; from headwater.types.ddl import parse_schema;"
        "from support.lake import connection, numbers;"
        "t, c, k = LakeTable.at(sys.argv[1]), connection(), int(sys.argv[2]);"
        "s = parse_schema('id bigint, name string');"
        "[t.append(c, numbers(10, k * 1000 + i * 10), s, txn=(f'q{k}', i)) for i in range(25)]"
    )
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    writers = [
        subprocess.Popen([sys.executable, "-c", script, path, str(k)], env=environment, stderr=subprocess.PIPE)
        for k in range(4)
    ]
    errors = [writer.communicate(timeout=120)[1] for writer in writers]
    assert [writer.returncode for writer in writers] == [0, 0, 0, 0], errors
    ids = sorted(row[0] for row in by_deltalake(path))
    assert ids == [k * 1000 + i for k in range(4) for i in range(250)]


def test_readers_see_whole_batches_only_while_a_stream_commits(tmp_path: Path) -> None:
    path = tmp_path / "t"
    writer = start(path, 0, 59)
    seen = [0]
    while writer.poll() is None:
        if LakeTable.exists(str(path)):
            seen += [len(rows(LakeTable.open(str(path)))), len(by_deltalake(str(path)))]
    _, errors = writer.communicate(timeout=60)
    assert writer.returncode == 0, errors
    assert all(count % 10 == 0 for count in seen)
    assert seen == sorted(seen)
    check_exact(path, 60)
