"""A stream whose rows a test adds by hand.

Invariant: each `add` is one offset; rows are checked against the schema when they are added.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


class MemoryStream:
    """A streaming source that a test fills.

    Args:
        spark: a session of `headwater.testing.session()`, `headwater.session()` or a fixture.
        schema: of the rows, as DDL text or `StructType`.

    Example:
        events = MemoryStream(spark, "id INT, word STRING")
        events.add([(1, "a"), (2, None)])
        query = events.to_df().writeStream.format("console").start()
    """

    def __init__(self, spark: SparkSession, schema: str | StructType) -> None:
        from headwater.sources.memory_stream import MemoryRows, memory_rows
        from headwater.testing.sessions import holder_of
        from headwater.types.ddl import parse_schema

        holder_of(spark)
        self._spark = spark
        self._id = str(uuid.uuid4())
        self._rows = memory_rows[self._id] = MemoryRows(
            self._id, parse_schema(schema) if isinstance(schema, str) else schema
        )

    def add(self, rows: Iterable[Any]) -> MemoryStream:
        """Add rows: tuples, lists, `Row`s or dicts; plain values where there is one column."""
        self._rows.add(as_table(rows, self._rows.schema))
        return self

    def to_df(self) -> DataFrame:
        """The stream, from its first row on."""
        from headwater.sources.memory_stream import FORMAT

        return self._spark.readStream.format(FORMAT).option("id", self._id).load()

    def __repr__(self) -> str:
        return f"MemoryStream[{','.join(self._rows.schema.names)}]"


def as_table(rows: Iterable[Any], schema: StructType) -> Any:
    """Rows as Arrow. Raises PySpark's errors for values that are not of the schema's types."""
    from pyspark.sql.conversion import LocalDataToArrowConversion

    from headwater.types.arrow import arrow_schema, conform

    shaped = [_row(row, len(schema.fields)) for row in rows]
    if not shaped:
        return arrow_schema(schema, "UTC").empty_table()
    return conform(LocalDataToArrowConversion.convert(shaped, schema, False), schema, "UTC")


def _row(row: Any, width: int) -> Any:
    if width == 1 and not isinstance(row, tuple | list | dict):
        return (row,)
    return row
