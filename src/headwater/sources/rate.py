"""The source `rate`: so many rows a second of `timestamp` and a counting `value`, to try things out.

Offsets are whole seconds since the query's first start, which is kept in the source's log as Spark keeps it.

Invariants: second n always gives the same values and timestamps; `value` counts from 0 without gaps.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pyspark.sql.types import LongType, StructField, StructType, TimestampType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import IllegalArgumentError
from headwater.io.checksum import create_checked, damaged, read_checked
from headwater.io.formats import FormatOptions
from headwater.settings import parse_duration_ms
from headwater.sources.base import BatchInput, Offset, ReadLimit, SourceContext, SourceRequest, sources

SCHEMA = StructType([StructField("timestamp", TimestampType(), True), StructField("value", LongType(), True)])


@dataclass(frozen=True)
class RateOptions:
    """Rows a second, seconds until that rate is reached, and Spark's number of partitions (no effect)."""

    rows_per_second: int
    ramp_up_seconds: int
    partitions: int | None

    @classmethod
    def of(cls, options: FormatOptions) -> RateOptions:
        """From reader options. Raises for values that are not positive."""
        rows = options.number("rowsPerSecond", 1) or 0
        if rows <= 0:
            raise _refused("rowsPerSecond", rows, "it must be positive")
        ramp = parse_duration_ms(_seconds(options.text("rampUpTime", "0s"))) // 1000
        if ramp < 0:
            raise _refused("rampUpTime", ramp, "it must not be negative")
        partitions = options.number("numPartitions")
        if partitions is not None and partitions <= 0:
            raise _refused("numPartitions", partitions, "it must be positive")
        return cls(rows, ramp, partitions)

    def rows_until(self, second: int) -> int:
        """How many rows the first `second` seconds give: slowly more while ramping up, then the full rate."""
        slope = self.rows_per_second // (self.ramp_up_seconds + 1)
        steep = min(second, self.ramp_up_seconds)
        ramped = slope * steep * (steep + 1) // 2
        return ramped + max(second - self.ramp_up_seconds, 0) * self.rows_per_second


class RateProvider:
    """The source `rate`."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:  # noqa: ARG002
        """`timestamp, value`."""
        if request.schema is not None:
            raise IllegalArgumentError("SOURCE_TAKES_NO_SCHEMA", source=request.format)
        RateOptions.of(request.options)
        return SCHEMA

    def open(self, request: SourceRequest, context: SourceContext) -> RateStream:
        """See `SourceProvider.open`."""
        return RateStream(RateOptions.of(request.options), context)


sources.register("rate")(RateProvider())


class RateStream:
    """A running rate source."""

    def __init__(self, options: RateOptions, context: SourceContext) -> None:
        self.schema = SCHEMA
        self._options, self._context = options, context
        partitions = "default" if options.partitions is None else options.partitions
        self.description = (
            f"RateStreamV2[rowsPerSecond={options.rows_per_second}, "
            f"rampUpTimeSeconds={options.ramp_up_seconds}, numPartitions={partitions}"
        )  # Spark prints it without the closing bracket
        self._created_ms = self._creation_time()
        self._end: int | None = None

    def initial_offset(self) -> Offset | None:
        """Second 0."""
        return "0"

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:  # noqa: ARG002
        """The seconds that have passed; the clock going back moves nothing."""
        passed = self._end if self._end is not None else self._passed()
        return str(max(passed, int(start or 0)))

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:  # noqa: ARG002
        """One row per value, times spread evenly over the seconds."""
        first, last = int(start or 0), int(end)
        low, high = self._options.rows_until(first), self._options.rows_until(last)
        count = max(high - low, 1)
        step_us = (last - first) * 1_000_000 / count
        value = exp.column("value", table="r", quoted=True)
        rank = exp.Paren(this=exp.Sub(this=value, expression=exp.convert(low)))
        moved = exp.Round(this=exp.Mul(this=exp.convert(step_us), expression=rank))
        micros = exp.Add(
            this=exp.convert((self._created_ms + first * 1000) * 1000), expression=exp.cast(moved, "BIGINT")
        )
        return BatchInput(range_rows(micros, (low, high)), rows=high - low)

    def prepare_available_now(self) -> None:
        """Fix the end at the seconds passed now."""
        self._end = self._passed()

    def commit(self, end: Offset) -> None:
        """Nothing is kept."""

    def reported_latest(self) -> Offset | None:
        """The seconds that have passed."""
        return str(self._passed())

    def metrics(self) -> Mapping[str, str]:
        """None of its own."""
        return {}

    def stop(self) -> None:
        """Nothing is held."""

    def _passed(self) -> int:
        return max(self._context.clock.now_ms() - self._created_ms, 0) // 1000

    def _creation_time(self) -> int:
        """The first start, from the log; written at the first start."""
        path = f"{cast(str, self._context.log_path)}/0"
        storage = self._context.storage
        if not storage.exists(path):
            create_checked(storage, path, f"v1\n{self._context.clock.now_ms()}".encode())
        try:
            return int(read_checked(storage, path).split(b"\n")[1])
        except (IndexError, ValueError) as cause:
            raise damaged(path, "it holds no start time", "Restore it from a copy, or use a new checkpoint.") from cause


def range_rows(micros: exp.Expr, bounds: tuple[int, int]) -> exp.Select:
    """Rows of `timestamp` (from `micros`, an expression over `r.value`) and `value` within bounds."""
    low, high = (exp.convert(bound) for bound in bounds)
    rows = exp.Anonymous(this="range", expressions=[low, high])
    table = exp.Table(
        this=rows, alias=exp.TableAlias(this=exp.to_identifier("r"), columns=[exp.to_identifier("value", quoted=True)])
    )
    moment = exp.cast(exp.Anonymous(this="make_timestamptz", expressions=[micros]), "TIMESTAMPTZ")
    return exp.select(exp.alias_(moment, "timestamp", quoted=True), exp.column("value", table="r", quoted=True)).from_(
        table
    )


def _seconds(text: str) -> str:
    """A bare number is seconds here."""
    return f"{text}s" if text.strip().isdecimal() else text


def _refused(option: str, value: object, reason: str) -> IllegalArgumentError:
    return IllegalArgumentError("INVALID_SOURCE_OPTION", option=option, value=value, reason=reason)
