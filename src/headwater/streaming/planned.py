"""One batch between steps 2 and 8: what was planned, what its sources gave."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from headwater.duck import Connection
from headwater.sources.base import BatchInput, Offset, StreamSource
from headwater.streaming import profile
from headwater.streaming.progress import SourceReport


class GivesRows(Protocol):
    """What has the rows between two offsets: a source, or who stands between it and the batch."""

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """The rows after `start` up to and including `end`."""
        ...


@dataclass
class PlannedBatch:
    """A batch whose offsets are decided.

    Attributes:
        starts: where the batch before ended, by source.
        ends: where this one ends.
        watermark_ms: the batch's watermark, milliseconds since 1970, as all times here.
        timestamp_ms: its `current_timestamp`.
        inputs: the rows between the offsets; None: none.
        rows: how many there were, by source.
        read_ms: when the batch began to read.
        written_ms: when its rows were in the sink.
    """

    batch_id: int
    starts: tuple[Offset | None, ...]
    ends: tuple[Offset | None, ...]
    watermark_ms: int
    timestamp_ms: int
    inputs: list[BatchInput | None] = field(default_factory=list)
    rows: dict[int, int] = field(default_factory=dict)
    read_ms: int = 0
    written_ms: int = 0

    def open(self, sources: Sequence[GivesRows], connection: Connection) -> None:
        """Get the rows between the offsets from the sources."""
        ranges = zip(sources, self.starts, self.ends, strict=True)
        self.inputs = [
            None if end is None or end == start else source.relation(connection, start, end)
            for source, start, end in ranges
        ]

    def count(self, connection: Connection) -> None:
        """Note how many rows sources gave, each once, from the profile of the statement that just ran."""
        unknown = {i: rows for i, rows in enumerate(self.inputs) if rows is not None and i not in self.rows}
        for index, rows in list(unknown.items()):
            known = rows.known_rows()
            if known is not None:
                self.rows[index] = known
                del unknown[index]
        if not unknown:
            return
        scans = profile.Profile(connection)
        for index, rows in unknown.items():
            found = scans.rows(rows)
            if found is not None:
                self.rows[index] = found

    def source_reports(self, sources: Sequence[StreamSource]) -> list[SourceReport]:
        """Each source's part of the progress."""
        ranges = enumerate(zip(sources, self.starts, self.ends, strict=True))
        return [
            SourceReport(one.description, start, end, one.reported_latest(), self.rows.get(index, 0), one.metrics())
            for index, (one, start, end) in ranges
        ]
