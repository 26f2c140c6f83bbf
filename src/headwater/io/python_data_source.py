"""Users' Python data sources: a pickled class, its instances, and the rows they yield as an Arrow stream.

The class runs in this process, like a foreachBatch function. PySpark's own converters check the rows and turn them
into Arrow.

Invariants: a failure of the user's code, `sys.exit` too, carries the user's traceback in Spark's class; rows are
converted chunk by chunk as DuckDB asks for them, never all at once; a stream that is opened again reads its partitions
again.
"""

from __future__ import annotations

import inspect
import json
import pickle
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from types import TracebackType
from typing import Any

import pyarrow as pa
from pyspark.errors import PySparkAssertionError
from pyspark.sql.types import StructType

from headwater.errors import AnalysisError, PythonError, SparkError, carried
from headwater.types.arrow import arrow_schema, conform

CHUNK_ROWS = 10_000
"""Rows per Arrow batch, as `spark.sql.execution.arrow.maxRecordsPerBatch`."""
_WORKER = "An exception was thrown from the Python worker"


class PythonDataSource:
    """A data source class as it was registered.

    Args:
        name: as registered. command: the pickled class.
        paths: folders of the session's Python files, asked when the class is unpickled.
    """

    def __init__(self, name: str, command: bytes, paths: Callable[[], Sequence[str]] = tuple) -> None:
        self.name = name
        self._command = command
        self._paths = paths

    @cached_property
    def kind(self) -> Any:
        """The class. Raises PYTHON_DATA_SOURCE_ERROR."""
        with failing("create", "instance"):
            sys.path[:0] = [path for path in self._paths() if path not in sys.path]
            kind = pickle.loads(self._command)
            self._check(kind)
            return kind

    def open(self, options: Mapping[str, str]) -> Any:
        """A new instance. Raises PYTHON_DATA_SOURCE_ERROR."""
        from pyspark.sql.datasource import CaseInsensitiveDict

        kind = self.kind
        with failing("create", "instance"):
            return kind(options=CaseInsensitiveDict(options))

    def schema(self, source: Any) -> StructType:
        """What the instance says of itself. Raises PYTHON_DATA_SOURCE_ERROR, Spark's errors for bad DDL."""
        from headwater.types.ddl import parse_schema

        with failing("create", "instance"):
            schema = source.schema()
            assert schema is not None
            if not isinstance(schema, str):
                return StructType.fromJson(json.loads(schema.json()))
        return parse_schema(schema)

    @staticmethod
    def _check(kind: Any) -> None:
        from pyspark.sql.datasource import DataSource

        if not (inspect.isclass(kind) and issubclass(kind, DataSource)):
            raise mismatch("a subclass of DataSource", kind)
        name = getattr(kind, "name", None)
        if not inspect.ismethod(name):
            raise mismatch("'name()' method to be a classmethod", name)


def options_of(options: Mapping[str, str], paths: Sequence[str]) -> dict[str, str]:
    """The options a data source sees: one path is `path`, several are `paths` in JSON."""
    given = {key: value for key, value in options.items() if key != "path"}
    if len(paths) > 1:
        return {**given, "paths": json.dumps(list(paths), separators=(",", ":"))}
    return {**given, "path": paths[0]} if paths else given


# ── failures ────────────────────────────────────────────────────────────────────────────────────────────────


def mismatch(expected: str, found: object) -> PySparkAssertionError:
    """PySpark's error for an object of the wrong kind."""
    return PySparkAssertionError(
        errorClass="DATA_SOURCE_TYPE_MISMATCH",
        messageParameters={"expected": expected, "actual": f"'{type(found).__name__}'"},
    )


def checked(thing: Any, kind: Any, expected: str) -> Any:
    """`thing`, if it is of that kind. Raises DATA_SOURCE_TYPE_MISMATCH."""
    if not isinstance(thing, kind):
        raise mismatch(expected, thing)
    return thing


@contextmanager
def failing(action: str, what: str) -> Iterator[None]:
    """The user's failures inside become PYTHON_DATA_SOURCE_ERROR."""
    try:
        yield
    except SparkError:
        raise
    except (Exception, SystemExit) as error:
        raise AnalysisError("PYTHON_DATA_SOURCE_ERROR", action=action, type=what, msg=story(error)) from error


@contextmanager
def failing_stream(action: str) -> Iterator[None]:
    """The user's failures inside become PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR."""
    try:
        yield
    except SparkError:
        raise
    except (Exception, SystemExit) as error:
        condition = "PYTHON_STREAMING_DATA_SOURCE_RUNTIME_ERROR"
        raise SparkError(condition, action=action, msg=story(error)) from error


def worker_error(error: BaseException) -> PythonError:
    """The error of a row that the user's code could not read or write."""
    return PythonError("PYTHON_EXCEPTION", msg=_WORKER, traceback=story(error))


def story(error: BaseException) -> str:
    """The traceback as the user should see it: from the first frame of their own code on."""
    inside = _skipped(error.__traceback__, ("headwater", "contextlib"))
    frames = _skipped(inside, ("headwater", "contextlib", "pyspark")) or inside
    return "".join(traceback.format_exception(type(error), error, frames))


def _skipped(frames: TracebackType | None, modules: tuple[str, ...]) -> TracebackType | None:
    while frames is not None and frames.tb_frame.f_globals.get("__name__", "").partition(".")[0] in modules:
        frames = frames.tb_next
    return frames


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────


class Rows:
    """Rows of the user's code as an Arrow stream that DuckDB opens once per scan.

    Args:
        schema: Spark's schema of the rows.
        iterators: calls the user's code; one iterator per partition, in order.
        source: the data source, for messages.
    """

    def __init__(self, schema: StructType, iterators: Callable[[], Iterable[Iterator[Any]]], source: Any) -> None:
        self.schema = arrow_schema(schema, "UTC")
        self.count: int | None = None
        """Rows given by the newest scan; None before the first."""
        self._spark_schema = schema
        self._iterators = iterators
        self._source = source

    def __arrow_c_schema__(self) -> object:
        return self.schema.__arrow_c_schema__()

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        reader = pa.RecordBatchReader.from_batches(self.schema, self._batches())
        return reader.__arrow_c_stream__(requested_schema)

    def _batches(self) -> Iterator[pa.RecordBatch]:
        self.count = 0
        try:
            for rows in self._iterators():
                for batch in as_batches(rows, self._spark_schema, self._source):
                    self.count += batch.num_rows
                    yield conform(batch, self._spark_schema, "UTC")
        except SparkError as error:
            raise RuntimeError(carried(error)) from error
        except (Exception, SystemExit) as error:
            raise RuntimeError(carried(worker_error(error))) from error


def as_batches(rows: Any, schema: StructType, source: Any) -> Iterator[pa.RecordBatch]:
    """What a `read` gave, as Arrow. Raises PySpark's errors for rows that do not fit the schema."""
    from pyspark.errors import PySparkRuntimeError
    from pyspark.sql.worker.plan_data_source_read import records_to_arrow_batches

    if not isinstance(rows, Iterator):
        raise PySparkRuntimeError(
            errorClass="DATA_SOURCE_INVALID_RETURN_TYPE",
            messageParameters={"type": type(rows).__name__, "name": source.name(), "supported_types": "iterator"},
        )
    yield from records_to_arrow_batches(rows, CHUNK_ROWS, schema, source)
