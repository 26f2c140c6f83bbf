"""Joins of two streams through real kills: no pair is lost or doubled, no unmatched row is given twice."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.joining import JOINS
from support.kill import KILLED, Feed, Job, Nursery

SEED = 20_261_122


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


def killed_at(nursery: Nursery, folder: Path, kind: str, points: list[str]) -> int:
    """Feed and kill, then run to the end; how many runs were killed."""
    feed, killed = Feed(folder, "json", rows=4), 0
    for point in points:
        feed.add()
        feed.add()
        (outcome,) = nursery.run(Job(str(folder), "json", crash=point, operator=kind))
        assert outcome.status in (KILLED, 0), outcome.error
        killed += outcome.status == KILLED
    feed.add()
    (outcome,) = nursery.run(Job(str(folder), "json", operator=kind))
    assert outcome.status == 0, outcome.error
    feed.check(operator=kind)
    return killed


@pytest.mark.parametrize("kind", JOINS)
def test_a_kill_after_each_step_leaves_both_states_exact(nursery: Nursery, tmp_path: Path, kind: str) -> None:
    points = [f"step{number}:{hit}" for number in range(1, 9) for hit in (1, 2)]

    assert killed_at(nursery, tmp_path, kind, points) == len(points)


@pytest.mark.parametrize("kind", JOINS)
def test_kills_inside_storage_operations_leave_both_states_exact(nursery: Nursery, tmp_path: Path, kind: str) -> None:
    print(f"seed {SEED}")
    generator = random.Random(SEED)
    places = ("storage.temp", "storage.fsync", "storage.rename", "storage.created")
    points = [f"{generator.choice(places)}:{generator.randint(1, 25)}" for _ in range(12)]

    assert killed_at(nursery, tmp_path, kind, points) >= 6
