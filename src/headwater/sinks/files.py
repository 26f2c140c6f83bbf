"""The file sinks `parquet`, `json`, `csv` and `text`: exactly once for readers of the folder's log `_spark_metadata`.

A batch's files are written under `_temporary`, moved to their places, and count from the moment the log's entry of
that batch is there. What a crash leaves behind is in no entry, so no reader that knows the log sees it.

Invariants: a batch that is in the log is not written again; an entry is created after its files are durable; append
only.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace

from pyspark.sql.types import StringType, StructType
from sqlglot import exp

from headwater.crash import crash_point
from headwater.duck import sql_text
from headwater.errors import AnalysisError
from headwater.io.compact_log import CompactLog, Line
from headwater.io.data_files import extension, spark_folder
from headwater.io.formats.writing import copy_rows
from headwater.io.mounts import encode_uri
from headwater.io.paths import is_remote
from headwater.io.staging import staging_folder
from headwater.io.storage import FileStatus, Storage
from headwater.io.written import LOG_FOLDER
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks

_BLOCK = 32 * 1024 * 1024
_TEMPORARY = "_temporary"


class FileSink:
    """One query's end of a folder."""

    def __init__(self, request: SinkRequest, folder: tuple[str, str], storage: Storage) -> None:
        self._request = request
        self._folder, self._uri = folder
        self._storage = storage
        self._log = CompactLog(storage, f"{self._folder}/{LOG_FOLDER}", from_any=True)
        self.description = f"FileSink[{self._uri}]"

    def add_batch(self, batch: Batch) -> SinkResult:
        """Write the batch's files and enter them in the log."""
        latest = self._log.latest()
        if latest is not None and batch.batch_id <= latest:
            return SinkResult()
        job = str(uuid.uuid4())
        staging = staging_folder(self._folder, os.path.join(_TEMPORARY, job))
        os.makedirs(staging, exist_ok=True)
        try:
            rows = self._write(batch, staging)
            files = list(self._publish(staging, job)) if rows else []
        finally:
            self._discard(staging)
        crash_point("files.written")
        self._log.add(batch.batch_id, [_line(file) for file in files])
        return SinkResult()

    def stop(self) -> None:
        """Nothing is held."""

    def _write(self, batch: Batch, staging: str) -> int:
        """Run the batch into files below `staging`; how many rows there were."""
        request = self._request
        target = staging if request.partition_by else os.path.join(staging, "part-0")
        rows = named(batch, request.partition_by)
        copy = copy_rows(rows, batch.schema, request.format.lower(), target, request.options, request.partition_by)
        count = batch.connection.execute(sql_text(copy)).fetchone()
        batch.ran()
        return int(count[0]) if count else 0

    def _publish(self, staging: str, job: str) -> Iterator[FileStatus]:
        mark = "." if self._request.partition_by else "-"
        suffix = f"{mark}c000{extension(self._request.format.lower(), self._request.options)}"
        for number, file in enumerate(sorted(self._storage.walk(staging))):
            folder = spark_folder(os.path.relpath(os.path.dirname(file.path), staging))
            name = os.path.join(folder, f"part-{number:05d}-{job}{suffix}")
            self._storage.move(file.path, os.path.join(self._folder, name))
            crash_point("files.moved")
            yield replace(file, path=os.path.join(self._folder, name), uri=f"{self._uri}/{name}")

    def _discard(self, staging: str) -> None:
        self._storage.delete(staging)
        if is_remote(self._folder):
            return
        if not self._storage.list(os.path.dirname(staging)):
            self._storage.delete(os.path.dirname(staging))


class FileSinkProvider:
    """`writeStream.format("parquet"|"json"|"csv"|"text")` to a folder."""

    output_modes: tuple[OutputMode, ...] = ("append",)

    def open(self, request: SinkRequest, context: SinkContext) -> FileSink:
        """Check the request. Raises Spark's errors for a missing path or bad partition columns."""
        path = request.path or request.options.get("path")
        if not path:
            raise AnalysisError("PATH_NOT_SPECIFIED")
        _check_partitions(request.partition_by, request.schema)
        folder = context.mounts.local(path)
        return FileSink(request, (folder, context.mounts.uri(path).rstrip("/")), context.storage)


for _name in ("csv", "json", "parquet", "text"):
    sinks.register(_name)(FileSinkProvider())


def named(batch: Batch, partition_by: Sequence[str]) -> exp.Select:
    """The batch under Spark's names; empty strings of partition columns are null, as in Hive."""
    folders = {column.lower() for column in partition_by}
    names = [f"c{index}" for index in range(len(batch.schema.fields))]
    columns = []
    for name, field in zip(names, batch.schema.fields, strict=True):
        value: exp.Expr = exp.column(name, quoted=True)
        if field.name.lower() in folders and isinstance(field.dataType, StringType):
            value = exp.Nullif(this=value, expression=exp.Literal.string(""))
        columns.append(exp.alias_(value, field.name, quoted=True))
    alias = exp.TableAlias(this=exp.to_identifier("rows_"), columns=[exp.to_identifier(name) for name in names])
    return exp.Select(expressions=columns).from_(exp.Subquery(this=batch.query.copy(), alias=alias))


def _check_partitions(partition_by: Sequence[str], schema: StructType) -> None:
    names = [name.lower() for name in schema.names]
    for name in partition_by:
        if name.lower() not in names:
            raise AnalysisError(
                "PARTITION_COLUMN_NOT_FOUND_IN_SCHEMA", column=f"`{name}`", schema=schema.simpleString()
            )
    if partition_by and len(partition_by) == len(names):
        raise AnalysisError("ALL_PARTITION_COLUMNS_NOT_ALLOWED")


def _line(file: FileStatus) -> Line:
    return {
        "path": encode_uri(file.uri),
        "size": file.size,
        "isDir": False,
        "modificationTime": file.modified_ms,
        "blockReplication": 1,
        "blockSize": _BLOCK,
        "action": "add",
    }
