"""Observed metrics of a stream (`df.observe`): aggregates over what passes a place of the plan, once per batch.

An `observe` node keeps its batch in a table, as a watermark node does: the metrics and everything above it read that,
and no source is read twice.

Invariants: a batch without rows gives what aggregates give over no rows; values are JSON as Spark's `Row.json` has
them.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructType, TimestampType
from sqlglot import exp

from headwater.compile.resolved import Resolved
from headwater.duck import Connection, arrow, sql_text
from headwater.streaming.statements import create, run
from headwater.types.arrow import conform


@dataclass(frozen=True)
class ObserveNode:
    """One `observe` of a plan.

    Attributes:
        number: counts from 0 in plan order; names its table `observe_<number>`.
        name: as the user gave it.
        query: the rows, over the streams' views.
        metrics: one row of metrics, over the node's table.
        time_zone: of timestamps among the metrics.
    """

    number: int
    name: str
    query: exp.Query
    metrics: Resolved
    time_zone: str

    @property
    def output(self) -> str:
        """The table of the batch's rows."""
        return f"observe_{self.number}"

    def prepare(self, connection: Connection) -> ObserveStage:
        """The node at work on a connection."""
        return ObserveStage(self, connection)


class ObserveStage:
    """A node's table and the two statements a batch costs."""

    def __init__(self, node: ObserveNode, connection: Connection) -> None:
        self.node = node
        self._connection = connection
        self._fill = create(node.output, node.query)
        run(connection, self._fill)
        self._look = sql_text(node.metrics.query)
        self.values: Mapping[str, Any] = {}

    def advance(self, ran: Callable[[], None]) -> None:
        """Keep the batch's rows, and compute their metrics."""
        run(self._connection, self._fill)
        ran()
        schema = self.node.metrics.schema
        zone = self.node.time_zone
        columns = conform(arrow(self._connection, self._look), schema, zone).columns
        self.values = {
            field.name: json_value(column[0].as_py(), field.dataType, zone)
            for field, column in zip(schema.fields, columns, strict=True)
        }


def json_value(value: Any, kind: DataType, time_zone: str) -> Any:
    """A value as Spark's `Row.json` writes it, for `json.dumps`."""
    if value is None:
        return None
    if isinstance(kind, StructType):
        return {field.name: json_value(value[field.name], field.dataType, time_zone) for field in kind.fields}
    if isinstance(kind, ArrayType):
        return [json_value(one, kind.elementType, time_zone) for one in value]
    if isinstance(kind, MapType):
        return _map(value, kind, time_zone)
    return _atomic(value, kind, time_zone)


def _map(pairs: Any, kind: MapType, time_zone: str) -> Any:
    found = [
        (json_value(key, kind.keyType, time_zone), json_value(item, kind.valueType, time_zone)) for key, item in pairs
    ]
    if isinstance(kind.keyType, StringType):
        return dict(found)
    return [{"key": key, "value": item} for key, item in found]


def _atomic(value: Any, kind: DataType, time_zone: str) -> Any:
    if isinstance(value, datetime):
        local = value.astimezone(ZoneInfo(time_zone)) if isinstance(kind, TimestampType) else value
        fraction = f".{local.microsecond:06d}".rstrip("0").rstrip(".")
        return f"{local:%Y-%m-%d %H:%M:%S}{fraction}"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Decimal):
        return (
            int(value) if value == value.to_integral_value() and kind.simpleString().endswith(",0)") else float(value)
        )
    if isinstance(value, float) and not math.isfinite(value):
        return {math.inf: "Infinity", -math.inf: "-Infinity"}.get(value, "NaN")
    return value if isinstance(value, bool | int | float | str) else str(value)
