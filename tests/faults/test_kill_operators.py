"""Every stateful operator killed at random moments: nothing lost, nothing twice, nothing wrong.

`HEADWATER_KILLS` sets how many times each operator's query is killed before it may end.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kill import KILLED, Job, Nursery
from support.law_kills import NAMES, PREFIX, LawFeed

KILLS = int(os.environ.get("HEADWATER_KILLS", "1"))
POINTS = [f"step{step}" for step in range(1, 9)]


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as made:
        yield made


@pytest.mark.parametrize("name", NAMES)
def test_kills_change_no_row(name: str, nursery: Nursery, tmp_path: Path) -> None:
    draw = random.Random(name)
    feed = LawFeed(tmp_path, name, seed=len(name))
    folder, operator = str(tmp_path), PREFIX + name
    for _ in range(KILLS):
        feed.add()
        feed.add()
        crash = f"{draw.choice(POINTS)}:{draw.randint(1, 2)}"
        killer = Job(folder, "json", operator=operator, crash=crash)
        if draw.random() < 0.4:
            killer = Job(folder, "json", operator=operator, kill_after_ms=draw.randint(150, 900))
        (outcome,) = nursery.run(killer)
        assert outcome.status in (KILLED, 0), outcome.error
    feed.end()

    (last,) = nursery.run(Job(folder, "json", operator=operator))

    assert last.status == 0, last.error
    feed.check()
