"""Opening sinks and feeding them batches without an engine.

Invariant: each batch is run on a connection of its own, as the engine may do.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.catalog import Catalog, Metastore
from headwater.clock import SystemClock
from headwater.io.formats.base import FormatOptions
from headwater.io.local import LocalStorage
from headwater.io.mounts import Mounts
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, StreamSink, sinks
from support.lake import connection


class SinkBench:
    """One sink kind over a warehouse in `folder`."""

    def __init__(self, kind: str, folder: Path, schema: StructType, mode: OutputMode = "append") -> None:
        self.kind = kind
        self.schema = schema
        self.mode: OutputMode = mode
        self.catalog = Catalog(Metastore(str(folder / "warehouse")))
        self.printed: list[str] = []
        self.query_name: str | None = "q"
        self.session: Any = None

    def context(self, query_id: str = "query-1") -> SinkContext:
        return SinkContext(
            query_id,
            self.query_name,
            LocalStorage("none"),
            SystemClock(),
            Mounts(),
            self.catalog,
            self.session,
            self.printed.append,
        )

    def open(self, query_id: str = "query-1", **request: Any) -> StreamSink:
        provider = sinks.get(self.kind)
        assert provider is not None
        options = FormatOptions({name: str(value) for name, value in request.pop("options", {}).items()})
        schema = request.pop("schema", self.schema)
        return provider.open(SinkRequest(self.kind, options, self.mode, schema, **request), self.context(query_id))

    def put(self, sink: StreamSink, batch_id: int, query: exp.Query, schema: StructType | None = None) -> SinkResult:
        return sink.add_batch(Batch(batch_id, connection(), query, schema or self.schema, self.mode))
