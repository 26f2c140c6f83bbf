"""Users' Python data sources as sinks: `df.writeStream.format(name)` and `df.write.format(name)`.

All rows of a batch are one task: one `write`, one commit message.

Invariants: `commit` comes after a `write` that has returned, on a writer of its own, as in Spark, where it runs in
another process; after any failure `abort` is told and the batch is not done; a batch that is run again comes with the
same batch id, so that the user's commit can be idempotent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.io.python_data_source import (
    CHUNK_ROWS,
    PythonDataSource,
    checked,
    failing,
    mismatch,
    options_of,
    worker_error,
)
from headwater.io.python_task import running
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult
from headwater.types.arrow import conform

_TABLE = "org.apache.spark.sql.execution.datasources.v2.python.PythonTable"
_STREAM_WRITERS = "an instance of DataSourceStreamWriter or DataSourceStreamArrowWriter"


@dataclass(frozen=True)
class Task:
    """The rows to write: Arrow batches under Spark's schema."""

    batches: Iterator[pa.RecordBatch]
    schema: StructType
    batch_id: int | None = None
    failures: list[Exception] = field(default_factory=list)
    """What the rows themselves raised, whatever the user's code made of it."""

    def run(self, writer: Any) -> Any:
        """The commit message of the user's `write`. Raises PYTHON_EXCEPTION, and what the rows themselves raise."""
        from pyspark.sql.datasource import WriterCommitMessage

        batches = self._guarded()
        try:
            with running(self.batch_id):
                message = writer.write(batches if _takes_arrow(writer) else self._rows(batches))
            for _ in batches:
                pass  # what the writer left: the query must have run all the same
            checked(message, WriterCommitMessage, "'WriterCommitMessage' as the return type of the `write` method")
        except (Exception, SystemExit) as error:
            if not self.failures:
                raise worker_error(error) from error
        if self.failures:
            raise self.failures[0]
        return message

    def _guarded(self) -> Iterator[pa.RecordBatch]:
        try:
            yield from self.batches
        except Exception as error:
            self.failures.append(error)
            raise

    def _rows(self, batches: Iterator[pa.RecordBatch]) -> Iterator[Any]:
        from pyspark.sql.conversion import ArrowTableToRowsConversion

        for batch in batches:
            yield from ArrowTableToRowsConversion.convert(pa.Table.from_batches([batch]), self.schema)


def _takes_arrow(writer: Any) -> bool:
    from pyspark.sql import datasource

    names = ("DataSourceArrowWriter", "DataSourceStreamArrowWriter")
    return isinstance(writer, tuple(getattr(datasource, name) for name in names if hasattr(datasource, name)))


def write_all(task: Task, open_writer: Callable[[], Any], *arguments: Any) -> None:
    """Write, then commit with the messages and `arguments`, or abort. Raises what the user's code raised."""
    messages: list[Any] = [None]
    try:
        with failing("plan", "write"):
            writer = open_writer()
        messages = [task.run(writer)]
        with failing("commit or abort", "write"):
            open_writer().commit(messages, *arguments)
    except (Exception, SystemExit):
        with suppress(Exception, SystemExit):  # the first failure is the one to tell
            open_writer().abort(messages, *arguments)
        raise


def write_batch(registered: PythonDataSource, options: dict[str, str], overwrite: bool, task: Task) -> None:
    """`df.write.format(name).save()`."""
    from pyspark.sql.datasource import DataSourceWriter

    source = registered.open(options)

    def make() -> Any:
        return checked(source.writer(task.schema, overwrite), DataSourceWriter, "an instance of DataSourceWriter")

    write_all(task, _lasting(make))


def _lasting(make: Callable[[], Any]) -> Callable[[], Any]:
    """A batch commits on the writer that wrote."""
    made: list[Any] = []

    def writer() -> Any:
        if not made:
            made.append(make())
        return made[0]

    return writer


class PythonSink:
    """One running query's writer."""

    def __init__(self, source: Any, request: SinkRequest, time_zone: str) -> None:
        self.description = f"{_TABLE}@{id(self):x}"
        self._source = source
        self._request = request
        self._time_zone = time_zone
        self._rows = 0

    def add_batch(self, batch: Batch) -> SinkResult:
        """Write and commit the batch. Raises PYTHON_EXCEPTION, PYTHON_DATA_SOURCE_ERROR."""
        self._rows = 0
        write_all(Task(self._batches(batch), batch.schema, batch.batch_id), self._writer, batch.batch_id)
        return SinkResult(self._rows)

    def stop(self) -> None:
        """Nothing is held."""

    def _writer(self) -> Any:
        from pyspark.sql.datasource import DataSourceStreamWriter

        writer = self._source.streamWriter(self._request.schema, self._request.output_mode == "complete")
        if not isinstance(writer, DataSourceStreamWriter):
            raise mismatch(_STREAM_WRITERS, writer)
        return writer

    def _batches(self, batch: Batch) -> Iterator[pa.RecordBatch]:
        for piece in batch.batches(CHUNK_ROWS):
            self._rows += piece.num_rows
            yield conform(piece, batch.schema, self._time_zone)
        batch.ran()


class PythonSinkProvider:
    """A registered data source, for writing streams."""

    output_modes: tuple[OutputMode, ...] = ("append", "complete")

    def __init__(self, registered: PythonDataSource) -> None:
        self._registered = registered

    def open(self, request: SinkRequest, context: SinkContext) -> PythonSink:
        """An instance with the query's options. Raises PYTHON_DATA_SOURCE_ERROR."""
        paths: Sequence[str] = (request.path,) if request.path else ()
        options = options_of({**request.options, **_named(context)}, paths)
        return PythonSink(self._registered.open(options), request, context.session.time_zone)


def _named(context: SinkContext) -> dict[str, str]:
    return {"queryname": context.query_name} if context.query_name else {}
