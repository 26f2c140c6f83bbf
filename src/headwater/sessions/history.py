"""DESCRIBE HISTORY and DESCRIBE DETAIL of a Delta table, in Delta's columns.

Invariant: newest version first; only commits whose log files are still there.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from headwater.catalog import Table
from headwater.errors import AnalysisError
from headwater.lake.actions import Commit
from headwater.plan.relations import LocalData
from headwater.sessions import stored
from headwater.sessions.leaves import rows

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_TEXTS = MapType(StringType(), StringType())
_HISTORY = StructType(
    [
        StructField("version", LongType()),
        StructField("timestamp", TimestampType()),
        StructField("userId", StringType()),
        StructField("userName", StringType()),
        StructField("operation", StringType()),
        StructField("operationParameters", _TEXTS),
        StructField("readVersion", LongType()),
        StructField("isolationLevel", StringType()),
        StructField("isBlindAppend", BooleanType()),
        StructField("operationMetrics", _TEXTS),
        StructField("userMetadata", StringType()),
        StructField("engineInfo", StringType()),
    ]
)
_DETAIL = StructType(
    [
        StructField("format", StringType()),
        StructField("id", StringType()),
        StructField("name", StringType()),
        StructField("description", StringType()),
        StructField("location", StringType()),
        StructField("createdAt", TimestampType()),
        StructField("lastModified", TimestampType()),
        StructField("partitionColumns", ArrayType(StringType())),
        StructField("numFiles", LongType()),
        StructField("sizeInBytes", LongType()),
        StructField("properties", _TEXTS),
        StructField("minReaderVersion", IntegerType()),
        StructField("minWriterVersion", IntegerType()),
    ]
)


def history(table: Table, session: Session) -> LocalData:
    """One row per commit. Raises DELTA_ONLY."""
    lake = stored.lake_of(_delta(table, "DESCRIBE HISTORY"), session)
    return rows(_HISTORY, [_commit(commit) for commit in lake.history()])


def _commit(commit: Commit) -> tuple[Any, ...]:
    info = commit.info
    return (
        commit.version,
        commit.timestamp_ms * 1000,
        info.get("userId"),
        info.get("userName"),
        info.get("operation"),
        _texts(info.get("operationParameters")),
        info.get("readVersion"),
        info.get("isolationLevel"),
        info.get("isBlindAppend"),
        _texts(info.get("operationMetrics")),
        info.get("userMetadata"),
        info.get("engineInfo"),
    )


def _texts(values: Any) -> list[tuple[str, str | None]]:
    pairs = (values or {}).items()
    return [(str(key), value if isinstance(value, str | None) else json.dumps(value)) for key, value in pairs]


def detail(table: Table, session: Session) -> LocalData:
    """One row about the table. Raises DELTA_ONLY."""
    snapshot = stored.lake_of(_delta(table, "DESCRIBE DETAIL"), session).snapshot()
    metadata = snapshot.metadata
    row = (
        "delta",
        metadata.id,
        ".".join(table.full_name) if table.database else None,
        metadata.description,
        stored.uri(table, session),
        (metadata.created_time or 0) * 1000,
        snapshot.timestamp_ms * 1000,
        list(metadata.partition_columns),
        len(snapshot.files),
        sum(file.size for file in snapshot.files),
        list(metadata.configuration.items()),
        snapshot.protocol.reader_version,
        snapshot.protocol.writer_version,
    )
    return rows(_DETAIL, [row])


def _delta(table: Table, operation: str) -> Table:
    if table.provider != "delta":
        raise AnalysisError("DELTA_ONLY", operation=operation, table=stored.display_name(table))
    return table
