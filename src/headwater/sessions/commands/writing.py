"""`df.write` and `df.writeTo`: rows into paths and tables.

Invariants: what the mode forbids is refused before any row is computed; `saveAsTable` matches columns by name,
`insertInto` by position.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.catalog import Table
from headwater.catalog.catalog import already_exists, not_found
from headwater.errors import AnalysisError, IllegalArgumentError, unsupported
from headwater.io.formats import FormatOptions
from headwater.lake.table import LakeTable
from headwater.plan.commands import Write, WriteTo
from headwater.plan.expressions import Column, Expression
from headwater.plan.relations import Relation
from headwater.sessions import stored
from headwater.sessions.assigning import by_name, by_position
from headwater.sessions.commands.base import command
from headwater.sessions.saving import DELTA, Target, check_format, save, save_to_data_source

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_DEFAULT_FORMAT = "spark.sql.sources.default"
FILE_FORMATS = frozenset({"csv", "json", "orc", "parquet", "text"})
"""Formats whose files Spark takes `clusterBy` for and lays out as without."""


@command(Write)
def write(node: Write, session: Session) -> None:
    """Save to a path or a table."""
    if node.cluster_by and node.partition_by:
        raise AnalysisError("SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED")
    name = (node.format or session.settings[_DEFAULT_FORMAT]).lower()
    if node.cluster_by and not node.table and name not in (*FILE_FORMATS, DELTA):
        raise unsupported(f"clustering columns of the format {name}", "Leave out clusterBy.")
    if node.insert:
        _insert_into(node, session)
    elif node.table:
        _save_as_table(node, session)
    else:
        _save_path(node, session)


def _save_path(node: Write, session: Session) -> None:
    name = node.format or session.settings[_DEFAULT_FORMAT]
    if session.data_sources.get(name) is not None:
        return save_to_data_source(node, session)
    name = check_format(name)
    path = node.path or FormatOptions(node.options).text("path")
    if name == "noop":
        return save(node.input, Target(name, ""), session)
    if not path:
        raise IllegalArgumentError("PATH_NOT_SPECIFIED")
    folder = session.runtime.mounts.local(path)
    there = LakeTable.exists(folder) if name == DELTA else session.runtime.storage.exists(folder)
    if there and node.mode == "errorifexists":
        raise _path_exists(name, session.runtime.mounts.uri(folder))
    if there and node.mode == "ignore":
        return None
    target = Target(
        name, folder, node.partition_by, FormatOptions(node.options), overwrite=node.mode == "overwrite" and there
    )
    return save(node.input, replace(target, cluster_by=node.cluster_by), session)


def _path_exists(name: str, uri: str) -> AnalysisError:
    if name == DELTA:
        return AnalysisError("DELTA_PATH_EXISTS", path=uri)
    return AnalysisError("PATH_ALREADY_EXISTS", outputPath=uri)


def _save_as_table(node: Write, session: Session) -> None:
    found = stored.writable(node.table, session)
    if found is not None and not found.database and not LakeTable.exists(found.location or ""):
        if found.provider == DELTA:
            return _create(replace(node, format=node.format or DELTA), session)
        return _save_path(replace(node, format=found.provider, path=found.location, table=()), session)
    if found is None:
        return _create(node, session)
    if node.mode == "errorifexists":
        raise already_exists(found.full_name if found.database else node.table)
    if node.mode == "ignore":
        return None
    if node.mode == "overwrite":
        return _overwrite(node, found, session)
    return _append(node, found, session)


def _create(node: Write, session: Session) -> None:
    options = FormatOptions(node.options)
    provider = check_format(node.format or session.settings[_DEFAULT_FORMAT])
    location = node.path or options.get("path")
    table = stored.define(node.table, provider, session, location=location, options=node.options)
    table = replace(table, partition_by=node.partition_by, cluster_by=node.cluster_by)
    stored.create_from(node.input, table, session, node.options, replacing=node.mode == "overwrite")


def _append(node: Write, found: Table, session: Session) -> None:
    if node.format is not None and node.format.lower() != found.provider:
        raise AnalysisError(
            "TABLE_FORMAT_MISMATCH", table=".".join(found.full_name), existing=found.provider, given=node.format
        )
    options = FormatOptions(node.options)
    target = stored.target_of(found, session, options)
    if found.provider == DELTA:
        target = replace(target, partition_by=node.partition_by, cluster_by=node.cluster_by)
        return save(node.input, target, session)
    schema = stored.schema_of(found, session)
    return save(by_name(node.input, schema, stored.display_name(found), session), target, session)


def _overwrite(node: Write, found: Table, session: Session) -> None:
    provider = check_format(node.format or found.provider)
    if provider == DELTA == found.provider:
        target = stored.target_of(found, session, node.options, overwrite=True)
        target = replace(target, partition_by=node.partition_by, cluster_by=node.cluster_by)
        return save(node.input, target, session)
    location = found.location if found.kind == "EXTERNAL" else None
    table = stored.define(node.table, provider, session, location=location, options=node.options)
    table = replace(table, partition_by=node.partition_by)
    return stored.create_from(node.input, table, session, node.options, replacing=True)


def _insert_into(node: Write, session: Session) -> None:
    found = stored.existing(node.table, session)
    target = stored.target_of(found, session, node.options, overwrite=node.mode == "overwrite")
    save(_positioned(node.input, found, session), target, session)


def _positioned(plan: Relation, found: Table, session: Session) -> Relation:
    return by_position(plan, stored.schema_of(found, session), stored.display_name(found), session)


@command(WriteTo)
def write_to(node: WriteTo, session: Session) -> None:
    """`df.writeTo(table)`."""
    found = stored.in_place(node.table, session)
    if node.mode == "create":
        if found is not None:
            raise already_exists(found.full_name if found.database else node.table)
        return _write_to_new(node, session, replacing=False)
    if node.mode == "create_or_replace" or (node.mode == "replace" and found is not None):
        return _write_to_new(node, session, replacing=True)
    if found is None:
        raise not_found(node.table)
    return _write_to_existing(node, found, session)


def _write_to_existing(node: WriteTo, found: Table, session: Session) -> None:
    target = stored.target_of(found, session, node.options, overwrite=node.mode != "append")
    target = replace(target, dynamic=node.mode == "overwrite_partitions")
    if node.mode == "overwrite" and node.condition is not None and not _is_true(node.condition):
        if found.provider != DELTA:
            raise unsupported(f"overwriting rows of a table of format {found.provider}", "Use a Delta table.")
        target = replace(target, condition=node.condition)
    if found.provider == DELTA and target.options.flag("mergeSchema"):
        return save(node.input, target, session)
    schema = stored.written(stored.schema_of(found, session), session.resolve(node.input).schema.names)
    return save(by_name(node.input, schema, stored.display_name(found), session), target, session)


def _is_true(condition: Expression) -> bool:
    return getattr(condition, "value", None) is True


def _write_to_new(node: WriteTo, session: Session, *, replacing: bool) -> None:
    provider = check_format(node.provider or session.settings[_DEFAULT_FORMAT])
    location = dict(node.properties).get("location") or FormatOptions(node.options).get("path")
    table = stored.define(node.table, provider, session, location=location, options=node.options)
    properties = {key: value for key, value in node.properties if key != "location"}
    by = tuple(map(_partition, node.partition_by))
    table = replace(table, partition_by=by, cluster_by=node.cluster_by, properties=properties)
    verb = {"create": "CREATE TABLE", "replace": "REPLACE TABLE"}.get(node.mode, "CREATE OR REPLACE TABLE")
    stored.create_from(node.input, table, session, node.options, replacing=replacing, verb=verb)


def _partition(column: Expression) -> str:
    if not isinstance(column, Column):
        raise unsupported("partitioning by an expression", "Partition by a column; compute it with withColumn first.")
    return column.parts[-1]
