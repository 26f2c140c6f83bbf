"""Two hand-filled sources whose rows arrive together, and what each batch over them did.

Invariant: the rows of one step are in one batch, whenever the engine looks.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from pyspark.sql.types import IntegerType, StringType, StructField, StructType, TimestampType

from headwater.plan.relations import Join, Relation, SubqueryAlias, WithWatermark
from headwater.sql import parse_expression
from support.stream import StreamTest

SCHEMA = StructType(
    [StructField("k", IntegerType()), StructField("ts", TimestampType()), StructField("v", StringType())]
)
Row = tuple[int | None, str | None, str]
"""k, time of 2024-01-01 (`10:05`), v."""


class Done(NamedTuple):
    """What a batch did: the `v`s of the rows it gave (every third column), and its state's counters."""

    rows: list[tuple[Any, ...]]
    total: int
    updated: int
    removed: int
    dropped: int


class TwoStreams(StreamTest):
    """A `StreamTest` over sources `a` and `b` with the columns of `SCHEMA`."""

    def __init__(self, folder: Path, **settings: str) -> None:
        super().__init__(folder, SCHEMA, ("a", "b"))
        for key, value in settings.items():
            self.session.settings.set(key.replace("__", "."), value)
        self._lock = threading.Lock()
        self._seen = -1
        self._hold()

    def _hold(self) -> None:
        """The second source shows what it had when the first one was asked."""
        first, second = self.sources
        latest = first.latest_offset

        def held(*arguments: Any) -> Any:
            with self._lock:
                second.end = len(second.chunks)
                return latest(*arguments)

        first.latest_offset = held  # type: ignore[method-assign]

    def arrive(self, left: Sequence[Row], right: Sequence[Row]) -> TwoStreams:
        """Rows of both sources, for one batch."""
        self.steps.append(f"arrive {left} {right}")
        with self._lock:
            for source, rows in zip(self.sources, (left, right), strict=True):
                if rows:
                    source.add([{"k": k, "ts": moment(at), "v": v} for k, at, v in rows])
        return self

    def done(self) -> list[Done]:
        """Process all there is; the batches since the last call."""
        self.running.process_all_available()
        found = {}
        for text in self.running.recent_progress:
            progress = json.loads(text)
            if progress["batchId"] > self._seen and progress["stateOperators"]:
                found[progress["batchId"]] = progress["stateOperators"][0]
        self._seen = max(self._seen, *found) if found else self._seen
        return [self._done(batch, operator) for batch, operator in sorted(found.items())]

    def _done(self, batch: int, operator: dict[str, Any]) -> Done:
        rows = [row[2::3] for row in self.sink.batches.get(batch, [])]
        counters = ("numRowsTotal", "numRowsUpdated", "numRowsRemoved", "numRowsDroppedByWatermark")
        return Done(sorted(rows, key=str), *(operator[name] for name in counters))


def moment(at: str | None) -> datetime | None:
    """A time of 2024-01-01: `10:05`."""
    if at is None:
        return None
    hours, minutes = map(int, at.split(":"))
    return datetime(2024, 1, 1, tzinfo=UTC) + timedelta(hours=hours, minutes=minutes)


def joined(
    kind: str, condition: str, watermarks: Iterable[str] = ("10 minutes", "10 minutes")
) -> Callable[[Relation, Relation], Relation]:
    """`a JOIN b ON condition`, each side with a watermark on `ts` (empty: without)."""
    left, right = watermarks

    def build(a: Relation, b: Relation) -> Relation:
        sides = [WithWatermark(s, "ts", delay) if delay else s for s, delay in ((a, left), (b, right))]
        return Join(SubqueryAlias(sides[0], "a"), SubqueryAlias(sides[1], "b"), kind, parse_expression(condition))  # type: ignore[arg-type]

    return build
