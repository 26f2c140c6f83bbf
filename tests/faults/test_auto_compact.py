"""A stream whose files are joined between its batches, under SIGKILL: every row once, and few files in the end."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from headwater.lake.table import LakeTable
from support.forked import run_code
from support.kill import KILLED, Feed, Outcome
from support.lake import rows

BATCHES = 16
SCRIPT = """
import sys
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.streaming.start import start_query
from support.kill import Job, command
prefix = "spark.databricks.delta.autoCompact."
settings = {prefix + "enabled": "true", prefix + "minNumFiles": "3", "spark.sql.warehouse.dir": sys.argv[1] + "/w"}
query = start_query(command(Job(sys.argv[1], "json")), Session(Runtime.local(settings)))
query.await_termination()
"""


def run(folder: Path, crash: str | None = None, kill_after_ms: int | None = None) -> Outcome:
    return run_code(SCRIPT, str(folder), crash=crash, kill_after_ms=kill_after_ms)


def fed(folder: Path) -> Feed:
    feed = Feed(folder, "json")
    for _ in range(BATCHES):
        feed.add()
    return feed


def finished(folder: Path, feed: Feed) -> None:
    last = run(folder)
    assert last.status == 0, last.error
    feed.check()
    table = LakeTable.open(str(folder / "out"))
    assert len(table.snapshot().files) <= 3
    assert sorted(rows(table)) == sorted(feed.written)
    operations = [commit.info["operation"] for commit in table.history()]
    assert operations.count("STREAMING UPDATE") == BATCHES
    assert "OPTIMIZE" in operations


@pytest.mark.parametrize(
    "point", ["lake.compaction_begun:5", "lake.optimize_written:2", "storage.link:12", "lake.committed:6", "step6:4"]
)
def test_a_kill_at_a_point_loses_and_doubles_nothing(tmp_path: Path, point: str) -> None:
    feed = fed(tmp_path)
    killed = run(tmp_path, point)
    assert killed.status == KILLED, killed.error
    finished(tmp_path, feed)


def test_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    feed = fed(tmp_path)
    for _ in range(5):
        child = run(tmp_path, kill_after_ms=chance.randint(100, 900))
        assert child.status in (KILLED, 0), child.error
    finished(tmp_path, feed)
