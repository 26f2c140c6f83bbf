"""Sessions: what runs, side by side, and what they keep to themselves."""

import threading
import time

import pyarrow as pa
import pytest
from pyspark.sql.types import BooleanType, LongType, StringType, StructField, StructType, TimestampType

from headwater.errors import AnalysisError, SparkError
from headwater.plan.commands import CreateTable, CreateView, SetConf
from headwater.plan.expressions import Alias, Call, Cast, Column, Literal
from headwater.plan.relations import (
    CachedRemote,
    CollectMetrics,
    Filter,
    Limit,
    LocalData,
    Project,
    Range,
    ReadSource,
    ReadTable,
)
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session

LONG = 1_000_000_000_000


def ids(session, relation):
    return session.execute(relation).table().column("id").to_pylist()


def test_rows_come_in_batches_of_the_size_asked_for(session):
    batches = list(session.execute(Range(0, 10_000, 1)).batches(rows=4096))
    assert all(isinstance(batch, pa.RecordBatch) for batch in batches)
    assert max(batch.num_rows for batch in batches) <= 4096
    assert sum(batch.num_rows for batch in batches) == 10_000


def test_the_first_batch_comes_before_the_last_is_computed(session):
    execution = session.execute(Range(0, LONG, 1))
    assert next(execution.batches()).num_rows > 0
    execution.cancel()


def test_an_empty_result_has_its_schema(session):
    table = session.execute(Filter(Range(0, 3, 1), Literal(False, BooleanType())))
    assert table.schema.names == ["id"]


def test_cancel_ends_a_running_query(session):
    execution = session.execute(Project(Range(0, LONG, 1), (Alias(Call("sum", (Column(("id",)),)), ("s",)),)))
    threading.Timer(0.3, execution.cancel).start()
    started = time.monotonic()
    with pytest.raises(SparkError) as caught:
        execution.table()
    assert caught.value.condition == "OPERATION_CANCELED"
    assert time.monotonic() - started < 20


def test_cancel_before_the_start_runs_nothing(session):
    execution = session.execute(Range(0, 3, 1))
    execution.cancel()
    with pytest.raises(SparkError) as caught:
        execution.table()
    assert caught.value.condition == "OPERATION_CANCELED"


def test_queries_run_side_by_side(session):
    results = {}

    def run(number):
        results[number] = len(ids(session, Range(0, 50_000 + number, 1)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert results == {number: 50_000 + number for number in range(6)}


def test_a_failing_row_is_sparks_error(session):
    text = Literal("x", StringType())
    with pytest.raises(SparkError) as caught:
        session.execute(Project(Range(0, 1, 1), (Alias(Cast(text, LongType()), ("n",)),))).table()
    assert caught.value.condition == "CAST_INVALID_INPUT"


def test_a_checkpoint_keeps_its_rows_until_released(session, tmp_path):
    view = tmp_path / "in"
    view.mkdir()
    (view / "a.json").write_text('{"id": 1}\n')
    source = ReadSource("json", StructType([StructField("id", LongType())]), (), (str(view),))
    kept = session.checkpoint(source)
    (view / "a.json").unlink()
    assert ids(session, CachedRemote(kept)) == [1]
    session.release(kept)
    session.release(kept)
    with pytest.raises(AnalysisError):
        session.resolve(CachedRemote(kept))


def test_a_kept_plan_is_computed_when_used(session):
    assert ids(session, CachedRemote(session.keep(Range(0, 2, 1)))) == [0, 1]


def test_a_clone_starts_alike_and_goes_its_own_way(session):
    session.run(CreateView(Range(0, 1, 1), ("v",), "temporary"))
    session.run(SetConf("a.b", "1"))
    twin = session.clone("twin")
    twin.run(SetConf("a.b", "2"))
    twin.run(CreateView(Range(0, 5, 1), ("v",), "temporary", replace=True))
    assert session.settings["a.b"] == "1"
    assert ids(session, ReadTable(("v",))) == [0]
    assert len(ids(twin, ReadTable(("v",)))) == 5


def test_the_time_zone_is_the_sessions(session):
    session.settings.set("spark.sql.session.timeZone", "Asia/Tokyo")
    moment = Project(Range(0, 1, 1), (Alias(Literal(0, TimestampType()), ("t",)),))
    schema = session.execute(moment).arrow_schema
    assert schema.field("t").type == pa.timestamp("us", "Asia/Tokyo")


def test_a_bad_time_zone_is_refused(session):
    with pytest.raises(SparkError) as caught:
        session.settings.set("spark.sql.session.timeZone", "Mars/Olympus")
    assert caught.value.condition == "INVALID_CONF_VALUE.TIME_ZONE"


def test_observed_metrics_are_of_the_rows_that_passed(session):
    counted = Alias(Call("count", (Literal(1, LongType()),)), ("n",))
    execution = session.execute(Limit(CollectMetrics(Range(0, 7, 1), "seen", (counted,)), 3))
    execution.table()
    (observation,) = execution.observations
    assert observation.name == "seen"
    assert observation.values().to_pylist() == [{"n": 7}]


def test_a_stream_has_a_schema_but_cannot_be_collected(session, tmp_path):
    stream = ReadSource("json", StructType([StructField("id", LongType())]), (), (str(tmp_path),), streaming=True)
    resolved = session.resolve(stream)
    assert resolved.streaming
    assert resolved.schema.names == ["id"]
    with pytest.raises(AnalysisError) as caught:
        session.execute(stream)
    assert "writeStream.start()" in str(caught.value)


def test_input_files_are_uris(session, tmp_path):
    (tmp_path / "a.json").write_text('{"id": 1}\n')
    source = ReadSource("json", StructType([StructField("id", LongType())]), (), (str(tmp_path),))
    assert session.input_files(source) == [f"file://{tmp_path}/a.json"]


def test_local_data_is_what_was_sent(session):
    assert ids(session, LocalData(pa.table({"id": [3, 1]}))) == [3, 1]


def test_two_runtimes_share_a_warehouse(session):

    session.run(CreateTable(("t",), None, query=Range(0, 3, 1)))
    other = Runtime.local({"spark.sql.warehouse.dir": session.runtime.warehouse})
    assert sorted(ids(Session(other), ReadTable(("t",)))) == [0, 1, 2]
    other.close()
