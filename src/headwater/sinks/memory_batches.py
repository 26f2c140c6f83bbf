"""The sink `headwater-memory`: batches that a test of this process looks at (`headwater.testing.run_stream`).

Invariant: a batch that is written again takes the place of its first version; batches outlive the query.
"""

from __future__ import annotations

import threading

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.errors import IllegalArgumentError
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks
from headwater.types.arrow import conform


class MemoryBatches:
    """The batches of one test, by id."""

    def __init__(self) -> None:
        self.schema = StructType()
        self._batches: dict[int, pa.Table] = {}
        self._complete = False
        self._lock = threading.Lock()

    def put(self, batch: Batch, rows: pa.Table) -> None:
        """Enter a batch."""
        with self._lock:
            self.schema = batch.schema
            self._complete = batch.output_mode == "complete"
            self._batches[batch.batch_id] = rows

    def last_id(self) -> int:
        """The newest batch; -1 if there is none."""
        with self._lock:
            return max(self._batches, default=-1)

    def after(self, batch_id: int) -> list[pa.Table]:
        """The batches after that one: what a table that the query fills would hold; of complete mode, the newest."""
        with self._lock:
            ids = sorted(each for each in self._batches if each > batch_id)
            return [self._batches[each] for each in (ids[-1:] if self._complete else ids)]


memory_batches: dict[str, MemoryBatches] = {}
"""The collected batches of this process by the sink's option `id`."""


class MemoryBatchesSink:
    """One running query's end."""

    description = "MemorySink"

    def __init__(self, batches: MemoryBatches, time_zone: str) -> None:
        self._batches = batches
        self._time_zone = time_zone

    def add_batch(self, batch: Batch) -> SinkResult:
        """Keep the batch."""
        rows = conform(batch.table(), batch.schema, self._time_zone)
        batch.ran()
        self._batches.put(batch, rows)
        return SinkResult(rows.num_rows)

    def stop(self) -> None:
        """The batches stay."""


class MemoryBatchesProvider:
    """`writeStream.format("headwater-memory").option("id", …)`."""

    output_modes: tuple[OutputMode, ...] = ("append", "update", "complete")

    def open(self, request: SinkRequest, context: SinkContext) -> MemoryBatchesSink:
        """The batches of the id, which must be there."""
        name = request.options.text("id")
        if name not in memory_batches:
            reason = "this process collects no batches under that id"
            raise IllegalArgumentError("INVALID_SOURCE_OPTION", option="id", value=name, reason=reason)
        return MemoryBatchesSink(memory_batches[name], context.session.time_zone)


sinks.register("headwater-memory")(MemoryBatchesProvider())
