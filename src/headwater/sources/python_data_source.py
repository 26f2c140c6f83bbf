"""Users' Python data sources as sources: `spark.dataSource.register(cls)`, then `format(name)`.

Streams know three kinds of readers: `DataSourceStreamReader` with `latestOffset(start, limit)`, the older one with
`latestOffset()`, and `SimpleDataSourceStreamReader`, whose rows are fetched with the offset and kept until the commit.

Invariants: offsets are the user's dicts as `json.dumps` writes them, in the log as in Spark's; a batch that is run
again is read between the logged offsets; `commit` is called only for offsets whose batch is in the commit log; `read`
works on a reader of its own, as in Spark, where it runs in other processes.
"""

from __future__ import annotations

import inspect
import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.duck import Connection
from headwater.io.python_data_source import (
    PythonDataSource,
    Rows,
    as_batches,
    checked,
    failing,
    failing_stream,
    mismatch,
    options_of,
)
from headwater.plan.expressions import Expression
from headwater.sources.base import BatchInput, Offset, ReadLimit, SourceContext, SourceRequest, arrow_query

_STREAM = "org.apache.spark.sql.execution.datasources.v2.python.PythonMicroBatchStream"
_PUSHDOWN = "spark.sql.python.filterPushdown.enabled"


class PythonSourceProvider:
    """A registered data source, for reading."""

    def __init__(self, registered: PythonDataSource) -> None:
        self._registered = registered

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:  # noqa: ARG002
        """The user's schema, else the data source's. Raises PYTHON_DATA_SOURCE_ERROR."""
        return self._open(request)[1]

    def open(self, request: SourceRequest, context: SourceContext) -> PythonStream:  # noqa: ARG002
        """See `SourceProvider.open`; the user's reader is made in the query's thread."""
        return PythonStream(*self._open(request))

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:
        """All rows there are when the query runs."""
        source, schema = self._open(request)
        plan = BatchPlan(source, schema, request.filters, context.settings.get(_PUSHDOWN, "false").lower() == "true")
        rows = Rows(schema, plan.iterators, source)
        name = f"python_{uuid.uuid4().hex}"
        return BatchInput(arrow_query(name, schema), {name: rows}), schema

    def _open(self, request: SourceRequest) -> tuple[Any, StructType]:
        source = self._registered.open(options_of(request.options, request.paths))
        return source, request.schema or self._registered.schema(source)


# ── batch ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class BatchPlan:
    """A batch read; every scan plans it anew, as every execution does in Spark."""

    source: Any
    schema: StructType
    filters: tuple[Expression, ...]
    pushing: bool

    def iterators(self) -> Iterator[Iterator[Any]]:
        """What `read` gives for each partition. Raises PYTHON_DATA_SOURCE_ERROR."""
        with failing("initialize", "reader"):
            reader = self._reader()
        with failing("generate", "read partitions"):
            partitions = _partitions(reader)
        for partition in partitions:
            yield reader.read(partition)

    def _reader(self) -> Any:
        from pyspark.sql.datasource import DataSourceReader

        reader = checked(self.source.reader(schema=self.schema), DataSourceReader, "an instance of DataSourceReader")
        inherited = getattr(DataSourceReader, "pushFilters", None)
        if inherited is None or getattr(reader.pushFilters, "__func__", None) is inherited:
            return reader
        self._push(reader)
        return reader

    def _push(self, reader: Any) -> None:
        """Offer the filters. All are applied to the rows afterwards too, whatever the reader takes upon itself."""
        from pyspark.errors import PySparkAssertionError, PySparkValueError

        from headwater.sources.python_filters import filters_of

        if not self.pushing:
            raise PySparkAssertionError(
                errorClass="DATA_SOURCE_PUSHDOWN_DISABLED",
                messageParameters={"type": type(reader).__name__, "conf": _PUSHDOWN},
            )
        offered = filters_of(self.filters, self.schema)
        known = {id(one) for one in offered}
        foreign = [one for one in reader.pushFilters(list(offered)) if id(one) not in known] if offered else []
        if foreign:
            raise PySparkValueError(
                errorClass="DATA_SOURCE_EXTRANEOUS_FILTERS",
                messageParameters={
                    "type": type(reader).__name__,
                    "input": str(offered),
                    "extraneous": str(foreign),
                },
            )


def _partitions(reader: Any) -> list[Any]:
    from pyspark.sql.datasource import InputPartition

    try:
        found = reader.partitions()
    except NotImplementedError:  # readers written for Spark 4.0
        found = []
    checked(found, list, "'partitions' to return a list")
    for one in found:
        if not isinstance(one, InputPartition):
            raise mismatch("elements in 'partitions' to be of type 'InputPartition'", one)
    return found or [InputPartition(None)]


# ── streams ─────────────────────────────────────────────────────────────────────────────────────────────────


class PythonStream:
    """A running stream over a user's reader."""

    def __init__(self, source: Any, schema: StructType) -> None:
        self.schema = schema
        self.description = self._described("")
        self._source = source
        self._name = f"python_{uuid.uuid4().hex}"
        self._query = arrow_query(self._name, schema)
        self._once = False
        self._asked = False

    @cached_property
    def _reader(self) -> _Reader | _SimpleReader:
        with failing("plan", "initialize source"):
            reader = self._made()
        self.description = self._described(reader.kind)
        return reader

    def _made(self) -> _Reader | _SimpleReader:
        from pyspark.errors import PySparkNotImplementedError

        try:
            return _Reader(self._source.streamReader(schema=self.schema), self._source, self.schema)
        except PySparkNotImplementedError:
            return _SimpleReader(self._source.simpleStreamReader(schema=self.schema), self._source, self.schema)

    def _described(self, kind: str) -> str:
        return f"{_STREAM}{kind}@{id(self):x}"

    @cached_property
    def _first(self) -> Offset:
        with failing_stream("initialOffset"):
            return json.dumps(self._reader.user.initialOffset())

    def initial_offset(self) -> Offset | None:
        """The user's initial offset, asked once."""
        return self._first

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        """The user's latest offset; with `availableNow` and a reader that knows nothing of it, once."""
        if self._once and self._asked:
            return start
        self._asked = True
        with failing_stream("latestOffset"):
            return self._reader.latest(start or self._first, limit.all or self._once)

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:  # noqa: ARG002
        """The rows of the partitions between the offsets."""
        with failing_stream("planPartitions"):
            iterators = self._reader.between(start or self._first, end)
        rows = Rows(self.schema, iterators, self._source)
        return BatchInput(self._query, {self._name: rows}, counted=lambda: rows.count)

    def prepare_available_now(self) -> None:
        """Let the reader fix its end, if it can; else there will be one batch of all there is."""
        prepare = getattr(self._reader.user, "prepareForTriggerAvailableNow", None)
        self._once = prepare is None
        if prepare is not None:
            with failing_stream("prepareForTriggerAvailableNow"):
                prepare()

    def commit(self, end: Offset) -> None:
        """Tell the user's reader."""
        with failing_stream("commitSource"):
            self._reader.commit(end)

    def reported_latest(self) -> Offset | None:
        """What the reader reports, if it does."""
        report = getattr(self._reader.user, "reportLatestOffset", None)
        if report is None:
            return None
        with failing_stream("reportLatestOffset"):
            offset = report()
        return None if offset is None else json.dumps(offset)

    def metrics(self) -> Mapping[str, str]:
        """None of its own."""
        return {}

    def stop(self) -> None:
        """Stop the user's reader, if it was made."""
        if "_reader" in self.__dict__ and hasattr(self._reader.user, "stop"):
            with failing_stream("stop"):
                self._reader.user.stop()


class _Reader:
    """A `DataSourceStreamReader`."""

    def __init__(self, user: Any, source: Any, schema: StructType) -> None:
        self.user = user
        self._source = source
        self._schema = schema
        self._limited = bool(inspect.signature(user.latestOffset).parameters)
        self.kind = _kind(user, self._limited)

    @cached_property
    def _reading(self) -> Any:
        return self._source.streamReader(schema=self._schema)

    def latest(self, start: Offset, everything: bool) -> Offset:
        if not self._limited:
            return json.dumps(self.user.latestOffset())
        from pyspark.sql.streaming.datasource import ReadAllAvailable

        limit = ReadAllAvailable() if everything else self.user.getDefaultReadLimit()
        return json.dumps(self.user.latestOffset(json.loads(start), limit))

    def between(self, start: Offset, end: Offset) -> Callable[[], Iterator[Iterator[Any]]]:
        partitions = list(self.user.partitions(json.loads(start), json.loads(end)))
        return lambda: (self._reading.read(partition) for partition in partitions)

    def commit(self, end: Offset) -> None:
        self.user.commit(json.loads(end))


def _kind(user: Any, limited: bool) -> str:
    if not limited:
        return ""
    return "WithTriggerAvailableNow" if hasattr(user, "prepareForTriggerAvailableNow") else "WithAdmissionControl"


@dataclass(frozen=True)
class _Fetched:
    start: Offset
    end: Offset
    rows: list[pa.RecordBatch]


class _SimpleReader:
    """A `SimpleDataSourceStreamReader`: what `read` gave is kept as Arrow until its batch is committed."""

    def __init__(self, user: Any, source: Any, schema: StructType) -> None:
        self.user = user
        self._source = source
        self._schema = schema
        self._kept: list[_Fetched] = []
        self.kind = _kind(user, True)

    def latest(self, start: Offset, everything: bool) -> Offset:  # noqa: ARG002
        rows, end = self.user.read(json.loads(start))
        fetched = _Fetched(start, json.dumps(end), list(as_batches(rows, self._schema, self._source)))
        if fetched.end != start:
            self._kept.append(fetched)
        elif any(batch.num_rows for batch in fetched.rows):
            raise _stuck(start)
        return fetched.end

    def between(self, start: Offset, end: Offset) -> Callable[[], Iterator[Iterator[Any]]]:
        starts = [one.start for one in self._kept]
        ends = [one.end for one in self._kept]
        if start in starts and end in ends:
            kept = self._kept[starts.index(start) : ends.index(end) + 1]
            return lambda: (iter(one.rows) for one in kept)
        return lambda: iter([self.user.readBetweenOffsets(json.loads(start), json.loads(end))])

    def commit(self, end: Offset) -> None:
        ends = [one.end for one in self._kept]
        if end in ends:
            del self._kept[: ends.index(end) + 1]
        self.user.commit(json.loads(end))


def _stuck(offset: Offset) -> Exception:
    from pyspark.errors.exceptions.base import PySparkException

    condition = "SIMPLE_STREAM_READER_OFFSET_DID_NOT_ADVANCE"
    error: Exception = PySparkException(
        errorClass=condition, messageParameters={"start_offset": offset, "end_offset": offset}
    )
    return error
