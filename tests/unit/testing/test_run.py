"""Stream tests step by step: what holds passes, what does not tells its story, and a crash is a crash."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from headwater.testing import (
    Add,
    AdvanceClock,
    Check,
    CheckLast,
    CheckNew,
    Crash,
    ExpectFailure,
    MemoryStream,
    Restart,
    Stop,
    StreamTestError,
    Target,
    run_stream,
    session,
)
from headwater.testing.steps import POINTS


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with session() as opened:
        yield opened


@pytest.fixture
def words(spark: SparkSession) -> MemoryStream:
    return MemoryStream(spark, "word STRING, n INT")


def counts(words: MemoryStream) -> DataFrame:
    return words.to_df().groupBy("word").agg(F.sum("n").alias("n"))


def noting(path: Path) -> Callable[[int], None]:
    """Writes numbers into a file: functions of a query are pickled, so they share no lists with the test."""

    def note(number: int) -> None:
        with path.open("a") as file:
            file.write(f"{number}\n")

    return note


def noted(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


# ── rows in, rows out ───────────────────────────────────────────────────────────────────────────────────────


def test_rows_are_checked_as_a_whole_by_batch_and_since_the_last_check(words: MemoryStream) -> None:
    progress = run_stream(
        words.to_df(),
        [
            Add(words, [("a", 1), ("b", 2)]),
            Check([("b", 2), ("a", 1)]),
            Add(words, [{"word": "c", "n": 3}]),
            CheckLast([("c", 3)]),
            Add(words, [("d", None)]),
            Add(words, [("e", 5)]),
            CheckNew([("d", None), ("e", 5)]),
            Check([("a", 1), ("b", 2), ("c", 3), ("d", None), ("e", 5)]),
        ],
    )

    assert [batch["numInputRows"] for batch in progress] == [2, 1, 2]
    assert progress[-1]["sources"][0]["endOffset"] == 3


@pytest.mark.parametrize(
    ("mode", "checks"),
    [
        ("complete", [Check([("a", 1)]), Check([("a", 3), ("b", 1)])]),
        ("update", [CheckNew([("a", 1)]), CheckNew([("a", 3), ("b", 1)])]),
    ],
)
def test_modes_of_an_aggregation(words: MemoryStream, mode: str, checks: list[Any]) -> None:
    steps = [Add(words, [("a", 1)]), checks[0], Restart(), Add(words, [("a", 2), ("b", 1)]), checks[1]]

    run_stream(counts(words), steps, output_mode=mode)


def test_nested_values_and_two_streams(spark: SparkSession) -> None:
    left, right = MemoryStream(spark, "a ARRAY<INT>, m MAP<STRING, DOUBLE>"), MemoryStream(spark, "x BINARY")
    both = left.to_df().selectExpr("a", "m", "CAST(null AS BINARY) AS x")
    both = both.union(right.to_df().selectExpr("array() AS a", "map() AS m", "x"))

    run_stream(
        both,
        [
            Add(left, [([1, None], {"k": float("nan")})]),
            Add(right, [bytearray(b"x")]),
            Check([([1, None], {"k": float("nan")}, None), ([], {}, b"x")]),
        ],
    )


def test_the_output_may_be_a_table(spark: SparkSession, words: MemoryStream, tmp_path: Path) -> None:
    path = str(tmp_path / "table")
    target = Target(
        write=lambda writer: writer.format("delta").option("path", path),
        read=lambda: spark.read.format("delta").load(path).select("word"),
    )

    run_stream(words.to_df(), [Add(words, [("a", 1)]), Check(["a"]), Restart(), Check(["a"])], target=target)


# ── what does not hold ──────────────────────────────────────────────────────────────────────────────────────


def test_a_difference_tells_the_story(words: MemoryStream) -> None:
    with pytest.raises(StreamTestError) as caught:
        run_stream(words.to_df(), [Add(words, [("a", 1), ("a", 1)]), Check([("a", 1), ("b", 2)]), Stop()])

    story = str(caught.value)
    assert "missing     ('b', 2)" in story
    assert "unexpected  ('a', 1)" in story
    assert "   Add(stream=MemoryStream[word,n], rows=[('a', 1), ('a', 1)])\n=> Check(" in story
    assert '"numInputRows": 2' in story
    assert "Stop" not in story


def test_a_failing_query_is_expected_by_its_condition(words: MemoryStream) -> None:
    halves = words.to_df().selectExpr("1 / n AS half")
    fails = [Add(words, [("a", 0)]), ExpectFailure("DIVIDE_BY_ZERO")]

    run_stream(halves, fails)
    with pytest.raises(StreamTestError, match="but not with CAST_OVERFLOW"):
        run_stream(halves, [*fails[:1], ExpectFailure("CAST_OVERFLOW")])
    with pytest.raises(StreamTestError, match="DIVIDE_BY_ZERO"):
        run_stream(halves, [Check([])])
    with pytest.raises(StreamTestError, match="did not fail"):
        run_stream(words.to_df(), [ExpectFailure("DIVIDE_BY_ZERO")])


def test_steps_that_make_no_sense(words: MemoryStream) -> None:
    for steps, message in (
        ([Stop(), Check([])], "not running"),
        ([Crash("step99")], "the points are step1, "),
        ([Check(["a"])], "missing"),
    ):
        with pytest.raises(StreamTestError, match=message):
            run_stream(words.to_df(), steps)


def test_rows_must_fit_the_schema(words: MemoryStream) -> None:
    with pytest.raises(StreamTestError, match="=> Add"):
        run_stream(words.to_df(), [Add(words, [("a", "not a number")])])


def test_sessions_of_other_processes_are_refused() -> None:
    class Elsewhere:
        session_id = version = "none"

    with pytest.raises(ValueError, match="not in this process"):
        MemoryStream(Elsewhere(), "id INT")  # type: ignore[arg-type]


# ── restarts and crashes ────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("point", POINTS)
def test_a_crash_anywhere_loses_and_doubles_nothing(words: MemoryStream, point: str) -> None:
    run_stream(
        counts(words),
        [
            Add(words, [("a", 1)]),
            CheckNew([("a", 1)]),
            Add(words, [("a", 10), ("b", 1)]),
            Crash(point),
            Check([("a", 1), ("a", 11), ("b", 1)]),
            Add(words, [("b", 1)]),
            CheckNew([("b", 2)]),
        ],
        output_mode="update",
    )


@pytest.mark.parametrize(("point", "effects"), [("step5", 1), ("step6", 2), ("step7", 1)])
def test_a_function_sees_a_batch_again_only_if_it_was_not_committed(
    words: MemoryStream, tmp_path: Path, point: str, effects: int
) -> None:
    seen = noting(tmp_path / "seen")
    target = Target(lambda writer: writer.foreachBatch(lambda _, batch_id: seen(batch_id)))

    run_stream(words.to_df(), [Add(words, [("a", 1)]), Crash(point), Restart()], target=target)

    assert noted(tmp_path / "seen") == [0] * effects


def test_an_idempotent_function_is_exactly_once(spark: SparkSession, words: MemoryStream) -> None:
    spark.sql("CREATE TABLE totals (word STRING, n INT) USING delta")

    def append_once(batch: DataFrame, batch_id: int) -> None:
        writer = batch.write.format("delta").mode("append").option("txnAppId", "totals").option("txnVersion", batch_id)
        writer.saveAsTable("totals")

    run_stream(
        words.to_df(),
        [Add(words, [("a", 1)]), Crash("step6"), Crash("step1"), Add(words, [("b", 2)]), Check([("a", 1), ("b", 2)])],
        target=Target(lambda writer: writer.foreachBatch(append_once), lambda: spark.table("totals")),
    )


def test_a_crash_needs_a_batch(words: MemoryStream, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headwater.testing.run._CRASH_SECONDS", 0.2)

    with pytest.raises(StreamTestError, match="no batch came to step5"):
        run_stream(words.to_df(), [Crash("step5")])


def test_after_a_crash_nothing_runs_on(words: MemoryStream) -> None:
    before = set(threading.enumerate())

    run_stream(words.to_df(), [Add(words, [("a", 1)]), Crash("step4"), Add(words, [("b", 1)]), Crash("step6")])

    left = set(threading.enumerate()) - before
    assert not [thread.name for thread in left if thread.name.startswith("stream execution")]


def test_a_checkpoint_may_stay(words: MemoryStream, tmp_path: Path) -> None:
    folder = str(tmp_path / "checkpoint")
    run_stream(words.to_df(), [Add(words, [("a", 1)]), Check([("a", 1)])], checkpoint=folder)

    run_stream(words.to_df(), [Check([]), Add(words, [("b", 1)]), Check([("b", 1)])], checkpoint=folder)


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_clock_moves_only_by_steps(words: MemoryStream, tmp_path: Path) -> None:
    stamped = words.to_df().select("word", F.unix_millis(F.current_timestamp()).alias("at"))
    note = noting(tmp_path / "seen")

    def keep(batch: DataFrame, _: int) -> None:
        note(batch.collect()[0]["at"])

    steps = [Add(words, [("a", 1)]), AdvanceClock(0), Add(words, [("b", 1)]), AdvanceClock(60_000)]
    run_stream(stamped, steps, target=Target(lambda writer: writer.foreachBatch(keep)))

    first, second = noted(tmp_path / "seen")
    assert second - first == 60_000


def test_a_trigger_waits_for_the_clock(words: MemoryStream) -> None:
    progress = run_stream(
        words.to_df(),
        [Add(words, [("a", 1)]), AdvanceClock(3_600_000), Check([("a", 1)])],
        trigger={"processingTime": "1 hour"},
    )

    assert len(progress) == 1


def test_fixtures_of_the_plugin(
    headwater_session: SparkSession,
    memory_stream: Callable[[Any], MemoryStream],
    run_stream: Callable[..., Any],
) -> None:
    numbers = memory_stream("id INT")

    run_stream(numbers.to_df(), [Add(numbers, [1, 2]), Check([1, 2])])

    assert headwater_session.catalog.listTables() == []
