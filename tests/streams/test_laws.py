"""The law of every stateful operator: over any splitting of an input without late rows, incremental equals batch.

Restarts from the files alone come in between. A last row far ahead lets the watermark pass everything; rows about it
are left out of the comparison. `HEADWATER_EXAMPLES` sets how many random splittings each law is tried with.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.plan.relations import Limit
from headwater.streaming.operators import aggregate
from support.law_kills import without_end
from support.laws import END, LAWS, START, Law

EXAMPLES = int(os.environ.get("HEADWATER_EXAMPLES", "10"))


@cache
def law(name: str) -> Law:
    return LAWS[name]()


@st.composite
def rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Rows in order of time, no two at the same time, few keys, some nulls."""
    gaps = draw(st.lists(st.integers(1, 40), min_size=0, max_size=14))
    made, at = [], START
    for gap in gaps:
        at += timedelta(seconds=gap)
        made.append(
            {
                "k": draw(st.sampled_from([0, 1, 2, None])),
                "ts": at,
                "v": draw(st.sampled_from([0, 1, -5, 2**40, None])),
                "s": draw(st.sampled_from(["x", "", "ü", None])),
            }
        )
    return made


@st.composite
def splittings(draw: st.DrawFn) -> tuple[list[tuple[list[dict[str, Any]], list[dict[str, Any]]]], list[int]]:
    """Batches of two inputs, the closing row last; and after which batches to restart."""
    count = draw(st.integers(1, 4))
    sides = []
    for side in (draw(rows()), draw(rows())):
        cuts = sorted(draw(st.lists(st.integers(0, len(side)), min_size=count - 1, max_size=count - 1)))
        edges = [0, *cuts, len(side)]
        sides.append([side[edges[i] : edges[i + 1]] for i in range(count)])
    batches = [*zip(*sides, strict=True), ([END], [END])]
    return batches, draw(st.lists(st.integers(0, count - 1), max_size=2))


@pytest.fixture(scope="module", autouse=True)
def _closed() -> Iterator[None]:
    yield
    law.cache_clear()


@pytest.mark.parametrize("name", LAWS)
def test_incremental_equals_batch(name: str) -> None:
    one = law(name)

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(splittings(), st.sampled_from([0, 50_000]))
    def holds(splitting: tuple[list[tuple[list[dict[str, Any]], list[dict[str, Any]]]], list[int]], small: int) -> None:
        batches, restarts = splitting
        a, b = ([row for batch in batches for row in batch[side]] for side in (0, 1))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(aggregate, "_SMALL", small)  # what a large state is asked in other words
            found, wanted = one.stream(batches, restarts), one.batch(a, b)
        if one.mode == "append":
            found, wanted = without_end(found), without_end(wanted)
        assert found == wanted

    holds()
    one.close()


def test_a_limit_gives_that_many_rows_of_the_input() -> None:
    one = Law(lambda a, _: Limit(a, 5))

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(splittings(), st.sampled_from([0, 50_000]))
    def holds(splitting: tuple[list[tuple[list[dict[str, Any]], list[dict[str, Any]]]], list[int]], small: int) -> None:
        batches, restarts = splitting
        found, everything = one.stream(batches, restarts), Law.rows([row for batch in batches for row in batch[0]])
        assert sum(found.values()) == min(5, sum(everything.values()))
        assert not found - everything

    holds()
    one.close()
