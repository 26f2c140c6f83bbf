"""The contract of a streaming source.

A source answers three questions: where does the stream start, how far can the next batch go under the rate
limits, and which relation holds the rows between two offsets. Offsets are JSON text, written to the offset log
as they are and given back after a restart.

Invariants: the same (start, end) gives the same rows, before and after a restart; `relation` never moves the
source; `commit` may be called again for the same offset.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.clock import Clock
from headwater.duck import Connection, Database
from headwater.io.formats.base import Format, FormatOptions, ReadsArrow, ScanRequest
from headwater.io.storage import Storage
from headwater.plan.expressions import Expression
from headwater.registry import Registry
from headwater.types.duck import to_duck

Offset = str
"""One source's position, as JSON text on one line."""


@dataclass(frozen=True)
class SourceContext:
    """What a source is opened with.

    Attributes:
        database: where it may open connections (inference).
        storage: for its own log.
        log_path: its folder in the checkpoint, `<checkpoint>/sources/<index>`; None while only the schema is asked for.
        clock: the engine's clock.
        settings: the session's settings as text.
        mounts: see `io.mounts`.
        time_zone: the session's.
        checkpoint: the checkpoint folder, or None as for `log_path`.
    """

    database: Database
    storage: Storage
    clock: Clock
    settings: Mapping[str, str]
    mounts: Any
    time_zone: str = "UTC"
    log_path: str | None = None
    checkpoint: str | None = None


@dataclass(frozen=True)
class SourceRequest:
    """What the user asked for: `readStream.format(format).schema(schema).options(options).load(path)`."""

    format: str
    schema: StructType | None
    options: FormatOptions
    paths: tuple[str, ...]
    table: tuple[str, ...] = ()
    file_column: bool = False
    """Add the hidden column `_metadata` at the end of the rows (asked only of providers with `file_columns`)."""
    filters: tuple[Expression, ...] = ()
    """Conditions that a batch read may apply at its source; whoever asks applies them too."""
    event_time: str | None = None
    """The column that a stream's watermark is on, if there is one."""


@dataclass(frozen=True)
class BatchInput:
    """The rows between two offsets.

    Attributes:
        query: a DuckDB query with the source's columns, in schema order.
        inputs: Arrow data (tables, or streams that can be opened again) the query names, to be registered on the
            connection first.
        rows: how many rows, if the source knows without counting.
        counted: how many rows were read, asked after the query has run; None if the source does not count.
        variables: DuckDB variables the query reads, to be set on the connection first: lists of file names.
        arrivals: when how many of the rows arrived, in milliseconds since 1970, if the source knows.
    """

    query: exp.Query
    inputs: Mapping[str, Any] = field(default_factory=dict)
    rows: int | None = None
    variables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    counted: Callable[[], int | None] = lambda: None
    arrivals: Sequence[tuple[int, int]] = ()

    def known_rows(self) -> int | None:
        """How many rows it holds, as far as the source can say by now."""
        return self.rows if self.rows is not None else self.counted()


def scanned(file_format: Format, request: ScanRequest) -> BatchInput:
    """The rows of a scan, with the Arrow data it needs."""
    if not isinstance(file_format, ReadsArrow):
        return BatchInput(file_format.scan(request))
    named = replace(request, table=f"rows_{uuid.uuid4().hex}")
    return BatchInput(file_format.scan(named), file_format.inputs(named))


@dataclass(frozen=True)
class ReadLimit:
    """How much a batch may take: `all` ignores the source's rate limits (trigger `once`)."""

    all: bool = False


class StreamSource(Protocol):
    """An open source of one running query."""

    schema: StructType
    description: str
    """As in progress JSON: `FileStreamSource[file:/data/in]`."""

    def initial_offset(self) -> Offset | None:
        """The position before the first row; None if the source starts empty and has no such notion (file source)."""
        ...

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        """The end of the next batch after `start`; equal to `start` (or None) when there is nothing new.

        A source that writes a log of its own does so before it returns, or is one that `RecordsOffsets`.
        """
        ...

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """The rows after `start` up to and including `end`."""
        ...

    def prepare_available_now(self) -> None:
        """Fix today's end: later `latest_offset` calls go no further (trigger `availableNow`)."""
        ...

    def commit(self, end: Offset) -> None:
        """All rows up to `end` are done for good: clean up."""
        ...

    def reported_latest(self) -> Offset | None:
        """`latestOffset` of the progress report; None for the file source."""
        ...

    def metrics(self) -> Mapping[str, str]:
        """Extra progress metrics (`numFilesOutstanding` …)."""
        ...

    def stop(self) -> None:
        """Free what the source holds."""
        ...


@runtime_checkable
class RecordsOffsets(Protocol):
    """A source whose `latest_offset` writes nothing: two batches may overlap, the end of one and the plan of the next.

    A run that lost its query to another one finds out before it has touched the source's log.
    """

    def record(self, end: Offset) -> None:
        """Make durable what `end` stands for; called by the thread that then writes it into the log of offsets.

        Raises CONCURRENT_STREAM_LOG_UPDATE if another run was here.
        """
        ...


@runtime_checkable
class KeepsRecords(Protocol):
    """A source whose rows were records of text, of which some may be none (see `sources.records`)."""

    format: str
    """What the texts are: the name of a file format."""

    def records(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """The rows of `relation` and those of bad records, with the columns `records.COLUMNS` at the end."""
        ...


@runtime_checkable
class ReadsAhead(Protocol):
    """A source that can say what a batch will read before it is planned."""

    def ahead(self, end: Offset | None, skip: int, most: int) -> Sequence[BatchInput]:
        """The rows that the batches after the one that ended at `end` will most likely have, as far as that is known.

        Nothing is looked for, nothing is given out and nothing is written: the batches may turn out otherwise.

        Args:
            skip: so many of the next batches are not asked for.
            most: so many of those that follow are; fewer where they are too much to be read in one go.
        """
        ...


class SourceProvider(Protocol):
    """A registered kind of source, by format name."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:
        """The schema of the stream; may infer. Raises Spark's error if it cannot."""
        ...

    def open(self, request: SourceRequest, context: SourceContext) -> StreamSource:
        """Open the source for a running query."""
        ...


def arrow_query(name: str, schema: StructType) -> exp.Query:
    """The columns of the Arrow data registered as `name`, in our DuckDB types."""
    columns = [
        exp.alias_(exp.cast(exp.column(f.name, quoted=True), to_duck(f.dataType)), f.name, quoted=True)
        for f in schema.fields
    ]
    return exp.select(*columns or [exp.Null()]).from_(exp.to_table(name))


sources: Registry[SourceProvider] = Registry("headwater.sources")
"""Streaming sources by format name: `csv`, `json`, …, `cloudfiles`, `delta`, `rate`, `rate-micro-batch`."""
