"""The table as a stream finds it, by the time of its events and not by file, so that no row is late for a watermark.

The rows are cut into intervals of event time by the least times of the files (statistics); a batch takes one interval.

Invariants: every row is in exactly one interval, whatever the statistics say and however the cuts are chosen; rows
without a time are in the last one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from pyspark.sql.types import StructField, TimestampNTZType, TimestampType
from sqlglot import exp

from headwater.errors import unsupported
from headwater.lake.actions import AddFile, Metadata
from headwater.lake.change_feed import instant
from headwater.lake.mapping import mode_of, physical_name
from headwater.lake.snapshot import read_files
from headwater.types.duck import to_duck


@dataclass(frozen=True)
class EventOrder:
    """The order of one table's rows by the time in `column`. Times are milliseconds since the epoch."""

    path: str
    metadata: Metadata
    column: StructField

    @classmethod
    def of(cls, path: str, metadata: Metadata, name: str | None) -> EventOrder | None:
        """By the column of that name; None if the table has no such column of times."""
        for field in metadata.schema.fields:
            if name is not None and field.name.lower() == name.lower():
                return (
                    cls(path, metadata, field) if isinstance(field.dataType, TimestampType | TimestampNTZType) else None
                )
        return None

    def cut(self, files: Sequence[AddFile], after: int | None, take: Callable[[AddFile], bool]) -> int | None:
        """Where the interval that begins at `after` (None: with the first row) ends; None: with the last row.

        `take` says of one file after the other, by their first times, whether the batch has room for it.
        """
        begun = sorted((start, file.path, file) for file in files if (start := self._bounds(file)[0]) is not None)
        full, least = False, after
        for start, _, file in begun:
            if after is not None and start < after:
                continue
            least = start if least is None else least
            full = full or not take(file)
            if full and start > least:
                return start
        return None

    def waiting(self, files: Sequence[AddFile], after: int | None) -> list[AddFile]:
        """The files that may hold rows at or after a time."""
        return [file for file in files if self._overlaps(file, after, None)]

    def rows(self, files: Sequence[AddFile], first: int | None, last: int | None) -> exp.Query:
        """The rows of the interval from `first` up to, not including, `last`."""
        some = [file for file in files if self._overlaps(file, first, last)]
        query = exp.select("*").from_(
            exp.Subquery(
                this=read_files(self.path, self.metadata, some), alias=exp.TableAlias(this=exp.to_identifier("r_"))
            )
        )
        time: exp.Expr = exp.column(self.column.name, "r_", quoted=True)
        missing = exp.Is(this=time.copy(), expression=exp.Null())
        conditions: list[exp.Expr] = []
        if first is not None:
            conditions.append(exp.GTE(this=time.copy(), expression=self._instant(first)))
        if last is not None:
            conditions.append(exp.LT(this=time.copy(), expression=self._instant(last)))
        elif conditions:
            conditions = [exp.or_(*conditions, missing)]
        return query.where(*conditions) if conditions else query

    def _overlaps(self, file: AddFile, first: int | None, last: int | None) -> bool:
        least, most = self._bounds(file)
        if least is None or most is None:
            return True
        if last is None and self._nulls(file):
            return True
        return (last is None or least < last) and (first is None or most >= first)

    def _bounds(self, file: AddFile) -> tuple[int | None, int | None]:
        """The least and the greatest time in a file, rounded outwards; None if the log does not say."""
        stats = json.loads(file.stats) if file.stats else {}
        name = physical_name(self.column, mode_of(self.metadata))
        least, most = (_milliseconds(stats.get(which, {}).get(name)) for which in ("minValues", "maxValues"))
        return (None, None) if least is None or most is None else (least, most + 1)

    def _nulls(self, file: AddFile) -> bool:
        stats = json.loads(file.stats) if file.stats else {}
        return bool(stats.get("nullCount", {}).get(physical_name(self.column, mode_of(self.metadata)), 1))

    def _instant(self, time: int) -> exp.Expr:
        """The time in the column's type; one without a zone is counted as in UTC."""
        if isinstance(self.column.dataType, TimestampType):
            return instant(time)
        text = datetime.fromtimestamp(time / 1000, UTC).replace(tzinfo=None).isoformat(sep=" ", timespec="milliseconds")
        return exp.Cast(this=exp.Literal.string(text), to=to_duck(self.column.dataType))


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    found = datetime.fromisoformat(text)
    moment = found if found.tzinfo is not None else found.replace(tzinfo=UTC)
    return int(moment.timestamp() * 1000 // 1)


def needed(order: EventOrder | None) -> EventOrder:
    """The order, or an error that says what it takes."""
    if order is None:
        way = "Call withWatermark with a timestamp column of the table."
        raise unsupported("the option `withEventTimeOrder` of a stream without a watermark on the table's column", way)
    return order
