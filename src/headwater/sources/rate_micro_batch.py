"""The source `rate-micro-batch`: the same number of rows in every batch, times that move by a fixed step.

Invariant: what a batch holds depends on its offsets alone, never on the clock.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql.types import LongType, StructField, StructType, TimestampType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import IllegalArgumentError
from headwater.io.formats import FormatOptions
from headwater.sources.base import BatchInput, Offset, ReadLimit, SourceContext, SourceRequest, sources

SCHEMA = StructType([StructField("timestamp", TimestampType(), True), StructField("value", LongType(), True)])


@dataclass(frozen=True)
class MicroBatchOptions:
    """`rowsPerBatch` (required), `startTimestamp` and `advanceMillisPerBatch` in milliseconds, `numPartitions`."""

    rows: int
    start_ms: int
    step_ms: int
    partitions: int

    @classmethod
    def of(cls, options: FormatOptions) -> MicroBatchOptions:
        """From reader options. Raises for values that cannot be."""
        rows = options.number("rowsPerBatch", 0) or 0
        if rows <= 0:
            raise _refused("rowsPerBatch", rows, "it must be positive")
        start = options.number("startTimestamp", 0) or 0
        step = options.number("advanceMillisPerBatch", 1000)
        partitions = options.number("numPartitions", 1) or 1
        for name, value in (("startTimestamp", start), ("advanceMillisPerBatch", step or 0)):
            if value < 0:
                raise _refused(name, value, "it must not be negative")
        return cls(rows, start, step if step is not None else 1000, partitions)


class MicroBatchProvider:
    """The source `rate-micro-batch`."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:  # noqa: ARG002
        """`timestamp, value`."""
        if request.schema is not None:
            raise IllegalArgumentError("SOURCE_TAKES_NO_SCHEMA", source=request.format)
        MicroBatchOptions.of(request.options)
        return SCHEMA

    def open(self, request: SourceRequest, context: SourceContext) -> MicroBatchStream:  # noqa: ARG002
        """See `SourceProvider.open`."""
        return MicroBatchStream(MicroBatchOptions.of(request.options))


sources.register("rate-micro-batch")(MicroBatchProvider())


class MicroBatchStream:
    """A running source."""

    def __init__(self, options: MicroBatchOptions) -> None:
        self.schema = SCHEMA
        self._options = options
        self.description = (
            f"RatePerMicroBatchStream[rowsPerBatch={options.rows}, numPartitions={options.partitions}, "
            f"startTimestamp={options.start_ms}, advanceMsPerBatch={options.step_ms}]"
        )
        self._bounded = False
        self._given = False

    def initial_offset(self) -> Offset | None:
        """No rows yet."""
        return _text(0, self._options.start_ms)

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:  # noqa: ARG002
        """One batch more; with `availableNow` one in all."""
        offset, timestamp = _parts(start or _text(0, self._options.start_ms))
        if self._bounded and self._given:
            return start
        self._given = True
        return _text(offset + self._options.rows, timestamp + self._options.step_ms)

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:  # noqa: ARG002
        """All rows carry the time the batch starts at."""
        low, timestamp = _parts(start or _text(0, self._options.start_ms))
        high, _ = _parts(end)
        rows = exp.Anonymous(this="range", expressions=[exp.convert(low), exp.convert(high)])
        alias = exp.TableAlias(this=exp.to_identifier("r"), columns=[exp.to_identifier("value", quoted=True)])
        moment = exp.Anonymous(this="make_timestamptz", expressions=[exp.convert(timestamp * 1000)])
        query = exp.select(
            exp.alias_(moment, "timestamp", quoted=True), exp.column("value", table="r", quoted=True)
        ).from_(exp.Table(this=rows, alias=alias))
        return BatchInput(query, rows=high - low)

    def prepare_available_now(self) -> None:
        """There is no end: one batch."""
        self._bounded = True

    def commit(self, end: Offset) -> None:
        """Nothing is kept."""

    def reported_latest(self) -> Offset | None:
        """None, as in Spark."""
        return None

    def metrics(self) -> Mapping[str, str]:
        """None of its own."""
        return {}

    def stop(self) -> None:
        """Nothing is held."""


def _text(offset: int, timestamp: int) -> Offset:
    return f'{{"offset":{offset},"timestamp":{timestamp}}}'


def _parts(offset: Offset) -> tuple[int, int]:
    body = json.loads(offset)
    return int(body["offset"]), int(body["timestamp"])


def _refused(option: str, value: object, reason: str) -> IllegalArgumentError:
    return IllegalArgumentError("INVALID_SOURCE_OPTION", option=option, value=value, reason=reason)
