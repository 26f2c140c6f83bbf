"""DESCRIBE HISTORY and DESCRIBE DETAIL of a Delta table, in the columns of Delta 4.3.

Invariants: newest version first; only commits whose log files are still there; what only Databricks writes into a
commit (job, notebook, cluster) is shown where a commit has it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from headwater.catalog import Table, quoted
from headwater.errors import AnalysisError
from headwater.lake.actions import Commit, Metadata, Protocol
from headwater.lake.table import LakeTable
from headwater.plan.relations import LocalData
from headwater.sessions import stored
from headwater.sessions.leaves import rows, text_schema

if TYPE_CHECKING:
    from headwater.sessions.session import Session

Row = tuple[Any, ...]

_JOB_FACTS = ("jobId", "jobName", "jobRunId", "runId", "jobOwnerId", "triggerType")
_TEXTS = MapType(StringType(), StringType())
_JOB = text_schema(*_JOB_FACTS, optional=_JOB_FACTS)
_NOTEBOOK = text_schema("notebookId", optional=("notebookId",))
_HISTORY = StructType(
    [
        StructField("version", LongType()),
        StructField("timestamp", TimestampType()),
        StructField("userId", StringType()),
        StructField("userName", StringType()),
        StructField("operation", StringType()),
        StructField("operationParameters", _TEXTS),
        StructField("job", _JOB),
        StructField("notebook", _NOTEBOOK),
        StructField("clusterId", StringType()),
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
        StructField("clusteringColumns", ArrayType(StringType())),
        StructField("numFiles", LongType()),
        StructField("sizeInBytes", LongType()),
        StructField("properties", _TEXTS),
        StructField("minReaderVersion", IntegerType()),
        StructField("minWriterVersion", IntegerType()),
        StructField("tableFeatures", ArrayType(StringType())),
    ]
)
_WRITER_FEATURES = {
    2: ("appendOnly", "invariants"),
    3: ("checkConstraints",),
    4: ("changeDataFeed", "generatedColumns"),
    5: ("columnMapping",),
    6: ("identityColumns",),
}
"""What each writer version added before features were listed by name."""


def history(table: Table, session: Session, limit: int | None = None) -> LocalData:
    """One row per commit, at most `limit`. Raises DELTA_ONLY_OPERATION, DELTA_TABLE_ONLY_OPERATION."""
    if table.provider != "delta":
        raise AnalysisError("DELTA_ONLY_OPERATION", operation="DESCRIBE HISTORY")
    if not LakeTable.exists(table.location or ""):
        raise AnalysisError("DELTA_TABLE_ONLY_OPERATION", tableName=_shown(table), operation="DESCRIBE HISTORY")
    lake = stored.lake_of(table, session)
    return rows(_HISTORY, [_commit(commit) for commit in lake.history(limit)])


def _shown(table: Table) -> str:
    return quoted(table.full_name if table.database else (table.name,))


def _commit(commit: Commit) -> Row:
    info = commit.info
    return (
        commit.version,
        commit.timestamp_ms * 1000,
        info.get("userId"),
        info.get("userName"),
        info.get("operation"),
        _texts(info.get("operationParameters")),
        info.get("job"),
        info.get("notebook"),
        info.get("clusterId"),
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
    """One row about the table, which may have another format if it has a name. Raises DELTA_FILE_NOT_FOUND."""
    if table.provider != "delta" and table.database:
        return rows(_DETAIL, [_foreign(table, session)])
    if not LakeTable.exists(table.location or ""):
        raise AnalysisError("DELTA_FILE_NOT_FOUND", path=table.location)
    lake = stored.lake_of(table, session)
    state = lake.newest()
    metadata, protocol = lake.metadata, state.protocol
    assert protocol is not None
    files = state.files.values()
    row = (
        "delta",
        metadata.id,
        ".".join(table.full_name) if table.database else None,
        metadata.description,
        stored.uri(table, session),
        (metadata.created_time or 0) * 1000,
        state.timestamp_ms * 1000,
        list(metadata.partition_columns),
        _clustering(state.domains, metadata),
        len(files),
        sum(file.size for file in files),
        list(metadata.configuration.items()),
        protocol.reader_version,
        protocol.writer_version,
        _features(protocol),
    )
    return rows(_DETAIL, [row])


def _clustering(domains: Mapping[str, str], metadata: Metadata) -> list[str]:
    """The clustering columns by the names that users see."""
    paths = json.loads(domains.get("delta.clustering", "{}")).get("clusteringColumns", ())
    return [".".join(_logical(metadata.schema, path)) for path in paths]


def _logical(kind: DataType, path: Sequence[str]) -> list[str]:
    if not path or not isinstance(kind, StructType):
        return list(path)
    for field in kind.fields:
        if path[0] in (field.name, (field.metadata or {}).get("delta.columnMapping.physicalName")):
            return [field.name, *_logical(field.dataType, path[1:])]
    return list(path)


def _features(protocol: Protocol) -> list[str]:
    """The features a table has, those that its versions imply included."""
    found = {*protocol.reader_features, *protocol.writer_features}
    if protocol.writer_version < 7:
        found.update(
            name for since, names in _WRITER_FEATURES.items() if since <= protocol.writer_version for name in names
        )
    if protocol.reader_version == 2:
        found.add("columnMapping")
    return sorted(found)


def _foreign(table: Table, session: Session) -> Row:
    """What is told of a table in another format: the catalog's word."""
    partitions = list(stored.partitions_of(table, session))
    facts = (table.provider, None, ".".join(table.full_name), table.comment or "", stored.uri(table, session))
    properties = list(table.properties.items())
    return (*facts, table.created_ms * 1000, None, partitions, None, None, None, properties, None, None, None)
