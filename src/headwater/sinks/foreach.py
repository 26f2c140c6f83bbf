"""The `foreach` sink: each row of a batch is handed to the user's function or writer object, in this process.

A writer's `open(partition, epoch)` is called once a batch with partition 0 (one machine) and the batch id.

Invariants: the batch counts as done only when every row was processed and `close` has returned; a replayed batch
comes with the same epoch, so that `open` can skip it.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from headwater.duck import DuckError
from headwater.errors import SparkError
from headwater.io.python_task import running
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks
from headwater.types.arrow import conform

_BATCH_ROWS = 10_000


class ForeachSink:
    """One running query's function."""

    description = "ForeachWriterTable"

    def __init__(self, function: Callable[[int, Iterator[Any]], object], time_zone: str) -> None:
        self._function = function
        self._time_zone = time_zone

    def add_batch(self, batch: Batch) -> SinkResult:
        """Hand over the rows. Raises FOREACH_USER_FUNCTION_ERROR."""
        rows = self._rows(batch)
        try:
            with running(batch.batch_id):
                self._function(0, rows)
        except DuckError:
            raise
        except (Exception, SystemExit) as error:
            text = "".join(traceback.format_exception(error))
            raise SparkError("FOREACH_USER_FUNCTION_ERROR", reason=f"{error}\n\n{text}") from error
        for _ in rows:
            pass  # a writer whose `open` says no leaves its rows; the query must have run all the same
        return SinkResult()

    def stop(self) -> None:
        """Nothing is held."""

    def _rows(self, batch: Batch) -> Iterator[Any]:
        from pyspark.sql.conversion import ArrowTableToRowsConversion

        for piece in batch.batches(_BATCH_ROWS):
            table = conform(pa.Table.from_batches([piece]), batch.schema, self._time_zone)
            yield from ArrowTableToRowsConversion.convert(table, batch.schema)
        batch.ran()


class ForeachProvider:
    """`writeStream.foreach(function_or_writer)`."""

    output_modes: tuple[OutputMode, ...] = ("append", "update", "complete")

    def open(self, request: SinkRequest, context: SinkContext) -> ForeachSink:
        """Unpickle the function."""
        function, *_ = pickle.loads(request.function.command)
        return ForeachSink(function, context.session.time_zone)


sinks.register("foreach")(ForeachProvider())
