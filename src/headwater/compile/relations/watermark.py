"""`withWatermark`: marks the event time column of a stream; a batch stays as it is.

Invariants: the delay is kept in the column's metadata under Spark's key, in milliseconds; months count 31 days.
"""

from __future__ import annotations

import re
from dataclasses import replace

from pyspark.sql.types import StructType, TimestampType

from headwater.compile.compiler import Compiler, on
from headwater.compile.frame import Frame
from headwater.errors import AnalysisError, RequirementError
from headwater.plan import relations as plan
from headwater.types.ddl import type_sql

DELAY = "spark.watermarkDelayMs"
_UNITS = {
    "microsecond": 0.001, "millisecond": 1, "second": 1_000, "minute": 60_000, "hour": 3_600_000,
    "day": 86_400_000, "week": 604_800_000, "month": 31 * 86_400_000, "year": 12 * 31 * 86_400_000,
}  # fmt: skip
_PART = re.compile(r"\s*([+-]?\d+(?:\.\d+)?)\s*([a-z]+?)s?(?=\s|$)", re.I)


def delay_ms(text: str) -> int:
    """Milliseconds of a delay such as `10 minutes` or `1 hour 30 seconds`. Raises CANNOT_PARSE_INTERVAL."""
    rest = re.sub(r"^\s*interval\b", "", text, flags=re.I)
    total, at = 0.0, 0
    while at < len(rest.rstrip()):
        part = _PART.match(rest, at)
        if part is None or part[2].lower() not in _UNITS:
            raise AnalysisError("CANNOT_PARSE_INTERVAL", intervalString=f"'{text}'")
        total += float(part[1]) * _UNITS[part[2].lower()]
        at = part.end()
    if at == 0:
        raise AnalysisError("CANNOT_PARSE_INTERVAL", intervalString=f"'{text}'")
    return int(total)


@on(plan.WithWatermark)
def _with_watermark(node: plan.WithWatermark, frame: Frame, compiler: Compiler) -> Frame:
    if not frame.streaming:
        return frame
    scope = compiler.scope(frame)
    found = scope.find(tuple(node.event_time.split("."))) or scope.find((node.event_time,))
    if found is None:
        raise scope.unresolved((node.event_time,))
    attribute = found[0]
    kind = attribute.type
    time = kind["end"].dataType if isinstance(kind, StructType) and "end" in kind.fieldNames() else kind
    if not isinstance(time, TimestampType):
        raise AnalysisError(
            "EVENT_TIME_IS_NOT_ON_TIMESTAMP_TYPE",
            eventName=f"`{node.event_time}`",
            eventType=f'"{type_sql(attribute.type)}"',
        )
    delay = delay_ms(node.delay)
    if delay < 0:
        raise RequirementError(f"delay threshold ({node.delay}) should not be negative.")
    marked = replace(attribute, metadata={**attribute.metadata, DELAY: delay})
    return frame.renamed([marked if a.sql == marked.sql else a for a in frame.attributes])
