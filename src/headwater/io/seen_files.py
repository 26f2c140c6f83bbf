"""The log of an Auto Loader stream: which files each batch was given, in segments that are written a few times at most.

Entry `n` is a file `n` as in Spark's file source: the line `v1`, then one JSON object a line. Entries that are done are
gathered into segments `<first>-<last>.<lines>.parquet`, small segments into larger ones, and one of `SEALED` lines is
never touched again. A line without `discoveryTime` that has `archiveTime` says what became of a file of an earlier one.

Invariants: an entry or segment is created once and never changed; what a segment covers may be deleted, never
before it is durable; what a batch costs does not depend on how many files were ever seen; a gap is an error that names
the missing file. The log of earlier builds (`n.compact` holds all lines before it) is read and gone on from.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from headwater.crash import crash_point
from headwater.errors import ConcurrentWriteError
from headwater.io.checksum import create_checked, damaged, delete_checked, read_checked
from headwater.io.compact_log import VERSION, Line, decode, encode
from headwater.io.storage import Storage

SEALED = 100_000
"""Lines from which on a segment is never written again."""
_EVERY = 10
"""So many entries become one segment."""
_BEHIND = 2
"""So many of the newest entries are left: by then the times of those before them are known."""
_RETAINED = 100
_GROWTH = 4
"""A segment takes in the one before it if that is no more than so many times as large: few segments, few rewrites."""
_CHUNK = 50_000
_PATIENCE = 5
_COMPACT = ".compact"
_KEYS = ["path", "timestamp", "batchId"]
_NAME = re.compile(r"(\d+)(?:-(\d+)\.(\d+)\.parquet|(\.compact))?")

_WHOLE = ("timestamp", "batchId", "size", "discoveryTime", "processedTime", "commitTime", "archiveTime")
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        *((column, pa.int64()) for column in _WHOLE),
        ("archiveMode", pa.string()),
        ("moveLocation", pa.string()),
        ("skipped", pa.bool_()),
    ]
)
"""The columns of a segment: the keys of a line."""


class _Piece(NamedTuple):
    """A file of the log: entries `first` to `last`; `lines` is -1 where the name does not say, as of entries."""

    first: int
    last: int
    lines: int
    name: str


class SeenFiles:
    """One log.

    Args:
        storage, folder: where it lies.
        times: `processedTime` and `commitTime` of the lines of an entry, as far as they are known.
    """

    def __init__(self, storage: Storage, folder: str, times: Callable[[int], Mapping[str, int]] | None = None) -> None:
        self._storage = storage
        self.folder = folder
        self._times = times or (lambda _: {})
        self._latest: int | None = None

    def latest(self, fresh: bool = False) -> int | None:
        """The newest id, or None if the log is empty; `fresh` looks again for entries of other runs."""
        if self._latest is None or fresh:
            self._latest = max((piece.last for piece in self._pieces()), default=None)
        return self._latest

    def add(self, batch_id: int, lines: Sequence[Line]) -> None:
        """Write entry `batch_id`. Raises CONCURRENT_STREAM_LOG_UPDATE if it is there already, or one after it is."""
        before = self.latest()
        if batch_id > 0 and before != batch_id - 1:
            raise self._missing(batch_id - 1) if before is None or before < batch_id else self._taken(batch_id)
        try:
            body = [VERSION, *map(encode, lines)]
            create_checked(self._storage, f"{self.folder}/{batch_id}", b"\n".join(body))
        except FileExistsError as cause:
            raise self._taken(batch_id) from cause
        self._latest = batch_id
        if batch_id % _EVERY == _BEHIND - 1 and batch_id >= _EVERY:
            self._gather(batch_id)

    def get(self, batch_id: int) -> list[Line] | None:
        """The lines of one entry, or None if it is not there."""
        here = [piece for piece in self._pieces() if piece.first <= batch_id <= piece.last]
        if not here:
            return None
        table = pa.concat_tables(self._read(min(here, key=lambda piece: piece.last - piece.first)))
        return list(_lines(table.filter(pc.and_(pc.equal(table["batchId"], batch_id), _given(table)))))

    def lines(self) -> Iterator[Line]:
        """The lines of all entries, oldest first, with what became of their files."""
        tables = list(self._tables(-1))
        became = {
            (line["path"], line["timestamp"]): line
            for table in tables
            for line in _lines(table.filter(pc.invert(_given(table))))
        }
        for table in tables:
            for line in _lines(table.filter(_given(table))):
                yield {**line, **became.get((line["path"], line["timestamp"]), {})}

    def given(self, after: int = -1) -> Iterator[pa.Table]:
        """Columns `path`, `timestamp`, `batchId` of the files of entries after `after`, oldest first."""
        for table in self._tables(after, [*_KEYS, "discoveryTime", "archiveTime"]):
            yield table.filter(_given(table)).select(_KEYS)

    def _tables(self, after: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The lines of entries after `after`; a file that another run has replaced by a segment is looked for anew."""
        at, missed = after, 0
        cover = self._cover(self._pieces(), at)
        while cover:
            piece = cover.pop(0)
            try:
                tables = self._read(piece, columns)
            except FileNotFoundError:
                missed += 1
                if missed > _PATIENCE:
                    raise
                cover = self._cover(self._pieces(), at)
                continue
            for table in tables:
                fresh = pc.or_(pc.greater(table["batchId"], at), pc.invert(_given(table)))
                yield table.filter(fresh) if piece.first <= at else table
            at = piece.last

    # ── segments ────────────────────────────────────────────────────────────────────────────────────────────

    def _gather(self, newest: int) -> None:
        """Make a segment of the entries that are done, and of the segments before them that are small beside it."""
        done = [piece for piece in self._cover(self._pieces()) if piece.last <= newest - _BEHIND]
        for piece in done:
            if piece.name.endswith(_COMPACT):
                self._write([piece], self._read(piece))
        loose = next((at for at, piece in enumerate(done) if piece.lines < 0 and _is_entry(piece)), len(done))
        if loose < len(done):
            self._merge(done[:loose], done[loose:])
        pieces = self._pieces()
        for piece in pieces:
            if piece.last < newest - _RETAINED and any(_holds(other, piece) for other in pieces):
                delete_checked(self._storage, f"{self.folder}/{piece.name}")
                crash_point("seen_files.deleted")

    def _merge(self, segments: list[_Piece], entries: list[_Piece]) -> None:
        tables = [table for piece in entries for table in self._read(piece)]
        count = sum(map(len, tables))
        merged = list(entries)
        while segments and 0 <= segments[-1].lines <= min(_GROWTH * count, SEALED - count):
            merged.insert(0, segments.pop())
            tables[:0] = self._read(merged[0])
            count += merged[0].lines
        self._write(merged, tables)

    def _write(self, pieces: Sequence[_Piece], tables: Sequence[pa.Table]) -> None:
        """One segment of what was read of `pieces`."""
        table = _settled(pa.concat_tables(tables))
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        crash_point("seen_files.gathered")
        name = f"{pieces[0].first}-{pieces[-1].last}.{len(table)}.parquet"
        try:
            create_checked(self._storage, f"{self.folder}/{name}", sink.getvalue().to_pybytes())
        except FileExistsError:
            return  # another run of the query made it of the same entries
        crash_point("seen_files.segment")

    def _cover(self, pieces: Sequence[_Piece], after: int = -1) -> list[_Piece]:
        """The fewest files that hold all entries after `after`."""
        newest = max((piece.last for piece in pieces), default=-1)
        at, chosen = after + 1, list[_Piece]()
        while at <= newest:
            here = [piece for piece in pieces if piece.first <= at <= piece.last]
            if not here:
                raise self._missing(at)
            chosen.append(max(here, key=lambda piece: (piece.last, -piece.first, piece.lines)))
            at = chosen[-1].last + 1
        return chosen

    def _pieces(self) -> list[_Piece]:
        found = filter(None, map(_NAME.fullmatch, self._storage.list(self.folder)))
        return sorted(
            _Piece(0 if match[4] else int(match[1]), int(match[2] or match[1]), int(match[3] or -1), match[0])
            for match in found
        )

    def _read(self, piece: _Piece, columns: list[str] | None = None) -> list[pa.Table]:
        """The lines of a piece, with the times of its entries."""
        path = f"{self.folder}/{piece.name}"
        data = read_checked(self._storage, path)
        if not (_is_entry(piece) or piece.name.endswith(_COMPACT)):
            try:
                return [pq.ParquetFile(pa.BufferReader(data)).read(columns or SCHEMA.names)]
            except (pa.ArrowInvalid, OSError) as cause:
                raise damaged(path, "it is no whole Parquet file", "Restore it from a copy.") from cause
        version, *body = data.split(b"\n")
        if version != VERSION:
            raise damaged(path, "it does not begin with `v1`", "Restore it from a copy.")
        chunks = (body[at : at + _CHUNK] for at in range(0, max(len(body), 1), _CHUNK))
        tables = ([decode(path, raw) for raw in chunk if raw] for chunk in chunks)
        if columns:
            return [pa.Table.from_pylist(lines, schema=SCHEMA).select(columns) for lines in tables]
        return [self._timed(lines) for lines in tables]

    def _timed(self, lines: list[Line]) -> pa.Table:
        found: dict[int, Mapping[str, int]] = {}
        for line in lines:
            if "discoveryTime" in line and "commitTime" not in line:
                number = int(line["batchId"])
                if number not in found:
                    found[number] = self._times(number)
                line.update(found[number])
        return pa.Table.from_pylist(lines, schema=SCHEMA)

    def _taken(self, batch_id: int) -> ConcurrentWriteError:
        return ConcurrentWriteError("CONCURRENT_STREAM_LOG_UPDATE", batchId=batch_id, path=self.folder)

    def _missing(self, batch_id: int) -> Exception:
        remedy = "Restore it from a copy, or use a new checkpoint."
        return damaged(f"{self.folder}/{batch_id}", "the file is missing", remedy)


def _is_entry(piece: _Piece) -> bool:
    return piece.name.isdecimal()


def _holds(outer: _Piece, inner: _Piece) -> bool:
    """Whether all of `inner` is in `outer`, which is another file."""
    if outer.first > inner.first or outer.last < inner.last:
        return False
    return (outer.first, outer.last) != (inner.first, inner.last) or outer.lines > inner.lines


def _given(table: pa.Table) -> pa.ChunkedArray:
    """Which lines are files that a batch was given; the others say what became of one."""
    return pc.or_(pc.is_valid(table["discoveryTime"]), pc.is_null(table["archiveTime"]))


def _lines(table: pa.Table) -> Iterator[Line]:
    """The lines of a table, without what is not known."""
    for batch in table.to_batches(max_chunksize=_CHUNK):
        for line in batch.to_pylist():
            yield {key: value for key, value in line.items() if value is not None}


def _settled(table: pa.Table) -> pa.Table:
    """The lines with what became of their files in them; of files that are elsewhere it stays a line."""
    mask = _given(table)
    became = {(line["path"], line["timestamp"]): line for line in _lines(table.filter(pc.invert(mask)))}
    if not became:
        return table
    lines = [{**line, **became.pop((line["path"], line["timestamp"]), {})} for line in _lines(table.filter(mask))]
    return pa.Table.from_pylist([*lines, *became.values()], schema=SCHEMA)
