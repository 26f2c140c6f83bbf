"""Running plans: rows, empty results, big results, cut streams, observed metrics."""

from __future__ import annotations

import uuid
from functools import reduce

import pytest
from pyspark.errors.exceptions.connect import SparkConnectException
from pyspark.sql import Observation
from pyspark.sql import functions as F
from pyspark.sql.connect.session import SparkSession

from headwater.connect import execute
from headwater.connect.proto import pb2
from headwater.connect.server import Server
from support.server import connected


def test_rows_come_back(spark: SparkSession) -> None:
    frame = spark.createDataFrame([(1, "a"), (2, None)], "id int, s string")
    assert [tuple(row) for row in frame.collect()] == [(1, "a"), (2, None)]


def test_an_empty_result_still_has_its_schema(spark: SparkSession) -> None:
    table = spark.range(3).where("id < 0").toArrow()
    assert table.num_rows == 0
    assert table.schema.names == ["id"]


def test_a_thousand_chained_columns_work(spark: SparkSession) -> None:
    frame = reduce(lambda df, n: df.withColumn(f"c{n % 5}", F.lit(n)), range(1000), spark.range(1))
    assert tuple(frame.collect()[0]) == (0, 995, 996, 997, 998, 999)


def test_an_absurdly_deep_plan_is_an_error(spark: SparkSession) -> None:
    frame = reduce(lambda df, _: df.limit(1), range(1100), spark.range(1))
    with pytest.raises(SparkConnectException) as caught:
        frame.collect()
    assert caught.value.getCondition() == "CONNECT_INVALID_PLAN.CANNOT_PARSE"


def test_a_big_result_arrives_in_pieces_and_in_order(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "CHUNK_BYTES", 50_000)
    column = spark.range(100_000).toArrow().column(0)
    assert column.num_chunks > 10
    assert column.to_pylist() == list(range(100_000))


def test_a_row_larger_than_a_message_is_cut_and_put_together(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(execute, "CHUNK_BYTES", 1000)
    assert spark.range(1).select(F.repeat(F.lit("x"), 100_000).alias("s")).collect()[0].s == "x" * 100_000


def test_observed_metrics_arrive(spark: SparkSession) -> None:
    seen = Observation("seen")
    spark.range(4).observe(seen, F.count(F.lit(1)).alias("n"), F.max("id").alias("most")).collect()
    assert seen.get == {"n": 4, "most": 3}


def test_a_cut_stream_goes_on_where_it_was(spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "CHUNK_BYTES", 50_000)
    client = spark.client
    request = client._execute_plan_request_with_metadata(str(uuid.uuid4()))
    request.plan.CopyFrom(spark.range(50_000)._plan.to_proto(client))
    request.request_options.append(
        pb2.ExecutePlanRequest.RequestOption(reattach_options=pb2.ReattachOptions(reattachable=True))
    )
    metadata = client._builder.metadata()
    first = client._stub.ExecutePlan(request, metadata=metadata)
    seen = [next(first), next(first)]
    first.cancel()
    again = pb2.ReattachExecuteRequest(
        session_id=request.session_id, operation_id=request.operation_id, last_response_id=seen[-1].response_id
    )
    again.user_context.CopyFrom(request.user_context)
    seen.extend(client._stub.ReattachExecute(again, metadata=metadata))
    assert [item.response_id for item in seen] == [str(number + 1) for number in range(len(seen))]
    assert sum(item.arrow_batch.row_count for item in seen) == 50_000
    assert seen[-1].HasField("result_complete")


def test_a_client_that_goes_away_ends_what_it_asked_for(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(execute, "CHUNK_BYTES", 50_000)
    with connected(server) as spark:
        client = spark.client.disable_reattachable_execute()
        request = client._execute_plan_request_with_metadata()
        request.plan.CopyFrom(spark.range(100_000_000)._plan.to_proto(client))
        call = client._stub.ExecutePlan(request, metadata=client._builder.metadata())
        next(call)
        (operation,) = server.sessions.find((client._user_id or "", spark.session_id)).operations.values()  # type: ignore[union-attr]
        call.cancel()
        assert operation.responses.wait(10)


def test_abandoned_operations_are_dropped(server: Server) -> None:
    with connected(server) as spark:
        client = spark.client
        request = client._execute_plan_request_with_metadata(str(uuid.uuid4()))
        request.plan.CopyFrom(spark.range(3)._plan.to_proto(client))
        request.request_options.append(
            pb2.ExecutePlanRequest.RequestOption(reattach_options=pb2.ReattachOptions(reattachable=True))
        )
        list(client._stub.ExecutePlan(request, metadata=client._builder.metadata()))
        holder = next(each for each in server.sessions if each.session_id == spark.session_id)
        (operation,) = holder.operations.values()
        assert operation.responses.wait(5)
        while operation.responses.detached_at is None:
            pass
        execute.release_abandoned(holder, 0)
        assert not holder.operations
