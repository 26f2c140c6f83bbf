"""The contract of a streaming sink.

Invariants: `add_batch` with a batch id that the sink already holds for this query adds nothing (where the sink
promises exactly once); a sink that fails leaves what it held before.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import pyarrow as pa
from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.clock import Clock
from headwater.duck import Connection, Reader
from headwater.io.formats.base import FormatOptions
from headwater.io.storage import Storage
from headwater.registry import Registry

OutputMode = Literal["append", "update", "complete"]


@dataclass(frozen=True)
class SinkContext:
    """What a sink is opened with.

    Attributes:
        query_id: the streaming query's id, fixed for the life of its checkpoint.
        query_name: the user's name for the query, if any.
        storage, clock: as for sources.
        mounts: see `io.mounts`.
        catalog: the session's catalog (`toTable`, `memory`).
        print: where the console sink writes.
        session: the session that started the query (`foreachBatch`).
    """

    query_id: str
    query_name: str | None
    storage: Storage
    clock: Clock
    mounts: Any
    catalog: Any
    session: Any
    print: Callable[[str], None] = print


@dataclass(frozen=True)
class SinkRequest:
    """What the user asked for: `writeStream.format(format).options(options).partitionBy(…).start(path)`.

    `cluster_by`: column names as the user wrote them; sinks that cannot cluster refuse them.
    """

    format: str
    options: FormatOptions
    output_mode: OutputMode
    schema: StructType
    path: str | None = None
    table: tuple[str, ...] = ()
    partition_by: tuple[str, ...] = ()
    function: Any = None
    """The pickled function of `foreach`/`foreachBatch`."""
    cluster_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Batch:
    """One micro-batch on its way to the sink.

    Attributes:
        batch_id: counts from 0; the exactly-once key together with the query id.
        query: the rows, as a DuckDB query to run on `connection` (once: sources may be one-pass).
        reader: reads `query`, kept from batch to batch; None: one is made when the rows are asked for.
        schema: Spark names and types of the query's columns.
        plan: the batch as a plan relation, for `foreachBatch`.
        ran: to be called right after `query` has run, before anything else runs on `connection`: the engine then
            reads DuckDB's profile of it (how many rows each source gave).
    """

    batch_id: int
    connection: Connection
    query: exp.Query
    schema: StructType
    output_mode: OutputMode
    plan: Any = None
    reader: Reader | None = None
    ran: Callable[[], None] = lambda: None

    def table(self) -> pa.Table:
        """All rows."""
        return self._opened().table()

    def batches(self, rows: int) -> pa.RecordBatchReader:
        """The rows as they come, about `rows` at a time."""
        return self._opened().batches(rows)

    def _opened(self) -> Reader:
        return self.reader or Reader(self.connection, self.query)


@dataclass(frozen=True)
class SinkResult:
    """What a sink did. `rows` is -1 where Spark reports -1 (file, delta, foreachBatch)."""

    rows: int = -1
    metrics: Mapping[str, str] = field(default_factory=dict)


class StreamSink(Protocol):
    """An open sink of one running query."""

    description: str
    """As in progress JSON: `DeltaSink[/delta/out]`."""

    def add_batch(self, batch: Batch) -> SinkResult:
        """Commit the batch under (query id, batch id)."""
        ...

    def stop(self) -> None:
        """Free what the sink holds."""
        ...


@runtime_checkable
class ChecksRows(Protocol):
    """A sink that refuses single rows: types that do not fit, constraints."""

    def check(self, batch: Batch) -> None:
        """Compute the batch's rows as `add_batch` does, and drop them. Raises as `add_batch`."""
        ...


class SinkProvider(Protocol):
    """A registered kind of sink, by format name."""

    output_modes: tuple[OutputMode, ...]

    def open(self, request: SinkRequest, context: SinkContext) -> StreamSink:
        """Check the request against what is there and open the sink."""
        ...


sinks: Registry[SinkProvider] = Registry("headwater.sinks")
"""Streaming sinks by format name: `delta`, `parquet`, `csv`, `json`, `text`, `memory`, `console`, `noop`, …"""
