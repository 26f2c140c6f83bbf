"""The `noop` sink: runs the batch and keeps nothing.

Invariant: every row is computed, so a failing row fails the batch as it would with any sink.
"""

from __future__ import annotations

from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks

_ROWS = 131_072


class NoopSink:
    """See the module."""

    description = "NoopTable"

    def add_batch(self, batch: Batch) -> SinkResult:
        """Compute the rows and count them."""
        rows = sum(part.num_rows for part in batch.batches(_ROWS))
        batch.ran()
        return SinkResult(rows)

    def stop(self) -> None:
        """Nothing is held."""


class NoopProvider:
    """`writeStream.format("noop")`."""

    output_modes: tuple[OutputMode, ...] = ("append", "update", "complete")

    def open(self, _request: SinkRequest, _context: SinkContext) -> NoopSink:
        """A sink that keeps nothing."""
        return NoopSink()


sinks.register("noop")(NoopProvider())
