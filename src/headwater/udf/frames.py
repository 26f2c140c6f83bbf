"""Rows as users' functions take and give them: pandas frames and PySpark rows, from Arrow and back.

Invariants: whole columns are converted, groups are slices of them; timestamps are naive and in the session time zone in
pandas; what does not fit the declared type is PySpark's error, raised as the user's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkRuntimeError, PySparkTypeError, PySparkValueError
from pyspark.sql.pandas.types import _create_converter_from_pandas, _create_converter_to_pandas
from pyspark.sql.types import Row, StructField, StructType

from headwater.types.arrow import arrow_schema, conform

_RUN = 1000
"""So many small results are converted at once."""


class Frames:
    """Conversions in one session's rules.

    Args:
        time_zone: the session's.
        safe: whether a value that loses something in conversion is an error.
        widen: whether integers are 64 bits wide, as in frames that PySpark makes of single rows.
    """

    def __init__(self, time_zone: str, *, safe: bool = False, widen: bool = False) -> None:
        self.time_zone = time_zone
        self._safe = safe
        self._widen = widen

    def frame(self, rows: pa.Table, schema: StructType) -> Any:
        """The rows as one pandas frame."""
        import pandas as pd

        rows = conform(rows, schema, self.time_zone)
        series = [self._series(column, field) for column, field in zip(rows.columns, schema.fields, strict=True)]
        if not series:
            return pd.DataFrame(index=range(rows.num_rows))
        return pd.concat(series, axis=1)

    def _series(self, column: pa.ChunkedArray, field: StructField) -> Any:
        made = column.to_pandas(date_as_object=True, coerce_temporal_nanoseconds=True)
        convert = _create_converter_to_pandas(
            field.dataType,
            field.nullable,
            timezone=self.time_zone,
            struct_in_pandas="dict",
            error_on_duplicated_field_names=False,
        )
        made = convert(made)
        if self._widen and made.dtype.kind in "if":
            made = made.astype("int64" if made.dtype.kind == "i" else "float64")
        return made.rename(field.name)

    def table(self, frames: Iterable[Any], schema: StructType) -> Iterator[pa.Table]:
        """Users' frames as Arrow tables: columns by name (by position if they are numbered)."""
        for run in _runs(frames):
            yield self._converted(run, schema)

    def _converted(self, run: Sequence[Any], schema: StructType) -> pa.Table:
        import pandas as pd

        whole = run[0] if len(run) == 1 else pd.concat(run, ignore_index=True)
        if any(isinstance(name, str) for name in whole.columns):
            whole = whole.reindex(columns=schema.names)
        columns = [self._column(whole.iloc[:, i], field) for i, field in enumerate(schema.fields)]
        return pa.Table.from_arrays(columns, schema=arrow_schema(schema, self.time_zone))

    def column(self, values: list[Any], field: StructField) -> pa.Array:
        """Single values of users' functions as a column."""
        import pandas as pd

        return self._column(pd.Series(values, dtype=object if None in values else None), field)

    def _column(self, series: Any, field: StructField) -> pa.Array:
        kind = arrow_schema(StructType([field]), self.time_zone).field(0).type
        if series.dtype.name == "category":
            series = series.astype(series.dtype.categories.dtype)
        convert = _create_converter_from_pandas(
            field.dataType, timezone=self.time_zone, error_on_duplicated_field_names=False
        )
        given = convert(series)
        mask = None if hasattr(given.array, "__arrow_array__") else given.isnull()
        try:
            try:
                return pa.Array.from_pandas(given, mask=mask, type=kind, safe=self._safe)
            except pa.ArrowInvalid:
                return pa.Array.from_pandas(given, mask=mask).cast(kind, safe=self._safe)
        except TypeError as error:
            raise PySparkTypeError(
                f"Cannot convert the output value of the column '{field.name}' with type '{series.dtype}' to the "
                f"specified return type of the column: '{kind}'. Please check if the data types match and try again."
            ) from error
        except ValueError as error:
            raise PySparkValueError(
                f"Failed to convert the value of the column '{field.name}' with type '{series.dtype}' to Arrow type "
                f"'{kind}'."
            ) from error


def pieces(frame: Any, start: int, stop: int, most: int) -> Iterator[Any]:
    """Rows start to stop as frames of at most `most` rows, each with an index of its own."""
    import pandas as pd

    for begin in range(start, stop, most):
        end = min(begin + most, stop)
        part = frame.iloc[begin:end]
        part.index = pd.RangeIndex(end - begin)
        yield part


def checked(frames: Any, schema: StructType) -> Iterator[Any]:
    """What a function gave, each checked to be a frame of so many columns. Raises PySpark's errors."""
    import pandas as pd

    if isinstance(frames, pd.DataFrame):
        raise _no_frames("iterable of pandas.DataFrame", type(frames).__name__)
    try:
        given = iter(frames)
    except TypeError:
        raise _no_frames("iterable", type(frames).__name__) from None
    for frame in given:
        if not isinstance(frame, pd.DataFrame):
            raise _no_frames("iterator of pandas.DataFrame", f"iterator of {type(frame).__name__}")
        if len(frame.columns) == 0 and frame.empty:
            continue
        if len(frame.columns) != len(schema.fields):
            raise PySparkRuntimeError(
                errorClass="RESULT_COLUMN_SCHEMA_MISMATCH",
                messageParameters={"expected": str(len(schema.fields)), "actual": str(len(frame.columns))},
            )
        if len(frame):
            yield frame


def _no_frames(expected: str, actual: str) -> PySparkTypeError:
    return PySparkTypeError(errorClass="UDF_RETURN_TYPE", messageParameters={"expected": expected, "actual": actual})


def _runs(frames: Iterable[Any]) -> Iterator[list[Any]]:
    """Frames in runs of the same columns, which can be put together without changing a type."""
    run: list[Any] = []
    shape: object = None
    for frame in frames:
        own = (list(frame.columns), list(frame.dtypes))
        if run and (own != shape or len(run) == _RUN):
            yield run
            run = []
        shape = own
        run.append(frame)
    if run:
        yield run


def rows_of(table: pa.Table, names: Sequence[str]) -> list[Row]:
    """The rows as PySpark rows of plain Python values."""
    make = Row(*names)
    return [make(*values) for values in values_of(table)]


def values_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """The rows as tuples of plain Python values."""
    if not table.num_columns:
        return [()] * table.num_rows
    return list(zip(*(column.to_pylist() for column in table.columns), strict=True))


def table_of_rows(rows: Iterable[Row], schema: StructType) -> pa.Table:
    """Users' rows as an Arrow table: values by name, what is missing null; naive times count as UTC."""
    return pa.Table.from_pylist([row.asDict(True) for row in rows], schema=arrow_schema(schema, "UTC"))
