"""Many processes write one Delta table: what succeeded is there, what failed is not, readers see only versions."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from headwater.lake.table import LakeTable
from support.lake import by_deltalake, rows
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
