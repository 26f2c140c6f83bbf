"""The `memory` sink: the rows as a temporary view named after the query, for looking at small results.

Invariants: the view shows whole batches only; a batch id that the sink has seen adds nothing; nothing outlives the
session.
"""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.catalog import Catalog, View
from headwater.errors import AnalysisError
from headwater.plan.relations import LocalData
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks
from headwater.types.arrow import arrow_schema


class MemorySink:
    """Rows of one query.

    Args:
        name: the query's name, and the view's. schema: the rows' columns.
    """

    description = "MemorySink"

    def __init__(self, name: str, schema: StructType, catalog: Catalog) -> None:
        self._name = name
        self._schema = schema
        self._catalog = catalog
        self._last_batch = -1
        self._publish(arrow_schema(schema, "UTC").empty_table())

    def add_batch(self, batch: Batch) -> SinkResult:
        """Add the rows to the view; `complete` puts them in place of what was there."""
        if batch.batch_id <= self._last_batch:
            return SinkResult(0)
        rows = batch.table().rename_columns(self._schema.names)
        batch.ran()
        first = self._last_batch < 0 or batch.output_mode == "complete"
        self._publish(rows if first else pa.concat_tables([self._rows, rows]))
        self._last_batch = batch.batch_id
        return SinkResult(rows.num_rows)

    def stop(self) -> None:
        """The view stays, as in Spark."""

    def _publish(self, rows: pa.Table) -> None:
        self._rows = rows
        self._catalog.add_view(View(self._name, LocalData(rows, self._schema)), replace=True)


class MemoryProvider:
    """`writeStream.format("memory").queryName(name)`."""

    output_modes: tuple[OutputMode, ...] = ("append", "update", "complete")

    def open(self, request: SinkRequest, context: SinkContext) -> MemorySink:
        """An empty view. Raises if the query has no name."""
        if not context.query_name:
            raise AnalysisError("_LEGACY_ERROR_TEMP_1194")
        return MemorySink(context.query_name, request.schema, context.catalog)


sinks.register("memory")(MemoryProvider())
