"""The two shapes in which a stateful processor takes and gives rows: pandas frames, and PySpark rows.

Invariant: rows of a chunk are converted at once; what a processor gives is gathered and converted at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Any, Protocol

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.plan.expressions import PythonUDF
from headwater.settings import Settings
from headwater.types.arrow import conform
from headwater.udf.frames import Frames, checked, pieces, rows_of, table_of_rows, values_of

PANDAS_TYPES = (211, 212)
"""PySpark's eval types of processors that take frames."""


class Shape(Protocol):
    """How rows go in and out."""

    def keys(self, keys: pa.Table, schema: StructType) -> list[tuple[Any, ...]]:
        """The keys as the processor sees them."""
        ...

    def groups(self, rows: pa.Table, schema: StructType, bounds: Sequence[int]) -> Iterator[Iterator[Any]]:
        """Each group's rows."""
        ...

    def tables(self, given: Iterable[Any], schema: StructType) -> Iterator[pa.Table]:
        """What a processor gave."""
        ...


def shape_of(function: PythonUDF, settings: Settings, time_zone: str) -> Shape:
    """The shape that a processor is written for, in a session's rules."""
    if function.eval_type not in PANDAS_TYPES:
        return InRows(time_zone)
    safe = settings.flag("spark.sql.execution.pandas.convertToArrowArraySafely")
    most = settings.number("spark.sql.execution.arrow.maxRecordsPerBatch")
    return InFrames(Frames(time_zone, safe=safe, widen=True), most)


class InFrames:
    """`transformWithStateInPandas`.

    Args:
        most: so many rows at most are one frame.
    """

    def __init__(self, frames: Frames, most: int) -> None:
        self._frames = frames
        self._most = most

    def keys(self, keys: pa.Table, schema: StructType) -> list[tuple[Any, ...]]:
        """See `Shape`."""
        if not keys.num_columns:
            return [()] * keys.num_rows
        return list(self._frames.frame(keys, schema).itertuples(index=False, name=None))

    def groups(self, rows: pa.Table, schema: StructType, bounds: Sequence[int]) -> Iterator[Iterator[Any]]:
        """See `Shape`."""
        frame = self._frames.frame(rows, schema)
        for start, stop in pairwise(bounds):
            yield pieces(frame, start, stop, self._most)

    def tables(self, given: Iterable[Any], schema: StructType) -> Iterator[pa.Table]:
        """See `Shape`."""
        return self._frames.table(checked(given, schema), schema)


class InRows:
    """`transformWithState`.

    Args:
        time_zone: of the times in rows.
    """

    def __init__(self, time_zone: str) -> None:
        self._time_zone = time_zone

    def keys(self, keys: pa.Table, schema: StructType) -> list[tuple[Any, ...]]:
        """See `Shape`."""
        return values_of(conform(keys, schema, self._time_zone))

    def groups(self, rows: pa.Table, schema: StructType, bounds: Sequence[int]) -> Iterator[Iterator[Any]]:
        """See `Shape`."""
        made = rows_of(conform(rows, schema, self._time_zone), schema.names)
        for start, stop in pairwise(bounds):
            yield iter(made[start:stop])

    def tables(self, given: Iterable[Any], schema: StructType) -> Iterator[pa.Table]:
        """See `Shape`."""
        rows = list(given)
        if rows:
            yield table_of_rows(rows, schema)
