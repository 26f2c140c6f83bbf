"""A stream whose files are joined between its batches, under SIGKILL: every row once, and few files in the end."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from headwater.lake.table import LakeTable
from support.kill import Feed
from support.lake import rows

TESTS = Path(__file__).resolve().parents[1]
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


def start(folder: Path, crash_at: str | None = None) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(TESTS)}
    environment.pop("HEADWATER_CRASH_AT", None)
    if crash_at is not None:
        environment["HEADWATER_CRASH_AT"] = crash_at
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def fed(folder: Path) -> Feed:
    feed = Feed(folder, "json")
    for _ in range(BATCHES):
        feed.add()
    return feed


def finished(folder: Path, feed: Feed) -> None:
    last = start(folder)
    _, errors = last.communicate(timeout=120)
    assert last.returncode == 0, errors
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
    killed = start(tmp_path, point)
    _, errors = killed.communicate(timeout=120)
    assert killed.returncode == -signal.SIGKILL, errors
    finished(tmp_path, feed)


def test_kills_at_random_moments_lose_and_double_nothing(tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)
    feed = fed(tmp_path)
    for _ in range(5):
        child = start(tmp_path)
        time.sleep(1.0 + chance.random())
        child.kill()
        child.communicate(timeout=60)
    finished(tmp_path, feed)
