"""What a name or a source stands for when a plan is resolved: a view's plan, or a leaf over a source's files.

Invariants: batch reads go through the source registry, tables included; a stream read outside a running stream is
a leaf with the schema and no rows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol, cast

from pyspark.sql.types import StructType

from headwater.catalog import PathTable, Table, View
from headwater.compile.resolved import Resolved
from headwater.errors import AnalysisError, unsupported
from headwater.io.formats.base import FormatOptions
from headwater.io.formats.scan import FILE_FIELD
from headwater.plan.relations import ReadSource, ReadTable, Relation, SubqueryAlias, ToDF
from headwater.sessions.leaves import empty, leaf
from headwater.sessions.pushing import unqualified, with_filters
from headwater.sessions.scopes import map_reads
from headwater.sources.base import BatchInput, SourceContext, SourceProvider, SourceRequest

if TYPE_CHECKING:
    from headwater.sessions.session import Session


class BatchProvider(SourceProvider, Protocol):
    """A source that can also be read as a batch."""

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:
        """All rows there are now."""
        ...


def table(read: ReadTable, session: Session) -> Relation | Resolved:
    """The plan of a view, or the leaf of a table. Raises TABLE_OR_VIEW_NOT_FOUND."""
    found = session.catalog.get(read.parts)
    if isinstance(found, View):
        return with_filters(found.plan, session, unqualified(read.filters, read.parts))
    if isinstance(found, PathTable):
        wanted = ReadSource(found.format, None, read.options, (found.path,), read.streaming)
        return source(replace(wanted, file_column=read.file_column, filters=read.filters), session)
    if found.is_view:
        return with_filters(stored_view(found, session), session, unqualified(read.filters, read.parts))
    asked = {name.lower() for name, _ in read.options}
    if found.provider != "delta" and asked & {"readchangefeed", "readchangedata"}:
        raise AnalysisError(
            "DELTA_TABLE_ONLY_OPERATION", tableName=".".join(found.full_name), operation="table_changes"
        )
    return replace_qualifier(source(table_source(found, read), session), found)


def table_source(found: Table, read: ReadTable) -> ReadSource:
    """The read of a stored table's files; the read's own options win over the table's."""
    options = tuple({**found.options, **dict(read.options)}.items())
    paths = (found.location,) if found.location else ()
    made = ReadSource(found.provider, found.schema, options, paths, read.streaming)
    return replace(made, file_column=read.file_column, filters=read.filters)


def source(read: ReadSource, session: Session) -> Resolved:
    """The leaf of a source. Raises DATA_SOURCE_NOT_FOUND."""
    provider = find_provider(read.format, session)
    request = replace(source_request(read), file_column=read.file_column and hasattr(provider, "file_columns"))
    context = source_context(session)
    if read.streaming:
        return empty(provider.schema(request, context), streaming=True, file_column=request.file_column)
    if not hasattr(provider, "batch"):
        raise unsupported(f"reading `{read.format}` as a batch", "Read it with spark.readStream.")
    rows, schema = cast(BatchProvider, provider).batch(request, context)
    hidden = getattr(provider, "hidden", ())
    return leaf(
        rows.query, schema, inputs=rows.inputs, hidden=[*([FILE_FIELD] if request.file_column else []), *hidden]
    )


def find_provider(name: str, session: Session) -> SourceProvider:
    """Who reads that format, Spark's or the user's. Raises DATA_SOURCE_NOT_FOUND."""
    provider = session.data_sources.source(name)
    if provider is None:
        raise AnalysisError("DATA_SOURCE_NOT_FOUND", provider=name)
    return provider


def source_request(read: ReadSource) -> SourceRequest:
    """The read as sources understand it; the option `path` is one of the paths."""
    options = FormatOptions(read.options)
    paths = read.paths or ((options["path"],) if "path" in options else ())
    return SourceRequest(read.format, read.schema, options, paths, filters=read.filters)


def source_context(session: Session) -> SourceContext:
    """What a source may use while only its schema or a batch is asked for."""
    runtime = session.runtime
    return SourceContext(
        runtime.database, runtime.storage, runtime.clock, session.settings, runtime.mounts, session.time_zone
    )


def replace_qualifier(resolved: Resolved, found: Table) -> Resolved:
    """The leaf with its columns reachable by the table's full name."""
    attributes = tuple(replace(a, qualifiers=(found.full_name,)) for a in resolved.attributes)
    return replace(resolved, attributes=attributes)


# ── stored views ────────────────────────────────────────────────────────────────────────────────────────────


def stored_view(view: Table, session: Session) -> Relation:
    """The plan of a stored view's text, its names meaning what they meant where it was made."""
    plan = qualify(session.sql(view.view_text or "", {}, ()), view.view_database or view.database)
    if view.view_columns:
        plan = ToDF(plan, view.view_columns)
    return SubqueryAlias(plan, view.name)


def qualify(plan: Relation, database: str) -> Relation:
    """The plan with one-part table names bound to a database; names of its own WITH tables stay."""

    def bind(read: ReadTable) -> Relation:
        if len(read.parts) > 1:
            return read
        return SubqueryAlias(replace(read, parts=(database, *read.parts)), read.parts[0])

    return map_reads(plan, bind)
