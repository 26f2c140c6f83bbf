"""Failing rows are found by halves, in as few steps as that takes; what a plan reads first is known from its shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql.types import LongType, StructField, StructType
from sqlglot import exp, parse_one

from headwater.duck import Database
from headwater.errors import ArithmeticSparkError, SparkError
from headwater.sinks.base import Batch, SinkResult
from headwater.sinks.dead_letters import DeadLetters
from headwater.streaming.binding import Binding
from headwater.streaming.dataflow import Dataflow, OperatorNode
from headwater.streaming.planned import PlannedBatch
from headwater.streaming.sieve import Sieve, row_queries
from headwater.streaming.watermark import WatermarkNode
from support.fakes import FakeSource

SCHEMA = StructType([StructField("v", LongType())])


class Letters:
    """Dead letters in memory."""

    most: int | None = None

    def __init__(self) -> None:
        self.kept: dict[tuple[str, int], list[tuple[Any, ...]]] = {}
        self.known: list[tuple[int, int]] = []
        self.written = False

    def has(self, _kind: str, _batch_id: int) -> bool:
        return self.written or bool(self.known)

    def failed(self, _connection: Any, _batch_id: int) -> list[tuple[int, int]]:
        return self.known

    def add(self, connection: Any, kind: str, batch_id: int, letters: exp.Query) -> None:
        rows = connection.execute(letters.sql("duckdb")).fetchall()
        self.kept.setdefault((kind, batch_id), rows)


class Sink:
    """A sink that fails as long as one of these rows is shown."""

    description = "sink"

    def __init__(self, bad: set[int], error: Callable[[], Exception]) -> None:
        self.bad, self.error = bad, error
        self.rows: list[int] = []
        self.checks = 0

    def _take(self, batch: Batch) -> list[int]:
        rows = [v for (v,) in batch.connection.execute("SELECT v FROM stream_0").fetchall()]
        if self.bad & set(rows):
            raise self.error()
        return rows

    def add_batch(self, batch: Batch) -> SinkResult:
        self.rows = self._take(batch)
        return SinkResult(len(self.rows))

    def check(self, batch: Batch) -> None:
        self.checks += 1
        self._take(batch)

    def stop(self) -> None:
        pass


def overflow() -> SparkError:
    return ArithmeticSparkError("DIVIDE_BY_ZERO", config='"spark.sql.ansi.enabled"')


class Running:
    """A sieve with one source of the numbers below `count`."""

    def __init__(self, count: int, most: int | None = None) -> None:
        self.connection = Database(threads=1).connect()
        source = FakeSource(SCHEMA)
        source.add([{"v": number} for number in range(count)])
        self.letters = Letters()
        self.letters.most = most
        flow = Dataflow(parse_one("SELECT v FROM stream_0"), SCHEMA, (("v",),))  # type: ignore[arg-type]
        letters = cast(DeadLetters, self.letters)
        self.sieve = Sieve(self.connection, flow, [source], letters, lambda error: error)
        self.binding = Binding(self.connection, [source], [("v",)])
        self.planned = PlannedBatch(4, (None,), ('{"chunk":1}',), 0, 0)

    def run(self, sink: Sink, *, again: bool = False) -> SinkResult:
        self.sieve.hold(self.planned, self.binding)
        self.binding.bind(0, self.planned.inputs[0])
        self.sieve.begin(again=again)
        query = cast(exp.Query, parse_one("SELECT v FROM stream_0"))
        return self.sieve.add(sink, lambda: Batch(4, self.connection, query, SCHEMA, "append"))


@given(st.data(), st.integers(1, 200))
@settings(max_examples=30, deadline=None)
def test_just_the_failing_rows_become_letters(data: st.DataObject, count: int) -> None:
    bad = data.draw(st.sets(st.integers(0, count - 1), max_size=8))
    running, sink = Running(count), Sink(bad, overflow)
    result = running.run(sink)
    assert sink.rows == [number for number in range(count) if number not in bad]
    rows = [row for letters in running.letters.kept.values() for _, row, *_ in letters]
    assert sorted(rows) == sorted(bad)
    assert result.metrics["numDeadLetters"] == str(len(bad))
    assert sink.checks <= 2 + 2 * len(bad) * (count.bit_length() + 1)


def test_a_clean_batch_is_written_at_once() -> None:
    running, sink = Running(100), Sink(set(), overflow)
    running.run(sink)
    assert (sink.checks, running.letters.kept) == (0, {})


def test_what_is_no_rows_fault_is_raised() -> None:
    sink = Sink({3}, lambda: OSError("no space left"))
    with pytest.raises(OSError, match="no space"):
        Running(10).run(sink)
    assert sink.checks == 0


def test_a_failure_that_is_gone_when_it_is_looked_for_is_raised() -> None:
    class Once(Sink):
        def check(self, _batch: Batch) -> None:
            self.checks += 1

    with pytest.raises(ArithmeticSparkError):
        Running(10).run(Once({3}, overflow))


def test_a_batch_that_runs_again_leaves_out_what_it_left_out() -> None:
    running, sink = Running(5), Sink(set(), overflow)
    running.letters.known = [(0, 1), (0, 4)]
    running.run(sink, again=True)
    assert sink.rows == [0, 2, 3]
    assert running.letters.kept == {}
    with pytest.raises(ArithmeticSparkError):  # its letters are written: no more can be added
        running.run(Sink({2}, overflow), again=True)


def test_letters_that_are_gone_are_not_written_anew() -> None:
    """Their counter says that they are there: rows that fail now would be nowhere."""
    running = Running(5)
    running.letters.written = True
    with pytest.raises(ArithmeticSparkError):
        running.run(Sink({2}, overflow), again=True)


def test_a_source_without_failures_beside_one_that_had_some() -> None:
    running, sink = Running(3), Sink(set(), overflow)
    running.letters.known = [(1, 0)]
    running.run(sink, again=True)
    assert sink.rows == [0, 1, 2]


def test_a_limit() -> None:
    with pytest.raises(SparkError, match="DEAD_LETTER_LIMIT_EXCEEDED"):
        Running(100, most=2).run(Sink({1, 2, 3}, overflow))
    assert Running(100, most=3).run(Sink({1, 2, 3}, overflow)).metrics["numDeadLetters"] == "3"


def test_a_query_that_fails_for_every_row_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headwater.streaming.sieve._MOST_FAILING", 5)
    sink = Sink(set(range(1000)), overflow)
    with pytest.raises(SparkError, match="DEAD_LETTER_LIMIT_EXCEEDED"):
        Running(1000).run(sink)
    assert sink.checks < 40


def test_what_a_plan_reads_first() -> None:
    def query(text: str) -> exp.Query:
        return cast(exp.Query, parse_one(text, dialect="duckdb"))

    watermark = WatermarkNode(0, query("SELECT a FROM stream_0"), exp.column("a"), 0)
    reads = (query("SELECT sum(a) FROM watermark_0"), query("SELECT b FROM stream_1"))
    first = OperatorNode(1, cast(Any, None), (), (), reads)
    second = OperatorNode(0, cast(Any, None), (), (), (query("SELECT 1 / a FROM operator_1"),))
    flow = Dataflow(query("SELECT a FROM operator_0"), SCHEMA, ((), ()), nodes=(watermark, first, second))
    connection = Database(threads=1).connect()
    connection.execute("CREATE TEMP TABLE stream_0 AS SELECT 2 AS a; CREATE TEMP TABLE stream_1 AS SELECT 3 AS b")
    assert [connection.execute(one.sql("duckdb")).fetchall() for one in row_queries(flow)] == [[(2,)], [(3,)]]
