"""State through real kills: snapshots half written, changelogs half written, and a run that outlives its time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kill import KILLED, Feed, Job, Nursery

SEED = 20_261_122


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


def snapshots(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoint" / "state").rglob("*.snapshot.parquet"))


def finish(nursery: Nursery, feed: Feed, job: Job) -> None:
    (outcome,) = nursery.run(job)
    assert outcome.status == 0, outcome.error
    feed.check(job.mode)


def test_kills_around_snapshots_leave_the_state_exact(nursery: Nursery, tmp_path: Path) -> None:
    feed, job = Feed(tmp_path, "json", rows=3), Job(str(tmp_path), "json", "complete")
    killed = 0
    for point in ("state.snapshot:1", "state.snapshot_written:1") * 2:
        for _ in range(12):
            feed.add()
        (outcome,) = nursery.run(Job(str(tmp_path), "json", "complete", crash=point))
        assert outcome.status in (KILLED, 0), outcome.error
        killed += outcome.status == KILLED
    finish(nursery, feed, job)
    assert killed >= 2
    assert snapshots(tmp_path)


def test_kills_at_random_moments_leave_the_state_exact(nursery: Nursery, tmp_path: Path) -> None:
    print(f"seed {SEED}")
    generator = random.Random(SEED)
    feed, job = Feed(tmp_path, "json", rows=3), Job(str(tmp_path), "json", "complete")
    for _ in range(10):
        for _ in range(3):
            feed.add()
        crash = f"{generator.choice(['storage.temp', 'storage.fsync', 'storage.rename'])}:{generator.randint(1, 30)}"
        (outcome,) = nursery.run(Job(str(tmp_path), "json", "complete", crash=crash))
        assert outcome.status in (KILLED, 0), outcome.error
    finish(nursery, feed, job)


def test_kills_while_batches_overlap_leave_the_state_exact(nursery: Nursery, tmp_path: Path) -> None:
    seed = SEED + 1
    print(f"seed {seed}")
    generator = random.Random(seed)
    feed, job = Feed(tmp_path, "json", rows=3), Job(str(tmp_path), "json", "complete")
    killed = 0
    for _ in range(12):
        for _ in range(12):
            feed.add()
        after = generator.randint(60, 600)
        (outcome,) = nursery.run(Job(str(tmp_path), "json", "complete", kill_after_ms=after))
        assert outcome.status in (KILLED, 0), outcome.error
        killed += outcome.status == KILLED
    assert killed >= 4
    finish(nursery, feed, job)
