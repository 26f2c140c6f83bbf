"""The command that starts a stream: `df.writeStream…start()`.

Invariant: triggers and modes are checked here, so that a wrong one fails before anything starts.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.decode.base import Decoder, command
from headwater.connect.decode.functions import streaming_function
from headwater.connect.decode.leaves import options
from headwater.errors import IllegalArgumentError
from headwater.plan.commands import StartStream, Trigger
from headwater.plan.identifiers import parse_name

_MODES = ("append", "update", "complete")


@command("write_stream_operation_start")
def start_stream(decoder: Decoder, message: Any) -> StartStream:
    """`writeStream.start`, `toTable`, `foreach`, `foreachBatch`."""
    target = message.WhichOneof("sink_destination")
    return StartStream(
        decoder.relation(message.input),
        _format(decoder, message),
        options(message.options),
        output_mode(message.output_mode),  # type: ignore[arg-type]
        _trigger(message),
        message.query_name or None,
        path=message.path if target == "path" else None,
        table=parse_name(message.table_name) if target == "table_name" else (),
        partition_by=tuple(message.partitioning_column_names),
        cluster_by=tuple(message.clustering_column_names),
        foreach=streaming_function(message.foreach_writer) if message.HasField("foreach_writer") else None,
        foreach_batch=streaming_function(message.foreach_batch) if message.HasField("foreach_batch") else None,
    )


def _format(decoder: Decoder, message: Any) -> str:
    if message.HasField("foreach_batch"):
        return "foreachBatch"
    if message.HasField("foreach_writer"):
        return "foreach"
    return message.format or decoder.default_format


def output_mode(text: str) -> str:
    """`append` (the default), `update`, `complete`. Raises STREAMING_OUTPUT_MODE.INVALID."""
    mode = text.lower() or "append"
    if mode not in _MODES:
        raise IllegalArgumentError("STREAMING_OUTPUT_MODE.INVALID", outputMode=text)
    return mode


def _trigger(message: Any) -> Trigger:
    kind = message.WhichOneof("trigger")
    if kind == "processing_time_interval":
        return Trigger("processing_time", interval_ms(message.processing_time_interval))
    if kind == "continuous_checkpoint_interval":
        return Trigger("continuous", interval_ms(message.continuous_checkpoint_interval))
    if kind == "real_time_batch_duration":
        return Trigger("real_time", interval_ms(message.real_time_batch_duration))
    return Trigger(kind or "default")


def interval_ms(text: str) -> int:
    """Milliseconds of interval text such as `10 seconds`. Raises INVALID_INTERVAL_FORMAT."""
    from headwater.sql.intervals import interval

    value: int = interval([(text, None)], None).value
    return value // 1000
