"""Tables of the catalog with their files: schema, creation, replacement, removal.

Invariants: a managed table's folder is removed with it, an external table's never; the schema of a Delta table is
what its log says.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import StructField, StructType

from headwater.catalog import PathTable, Table, quoted
from headwater.catalog.catalog import already_exists, not_found
from headwater.errors import AnalysisError
from headwater.io.formats import FormatOptions
from headwater.io.paths import real
from headwater.io.routing import make_folder
from headwater.lake import create as lake
from headwater.lake.clustering import named_columns
from headwater.lake.file_sizes import of_write
from headwater.lake.handles import shared
from headwater.lake.identity import is_identity
from headwater.lake.rules import GENERATION
from headwater.lake.table import LakeTable
from headwater.lake.zorder import column_path
from headwater.plan.relations import ReadSource, ReadTable, Relation
from headwater.sessions.claiming import making
from headwater.sessions.files import named
from headwater.sessions.saving import DELTA, Target, nullable, resolve_batch, save

if TYPE_CHECKING:
    from headwater.sessions.session import Session

Options = tuple[tuple[str, str], ...]

_folders: dict[str, threading.RLock] = {}
_guard = threading.Lock()


def writable(parts: tuple[str, ...], session: Session) -> Table | None:
    """The table to write to, or None; ``delta.`path` `` counts as an external table. Raises for views."""
    found = session.catalog.stored(parts)
    if found is None:
        named = session.catalog.find(parts)
        if isinstance(named, PathTable):
            return Table("", named.path, "EXTERNAL", named.format, session.runtime.mounts.local(named.path))
    if found is not None and found.is_view:
        raise _is_view(found, "INSERT")
    return found


def in_place(parts: tuple[str, ...], session: Session) -> Table | None:
    """What a CREATE of that name finds: the catalog's table or view, or the Delta table in the folder it names."""
    found = session.catalog.stored(parts)
    if found is not None or not names_folder(parts, session):
        return found
    folder = session.runtime.mounts.local(parts[1])
    return Table("", parts[1], "EXTERNAL", DELTA, folder) if LakeTable.exists(folder) else None


def names_folder(parts: tuple[str, ...], session: Session) -> bool:
    """Whether the name is ``delta.`/folder` ``: a table that no catalog knows. A relative path is a table's name."""
    is_path = len(parts) == 2 and parts[0].lower() == DELTA and (parts[1].startswith("/") or ":/" in parts[1])
    return is_path and session.catalog.stored(parts) is None


def existing(parts: tuple[str, ...], session: Session) -> Table:
    """The table to write to. Raises TABLE_OR_VIEW_NOT_FOUND."""
    found = writable(parts, session)
    if found is None:
        raise not_found(parts)
    return found


def _is_view(found: Table, operation: str) -> AnalysisError:
    return AnalysisError(
        "WRONG_COMMAND_FOR_OBJECT_TYPE",
        operation=operation,
        requiredType="TABLE",
        objectName=".".join(found.full_name),
        foundType="VIEW",
        alternative="INSERT into the tables it reads",
    )


def display_name(table: Table) -> str:
    """The name as messages print it."""
    return quoted(table.full_name) if table.database else quoted((table.provider, table.name))


def schema_of(table: Table, session: Session) -> StructType:
    """The table's columns. Raises if its files are gone."""
    if table.provider == DELTA:
        return lake_of(table, session).schema
    if table.schema is not None:
        return table.schema
    if table.is_view:
        return session.resolve(ReadTable(table.full_name)).schema
    read = ReadSource(table.provider, None, tuple(table.options.items()), (table.location or "",))
    return session.source(read).schema


def lake_of(table: Table, session: Session) -> LakeTable:
    """The Delta table. Raises DELTA_TABLE_NOT_FOUND."""
    found = shared(table.location or "", session.runtime.storage, session.runtime.clock)
    if found.version < 0:
        raise AnalysisError("DELTA_TABLE_NOT_FOUND", tableName=f"delta.`{found.path}`")
    return found


def partitions_of(table: Table, session: Session) -> tuple[str, ...]:
    """The partition columns."""
    if table.provider == DELTA:
        return lake_of(table, session).partition_by
    return table.partition_by


def properties_of(table: Table, session: Session) -> dict[str, str]:
    """The table's properties; those of a Delta table are what its log says."""
    if table.provider == DELTA:
        return dict(lake_of(table, session).metadata.configuration)
    return dict(table.properties)


def shown_properties(table: Table, session: Session) -> dict[str, str]:
    """The table's properties as SHOW TBLPROPERTIES lists them: with protocol and clustering of a Delta table."""
    if table.provider != DELTA:
        return dict(table.properties)
    state = lake_of(table, session).newest()
    metadata, protocol = state.metadata, state.protocol
    assert metadata is not None
    assert protocol is not None
    versions = {"delta.minReaderVersion": protocol.reader_version, "delta.minWriterVersion": protocol.writer_version}
    features = {f"delta.feature.{name}": "supported" for name in protocol.writer_features}
    columns = [list(path) for path in named_columns(metadata, state.domains)]
    clustered = {"clusteringColumns": json.dumps(columns, separators=(",", ":"))} if columns else {}
    return {**metadata.configuration, **{key: str(value) for key, value in versions.items()}, **features, **clustered}


def written(schema: StructType, given: Sequence[str]) -> StructType:
    """The columns that rows with columns `given` fill: all but those that the table computes and they do not bring."""
    names = {name.lower() for name in given}
    return StructType([f for f in schema.fields if f.name.lower() in names or not _computed(f)])


def _computed(field: StructField) -> bool:
    return GENERATION in (field.metadata or {}) or is_identity(field)


def target_of(
    table: Table,
    session: Session,
    options: Mapping[str, str] | Sequence[tuple[str, str]] = (),
    *,
    overwrite: bool = False,
) -> Target:
    """Where rows of the table go; a Delta table knows its partitions itself."""
    merged = FormatOptions({**table.options, **dict(options)})
    known = table.provider == DELTA and not merged.flag("overwriteSchema")
    partitions = () if known else partitions_of(table, session)
    return Target(table.provider, table.location or "", partitions, merged, overwrite=overwrite)


def define(
    parts: tuple[str, ...], provider: str, session: Session, *, location: str | None = None, options: Options = ()
) -> Table:
    """A new table's row, not stored yet; ``delta.`/folder` `` has no database, and is never stored.

    Raises SCHEMA_NOT_FOUND, DELTA_AMBIGUOUS_PATHS_IN_CREATE_TABLE, INVALID_SCHEMA_OR_RELATION_NAME.
    """
    database, name = session.catalog.split(parts)
    if names_folder(parts, session):
        database, name, location = "", parts[1], _folder(parts, provider, location, session)
    folder = session.runtime.mounts.local(location) if location else session.catalog.managed_location(parts)
    kept = {key: value for key, value in options if key.lower() != "path"}
    return Table(
        database,
        name,
        "EXTERNAL" if location else "MANAGED",
        provider,
        folder,
        options=kept,
        created_ms=session.runtime.clock.now_ms(),
    )


def _folder(parts: tuple[str, ...], provider: str, location: str | None, session: Session) -> str:
    """The folder that the name says; a LOCATION may only repeat it."""
    if provider != DELTA:
        raise AnalysisError("INVALID_SCHEMA_OR_RELATION_NAME", name=quoted(parts[1:]))
    local = session.runtime.mounts.local
    if location is not None and local(location) != local(parts[1]):
        raise AnalysisError(
            "DELTA_AMBIGUOUS_PATHS_IN_CREATE_TABLE",
            identifier=parts[1],
            location=location,
            config="spark.databricks.delta.legacy.allowAmbiguousPathsInCreateTable",
        )
    return parts[1]


def _store(table: Table, session: Session, *, replace: bool) -> None:
    if table.database:
        session.catalog.add_table(table, replace=replace)


def create_from(
    plan: Relation,
    table: Table,
    session: Session,
    options: Options = (),
    *,
    replacing: bool = False,
    verb: str | None = None,
) -> None:
    """Create a table with the rows of a plan (CREATE TABLE AS, `saveAsTable`).

    Raises TABLE_OR_VIEW_ALREADY_EXISTS, LOCATION_ALREADY_EXISTS.
    """
    with _creating(table), making(table, session):
        name = verb or ("CREATE OR REPLACE TABLE" if replacing else "CREATE TABLE")
        _create_from(plan, table, session, options, replacing=replacing, verb=name)


@contextmanager
def _creating(table: Table) -> Iterator[None]:
    """Threads that make a table in one folder queue up: who fails takes away what is in the folder."""
    with _guard:
        lock = _folders.setdefault(real(table.location or ""), threading.RLock())
    with lock:
        yield


def _create_from(
    plan: Relation, table: Table, session: Session, options: Options, *, replacing: bool, verb: str
) -> None:
    schema = session.resolve(plan).schema
    _check_free(table, session, replacing=replacing)
    if table.provider == DELTA:
        _save_delta(plan, table, session, options, replacing=replacing, verb=verb)
    else:
        merged = FormatOptions({**table.options, **dict(options)})
        target = Target(table.provider, table.location or "", table.partition_by, merged, overwrite=replacing)
        save(plan, target, session)
    stored = table if table.provider == DELTA else replace(table, schema=_stored_schema(schema, table.partition_by))
    _store(stored, session, replace=replacing)


def _save_delta(
    plan: Relation, table: Table, session: Session, options: Options, *, replacing: bool, verb: str
) -> None:
    """One commit that defines the table and adds the rows."""
    resolved = resolve_batch(plan, session)
    made = _definition(table, nullable(resolved.schema))
    folder = LakeTable.at(table.location or "", session.runtime.storage, session.runtime.clock)
    there = replacing and folder.version >= 0
    operation = made.operation(f"{verb} AS SELECT")
    words = FormatOptions(options).get("usermetadata")
    with session.connection(resolved) as connection:
        write = folder.overwrite if there else folder.append
        write(
            connection,
            named(resolved),
            made.schema,
            partition_by=made.partition_by,
            cluster_by=made.cluster_by,
            properties=made.properties,
            description=made.description,
            replaces_table=there,
            operation=replace(operation, user_metadata=words),
            sizes=of_write(FormatOptions(options), session.settings.lookup, made.properties),
        )


def _definition(table: Table, schema: StructType) -> lake.NewTable:
    clustering = tuple(map(column_path, table.cluster_by))
    return lake.NewTable(
        schema, table.partition_by, table.properties, table.comment, table.kind == "MANAGED", clustering
    )


def _check_free(table: Table, session: Session, *, replacing: bool) -> None:
    if replacing:
        return
    if not table.database:
        if LakeTable.exists(table.location or ""):
            raise already_exists((table.provider, table.name))
        return
    if session.catalog.stored(table.full_name) is not None:
        raise already_exists(table.full_name)
    if table.kind != "MANAGED" or not table.location:
        return
    if session.runtime.storage.list(table.location):
        raise AnalysisError("LOCATION_ALREADY_EXISTS", identifier=display_name(table), location=uri(table, session))


def create_empty(
    table: Table, schema: StructType | None, session: Session, *, replacing: bool = False, verb: str = "CREATE TABLE"
) -> None:
    """Create a table without rows, or over the files its location already holds."""
    with _creating(table), making(table, session):
        _create_empty(table, schema, session, replacing=replacing, verb=verb)


def _create_empty(table: Table, schema: StructType | None, session: Session, *, replacing: bool, verb: str) -> None:
    if table.provider == DELTA:
        _create_delta(table, schema, session, replacing=replacing, verb=verb)
        _store(table, session, replace=replacing)
        return
    if schema is None or not schema.fields:
        schema = schema_of(replace(table, schema=None), session)
    if replacing and table.kind == "MANAGED" and table.location:
        session.runtime.storage.delete(table.location)
    make_folder(table.location or "")
    session.catalog.add_table(replace(table, schema=_stored_schema(schema, table.partition_by)), replace=replacing)


def _create_delta(table: Table, schema: StructType | None, session: Session, *, replacing: bool, verb: str) -> None:
    folder = table.location or ""
    there = LakeTable.exists(folder)
    schema = schema or StructType()
    if not schema.fields:
        _check_columnless(table, session, there=there, replacing=replacing)
    if there and not schema.fields:
        return
    if there and replacing and not table.database and verb != "REPLACE TABLE":
        _check_same(table, schema, session)
    elif there and replacing:
        lake.replace(lake_of(table, session), _definition(table, schema), verb)
    elif there and lake_of(table, session).schema.names != schema.names:
        raise AnalysisError("DELTA_CREATE_TABLE_SCHEME_MISMATCH", path=folder)
    elif not there:
        lake.create(LakeTable.at(folder, session.runtime.storage, session.runtime.clock), _definition(table, schema))


def _check_same(table: Table, schema: StructType, session: Session) -> None:
    """CREATE OR REPLACE of a table without a name makes none where one is: it may only say what that one is.

    Raises DELTA_CREATE_TABLE_SCHEME_MISMATCH, …_WITH_DIFFERENT_PARTITIONING and …_PROPERTY. Source: Delta 4.3.
    """
    there = lake_of(table, session).metadata
    named = [(field.name, field.dataType) for field in schema.fields]
    if named != [(field.name, field.dataType) for field in there.schema.fields]:
        raise AnalysisError("DELTA_CREATE_TABLE_SCHEME_MISMATCH", path=table.location or "")
    if table.partition_by != there.partition_columns:
        raise AnalysisError(
            "DELTA_CREATE_TABLE_WITH_DIFFERENT_PARTITIONING",
            path=table.location or "",
            specifiedColumns=", ".join(table.partition_by),
            existingColumns=", ".join(there.partition_columns),
        )
    if table.properties and dict(table.properties) != dict(there.configuration):
        raise AnalysisError(
            "DELTA_CREATE_TABLE_WITH_DIFFERENT_PROPERTY",
            path=table.location or "",
            specifiedProperties=_lines(table.properties),
            existingProperties=_lines(there.configuration),
        )


def _lines(properties: Mapping[str, str]) -> str:
    return "\n".join(f"{key}={value}" for key, value in sorted(properties.items()))


def _check_columnless(table: Table, session: Session, *, there: bool, replacing: bool) -> None:
    """Raise unless a table may be made that has no columns yet: what is written to it first brings them."""
    if replacing:
        raise AnalysisError("DELTA_SCHEMA_NOT_PROVIDED")
    if there:
        return
    if table.partition_by or table.cluster_by:
        raise AnalysisError("_LEGACY_ERROR_TEMP_1165")
    if session.runtime.storage.list(table.location or ""):
        place = uri(table, session)
        raise AnalysisError(
            "DELTA_CREATE_EXTERNAL_TABLE_WITHOUT_TXN_LOG",
            tableName=display_name(table),
            path=place,
            logPath=f"{place}/_delta_log",
            docLink="https://docs.delta.io/latest/index.html",
        )


def _stored_schema(schema: StructType, partition_by: Sequence[str]) -> StructType:
    """Partition columns stand last in the schema of a table of files, as Spark lists them."""
    last = {name.lower(): place for place, name in enumerate(partition_by)}
    fields = [StructField(f.name, f.dataType, True, f.metadata) for f in schema.fields]
    data = [f for f in fields if f.name.lower() not in last]
    parts = sorted((f for f in fields if f.name.lower() in last), key=lambda f: last[f.name.lower()])
    return StructType(data + parts)


def drop(table: Table, session: Session) -> None:
    """Forget a table, and remove the files of a managed one."""
    session.catalog.metastore.drop_table(table.database, table.name)
    remove_files(table, session)


def remove_files(table: Table, session: Session) -> None:
    """Remove a managed table's folder."""
    if table.kind == "MANAGED" and table.location:
        session.runtime.storage.delete(table.location)


def uri(table: Table, session: Session) -> str:
    """The location as Spark prints it."""
    return session.runtime.mounts.uri(table.location) if table.location else ""
