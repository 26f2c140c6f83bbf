"""The start of a stream, as the genuine client writes it."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.connect.decode.base import Decoder
from headwater.connect.decode.streams import interval_ms
from headwater.errors import SparkError
from headwater.plan.commands import StartStream, Trigger
from support.client import offline


def started(**writes: Any) -> StartStream:
    spark = offline()
    writer = spark.readStream.format("rate").load().writeStream
    for name, value in writes.items():
        writer = getattr(writer, name)(**value) if isinstance(value, dict) else getattr(writer, name)(value)
    command = Decoder().command(writer._write_stream.command(spark.client))
    assert isinstance(command, StartStream)
    return command


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"processingTime": "2 seconds"}, Trigger("processing_time", 2000)),
        ({"availableNow": True}, Trigger("available_now")),
        ({"once": True}, Trigger("once")),
        ({"continuous": "1 second"}, Trigger("continuous", 1000)),
    ],
)
def test_triggers(given: dict[str, Any], expected: Trigger) -> None:
    assert started(trigger=given).trigger == expected


def test_without_a_trigger_batches_follow_each_other() -> None:
    assert started(format="noop").trigger == Trigger()


def test_name_mode_format_and_options() -> None:
    command = started(format="memory", queryName="q", outputMode="complete", options={"a": "b"})
    assert (command.format, command.query_name, command.output_mode) == ("memory", "q", "complete")
    assert command.options == (("a", "b"),)


def test_a_function_decides_the_format() -> None:
    command = started(foreachBatch=lambda _frame, _batch_id: None)
    assert command.format == "foreachBatch"
    assert command.foreach_batch is not None
    assert command.foreach_batch.command
    assert started(foreach=lambda _row: None).format == "foreach"


def test_a_wrong_mode_is_refused() -> None:
    with pytest.raises(SparkError, match="STREAMING_OUTPUT_MODE"):
        started(outputMode="fancy")


@pytest.mark.parametrize(
    ("text", "expected"), [("10 seconds", 10_000), ("interval 1 minute 30 seconds", 90_000), ("0 seconds", 0)]
)
def test_intervals(text: str, expected: int) -> None:
    assert interval_ms(text) == expected


def test_a_broken_interval_is_refused() -> None:
    with pytest.raises(SparkError):
        interval_ms("soon")
