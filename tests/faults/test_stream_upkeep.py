"""Streams into and out of Delta tables while OPTIMIZE and VACUUM of them run, all killed at random moments.

`HEADWATER_KILLS` sets how many rounds of kills each test has. Between rounds everything written so far is made an hour
older, so that the VACUUM beside the next round deletes what the rounds before have left behind, and nothing that a
living writer or reader needs.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from headwater.lake.actions import Commit
from headwater.lake.table import LakeTable
from support.kill import KILLED, Feed, Job, Nursery, read_delta
from support.lake import age, by_deltalake, duplicated, rows, unnamed_files

KILLS = int(os.environ.get("HEADWATER_KILLS", "2"))
HOUR = 3600.0
FEED = {"delta.enableChangeDataFeed": "true"}
EMPTY = pa.table({"id": pa.array([], pa.int64()), "k": pa.array([], pa.string())})


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


class Appends(Feed):
    """Rows that only come."""

    def allow(self, found: list[tuple[Any, ...]]) -> None:
        """Whole batches, no row twice, none that was not fed."""
        assert duplicated(found) == []
        assert set(found) <= set(self.written)
        assert len(found) % self.rows == 0


@dataclass
class Changes(Feed):
    """Rows that come, change and go, in a table with the change data feed; `told` is the feed that they make."""

    told: list[tuple[str, int, str]] = field(default_factory=list)
    live: dict[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        write_deltalake(str(self.folder / "in"), EMPTY, configuration=FEED)

    def add(self) -> None:
        """Two appends; then a row of each changes, and one goes."""
        first = len(self.written)
        for _ in range(2):
            super().add()
        table = DeltaTable(str(self.folder / "in"))
        changed, gone = first + 1, first + self.rows
        table.update(predicate=f"id = {changed}", updates={"k": "'new'"})
        table.delete(f"id = {gone}")
        for key, value in self.written[first:]:
            self.told.append(("insert", key, value))
            self.live[key] = value
        self.told += [("update_preimage", changed, self.live[changed]), ("update_postimage", changed, "new")]
        self.live[changed] = "new"
        self.told.append(("delete", gone, self.live.pop(gone)))

    def allow(self, found: list[tuple[Any, ...]]) -> None:
        """Nothing but upkeep is at work when somebody looks."""
        assert sorted(found) == sorted(self.live.items())


@dataclass
class Siege:
    """A stream, and upkeep of the table `watched` beside it.

    Attributes:
        busy: more rows come while both run.
    """

    nursery: Nursery
    folder: Path
    feed: Appends | Changes
    stream: str
    watched: str
    chance: random.Random
    busy: bool = True
    done: Counter[str] = field(default_factory=Counter)

    def round(self) -> None:
        """New rows; the stream and the upkeep are killed while others read; alone, a sweep is killed, too."""
        for _ in range(self.chance.randint(2, 4)):
            self.feed.add()
        first, last = self.chance.randint(400, 1500), self.chance.randint(1000, 2000)
        jobs = [self.job(self.stream, first), self.job(f"upkeep_of_{self.watched}", last)]
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(self.nursery.run, *jobs)
            while not running.done():
                self.look()
                time.sleep(0.25)
                if self.busy:
                    self.feed.add()
        stream, upkeep = running.result()
        assert stream.status in (KILLED, 0), stream.error
        assert upkeep.status == KILLED, upkeep.error
        self.done["kills"] += (stream.status == KILLED) + 1
        self.look()

    def sweep(self, kill_after_ms: int | None = None) -> None:
        """VACUUM RETAIN 0 while nobody writes."""
        (swept,) = self.nursery.run(self.job("sweeping", kill_after_ms))
        assert swept.status in (KILLED, 0), swept.error
        self.done["kills"] += swept.status == KILLED
        self.look()

    def look(self) -> None:
        """Whoever reads now reads rows that were fed, each once, in whole batches."""
        path = str(self.folder / self.watched)
        if LakeTable.exists(path):
            for found in (rows(LakeTable.open(path)), by_deltalake(path)):
                self.feed.allow(found)
                self.done["looks"] += 1

    def end(self) -> None:
        """The stream to its end, beside one more OPTIMIZE and VACUUM."""
        stop = self.folder / "stop"
        stop.touch()
        outcomes = self.nursery.run(self.job(self.stream), self.job(f"upkeep_of_{self.watched}"))
        assert [one.status for one in outcomes] == [0, 0], outcomes
        stop.unlink()

    def grow_old(self) -> None:
        """An hour passes for the table."""
        age(str(self.folder / self.watched), HOUR)

    def job(self, script: str, kill_after_ms: int | None = None) -> Job:
        return Job(str(self.folder), self.feed.source, script=script, kill_after_ms=kill_after_ms)

    def report(self) -> None:
        """What was done, for whoever reads the output."""
        removed = [int(at.info["operationMetrics"].get("numDeletedFiles", 0)) for at in self.upkeep("VACUUM END")]
        print(dict(self.done), "files deleted:", sum(removed), "OPTIMIZE:", len(self.upkeep("OPTIMIZE")))
        assert sum(removed) > 0
        assert self.upkeep("OPTIMIZE")

    def upkeep(self, operation: str) -> list[Commit]:
        """The commits of an operation."""
        commits = LakeTable.open(str(self.folder / self.watched)).history()
        return [commit for commit in commits if commit.info["operation"] == operation]


def seeded(what: str) -> random.Random:
    seed = f"{what} {os.environ.get('HEADWATER_SEED', '1')}"
    print("seed", seed)
    return random.Random(seed)


def test_a_stream_into_a_table_that_is_compacted_and_vacuumed(nursery: Nursery, tmp_path: Path) -> None:
    chance, feed = seeded("out"), Appends(tmp_path, "json")
    siege = Siege(nursery, tmp_path, feed, "compacting_stream", "out", chance)
    for number in range(KILLS):
        siege.round()
        siege.grow_old()
        if number % 2:
            siege.sweep(chance.randint(200, 700))
    siege.end()
    feed.check()
    siege.sweep()
    feed.check()
    assert unnamed_files(str(tmp_path / "out")) == []
    assert rows(LakeTable.open(str(tmp_path / "out"))) == sorted(feed.written, key=repr)
    assert len(siege.upkeep("STREAMING UPDATE")) == feed.chunks
    siege.report()


def test_a_stream_out_of_a_table_that_is_compacted_and_vacuumed(nursery: Nursery, tmp_path: Path) -> None:
    chance, feed = seeded("in"), Appends(tmp_path, "delta")
    siege = Siege(nursery, tmp_path, feed, "reading_stream", "in", chance)
    for _ in range(KILLS):
        siege.round()
        if chance.random() < 0.6:  # what the stream has read may grow old
            siege.end()
            siege.grow_old()
            siege.sweep(chance.randint(200, 700))
    siege.end()
    feed.check()
    siege.sweep()
    siege.report()


def test_a_stream_of_changes_of_a_table_that_is_compacted_and_vacuumed(nursery: Nursery, tmp_path: Path) -> None:
    chance, feed = seeded("changes"), Changes(tmp_path, "delta")
    siege = Siege(nursery, tmp_path, feed, "changes_stream", "in", chance, busy=False)
    for _ in range(KILLS):
        siege.round()
        if chance.random() < 0.6:
            siege.end()
            siege.grow_old()
            siege.sweep(chance.randint(200, 700))
    siege.end()
    found = read_delta(tmp_path / "out", ("_change_type", "id", "k"))
    assert sorted(found) == sorted(feed.told)
    siege.sweep()
    siege.report()
