"""DESCRIBE table, query, function, schema, history, detail.

Invariant: rows and their order are Spark's (and Delta's for HISTORY and DETAIL); the clustering columns are listed as
Databricks lists them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql.types import StructField, StructType

from headwater.catalog import CATALOG, PathTable, Table, View, quoted
from headwater.errors import AnalysisError
from headwater.functions.base import functions
from headwater.plan.commands import Describe
from headwater.plan.relations import ReadTable, Relation
from headwater.sessions import facts, stored
from headwater.sessions.commands.base import command
from headwater.sessions.defaults import KEY
from headwater.sessions.history import detail, history
from headwater.sessions.leaves import rows, text_schema
from headwater.sessions.names import usage
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session

Row = tuple[str, str, str | None]
_STATISTICS = ("min", "max", "num_nulls", "distinct_count", "avg_col_len", "max_col_len", "histogram")
"""What ANALYZE TABLE would have found of a column; nobody has asked it."""


@command(Describe)
def describe(node: Describe, session: Session) -> Relation:
    """The description as a table."""
    if node.kind == "query" and node.query is not None:
        return _columns(_fields(session.resolve(node.query).schema))
    if node.kind == "function":
        return _function(node)
    if node.kind == "schema":
        return _schema(node, session)
    if node.kind == "history":
        return history(stored.existing(node.name, session), session, node.limit)
    if node.kind == "detail":
        return detail(stored.existing(node.name, session), session)
    return _table(node, session)


def _columns(lines: list[Row]) -> Relation:
    return rows(text_schema("col_name", "data_type", "comment", optional=("comment",)), lines)


def _fields(schema: StructType) -> list[Row]:
    return [(f.name, f.dataType.simpleString(), (f.metadata or {}).get("comment")) for f in schema.fields]


def _table(node: Describe, session: Session) -> Relation:
    found = session.catalog.get(node.name)
    if isinstance(found, PathTable):
        found = stored.existing(node.name, session)
    if node.column is not None:
        return _column(node, found, session)
    partition = _partition(node, found, session)
    schema = columns_of(node.name, found, session)
    lines = _fields(schema)
    if isinstance(found, View):
        return _columns(lines)
    by = () if found.is_view else stored.partitions_of(found, session)
    lines += _listed("# Partition Information", schema, [(name,) for name in by])
    lines += _listed("# Clustering Information", schema, facts.clustered_by(found, session))
    if node.extended and partition:
        lines += _section("# Detailed Partition Information", partition)
        lines += _section("# Storage Information", {"Location": stored.uri(found, session)})
    elif node.extended:
        tell = facts.of_delta if found.provider == DELTA else facts.of_catalog
        lines += _section("# Detailed Table Information", tell(found, session))
        lines += [] if found.is_view else _defaults(stored.schema_of(found, session))
    return _columns(lines)


def columns_of(name: tuple[str, ...], found: Table | View | PathTable, session: Session) -> StructType:
    """The columns of what a name means; those of a Delta table are told even if it has none, and cannot be read yet."""
    if isinstance(found, Table) and found.provider == DELTA:
        return stored.schema_of(found, session)
    return session.resolve(ReadTable(name)).schema


def _section(title: str, found: facts.Facts) -> list[Row]:
    return [("", "", ""), (title, "", ""), *((name, value, "") for name, value in found.items())]


def _listed(title: str, schema: StructType, columns: Sequence[Sequence[str]]) -> list[Row]:
    """Columns that divide the table's rows into files, described once more."""
    if not columns:
        return []
    found = [_at(schema, path) for path in columns]
    return [(title, "", ""), ("# col_name", "data_type", "comment"), *_fields(StructType(found))]


def _at(schema: StructType, path: Sequence[str]) -> StructField:
    """A column, or a field of one, by the names on the way to it."""
    found = next(field for field in schema.fields if field.name.lower() == path[0].lower())
    if len(path) == 1:
        return found
    assert isinstance(found.dataType, StructType)
    inner = _at(found.dataType, path[1:])
    return StructField(f"{found.name}.{inner.name}", inner.dataType, inner.nullable, inner.metadata)


def _partition(node: Describe, found: Table | View, session: Session) -> facts.Facts:
    """What is told of the partition that the statement names, with the table it is of; empty if it names none."""
    if not node.partition:
        return {}
    if isinstance(found, Table) and found.provider == DELTA:
        raise AnalysisError("_LEGACY_ERROR_TEMP_1111")
    if isinstance(found, View) or found.is_view:
        raise AnalysisError(
            "FORBIDDEN_OPERATION",
            statement="DESC PARTITION",
            objectType="TEMPORARY VIEW" if isinstance(found, View) else "VIEW",
            objectName=quoted((found.name,)),
        )
    table = facts.partitioned(node.name, "DESCRIBE TABLE", session)
    return {"Database": table.database, "Table": table.name, **facts.partition_of(table, node.partition, session)}


def _column(node: Describe, found: Table | View, session: Session) -> Relation:
    """One column by itself. Raises UNRESOLVED_COLUMN for a Delta table, COLUMN_NOT_FOUND for anything else."""
    schema, name = columns_of(node.name, found, session), node.column or ""
    is_delta = isinstance(found, Table) and found.provider == DELTA
    field = next((one for one in schema.fields if one.name.lower() == name.lower()), None)
    if field is None and is_delta:
        known = ", ".join(f"`{one}`" for one in schema.names)
        raise AnalysisError("UNRESOLVED_COLUMN.WITH_SUGGESTION", objectName=f"`{name}`", proposal=known)
    if field is None:
        setting = '"spark.sql.caseSensitive"'
        raise AnalysisError("COLUMN_NOT_FOUND", colName=f"`{name}`", caseSensitiveConfig=setting)
    told = {"col_name": name, "data_type": field.dataType.simpleString()}
    told["comment"] = (field.metadata or {}).get("comment", "NULL")
    if node.extended and not is_delta:
        told |= dict.fromkeys(_STATISTICS, "NULL")
    return rows(text_schema("info_name", "info_value"), list(told.items()))


def _defaults(schema: StructType) -> list[Row]:
    """The columns with a DEFAULT, its text in the place of the comment, as Spark has it."""
    found = [(f.name, f.dataType.simpleString(), f.metadata[KEY]) for f in schema.fields if KEY in (f.metadata or {})]
    return [("", "", ""), ("# Column Default Values", "", ""), *found] if found else []


def _schema(node: Describe, session: Session) -> Relation:
    database = session.catalog.database(node.name)
    lines = [
        ("Catalog Name", CATALOG),
        ("Namespace Name", database.name),
        ("Comment", database.comment or ""),
        ("Location", session.runtime.mounts.uri(database.location)),
        ("Owner", session.user_id),
    ]
    if node.extended:
        pairs = ", ".join(f"({key},{value})" for key, value in sorted(database.properties.items()))
        lines.append(("Properties", f"({pairs})" if pairs else ""))
    return rows(text_schema("info_name", "info_value", optional=("info_value",)), lines)


def _function(node: Describe) -> Relation:
    name = node.name[-1]
    found = functions.get(name)
    if found is None:
        raise AnalysisError(
            "UNRESOLVED_ROUTINE",
            routineName=f"`{name}`",
            searchPath="[`system`.`builtin`, `system`.`session`, `spark_catalog`.`default`]",
        )
    lines = [f"Function: {name}", f"Usage: {usage(name, found)}"]
    if node.extended:
        lines.append(f"Extended Usage:\n    {found.usage}")
    return rows(text_schema("function_desc"), [(line,) for line in lines])
