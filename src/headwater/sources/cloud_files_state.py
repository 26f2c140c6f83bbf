"""The batch source `cloud_files_state`: which files an Auto Loader stream knows and what became of each.

Columns are Databricks'. `create_time` is the file's modification time; `commit_time` and `archive_time` are null for
what has not happened.

Invariants: a row per file and version; nothing in the checkpoint is changed.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pyarrow as pa
from pyspark.sql.types import LongType, StringType, StructField, StructType, TimestampType

from headwater.errors import AnalysisError, IllegalArgumentError, unsupported
from headwater.io.compact_log import Line
from headwater.io.mounts import decode_uri
from headwater.io.seen_files import SeenFiles
from headwater.io.storage import Storage
from headwater.sources.base import BatchInput, SourceContext, SourceRequest, StreamSource, arrow_query, sources
from headwater.sources.cloud_files.lifecycle import Times, batch_times, known_times
from headwater.types.arrow import arrow_schema

SCHEMA = StructType(
    [
        StructField("path", StringType(), False),
        StructField("size", LongType(), False),
        StructField("create_time", TimestampType(), False),
        StructField("discovery_time", TimestampType(), False),
        StructField("processed_time", TimestampType()),
        StructField("commit_time", TimestampType()),
        StructField("archive_time", TimestampType()),
        StructField("archive_mode", StringType()),
        StructField("move_location", StringType()),
        StructField("source_id", StringType(), False),
        StructField("flow_name", StringType()),
        StructField("ingestion_state", StringType(), False),
    ]
)


class CloudFilesStateProvider:
    """The source `cloud_files_state`; its path is the checkpoint."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:  # noqa: ARG002
        """The columns."""
        if request.schema is not None:
            raise IllegalArgumentError("SOURCE_TAKES_NO_SCHEMA", source=request.format)
        return SCHEMA

    def open(self, request: SourceRequest, context: SourceContext) -> StreamSource:  # noqa: ARG002
        """It is no stream."""
        raise unsupported("reading `cloud_files_state` as a stream", "Read it with spark.read.")

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:
        """A row a file. Raises PATH_NOT_FOUND for a folder that is no checkpoint."""
        schema = self.schema(request, context)
        if not request.paths:
            raise IllegalArgumentError("PATH_NOT_SPECIFIED")
        checkpoint = context.mounts.local(request.paths[0]).rstrip("/")
        if not context.storage.exists(f"{checkpoint}/metadata"):
            raise AnalysisError("PATH_NOT_FOUND", path=f"{context.mounts.uri(request.paths[0])}/metadata")
        rows = list(_rows(context.storage, checkpoint))
        name = f"cloud_files_state_{uuid.uuid4().hex}"
        table = pa.Table.from_pylist(rows, schema=arrow_schema(schema))
        return BatchInput(arrow_query(name, schema), {name: table}, len(rows)), schema


sources.register("cloud_files_state")(CloudFilesStateProvider())


def _rows(storage: Storage, checkpoint: str) -> Iterator[dict[str, Any]]:
    for index in sorted(int(name) for name in storage.list(f"{checkpoint}/sources") if name.isdecimal()):
        times = batch_times(storage, checkpoint, index)
        log = SeenFiles(storage, f"{checkpoint}/sources/{index}", partial(_known, times))
        for line in log.lines():
            if "discoveryTime" in line and "skipped" not in line:
                yield _row(line, index)


def _known(times: Mapping[int, Times], number: int) -> Line:
    return known_times(times.get(number, Times()))


def _row(line: Line, index: int) -> dict[str, Any]:
    committed, processed = line.get("commitTime"), line.get("processedTime")
    state = "COMMITTED" if committed else "PROCESSING" if processed else "DISCOVERED"
    return {
        "path": decode_uri(line["path"]),
        "size": line["size"],
        "create_time": _instant(line["timestamp"]),
        "discovery_time": _instant(line["discoveryTime"]),
        "processed_time": _instant(processed),
        "commit_time": _instant(committed),
        "archive_time": _instant(line.get("archiveTime")),
        "archive_mode": line.get("archiveMode"),
        "move_location": line.get("moveLocation"),
        "source_id": str(index),
        "flow_name": None,
        "ingestion_state": "ARCHIVED" if "archiveTime" in line else state,
    }


def _instant(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(milliseconds / 1000, UTC)
