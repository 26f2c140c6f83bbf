"""What DESCRIBE EXTENDED and SHOW TABLE EXTENDED tell of a table, line by line.

Invariants: lines, names and order are Spark's 4.1 with Delta 4.3: a Delta table tells what its log says, anything else
what the catalog knows; what is not known has no line.
"""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import unquote
from zoneinfo import ZoneInfo

from pyspark.sql.types import StructType

from headwater.catalog import CATALOG, Table, View, quoted
from headwater.catalog.catalog import not_found
from headwater.errors import AnalysisError
from headwater.lake import clustering
from headwater.sessions import stored
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session

Facts = dict[str, str]
Partition = tuple[tuple[str, str], ...]
"""A partition's columns with the values that the statement gives, as text."""


def of_delta(table: Table, session: Session) -> Facts:
    """What DESCRIBE EXTENDED tells of a Delta table."""
    named = bool(table.database)
    metadata = stored.lake_of(table, session).metadata
    properties = sorted(stored.shown_properties(table, session).items())
    facts = {
        "Name": ".".join(table.full_name) if named else f"delta.`{stored.uri(table, session)}`",
        "Type": table.kind if named else "MANAGED",
        "Comment": metadata.description or "",
        "Location": stored.uri(table, session) if named else table.name,
        "Provider": table.provider,
        "Table Properties": f"[{','.join(f'{key}={value}' for key, value in properties)}]",
    }
    return {name: value for name, value in facts.items() if value}


def of_catalog(table: Table, session: Session) -> Facts:
    """What the catalog tells of a table or stored view."""
    facts = {
        "Catalog": CATALOG,
        "Database": table.database,
        "Table": table.name,
        "Created Time": _time(table.created_ms, session) if table.created_ms else "",
        "Last Access": "UNKNOWN",
        "Created By": "Headwater",
        "Type": table.kind,
        "Provider": table.provider,
        "Comment": table.comment or "",
    }
    if table.is_view:
        facts |= _of_view(table.view_text or "", table.view_database, stored.schema_of(table, session))
    else:
        facts["Table Properties"] = _pairs(table.properties) if table.provider != DELTA else ""
        facts["Location"] = stored.uri(table, session)
        facts["Storage Properties"] = _pairs(table.options)
        facts["Partition Provider"] = "Catalog" if table.provider == DELTA or table.partition_by else ""
    return {name: value for name, value in facts.items() if value}


def _of_view(text: str, database: str | None, schema: StructType) -> Facts:
    return {
        "View Text": text,
        "View Original Text": text,
        "View Schema Mode": "COMPENSATION",
        "View Catalog and Namespace": f"{CATALOG}.{database}" if database else "",
        "View Query Output Columns": f"[{', '.join(quoted((name,)) for name in schema.names)}]",
    }


def _time(ms: float, session: Session) -> str:
    made = datetime.datetime.fromtimestamp(ms / 1000, ZoneInfo(session.time_zone))
    return made.strftime("%a %b %d %H:%M:%S %Z %Y")


def _pairs(values: Mapping[str, str]) -> str:
    return "[" + ", ".join(f"{key}={value}" for key, value in sorted(values.items())) + "]" if values else ""


# ── SHOW TABLE EXTENDED ─────────────────────────────────────────────────────────────────────────────────────


def information(item: Table | View, session: Session) -> str:
    """The text that SHOW TABLE EXTENDED gives: a line each; the columns of what is no Delta table at the end."""
    if isinstance(item, View):
        schema = session.resolve(item.plan).schema
        facts = {"Table": item.name, "Last Access": "UNKNOWN", "Created By": "Headwater", "Type": "VIEW"}
        facts |= {"View Text": item.text} if item.text else {}
        return _lines(facts) + _schema(schema)
    facts = of_catalog(item, session)
    if item.provider == DELTA:
        return _lines(facts)
    if item.partition_by:
        facts["Partition Columns"] = f"[{', '.join(quoted((name,)) for name in item.partition_by)}]"
    return _lines(facts) + _schema(stored.schema_of(item, session))


def _lines(facts: Facts) -> str:
    return "".join(f"{name}: {value}\n" for name, value in facts.items())


def _schema(schema: StructType) -> str:
    return f"Schema: {schema.treeString()}\n"


# ── partitions ──────────────────────────────────────────────────────────────────────────────────────────────


def partitioned(parts: tuple[str, ...], operation: str, session: Session) -> Table:
    """The table of files whose partitions are asked for.

    Raises TABLE_OR_VIEW_NOT_FOUND, EXPECT_TABLE_NOT_VIEW, INVALID_PARTITION_OPERATION for a Delta table, which has no
    partitions that could be asked for one by one.
    """
    found = session.catalog.find(parts)
    if isinstance(found, View) or (isinstance(found, Table) and found.is_view):
        name = quoted(found.full_name if isinstance(found, Table) else (found.name,))
        raise AnalysisError("EXPECT_TABLE_NOT_VIEW.NO_ALTERNATIVE", operation=operation, viewName=name)
    if not isinstance(found, Table):
        raise not_found(parts)
    if found.provider == DELTA:
        name = stored.display_name(found)
        raise AnalysisError("INVALID_PARTITION_OPERATION.PARTITION_MANAGEMENT_IS_UNSUPPORTED", name=name)
    return found


def partition_of(table: Table, partition: Partition, session: Session) -> Facts:
    """What is told of one partition of a table of files. Raises PARTITIONS_NOT_FOUND."""
    given, root = checked(table, partition), table.location or ""
    shown = [f"{name}={given[name]}" for name in table.partition_by if name in given]
    files = [
        file
        for file in session.runtime.storage.walk(root)
        if unquote(os.path.relpath(os.path.dirname(file.path), root)) == "/".join(shown)
    ]
    if len(given) < len(table.partition_by) or not files:
        listed = ", ".join(f"{quoted((name,))} = {value}" for name, value in partition)
        raise AnalysisError("PARTITIONS_NOT_FOUND", partitionList=listed, tableName=stored.display_name(table))
    return {
        "Partition Values": f"[{', '.join(shown)}]",
        "Location": session.runtime.mounts.uri(os.path.dirname(files[0].path)),
        "Created Time": _time(min(file.modified_ms for file in files), session),
        "Last Access": "UNKNOWN",
    }


def checked(table: Table, partition: Partition) -> dict[str, str]:
    """The values by the table's own names of its partition columns. Raises PARTITIONS_NOT_FOUND for another column."""
    known = {name.lower(): name for name in table.partition_by}
    strange = [quoted((name,)) for name, _ in partition if name.lower() not in known]
    if strange:
        names, table_name = ", ".join(strange), stored.display_name(table)
        raise AnalysisError("PARTITIONS_NOT_FOUND", partitionList=names, tableName=table_name)
    return {known[name.lower()]: value for name, value in partition}


# ── clustering ──────────────────────────────────────────────────────────────────────────────────────────────


def clustered_by(table: Table, session: Session) -> tuple[tuple[str, ...], ...]:
    """The clustering columns of a Delta table, each the names on the way to it."""
    if table.provider != DELTA:
        return ()
    state = stored.lake_of(table, session).newest()
    return clustering.named_columns(state.metadata, state.domains) if state.metadata is not None else ()
