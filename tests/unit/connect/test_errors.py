"""Failures become the right PySpark exceptions, with condition, SQLSTATE and parameters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyspark import errors as e
from pyspark.sql.connect.session import SparkSession

from headwater.connect.errors import ErrorStore, as_spark_error, details, status
from headwater.connect.proto import ErrorInfo
from headwater.errors import AnalysisError, ConcurrentWriteError, QueryContext, SparkError
from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    with spark_session() as session:
        yield session


@pytest.mark.parametrize(
    ("query", "kind", "condition", "state"),
    [
        ("SELECT nope", e.AnalysisException, "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", "42703"),
        ("SELECT * FROM missing", e.AnalysisException, "TABLE_OR_VIEW_NOT_FOUND", "42P01"),
        ("SELEC 1", e.ParseException, "PARSE_SYNTAX_ERROR", "42601"),
        ("SELECT 1 / 0", e.ArithmeticException, "DIVIDE_BY_ZERO", "22012"),
        ("SELECT CAST('x' AS INT)", e.NumberFormatException, "CAST_INVALID_INPUT", "22018"),
    ],
)
def test_sql_errors_are_sparks(spark: SparkSession, query: str, kind: type, condition: str, state: str) -> None:
    with pytest.raises(e.PySparkException) as caught:
        spark.sql(query).collect()
    assert isinstance(caught.value, kind)
    assert caught.value.getCondition() == condition
    assert caught.value.getSqlState() == state
    assert str(caught.value).startswith(f"[{condition}]")


def test_a_query_is_checked_before_it_runs(spark: SparkSession) -> None:
    with pytest.raises(e.AnalysisException):
        spark.sql("SELECT nope")


def test_parameters_and_long_messages_arrive_whole(spark: SparkSession) -> None:
    name = "x" * 5000
    with pytest.raises(e.AnalysisException) as caught:
        spark.table(name).schema  # noqa: B018
    assert name in str(caught.value)
    assert name in caught.value.getMessageParameters()["relationName"]  # type: ignore[index]


def test_an_unknown_exception_is_an_internal_error_and_names_its_cause() -> None:
    error = as_spark_error(ValueError("boom"))
    assert error.condition == "INTERNAL_ERROR"
    assert "ValueError: boom" in str(error)
    root, cause = details(error)
    assert root.cause_idx == 1
    assert cause.message == "boom"


def test_too_deep_recursion_is_the_plans_fault() -> None:
    assert as_spark_error(RecursionError()).condition == "CONNECT_INVALID_PLAN.CANNOT_PARSE"


def test_a_status_is_small_and_its_details_come_once() -> None:
    store = ErrorStore()
    error = AnalysisError("TABLE_OR_VIEW_NOT_FOUND", relationName="x" * 9000)
    assert status(error, store).ByteSize() < 4096
    (error_id,) = store._errors
    assert store.take(error_id) is error
    assert store.take(error_id) is None


def test_old_errors_are_forgotten() -> None:
    store = ErrorStore()
    first = store.keep(SparkError("OPERATION_CANCELED"))
    for _ in range(100):
        store.keep(SparkError("OPERATION_CANCELED"))
    assert store.take(first) is None


def test_the_place_in_the_query_is_told() -> None:
    error = SparkError("DIVIDE_BY_ZERO", config="x")
    error.contexts = (QueryContext("1 / 0", 7, 11),)
    (message,) = details(error)
    (context,) = message.spark_throwable.query_contexts
    assert (context.fragment, context.start_index, context.stop_index) == ("1 / 0", 7, 11)


def test_what_spark_requires_has_no_condition(spark: SparkSession) -> None:
    times = spark.readStream.format("rate").load()

    with pytest.raises(e.IllegalArgumentException, match="requirement failed: delay threshold") as caught:
        assert times.withWatermark("timestamp", "-1 second").schema

    assert caught.value.getCondition() is None
    assert caught.value.getSqlState() is None


@pytest.mark.parametrize(
    ("condition", "name"),
    [
        ("DELTA_CONCURRENT_APPEND.WITHOUT_HINT", "ConcurrentAppendException"),
        ("DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT", "ConcurrentDeleteReadException"),
        ("DELTA_CONCURRENT_TRANSACTION", "ConcurrentTransactionException"),
        ("DELTA_METADATA_CHANGED", "MetadataChangedException"),
        ("DELTA_PROTOCOL_CHANGED", "ProtocolChangedException"),
    ],
)
def test_conflicts_are_the_classes_of_delta_s_package(condition: str, name: str) -> None:
    import delta.connect.exceptions as connect
    import delta.exceptions as public
    from pyspark.errors.exceptions.connect import convert_exception

    error = ConcurrentWriteError(condition, version=3, operation="MERGE", tableName="t")
    info = ErrorInfo()
    status(error, None).details[0].Unpack(info)
    raised = convert_exception(info, str(error), None)
    assert type(raised) is getattr(connect, name)
    assert isinstance(raised, getattr(public, name))
    assert raised.getCondition() == condition


def test_other_conflicts_are_java_s() -> None:
    error = ConcurrentWriteError("CONCURRENT_STREAM_LOG_UPDATE", batchId=1, path="/p")
    assert error.java_classes[0] == "java.util.ConcurrentModificationException"
