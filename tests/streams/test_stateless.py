"""Stateless streams: project, filter, union, join with static data, stopped and started at will."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake
from pyspark.sql.types import LongType, StringType, StructField, StructType

from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.plan.commands import Trigger
from headwater.plan.expressions import Alias, Call, Column, Literal, SortOrder
from headwater.plan.relations import (
    Filter,
    Join,
    LocalData,
    Project,
    ReadSource,
    Relation,
    SetOperation,
    Sort,
    WithColumns,
)
from support.stream import StreamTest

SCHEMA = StructType([StructField("k", StringType()), StructField("v", LongType())])
A, B, C = {"k": "a", "v": 1}, {"k": "b", "v": 2}, {"k": "c", "v": 3}
STATIC = LocalData(pa.table({"k": ["a"], "v": [1]}))


def column(name: str) -> Column:
    return Column((name,))


def above(source: Relation, limit: int) -> Relation:
    return Filter(source, Call(">", (column("v"), Literal(limit, LongType()))))


def test_rows_pass_filter_and_projection(stream: StreamTest) -> None:
    stream.plan(lambda s: Project(above(s, 1), (column("v"), Alias(Call("+", (column("v"), column("v"))), ("w",)))))

    stream.start().add_data([A, B]).check_answer((2, 4)).add_data([C]).check_answer((2, 4), (3, 6))


def delta(path: str, *rows: tuple[str, str], more: bool = False) -> None:
    table = pa.table({"k": [k for k, _ in rows], "name": [name for _, name in rows]})
    write_deltalake(path, table, mode="append" if more else "error")


def test_a_static_delta_table_is_read_anew_in_every_batch(stream: StreamTest, tmp_path: Path) -> None:
    path = str(tmp_path / "names")
    delta(path, ("a", "A"))
    static = ReadSource("delta", None, (), (path,))
    stream.plan(lambda s: Join(s, static, "left_outer", using=("k",)))

    stream.start().add_data([A, B]).check_answer(("a", 1, "A"), ("b", 2, None))
    delta(path, ("b", "B"), more=True)

    stream.add_data([B]).check_last(("b", 2, "B"))


def test_a_static_delta_table_at_a_version_stays_at_it(stream: StreamTest, tmp_path: Path) -> None:
    path = str(tmp_path / "names")
    delta(path, ("a", "A"))
    static = ReadSource("delta", None, (("versionAsOf", "0"),), (path,))
    stream.plan(lambda s: Join(s, static, "left_outer", using=("k",)))

    stream.start().add_data([A]).check_answer(("a", 1, "A"))
    delta(path, ("b", "B"), more=True)

    stream.add_data([B]).check_last(("b", 2, None))


def test_the_time_of_a_batch_is_the_same_when_it_is_run_again(stream: StreamTest) -> None:
    stream.plan(lambda s: Project(s, (column("k"), Alias(Call("current_timestamp", ()), ("now",)))))
    stream.start().add_data([A])
    stream.sink.error = RuntimeError("lost")
    stream.expect_failure("lost")
    (first,) = stream.sink.seen[-1]
    stream.sink.error = None

    stream.start().running.process_all_available()

    assert stream.sink.rows == [first]
    logged = json.loads((tmp(stream) / "offsets" / "0").read_text().splitlines()[1])["batchTimestampMs"]
    assert int(first[1].timestamp() * 1000) == logged


def tmp(stream: StreamTest) -> Path:
    return stream.folder / "checkpoint"


def test_a_restart_goes_on_where_it_stopped(stream: StreamTest) -> None:
    stream.start().add_data([A]).check_answer(("a", 1)).stop().add_data([B]).start()

    stream.check_answer(("a", 1), ("b", 2)).stop().start().check_answer(("a", 1), ("b", 2))
    assert sorted(stream.sink.batches) == [0, 1]


def test_a_filter_may_change_between_runs(stream: StreamTest) -> None:
    stream.start().add_data([A, B]).check_answer(("a", 1), ("b", 2)).stop()

    stream.plan(lambda s: above(s, 2)).start().add_data([A, C]).check_answer(("a", 1), ("b", 2), ("c", 3))


def test_streams_are_united(tmp_path: Path) -> None:
    stream = StreamTest(tmp_path, SCHEMA, ("a", "b")).plan(lambda a, b: SetOperation(a, b, "union", all=True))

    stream.start().add_data([A], 0).add_data([B], 1).check_answer(("a", 1), ("b", 2))
    stream.add_data([C], 1).check_answer(("a", 1), ("b", 2), ("c", 3)).close()


@pytest.mark.parametrize(
    ("kind", "answer"), [("inner", [("a", 1, "A")]), ("left_outer", [("a", 1, "A"), ("b", 2, None)])]
)
def test_a_stream_joins_static_rows(stream: StreamTest, kind: str, answer: list[tuple[object, ...]]) -> None:
    static = LocalData(pa.table({"k": ["a", "z"], "name": ["A", "Z"]}))
    stream.plan(lambda s: Join(s, static, kind, using=("k",)))  # type: ignore[arg-type]

    stream.start().add_data([A, B]).check_answer(*answer)


def test_a_failed_query_says_why_and_goes_on_after_the_cause_is_gone(stream: StreamTest) -> None:
    stream.start().add_data([A]).check_answer(("a", 1))
    stream.sink.error = RuntimeError("disk is full")
    stream.add_data([B]).expect_failure("STREAM_FAILED")

    error = stream.running.exception()
    assert error is not None
    assert "terminated with exception: " in str(error)
    assert "disk is full" in str(error)
    assert not stream.running.is_active
    assert stream.running.status().message.startswith("Terminated with exception")
    stream.sink.error = None
    stream.start().check_answer(("a", 1), ("b", 2))


def test_progress_has_sparks_keys(stream: StreamTest) -> None:
    stream.start("named").add_data([A, B]).check_answer(("a", 1), ("b", 2))

    progress = json.loads(stream.running.last_progress or "")

    assert list(progress) == [
        "id", "runId", "name", "timestamp", "batchId", "batchDuration", "numInputRows", "inputRowsPerSecond",
        "processedRowsPerSecond", "durationMs", "stateOperators", "sources", "sink",
    ]  # fmt: skip
    assert list(progress["durationMs"]) == [
        "addBatch", "commitOffsets", "getBatch", "latestOffset", "queryPlanning", "triggerExecution", "walCommit",
    ]  # fmt: skip
    assert list(progress["sources"][0]) == [
        "description", "startOffset", "endOffset", "latestOffset", "numInputRows", "inputRowsPerSecond",
        "processedRowsPerSecond",
    ]  # fmt: skip
    assert progress["name"] == "named"
    assert progress["numInputRows"] == 2


def test_available_now_ends_by_itself(stream: StreamTest) -> None:
    stream.plan(lambda s: s, trigger=Trigger("available_now"))
    stream.add_data([A]).add_data([B])
    stream.sources[0].per_batch = 1

    stream.start()

    assert stream.running.await_termination(20)
    assert stream.sink.rows == [("a", 1), ("b", 2)]
    assert len(stream.sink.batches) == 2
    assert stream.running.status().message == "Stopped"


def test_listeners_hear_the_life_of_a_query(stream: StreamTest) -> None:
    events: list[tuple[str, dict[str, object]]] = []
    stream.session.streams.add_listener(lambda event: events.append((event.kind, json.loads(event.json))))

    stream.start().add_data([A]).check_answer(("a", 1)).stop()

    kinds = [kind for kind, _ in events if kind != "idle"]
    assert kinds == ["started", "progress", "terminated"]
    assert events[0][1]["id"] == stream.running.id
    assert set(events[-1][1]) == {"id", "runId", "exception", "errorClassOnException"}


def test_a_name_is_taken_once(stream: StreamTest) -> None:
    stream.start("x")

    with pytest.raises(IllegalArgumentError, match="Cannot start query with name x"):
        stream.start("x")


def test_a_second_start_of_the_same_checkpoint_ends_the_first(stream: StreamTest) -> None:
    stream.start().add_data([A]).check_answer(("a", 1))
    first = stream.running

    stream.start().add_data([B]).check_answer(("a", 1), ("b", 2))

    assert not first.is_active
    assert first.exception() is None
    assert first.id == stream.running.id
    assert first.run_id != stream.running.run_id


def test_an_ended_query_is_not_listed(stream: StreamTest) -> None:
    stream.start()
    streams = stream.session.streams

    assert streams.active() == [stream.running]
    assert streams.get(stream.running.id) is stream.running
    stream.stop()
    assert streams.active() == []
    assert streams.get(stream.running.id) is None
    assert streams.await_any_termination(1)
    streams.reset_terminated()
    assert not streams.await_any_termination(0.01)


def test_another_number_of_sources_is_refused(tmp_path: Path) -> None:
    stream = StreamTest(tmp_path, SCHEMA, ("a", "b")).plan(lambda a, _: a)
    stream.start().add_data([A]).check_answer(("a", 1)).stop()

    stream.plan(lambda a, b: SetOperation(a, b, "union", all=True)).start()

    stream.expect_failure("There are [1] sources in the checkpoint offsets and now there are [2] sources").close()


@pytest.mark.parametrize(
    ("build", "mode", "message"),
    [
        (lambda s: s, "complete", "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION"),
        (lambda s: Sort(s, (SortOrder(column("k")),)), "append", "Sorting is not supported on streaming"),
        (lambda s: SetOperation(s, STATIC, "union", all=True), "append", "Union between streaming and batch"),
        (lambda s: SetOperation(s, s, "intersect"), "append", "Intersect of streaming"),
    ],
)  # fmt: skip
def test_what_spark_refuses_is_refused_before_anything_is_written(
    stream: StreamTest, build: object, mode: str, message: str
) -> None:
    stream.plan(build, mode)  # type: ignore[arg-type]

    with pytest.raises(Exception, match=message):
        stream.start()
    assert not (stream.folder / "checkpoint").exists()


def test_a_batch_cannot_be_written_as_a_stream(stream: StreamTest) -> None:
    stream.plan(lambda _: LocalData(pa.table({"k": ["a"]})))

    with pytest.raises(AnalysisError, match="WRITE_STREAM_NOT_ALLOWED"):
        stream.start()


def test_a_view_over_a_stream_is_a_stream(stream: StreamTest) -> None:
    from headwater.plan.commands import CreateView
    from headwater.plan.relations import ReadTable

    stream.session.run(CreateView(stream.reads()[0], ("v1",), "temporary", replace=True))
    stream.plan(lambda _: WithColumns(ReadTable(("v1",)), (Alias(Literal(1, LongType()), ("one",)),)))

    stream.start().add_data([A]).check_answer(("a", 1, 1))


def test_a_long_chain_of_columns_streams(stream: StreamTest) -> None:
    def chain(source: Relation) -> Relation:
        for number in range(1000):
            source = WithColumns(source, (Alias(Literal(number, LongType()), ("v",)),))
        return source

    stream.plan(chain).start().add_data([A]).check_answer(("a", 999))
