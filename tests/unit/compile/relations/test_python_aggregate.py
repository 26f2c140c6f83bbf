"""Python aggregates through the genuine client: `pandas_udf` from series to a value, in batches; refused on streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pandas as pd
import pytest
from pyspark.errors import AnalysisException, PySparkException, PythonException
from pyspark.sql import Row
from pyspark.sql import functions as F

from support.server import spark_session


@pytest.fixture(scope="module")
def spark() -> Iterator[Any]:
    with spark_session({"spark.sql.session.timeZone": "UTC"}) as session:
        yield session


@pytest.fixture
def rows(spark: Any) -> Any:
    return spark.createDataFrame(
        [("b", 1, 2.0), ("a", 1, 3.0), ("a", 2, 5.0), (None, None, 1.0)], "k STRING, v INT, w DOUBLE"
    )


def udf(kind: str, how: str) -> Any:
    """Defined here, so that it is pickled by value."""

    def mean(v: pd.Series) -> float:
        return None if v.isna().all() else float(v.mean())

    def weighted(v: pd.Series, w: pd.Series) -> float:
        return float((v * w).sum())

    def fail(v: pd.Series) -> float:
        raise ValueError("boom" if len(v) else "nothing")

    return F.pandas_udf({"mean": mean, "weighted": weighted, "fail": fail}[how], kind, F.PandasUDFType.GROUPED_AGG)


def test_values_by_group(rows: Any) -> None:
    frame = rows.groupBy("k").agg(udf("double", "mean")("v").alias("m"), udf("double", "weighted")("v", "w"))

    assert frame.columns == ["k", "m", "weighted(v, w)"]
    assert frame.collect()[1:] == [Row("a", 1.5, 13.0), Row("b", 1.0, 2.0)]
    assert frame.collect()[0][:2] == (None, None)


def test_over_all_rows_and_over_expressions(rows: Any) -> None:
    assert rows.agg(udf("double", "mean")(F.col("w") * 2).alias("m")).collect() == [Row(m=5.5)]
    grouped = rows.groupBy((F.length("k") * 10).alias("n"))
    assert grouped.agg(udf("double", "mean")("w").alias("m")).where("n = 10").collect()[0].m == pytest.approx(10 / 3)


def test_the_users_error_comes_with_its_traceback(rows: Any) -> None:
    with pytest.raises(PythonException, match="ValueError: boom"):
        rows.groupBy("k").agg(udf("double", "fail")("v")).collect()


def test_others_beside_it_are_refused(rows: Any) -> None:
    with pytest.raises(AnalysisException, match="INVALID_PANDAS_UDF_PLACEMENT"):
        rows.groupBy("k").agg(udf("double", "mean")("v"), F.sum("v")).collect()


def test_a_stream_refuses_it_as_spark_does(spark: Any) -> None:
    stream = spark.readStream.format("rate").load().groupBy("value").agg(udf("double", "mean")("value").alias("m"))

    assert stream.schema.simpleString() == "struct<value:bigint,m:double>"
    with pytest.raises(PySparkException, match="Streaming aggregation doesn't support group aggregate pandas UDF"):
        stream.writeStream.format("noop").outputMode("update").start()
