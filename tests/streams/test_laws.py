"""The law of every stateful operator: over any splitting of an input without late rows, incremental equals batch.

Restarts from the files alone come in between. A last row far ahead lets the watermark pass everything; rows about it
are left out of the comparison. `HEADWATER_EXAMPLES` sets how many random splittings each law is tried with.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.plan.relations import Deduplicate, Limit, Relation
from support.laws import Law

EXAMPLES = int(os.environ.get("HEADWATER_EXAMPLES", "25"))
START = datetime(2026, 1, 1, tzinfo=UTC)
END = {"k": -1, "ts": START + timedelta(days=365), "v": 0, "s": "end"}

AGGREGATES = "count(*) AS n, sum(v) AS total, min(s) AS least, max(v) AS most, avg(v) AS mean, count(s) AS named"
NEAR = "a.k = b.k AND b.ts BETWEEN a.ts - INTERVAL 30 SECONDS AND a.ts + INTERVAL 30 SECONDS"
TIMES = "a.ts AS at, b.ts AS bt, a.v AS av, b.v AS bv"
PAIR = f"a.k AS k, {TIMES}"
MINUTES = "SELECT window(ts, '1 minute') AS w, k, count(*) AS n FROM a WHERE k >= 0 OR k IS NULL GROUP BY ALL"


def distinct(a: Relation, _: Relation) -> Relation:
    return Deduplicate(a, all_columns=True)


def unique_keys(a: Relation, _: Relation) -> Relation:
    return Deduplicate(a, ("k", "ts"))


def within_watermark(a: Relation, _: Relation) -> Relation:
    return Deduplicate(a, ("k", "v"), within_watermark=True)


def in_batch(a: Relation, _: Relation) -> Relation:
    return Deduplicate(a, ("k", "v"))


LAWS = {
    "groups, update": lambda: Law(f"SELECT k, {AGGREGATES} FROM a GROUP BY k", "update", key=1),
    "groups, complete": lambda: Law(f"SELECT k, {AGGREGATES} FROM a GROUP BY k", "complete"),
    "one group of all, update": lambda: Law(f"SELECT {AGGREGATES} FROM a", "update", key=0),
    "one group of all, complete": lambda: Law(f"SELECT {AGGREGATES} FROM a", "complete"),
    "lists and firsts, complete": lambda: Law(
        "SELECT k, collect_list(v) AS all, first(s) AS one, last(v) AS newest FROM a GROUP BY k", "complete"
    ),
    "windows, append": lambda: Law(
        f"SELECT window(ts, '1 minute') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", delay="0 seconds"
    ),
    "windows, update": lambda: Law(
        f"SELECT window(ts, '1 minute') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", "update", "1 hour", key=2
    ),
    "windows, complete": lambda: Law(
        f"SELECT window(ts, '1 minute') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", "complete", "0 seconds"
    ),
    "sliding windows, append": lambda: Law(
        f"SELECT window(ts, '1 minute', '20 seconds') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", delay="5 seconds"
    ),
    "a watermarked column, append": lambda: Law(f"SELECT ts, k, {AGGREGATES} FROM a GROUP BY ts, k", delay="0 seconds"),
    "sessions, append": lambda: Law(
        f"SELECT session_window(ts, '30 seconds') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", delay="0 seconds"
    ),
    "sessions, complete": lambda: Law(
        f"SELECT session_window(ts, '30 seconds') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", "complete", "0 seconds"
    ),
    "rollup, complete": lambda: Law(
        "SELECT k, s, count(*) AS n, sum(v) AS total FROM a GROUP BY ROLLUP(k, s)", "complete"
    ),
    "cube, update": lambda: Law(
        "SELECT k, s, grouping_id() AS g, count(*) AS n FROM a GROUP BY CUBE(k, s)", "update", key=3
    ),
    "distinct, append": lambda: Law(distinct),
    "distinct, update": lambda: Law(distinct, "update", key=-1),
    "keys with event time, append": lambda: Law(unique_keys, delay="0 seconds"),
    "inner join": lambda: Law(f"SELECT {PAIR} FROM a JOIN b ON a.k = b.k", key=-1),
    "inner join near in time": lambda: Law(f"SELECT {PAIR} FROM a JOIN b ON {NEAR}", delay="0 seconds"),
    "inner join, update": lambda: Law(f"SELECT {PAIR} FROM a JOIN b ON {NEAR}", "update", "0 seconds", key=-1),
    "left join": lambda: Law(f"SELECT {PAIR} FROM a LEFT JOIN b ON {NEAR}", delay="0 seconds"),
    "right join": lambda: Law(
        f"SELECT b.k AS k, {TIMES} FROM a RIGHT JOIN b ON {NEAR}", delay="0 seconds"
    ),
    "full join": lambda: Law(
        f"SELECT coalesce(a.k, b.k) AS k, {TIMES} FROM a FULL JOIN b ON {NEAR}", delay="0 seconds"
    ),
    "left semi join": lambda: Law(f"SELECT a.k, a.ts, a.v FROM a LEFT SEMI JOIN b ON {NEAR}", delay="0 seconds"),
    "windows of windows": lambda: Law(
        "SELECT window(window_time(w), '2 minutes') AS ww, count(*) AS groups, sum(n) AS n "
        f"FROM ({MINUTES}) GROUP BY ALL",
        delay="0 seconds",
    ),
    "windows of a join": lambda: Law(
        "SELECT window(at, '1 minute') AS w, k, count(*) AS n "
        f"FROM (SELECT {PAIR} FROM a JOIN b ON {NEAR}) GROUP BY ALL",
        delay="0 seconds",
    ),
}  # fmt: skip


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
    @given(splittings())
    def holds(splitting: tuple[list[tuple[list[dict[str, Any]], list[dict[str, Any]]]], list[int]]) -> None:
        batches, restarts = splitting
        a, b = ([row for batch in batches for row in batch[side]] for side in (0, 1))
        found, wanted = one.stream(batches, restarts), one.batch(a, b)
        if one.mode == "append":
            found, wanted = _without_end(found), _without_end(wanted)
        assert found == wanted

    holds()
    one.close()


def _without_end(answer: Counter[tuple[Any, ...]]) -> Counter[tuple[Any, ...]]:
    """Rows about the closing row, which no watermark has passed."""
    late = (START + timedelta(days=300)).timestamp()
    return Counter({row: n for row, n in answer.items() if not any(_after(value, late) for value in row)})


def _after(value: Any, late: float) -> bool:
    if isinstance(value, tuple):
        return any(_after(one, late) for one in value)
    return isinstance(value, float) and value > late


def test_a_limit_gives_that_many_rows_of_the_input() -> None:
    one = Law(lambda a, _: Limit(a, 5))

    @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(splittings())
    def holds(splitting: tuple[list[tuple[list[dict[str, Any]], list[dict[str, Any]]]], list[int]]) -> None:
        batches, restarts = splitting
        found, everything = one.stream(batches, restarts), Law.rows([row for batch in batches for row in batch[0]])
        assert sum(found.values()) == min(5, sum(everything.values()))
        assert not found - everything

    holds()
    one.close()
