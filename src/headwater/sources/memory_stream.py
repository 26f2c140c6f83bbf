"""The source `headwater-memory`: rows that a test of this process adds by hand (`headwater.testing.MemoryStream`).

Invariants: an offset is how many additions there were, less one, as in Spark's MemoryStream; additions are kept as long
as the process lives, so any batch can be read again, by this run or by another from the same checkpoint.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.duck import Connection
from headwater.errors import IllegalArgumentError
from headwater.sources.base import (
    BatchInput,
    Offset,
    ReadLimit,
    SourceContext,
    SourceRequest,
    arrow_query,
    sources,
)

FORMAT = "headwater-memory"
_START = "-1"


class MemoryRows:
    """What was added to one memory stream.

    Args:
        name: the value of the option `id`. schema: of its rows.
    """

    def __init__(self, name: str, schema: StructType) -> None:
        self.name = name
        self.schema = schema
        self._additions: list[pa.Table] = []
        self._times: list[int] = []
        self._lock = threading.Lock()

    def add(self, rows: pa.Table) -> Offset:
        """Add rows with the schema's Arrow types; returns the offset they end at."""
        with self._lock:
            self._additions.append(rows)
            self._times.append(time.time_ns() // 1_000_000)
            return self.latest()

    def latest(self) -> Offset:
        """The offset of the newest addition."""
        return str(len(self._additions) - 1)

    def between(self, start: Offset, end: Offset) -> pa.Table:
        """The rows after `start` up to and including `end`. Raises if `end` was another process's."""
        if int(end) >= len(self._additions):
            reason = f"the checkpoint has offset {end}, this process added {len(self._additions)} times"
            raise IllegalArgumentError("INVALID_SOURCE_OPTION", option="id", value=self.name, reason=reason)
        return pa.concat_tables(self._additions[int(start) + 1 : int(end) + 1])

    def arrivals(self, start: Offset, end: Offset) -> list[tuple[int, int]]:
        """When the same were added, in milliseconds since 1970, and how many."""
        taken = slice(int(start) + 1, int(end) + 1)
        return [(at, rows.num_rows) for at, rows in zip(self._times[taken], self._additions[taken], strict=True)]


memory_rows: dict[str, MemoryRows] = {}
"""The memory streams of this process by id."""


class MemoryStreamProvider:
    """`readStream.format("headwater-memory").option("id", …)`."""

    real_time = True
    """A source of real-time mode, as Spark's own tests have one in memory."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:  # noqa: ARG002
        """That of the stream with the id."""
        return _rows(request).schema

    def open(self, request: SourceRequest, context: SourceContext) -> MemorySource:  # noqa: ARG002
        """See `SourceProvider.open`."""
        return MemorySource(_rows(request))


def _rows(request: SourceRequest) -> MemoryRows:
    name = request.options.text("id")
    if name not in memory_rows:
        reason = "this process has no such MemoryStream"
        raise IllegalArgumentError("INVALID_SOURCE_OPTION", option="id", value=name, reason=reason)
    return memory_rows[name]


sources.register(FORMAT)(MemoryStreamProvider())


class MemorySource:
    """A running source over the additions of one stream."""

    def __init__(self, rows: MemoryRows) -> None:
        self.schema = rows.schema
        self.description = f"MemoryStream[{','.join(rows.schema.names)}]"
        self._rows = rows
        self._bound: Offset | None = None
        self._input = f"memory_{rows.name.replace('-', '')}_{id(self):x}"
        self._query = arrow_query(self._input, rows.schema)

    def initial_offset(self) -> Offset | None:
        """Before the first addition."""
        return _START

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:  # noqa: ARG002
        """All that was added."""
        return self._bound or self._rows.latest()

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:  # noqa: ARG002
        """The rows of the additions."""
        rows = self._rows.between(start or _START, end)
        arrivals = self._rows.arrivals(start or _START, end)
        return BatchInput(self._query, {self._input: rows}, rows=rows.num_rows, arrivals=arrivals)

    def prepare_available_now(self) -> None:
        """What is there now."""
        self._bound = self._rows.latest()

    def commit(self, end: Offset) -> None:
        """Everything is kept."""

    def reported_latest(self) -> Offset | None:
        """The newest addition."""
        return self._rows.latest()

    def metrics(self) -> Mapping[str, str]:
        """None of its own."""
        return {}

    def stop(self) -> None:
        """Nothing is held."""
