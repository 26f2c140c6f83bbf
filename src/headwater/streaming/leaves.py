"""The streams in a plan: each streaming read becomes a numbered leaf that the engine binds per batch.

Views, tables, common tables and SQL text are opened only as far as streams may hide in them; everything else stays as
it is and is resolved by the session.

Invariants: leaves are numbered in plan order, from 0, and one read is one source; a leaf has the schema of its source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.catalog import PathTable, Table
from headwater.compile.context import Context
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection
from headwater.errors import AnalysisError, SparkError
from headwater.io.formats.base import FormatOptions
from headwater.io.formats.scan import FILE_FIELD
from headwater.plan.expressions import Expression
from headwater.plan.node import Node
from headwater.plan.relations import (
    CachedRemote,
    CommonTables,
    ReadSource,
    ReadTable,
    Relation,
    SubqueryAlias,
    UnboundSQL,
    WithRelations,
    WithWatermark,
    names_file_column,
)
from headwater.settings import Settings
from headwater.sources.base import SourceContext, SourceProvider, SourceRequest
from headwater.streaming import times
from headwater.streaming.naming import unique_names
from headwater.streaming.statics import StaticSide, followed, over


class StreamSession(Context, Protocol):
    """What the streaming room needs of a session, beyond what the compiler asks."""

    catalog: Any
    data_sources: Any
    runtime: Any
    streams: Any

    def translate(self, error: Exception) -> SparkError:
        """What an exception of the engine means to the user."""
        ...


@dataclass(frozen=True)
class Leaf:
    """One streaming read of the plan."""

    relation_id: str
    provider: SourceProvider
    request: SourceRequest
    schema: StructType
    columns: tuple[str, ...]

    def resolved(self, index: int) -> Resolved:
        """A query over the view `stream_<index>`."""
        query = exp.select(*(exp.column(name, quoted=True) for name in self.columns)).from_(f"stream_{index}")
        hidden = [FILE_FIELD] if self.request.file_column else []
        attributes = tuple(
            Attribute(f.name, f.dataType, f.nullable, name, metadata=f.metadata or {})
            for f, name in zip([*self.schema.fields, *hidden], self.columns, strict=True)
        )
        width = len(self.schema.fields)
        return Resolved(query, attributes[:width], streaming=True, hidden=attributes[width:])


@dataclass
class Leaves:
    """Finds the streams of one plan."""

    session: StreamSession
    schema: Callable[[SourceProvider, SourceRequest], StructType]
    found: list[Leaf] = field(default_factory=list)
    _file_column: bool = field(default=False, init=False)
    _event_time: str | None = field(default=None, init=False)

    def expand(self, plan: Relation) -> Relation:
        """The plan with every streaming read replaced by `CachedRemote("stream_<i>")`."""
        self._file_column = names_file_column(plan)
        return cast(Relation, self._expand(plan, {}))

    def _expand(self, node: Node, local: Mapping[str, Relation]) -> Node:
        if isinstance(node, ReadSource) and node.streaming:
            return self._leaf(node)
        if isinstance(node, WithWatermark):
            return self._watermarked(node, local)
        if isinstance(node, ReadTable):
            named = local.get(node.parts[0].lower()) if len(node.parts) == 1 else None
            return self._table(node) if named is None else self._named(node, named)
        if isinstance(node, UnboundSQL):
            inner = self.session.sql(node.query, dict(node.named), node.positional)
            self._file_column = self._file_column or names_file_column(inner)
            return self._replaced(node, self._expand(inner, local))
        if isinstance(node, CommonTables):
            return self._common(node, local)
        if isinstance(node, WithRelations):
            return self._with_relations(node, local)
        return node.map_children(lambda child: self._expand(child, local))

    def _watermarked(self, node: WithWatermark, local: Mapping[str, Relation]) -> Node:
        around, self._event_time = self._event_time, node.event_time
        try:
            return node.map_children(lambda child: self._expand(child, local))
        finally:
            self._event_time = around

    def _common(self, node: CommonTables, local: Mapping[str, Relation]) -> Node:
        tables = []
        for name, plan in node.tables:
            table = cast(Relation, self._expand(plan, local))
            local = {**local, name.lower(): table}
            if not self._has_streams(table):
                tables.append((name, table))
        body = cast(Relation, self._expand(node.body, local))
        return replace(node, tables=tuple(tables), body=body) if tables else body

    def _with_relations(self, node: WithRelations, local: Mapping[str, Relation]) -> Node:
        references = [cast(Relation, self._expand(one, local)) for one in node.references]
        named = {one.alias.lower(): one for one in references if isinstance(one, SubqueryAlias)}
        root = cast(Relation, self._expand(node.root, {**local, **named}))
        kept = tuple(one for one in references if one not in named.values() or not self._has_streams(one))
        return replace(node, root=root, references=kept) if kept else root

    def _named(self, read: ReadTable, table: Relation) -> Relation:
        """A common table. One with streams stands where it is used, for the rules and the cuts to see them there."""
        return SubqueryAlias(table, read.parts[0], plan_id=read.plan_id) if self._has_streams(table) else read

    def _table(self, read: ReadTable) -> Relation:
        found = self.session.catalog.get(read.parts)
        if read.streaming and isinstance(found, PathTable):
            return self._leaf(ReadSource(found.format, None, read.options, (found.path,), True, plan_id=read.plan_id))
        if read.streaming and isinstance(found, Table) and not found.is_view:
            options = tuple({**found.options, **dict(read.options)}.items())
            paths = (found.location,) if found.location else ()
            leaf = self._leaf(ReadSource(found.provider, found.schema, options, paths, True, plan_id=read.plan_id))
            return SubqueryAlias(leaf, read.parts[-1], plan_id=read.plan_id)
        if isinstance(found, PathTable) or (isinstance(found, Table) and not found.is_view):
            return read
        plan = self.session.table(replace(read, streaming=False))
        if isinstance(plan, Resolved):
            return read
        self._file_column = self._file_column or names_file_column(plan)
        inner = self._replaced(read, self._expand(plan, {}))
        return inner if inner is read else SubqueryAlias(inner, read.parts[-1], plan_id=read.plan_id)

    def _replaced(self, node: Relation, inner: Node) -> Relation:
        """`inner` if there are streams in it, else `node` as it was."""
        return cast(Relation, inner) if self._has_streams(inner) else node

    def _has_streams(self, node: Node) -> bool:
        marks = {leaf.relation_id for leaf in self.found}
        return any(isinstance(one, CachedRemote) and one.relation_id in marks for one in node.walk())

    def _leaf(self, read: ReadSource) -> Relation:
        provider: SourceProvider | None = self.session.data_sources.source(read.format)
        if provider is None:
            raise AnalysisError("DATA_SOURCE_NOT_FOUND", provider=read.format)
        options = FormatOptions(read.options)
        paths = read.paths or ((options["path"],) if "path" in options else ())
        hidden = self._file_column and hasattr(provider, "file_columns")
        request = SourceRequest(
            read.format, read.schema, options, paths, file_column=hidden, event_time=self._event_time
        )
        schema = self.schema(provider, request)
        columns = unique_names(StructType([*schema.fields, *([FILE_FIELD] if hidden else [])]))
        relation_id = f"stream_{len(self.found)}"
        self.found.append(Leaf(relation_id, provider, request, schema, columns))
        return CachedRemote(relation_id, plan_id=read.plan_id)


def source_context(session: StreamSession) -> SourceContext:
    """What a source may use while only its schema or a batch is asked for."""
    runtime = session.runtime
    return SourceContext(
        runtime.database, runtime.storage, runtime.clock, session.settings, runtime.mounts, session.time_zone
    )


def _request(read: ReadSource) -> SourceRequest:
    options = FormatOptions(read.options)
    return SourceRequest(
        read.format, read.schema, options, read.paths or ((options["path"],) if "path" in options else ())
    )


class StreamContext:
    """A session as the compiler sees it while a stream is compiled: the same, and the stream's own leaves."""

    def __init__(self, session: StreamSession, leaves: Mapping[str, Resolved]) -> None:
        self._session = session
        self._leaves = dict(leaves)
        self.settings: Settings = session.settings
        self.now = times.time(times.BATCH)
        """What `current_timestamp()` means: the batch's time, the same in a replay."""
        self.statics: list[StaticSide] = []
        """The static reads that are renewed in every batch."""

    def add(self, relation_id: str, leaf: Resolved) -> None:
        """One more leaf."""
        self._leaves[relation_id] = leaf

    def knows(self, read: CachedRemote) -> bool:
        """Whether it is one of the stream's own leaves."""
        return read.relation_id in self._leaves

    @property
    def time_zone(self) -> str:
        """See `Context`."""
        return self._session.time_zone

    def binder(self) -> Connection:
        """See `Context`."""
        return self._session.binder()

    def table(self, read: ReadTable) -> Relation | Resolved:
        """See `Context`; Delta tables are followed."""
        made = self._session.table(read)
        if not isinstance(made, Resolved):
            return made
        found = self._session.catalog.get(read.parts)
        if isinstance(found, PathTable):
            return self._followed(ReadSource(found.format, None, read.options, (found.path,)), made)
        options = tuple({**found.options, **dict(read.options)}.items())
        return self._followed(ReadSource(found.provider, None, options, (found.location or "",)), made)

    def source(self, read: ReadSource) -> Resolved:
        """See `Context`; Delta tables are followed."""
        return self._followed(read, self._session.source(read))

    def _followed(self, read: ReadSource, made: Resolved) -> Resolved:
        if made.streaming or made.hidden:
            return made
        found = followed(read, _request(read), source_context(self._session))
        if found is None:
            return made
        side = StaticSide(f"static_{len(self.statics)}", found, [a.sql for a in made.attributes])
        self.statics.append(side)
        return over(side.name, made)

    def cached(self, relation_id: str) -> Relation | Resolved:
        """See `Context`; the stream's leaves come first."""
        leaf = self._leaves.get(relation_id)
        return leaf if leaf is not None else self._session.cached(relation_id)

    def sql(self, text: str, named: dict[str, Expression], positional: tuple[Expression, ...]) -> Relation:
        """See `Context`."""
        return self._session.sql(text, named, positional)
