"""Joins of two streams: rows and counters per batch as genuine Spark 4.3 gave them, straight and through restarts.

Without no-data batches a batch's own rows can lie between the two watermarks: not late, but finished.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import SparkError
from headwater.plan.relations import Aggregate, Filter, Join, Project, Relation
from headwater.sql import parse_expression
from support.two_streams import Done, Row, TwoStreams, joined

Steps = list[tuple[list[Row], list[Row]]]

RANGE = "a.k = b.k AND b.ts >= a.ts AND b.ts <= a.ts + INTERVAL 1 HOUR"
TIMES = "a.k = b.k AND a.ts = b.ts"
APART = RANGE + " AND a.v <> 'l1' AND b.v <> 'r9'"
BETWEEN_WATERMARKS: Steps = [
    ([(1, "12:00", "l1"), (2, "12:00", "l2")], [(1, "12:00", "r1"), (2, "12:05", "r2")]),
    (
        [(3, "10:00", "l3"), (4, "10:00", "l4"), (5, "12:10", "l5")],
        [(3, "10:00", "r3"), (6, "10:00", "r6"), (5, "12:15", "r5")],
    ),
    (
        [(1, "12:20", "l1b"), (7, "11:45", "late"), (8, "11:55", "l8")],
        [(8, "11:56", "r8"), (2, "11:51", "r2b"), (9, "11:40", "late")],
    ),
    ([(20, "20:00", "l20")], [(20, "20:00", "r20")]),
    ([(21, "20:00", "l21")], [(21, "20:00", "r21")]),
]


def left(v: str) -> tuple[Any, ...]:
    return (v, None)


def right(v: str) -> tuple[Any, ...]:
    return (None, v)


def done(rows: list[tuple[Any, ...]], *counters: int) -> Done:
    return Done(sorted(rows, key=str), *counters)


RECORDED: dict[str, tuple[str, str, list[Done]]] = {
    "inner": (
        "inner",
        RANGE,
        [
            done([("l1", "r1"), ("l2", "r2")], 4, 4, 0, 0),
            done([("l3", "r3"), ("l5", "r5")], 6, 4, 2, 0),
            done([("l8", "r8")], 8, 2, 0, 2),
            done([("l20", "r20")], 9, 2, 1, 0),
            done([("l21", "r21")], 4, 2, 7, 0),
        ],
    ),
    "left": (
        "left_outer",
        RANGE,
        [
            done([("l1", "r1"), ("l2", "r2")], 4, 4, 0, 0),
            done([("l3", "r3"), left("l4"), ("l5", "r5")], 6, 4, 2, 0),
            done([("l8", "r8")], 8, 2, 0, 2),
            done([("l20", "r20")], 9, 2, 1, 0),
            done([left("l1b"), ("l21", "r21")], 4, 2, 7, 0),
        ],
    ),
    "right": (
        "right_outer",
        RANGE,
        [
            done([("l1", "r1"), ("l2", "r2")], 4, 4, 0, 0),
            done([("l3", "r3"), ("l5", "r5"), right("r6")], 6, 5, 3, 0),
            done([("l8", "r8"), right("r2b")], 8, 3, 1, 2),
            done([("l20", "r20")], 9, 2, 1, 0),
            done([("l21", "r21")], 4, 2, 7, 0),
        ],
    ),
    "full": (
        "full_outer",
        RANGE,
        [
            done([("l1", "r1"), ("l2", "r2")], 4, 4, 0, 0),
            done([("l3", "r3"), left("l4"), ("l5", "r5"), right("r6")], 6, 5, 3, 0),
            done([("l8", "r8"), right("r2b")], 8, 3, 1, 2),
            done([("l20", "r20")], 9, 2, 1, 0),
            done([left("l1b"), ("l21", "r21")], 4, 2, 7, 0),
        ],
    ),
    "inner by time": (
        "inner",
        TIMES,
        [
            done([("l1", "r1")], 4, 4, 0, 0),
            done([("l3", "r3")], 6, 4, 2, 0),
            done([], 4, 2, 4, 2),
            done([("l20", "r20")], 5, 2, 1, 0),
            done([("l21", "r21")], 4, 2, 3, 0),
        ],
    ),
    "full by time": (
        "full_outer",
        TIMES,
        [
            done([("l1", "r1")], 4, 4, 0, 0),
            done([("l3", "r3"), left("l4"), right("r6")], 6, 5, 3, 0),
            done([left("l2"), left("l8"), right("r2b"), right("r8")], 4, 4, 6, 2),
            done([("l20", "r20"), right("r2")], 5, 2, 1, 0),
            done([left("l1b"), ("l21", "r21"), left("l5"), right("r5")], 4, 2, 3, 0),
        ],
    ),
    "full with conditions on one side": (
        "full_outer",
        APART.replace("r9", "r5"),
        [
            done([left("l1"), ("l2", "r2")], 3, 3, 0, 0),
            done([("l3", "r3"), left("l4"), right("r5"), right("r6")], 4, 4, 3, 0),
            done([("l8", "r8"), right("r2b")], 6, 3, 1, 2),
            done([("l20", "r20"), right("r1")], 7, 2, 1, 0),
            done([left("l1b"), ("l21", "r21"), left("l5")], 4, 2, 5, 0),
        ],
    ),
    "left, nulls are equal": (
        "left_outer",
        "a.k <=> b.k AND a.ts >= b.ts",
        [
            done([("l1", "r1")], 4, 4, 0, 0),
            done([("l3", "r3"), left("l4")], 8, 6, 2, 0),
            done([("l1b", "r1"), ("l2", "r2b"), left("l8")], 11, 4, 1, 2),
            done([("l20", "r20")], 11, 2, 2, 0),
            done([("l21", "r21"), left("l5")], 11, 2, 2, 0),
        ],
    ),
    "inner, one bound": (
        "inner",
        "a.k = b.k AND CAST(a.ts AS DOUBLE) >= CAST(b.ts AS DOUBLE) - 3600",
        [
            done([("l1", "r1"), ("l2", "r2")], 4, 4, 0, 0),
            done([("l3", "r3"), ("l5", "r5")], 8, 6, 2, 0),
            done([("l1b", "r1"), ("l2", "r2b"), ("l8", "r8")], 12, 4, 0, 2),
            done([("l20", "r20")], 14, 2, 0, 0),
            done([("l21", "r21")], 11, 2, 5, 0),
        ],
    ),
    "inner, months bound nothing": (
        "inner",
        "a.k = b.k AND a.ts > b.ts - INTERVAL 1 MONTH",
        [
            done([("l1", "r1"), ("l2", "r2")], 4, 4, 0, 0),
            done([("l3", "r3"), ("l5", "r5")], 10, 6, 0, 0),
            done([("l1b", "r1"), ("l2", "r2b"), ("l8", "r8")], 14, 4, 0, 2),
            done([("l20", "r20")], 16, 2, 0, 0),
            done([("l21", "r21")], 18, 2, 0, 0),
        ],
    ),
    # Spark looks for matches among the rows it keeps, and would not find r3 and r8, which it does not keep
    "semi": (
        "left_semi",
        RANGE,
        [
            done([("l1",), ("l2",)], 2, 2, 0, 0),
            done([("l3",), ("l5",)], 3, 2, 1, 0),
            done([("l8",)], 4, 1, 0, 2),
            done([("l20",)], 4, 1, 1, 0),
            done([("l21",)], 2, 1, 3, 0),
        ],
    ),
}


@pytest.fixture
def quiet(tmp_path: Path) -> Iterator[TwoStreams]:
    """Two streams without no-data batches."""
    yield from _streams(tmp_path, spark__sql__streaming__noDataMicroBatches__enabled="false")


@pytest.fixture
def streams(tmp_path: Path) -> Iterator[TwoStreams]:
    yield from _streams(tmp_path)


def _streams(folder: Path, **settings: str) -> Iterator[TwoStreams]:
    made = TwoStreams(folder, **settings)
    yield made
    made.close()


def play(streams: TwoStreams, steps: Steps, restarted: bool = False) -> list[Done]:
    """What each batch did."""
    found: list[Done] = []
    streams.start()
    for a, b in steps:
        found += streams.arrive(a, b).done()
        if restarted:
            streams.stop().start()
    return found


@pytest.mark.parametrize("name", RECORDED)
def test_rows_and_counters_are_those_of_spark(quiet: TwoStreams, name: str) -> None:
    kind, condition, wanted = RECORDED[name]
    quiet.plan(joined(kind, condition))

    assert play(quiet, BETWEEN_WATERMARKS) == wanted


GROWING: Steps = [
    ([(1, "12:00", "l1"), (2, "11:00", "l2")], [(1, "12:10", "r1"), (None, "11:00", "rn")]),
    ([(2, "12:05", "l2b"), (3, "12:15", "l3")], [(2, "12:40", "r2"), (4, "12:45", "r4")]),
    ([(4, "12:30", "l4"), (1, "12:55", "l1b")], [(3, "13:10", "r3"), (1, "13:20", "r1b")]),
    ([(5, "17:00", "l5")], [(5, "17:00", "r5")]),
    ([(5, "17:05", "l5b")], [(5, "17:12", "r5b")]),
]
"""Both sides' times grow in every step: a restart forgets how far the faster side was."""


@pytest.mark.parametrize("kind", ["inner", "left_outer", "right_outer", "full_outer", "left_semi"])
@pytest.mark.parametrize("condition", [RANGE, TIMES, APART], ids=["range", "times", "conditions on one side"])
def test_restarts_change_nothing(tmp_path: Path, kind: str, condition: str) -> None:
    found = []
    for restarted in (False, True):
        streams = TwoStreams(tmp_path / str(restarted))
        streams.plan(joined(kind, condition))
        found.append(play(streams, GROWING, restarted))
        streams.close()

    assert found[0] == found[1]
    assert any(batch.rows for batch in found[0])
    assert found[0][-1].total < sum(batch.updated for batch in found[0])


PLAIN: Steps = [
    ([(1, "10:00", "l1"), (2, "10:00", "l2"), (None, "10:00", "ln")], [(1, "10:05", "r1"), (None, "10:00", "rn")]),
    ([(3, "11:30", "l3")], [(2, "10:30", "r2"), (4, "11:30", "r4")]),
    ([(5, "10:15", "late"), (4, "12:40", "l4")], [(5, "10:20", "late"), (3, "12:20", "r3")]),
]


def test_a_batch_without_data_lets_finished_rows_go(streams: TwoStreams) -> None:
    streams.plan(joined("left_outer", RANGE))

    assert play(streams, PLAIN) == [
        done([("l1", "r1")], 4, 4, 0, 0),
        done([], 4, 0, 0, 0),
        done([("l2", "r2")], 7, 3, 0, 0),
        done([left("ln")], 2, 0, 5, 0),
        done([("l3", "r3")], 4, 2, 0, 2),
        done([], 3, 0, 1, 0),
    ]


def test_null_keys_match_each_other_in_a_full_join_as_in_spark(streams: TwoStreams) -> None:
    streams.plan(joined("full_outer", RANGE))

    rows = [row for batch in play(streams, PLAIN) for row in batch.rows]

    assert ("ln", "rn") in rows
    assert left("ln") not in rows
    assert right("rn") not in rows


@pytest.mark.parametrize("kind", ["inner", "left_outer", "right_outer"])
def test_null_keys_match_nothing_in_other_joins(streams: TwoStreams, kind: str) -> None:
    streams.plan(joined(kind, RANGE))

    rows = [row for batch in play(streams, PLAIN) for row in batch.rows]

    assert ("ln", "rn") not in rows
    assert (left("ln") in rows) == (kind == "left_outer")
    assert (right("rn") in rows) == (kind == "right_outer")


def test_a_semi_join_gives_a_row_once_and_forgets_it(streams: TwoStreams) -> None:
    streams.plan(joined("left_semi", RANGE), "update")

    assert play(streams, PLAIN) == [
        done([("l1",)], 2, 2, 0, 0),
        done([], 2, 0, 0, 0),
        done([("l2",)], 4, 3, 1, 0),
        done([], 2, 0, 2, 0),
        done([("l3",)], 3, 2, 1, 2),
        done([], 2, 0, 1, 0),
    ]


def test_without_watermarks_everything_is_kept(streams: TwoStreams) -> None:
    streams.plan(joined("inner", "a.k = b.k", ("", "")))
    steps: Steps = [([(1, "10:00", f"l{i}")], [(1, "10:00", f"r{i}")]) for i in range(4)]

    found = play(streams, steps, restarted=True)

    assert [batch.total for batch in found] == [2, 4, 6, 8]
    assert sorted(row for batch in found for row in batch.rows) == [
        (f"l{i}", f"r{j}") for i in range(4) for j in range(4)
    ]


def test_keys_may_be_computed(streams: TwoStreams) -> None:
    streams.plan(joined("inner", "a.k + 1 = b.k AND upper(a.v) = b.v", ("", "")))

    assert play(streams, [([(1, "10:00", "x")], []), ([], [(2, "10:00", "X"), (1, "10:00", "X")])], restarted=True) == [
        done([], 1, 1, 0, 0),
        done([("x", "X")], 3, 2, 0, 0),
    ]


def test_equal_rows_are_as_many_pairs(streams: TwoStreams) -> None:
    streams.plan(joined("inner", "a.k = b.k", ("", "")))

    found = play(streams, [([(1, "10:00", "l")] * 3, [(1, "10:00", "r")] * 2), ([(1, "10:00", "l")], [])])

    assert [len(batch.rows) for batch in found] == [6, 2]


def test_using_gives_the_key_once(streams: TwoStreams) -> None:
    def build(a: Relation, b: Relation) -> Relation:
        return Filter(
            Join(a, Project(b, (parse_expression("k"), parse_expression("v AS w"))), "inner", using=("k",)),
            parse_expression("w <> 'x'"),
        )

    streams.plan(build).start()

    streams.arrive([(1, "10:00", "l")], [(1, "10:00", "r"), (1, "10:00", "x")]).done()

    assert [len(row) for row in streams.sink.rows] == [4]


def test_a_join_flows_into_an_aggregation_behind_its_watermark(streams: TwoStreams) -> None:
    def build(a: Relation, b: Relation) -> Relation:
        pairs = Project(joined("inner", RANGE)(a, b), (parse_expression("a.ts AS ts"), parse_expression("a.v AS v")))
        keys = (parse_expression("window(ts, '1 hour')"),)
        return Aggregate(pairs, "groupby", keys, (parse_expression("count(*) AS n"), parse_expression("max(v) AS m")))

    streams.plan(build)
    steps: Steps = [
        ([(1, "10:00", "l1")], [(1, "10:10", "r1")]),
        ([(2, "11:30", "l2")], [(2, "11:30", "r2")]),
        ([(3, "12:15", "l3")], [(1, "11:00", "r1b"), (3, "12:15", "r3")]),
        ([(4, "14:00", "l4")], [(4, "14:00", "r4")]),
    ]
    play(streams, steps)

    # the pairs of 10:00 may still come while the watermark is not an hour past 11:00
    assert [(row[1], row[2]) for row in streams.sink.rows] == [(1, "l1"), (1, "l2")]
    watermarks = [json.loads(text)["eventTime"]["watermark"][11:16] for text in streams.running.recent_progress]
    assert watermarks[-1] == "13:50"


REFUSED: dict[str, tuple[Callable[..., Relation], str]] = {
    "an outer join without watermarks": (
        joined("left_outer", "a.k = b.k", ("", "")),
        "Stream-stream LeftOuter join between two streaming DataFrame/Datasets is not supported without a watermark",
    ),
    "an outer join bounded on the wrong side": (
        joined("left_outer", "a.k = b.k AND a.ts <= b.ts - INTERVAL 1 HOUR"),
        "not supported without a watermark in the join keys",
    ),
    "left anti": (joined("left_anti", RANGE), "LeftAnti joins with a streaming DataFrame/Dataset on the right"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_spark_refuses_is_refused(streams: TwoStreams, name: str) -> None:
    build, message = REFUSED[name]
    streams.plan(build)

    with pytest.raises(SparkError, match=message):
        streams.start()


def test_another_join_does_not_take_over_the_state(streams: TwoStreams) -> None:
    streams.plan(joined("inner", RANGE)).start().arrive([(1, "10:00", "l1")], []).done()
    streams.stop().plan(joined("left_outer", RANGE)).start()

    streams.expect_failure("STATE_STORE_OPERATOR_MISMATCH")


def test_a_failed_batch_leaves_nothing_behind(streams: TwoStreams) -> None:
    streams.plan(joined("full_outer", RANGE)).start().arrive([(1, "10:00", "l1")], []).done()
    streams.sink.error = RuntimeError("sink is down")
    streams.arrive([(2, "10:00", "l2")], [(1, "10:00", "r1"), (2, "10:30", "r2")]).expect_failure("sink is down")

    streams.sink.error = None

    assert streams.start().done()[-1].total == 4
    assert sorted((row[2], row[5]) for row in streams.sink.rows) == [("l1", "r1"), ("l2", "r2")]
