"""The `console` sink: prints each batch as `show()` does.

Invariant: the whole batch is computed, whatever `numRows` says; printing changes nothing.
"""

from __future__ import annotations

from headwater.plan.relations import LocalData, ShowString
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks

_RULE = "-------------------------------------------"
_SHORT = 20


class ConsoleSink:
    """Prints batches.

    Args:
        rows: how many rows of a batch are shown. truncate: longest cell; 0 for whole cells.
    """

    description = "org.apache.spark.sql.execution.streaming.ConsoleTable$"

    def __init__(self, rows: int, truncate: int, context: SinkContext) -> None:
        self._rows = rows
        self._truncate = truncate
        self._context = context

    def add_batch(self, batch: Batch) -> SinkResult:
        """Print the batch under its number."""
        rows = batch.table().rename_columns(batch.schema.names)
        batch.ran()
        shown = ShowString(LocalData(rows, batch.schema), self._rows, self._truncate, False)
        text = "".join(cell for part in self._context.session.execute(shown).batches() for cell in part[0].to_pylist())
        self._context.print("\n".join((_RULE, f"Batch: {batch.batch_id}", _RULE, text)))
        return SinkResult(rows.num_rows)

    def stop(self) -> None:
        """Nothing is held."""


class ConsoleProvider:
    """`writeStream.format("console")` with the options `numRows` (20) and `truncate` (true)."""

    output_modes: tuple[OutputMode, ...] = ("append", "update", "complete")

    def open(self, request: SinkRequest, context: SinkContext) -> ConsoleSink:
        """A sink that prints where the context says."""
        options = request.options
        truncate = _SHORT if options.flag("truncate", True) else 0
        return ConsoleSink(options.number("numRows", _SHORT) or 0, truncate, context)


sinks.register("console")(ConsoleProvider())
