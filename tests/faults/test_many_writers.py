"""Many processes write one Delta table: what succeeded is there, what failed is not, readers see only versions."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from headwater.lake.table import LakeTable
from support.lake import by_deltalake, duplicated, rows
from support.mixed_writer import SCHEMA

TESTS = Path(__file__).resolve().parents[1]
WRITER = TESTS / "support" / "mixed_writer.py"


def start(path: str, kind: str, number: int, count: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    command = [sys.executable, str(WRITER), path, kind, str(number), str(count)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def told(writers: list[subprocess.Popen[str]]) -> list[list[dict[str, Any]]]:
    """What each writer has told, step by step."""
    found = [writer.communicate(timeout=300) for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * len(writers), [errors for _, errors in found]
    return [[json.loads(line) for line in out.splitlines()] for out, _ in found]


def audit(path: str) -> list[tuple[int, int]]:
    """(version, rows after it) by the log alone; each file comes once and goes at most once, when it is there."""
    table = LakeTable.open(path)
    first, last = table.log_versions()
    assert (first, last) == (0, table.version)
    live: dict[str, int] = {}
    ever: set[str] = set()
    counts = []
    for commit in table.changes(first, last):
        for gone in commit.removes:
            assert live.pop(gone.path, None) is not None, (commit.version, gone.path)
        for file in commit.adds:
            assert file.path not in ever, (commit.version, file.path)
            ever.add(file.path)
            live[file.path] = file.rows or 0
        counts.append((commit.version, sum(live.values())))
    return counts


def test_eight_appenders_lose_nothing_and_none_gives_up(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    LakeTable.create(path, SCHEMA)
    steps = told([start(path, "append", number, 50) for number in range(8)])
    assert [len(each) for each in steps] == [50] * 8
    assert not [step for each in steps for step in each if "lost" in step]
    added = sorted(one for each in steps for step in each for one in step["added"])
    assert sorted(row[0] for row in by_deltalake(path)) == added
    assert audit(path)[-1] == (400, 4000)


def test_kills_at_random_moments_leave_each_step_done_or_not(tmp_path: Path) -> None:
    """Appends, merges, compaction and VACUUM die again and again; what they did is whole, and others go on."""
    seed = random.randrange(1 << 30)
    chance = random.Random(seed)
    path = str(tmp_path / "t")
    LakeTable.create(path, SCHEMA, ("p",))
    kinds = ("append", "merge", "optimize", "vacuum")
    for round_ in range(2):
        writers = [start(path, kind, 10 * round_ + number, 400) for number, kind in enumerate(kinds, 1)]
        begun = []
        for writer in writers:
            assert writer.stdout is not None
            begun.append(writer.stdout.readline())
        time.sleep(chance.random())
        for writer in writers:
            writer.kill()
        ends = [writer.communicate(timeout=60)[0] for writer in writers]
        lines = (begun[0] + ends[0]).splitlines(keepends=True)
        done = [one for line in lines if line.endswith("\n") for one in json.loads(line)["added"]]
        assert set(done) <= {row[0] for row in by_deltalake(path)}, seed
        check_whole(path, appender=10 * round_ + 1, seed=seed)
    told([start(path, kind, 90 + number, 3) for number, kind in enumerate(kinds, 1)])
    assert rows(LakeTable.open(path)) == by_deltalake(path)
    audit(path)


def check_whole(path: str, appender: int, seed: int) -> None:
    """No row is there twice, and the appender's steps are there one after the other, the last as whole as the first."""
    ids = [row[0] for row in by_deltalake(path)]
    assert duplicated(ids) == [], seed
    assert len(ids) == audit(path)[-1][1], seed
    appended = sorted(one for one in ids if one // 1_000_000 == appender)
    first = appender * 1_000_000
    assert appended == list(range(first, first + len(appended))), seed
    assert len(appended) % 10 == 0, seed


def test_appends_merges_and_compaction_at_once_while_others_read(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    LakeTable.create(path, SCHEMA, ("p",))
    kinds = [("append", 30), ("append", 30), ("merge", 20), ("merge", 20), ("optimize", 15)]
    writers = [start(path, kind, number, count) for number, (kind, count) in enumerate(kinds, 1)]
    seen: list[tuple[int, int]] = []
    while any(writer.poll() is None for writer in writers):
        snapshot = LakeTable.open(path).snapshot()
        seen.append((snapshot.version, len(rows(snapshot))))
    steps = told(writers)

    counts = audit(path)
    assert set(seen) <= set(counts), "a reader saw what no version is"
    assert [version for version, _ in seen] == sorted(version for version, _ in seen)
    expected: Counter[int] = Counter()
    for step in (step for each in steps for step in each if "lost" not in step):
        expected.update(step["added"])
        expected.subtract(step["gone"])
    assert Counter(row[0] for row in by_deltalake(path)) == +expected
    assert not [step for each in steps[:4] for step in each if "lost" in step], "they touch partitions of their own"
    assert not [step for step in steps[4] if "lost" in step], "nobody takes files away from OPTIMIZE"
