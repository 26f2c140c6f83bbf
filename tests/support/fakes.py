"""A streaming source and a sink that live in memory, for driving the engine without the world.

Invariants: the source gives the same rows for the same offsets; the sink keeps a batch id once.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.sinks.base import Batch, SinkResult
from headwater.sources.base import BatchInput, Offset, ReadLimit
from headwater.types.arrow import arrow_schema


class FakeSource:
    """Rows added by hand; an offset is the number of chunks."""

    def __init__(self, schema: StructType, name: str = "memory") -> None:
        self.schema = schema
        self.description = f"MemoryStream[{name}]"
        self.chunks: list[pa.Table] = []
        self.committed: list[Offset] = []
        self.end: int | None = None
        self.per_batch: int | None = None
        self.stopped = False
        self.error: Exception | None = None

    def add(self, rows: Sequence[Mapping[str, Any]]) -> None:
        shape = arrow_schema(self.schema, "UTC")
        self.chunks.append(pa.Table.from_pylist(list(rows), schema=shape))

    def initial_offset(self) -> Offset | None:
        return None

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        if self.error is not None:
            raise self.error
        begin = json.loads(start)["chunk"] if start else 0
        end = len(self.chunks) if self.end is None else self.end
        if self.per_batch is not None and not limit.all:
            end = min(end, begin + self.per_batch)
        return json.dumps({"chunk": end}, separators=(",", ":")) if end > begin else start

    def relation(self, _: Connection, start: Offset | None, end: Offset) -> BatchInput:
        begin = json.loads(start)["chunk"] if start else 0
        table = pa.concat_tables(self.chunks[begin : json.loads(end)["chunk"]])
        name = f"fake_{id(self)}"
        columns = [exp.column(f.name, quoted=True) for f in self.schema.fields]
        return BatchInput(exp.select(*columns).from_(exp.to_table(name)), {name: table}, table.num_rows)

    def prepare_available_now(self) -> None:
        self.end = len(self.chunks)

    def commit(self, end: Offset) -> None:
        self.committed.append(end)

    def reported_latest(self) -> Offset | None:
        return None

    def metrics(self) -> Mapping[str, str]:
        return {}

    def stop(self) -> None:
        self.stopped = True


class FakeSink:
    """Keeps each batch id once."""

    description = "FakeSink"

    def __init__(self) -> None:
        self.batches: dict[int, list[tuple[Any, ...]]] = {}
        self.calls: list[int] = []
        self.seen: list[list[tuple[Any, ...]]] = []
        self.error: Exception | None = None
        self.stopped = False

    def add_batch(self, batch: Batch) -> SinkResult:
        self.calls.append(batch.batch_id)
        rows = [tuple(row) for row in batch.connection.execute(sql_text(batch.query)).fetchall()]
        batch.ran()
        self.seen.append(rows)
        if self.error is not None:
            raise self.error
        self.batches.setdefault(batch.batch_id, rows)
        return SinkResult(len(rows))

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return [row for _, rows in sorted(self.batches.items()) for row in rows]

    def stop(self) -> None:
        self.stopped = True
