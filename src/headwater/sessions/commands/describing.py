"""DESCRIBE table, query, function, schema, history, detail.

Invariant: rows and their order are Spark's (and Delta's for HISTORY and DETAIL).
"""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from pyspark.sql.types import StructType

from headwater.catalog import CATALOG, PathTable, Table, View
from headwater.errors import AnalysisError
from headwater.functions.base import functions
from headwater.plan.commands import Describe
from headwater.plan.relations import ReadTable, Relation
from headwater.sessions import stored
from headwater.sessions.commands.base import command
from headwater.sessions.defaults import KEY
from headwater.sessions.history import detail, history
from headwater.sessions.leaves import rows, text_schema
from headwater.sessions.names import usage

if TYPE_CHECKING:
    from headwater.sessions.session import Session

Row = tuple[str, str, str | None]


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
    schema = session.resolve(ReadTable(node.name)).schema
    lines = _fields(schema)
    if isinstance(found, View):
        return _columns(lines)
    if isinstance(found, PathTable):
        found = stored.existing(node.name, session)
    by = () if found.is_view else stored.partitions_of(found, session)
    if by:
        types = {f.name.lower(): f for f in schema.fields}
        chosen = StructType([types[name.lower()] for name in by])
        lines += [("# Partition Information", "", ""), ("# col_name", "data_type", "comment"), *_fields(chosen)]
    if node.extended:
        lines += [("", "", ""), ("# Detailed Table Information", "", ""), *_details(found, session)]
        lines += [] if found.is_view else _defaults(stored.schema_of(found, session))
    return _columns(lines)


def _defaults(schema: StructType) -> list[Row]:
    """The columns with a DEFAULT, its text in the place of the comment, as Spark has it."""
    found = [(f.name, f.dataType.simpleString(), f.metadata[KEY]) for f in schema.fields if KEY in (f.metadata or {})]
    return [("", "", ""), ("# Column Default Values", "", ""), *found] if found else []


def _details(table: Table, session: Session) -> list[Row]:
    zone = ZoneInfo(session.time_zone)
    made = datetime.datetime.fromtimestamp(table.created_ms / 1000, zone)
    facts = {
        "Catalog": CATALOG,
        "Database": table.database,
        "Table": table.name,
        "Created Time": made.strftime("%a %b %d %H:%M:%S %Z %Y") if table.created_ms else "",
        "Last Access": "UNKNOWN",
        "Created By": "Headwater",
        "Type": table.kind,
        "Provider": table.provider,
        "Comment": table.comment or "",
        "View Text": table.view_text or "",
        "View Catalog and Namespace": f"{CATALOG}.{table.view_database}" if table.view_database else "",
        "Table Properties": _pairs(stored.properties_of(table, session)) if not table.is_view else "",
        "Location": stored.uri(table, session),
        "Storage Properties": _pairs(dict(table.options)),
    }
    return [(name, value, "") for name, value in facts.items() if value]


def _pairs(values: dict[str, str]) -> str:
    return "[" + ", ".join(f"{key}={value}" for key, value in sorted(values.items())) + "]" if values else ""


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
