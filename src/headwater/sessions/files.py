"""Saving a query's rows as a folder of data files, as `df.write.format("parquet")…save(path)` does.

Rows are written under `<folder>/_temporary/<job>/` by DuckDB and then renamed to their places, so a reader that
skips `_` names sees a file whole or not at all. `_SUCCESS` comes last.

Invariants: a save that fails leaves the folder's visible files as they were; an overwrite removes the old files
only after the new rows are written.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pyspark.sql.types import StringType, StructType
from sqlglot import exp

from headwater.compile.resolved import Resolved
from headwater.crash import crash_point
from headwater.errors import AnalysisError, unsupported
from headwater.io.data_files import EXTENSIONS, extension, spark_folder
from headwater.io.formats import FormatOptions, formats
from headwater.io.formats.writing import copy_rows
from headwater.io.paths import is_remote
from headwater.io.routing import is_folder
from headwater.io.staging import staging_folder
from headwater.io.storage import Storage

TEMPORARY = "_temporary"
SUCCESS = "_SUCCESS"
NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class FileTarget:
    """Where and how rows are saved.

    Attributes:
        folder: absolute local path.
        format: Spark's short name.
        partition_by: columns that become folders, in order.
        overwrite: take away what was there: everything, or with `dynamic` only the partitions that get rows.
    """

    folder: str
    format: str
    options: FormatOptions
    partition_by: tuple[str, ...] = ()
    overwrite: bool = False
    dynamic: bool = False


def check_writable(name: str) -> None:
    """Whether files of that format can be written. Raises DATA_SOURCE_NOT_FOUND."""
    if name.lower() in EXTENSIONS:
        return
    if formats.get(name) is None:
        raise AnalysisError("DATA_SOURCE_NOT_FOUND", provider=name)
    raise unsupported(f"writing the format `{name}`", "Write parquet, csv, json, text or delta.")


def check(target: FileTarget, schema: StructType) -> None:
    """Whether rows of `schema` can be saved so. Raises COLUMN_ALREADY_EXISTS and other errors of Spark."""
    names = [name.lower() for name in schema.names]
    for name in names:
        if names.count(name) > 1:
            raise AnalysisError("COLUMN_ALREADY_EXISTS", columnName=f"`{name}`")
    for name in target.partition_by:
        if name.lower() not in names:
            raise AnalysisError(
                "PARTITION_COLUMN_NOT_FOUND_IN_SCHEMA", column=f"`{name}`", schema=schema.simpleString()
            )
    if target.partition_by and len(target.partition_by) == len(names):
        raise AnalysisError("ALL_PARTITION_COLUMNS_NOT_ALLOWED")
    if target.format == "text":
        _check_text(target, schema)


def _check_text(target: FileTarget, schema: StructType) -> None:
    parts = {name.lower() for name in target.partition_by}
    data = [field for field in schema.fields if field.name.lower() not in parts]
    for field in data:
        if not isinstance(field.dataType, StringType):
            kind = f'"{field.dataType.simpleString().upper()}"'
            raise AnalysisError(
                "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE", format="Text", columnName=f"`{field.name}`", columnType=kind
            )
    if len(data) != 1:
        raise AnalysisError("TEXT_SINGLE_COLUMN", count=len(data))


class FileSave:
    """One save. `copy` is the statement that writes the rows; run it, then `publish`."""

    def __init__(self, target: FileTarget, resolved: Resolved, storage: Storage) -> None:
        check(target, resolved.schema)
        self._target = target
        self._storage = storage
        self._job = str(uuid.uuid4())
        self._made = False
        self._staging = staging_folder(target.folder, os.path.join(TEMPORARY, self._job))
        query, schema = named(resolved, target.partition_by), resolved.schema
        self.copy = copy_rows(query, schema, target.format, self._staging_target(), target.options, target.partition_by)

    def prepare(self) -> None:
        """Make the staging folder."""
        self._made = not self._storage.exists(self._target.folder)
        os.makedirs(self._staging, exist_ok=True)

    def publish(self) -> None:
        """Move the written files to their places and mark success."""
        crash_point("save.data_written")
        moves = list(self._moves())
        old = self._replaced({os.path.dirname(final) for _, final in moves})
        for path in old:
            self._storage.delete(path)
        for staged, final in moves:
            self._storage.move(staged, final)
        self._remove_staging()
        self._storage.replace(os.path.join(self._target.folder, SUCCESS), b"")

    def discard(self) -> None:
        """Take away what was staged, and the folder if it was made for it."""
        self._remove_staging()
        if self._made and not self._storage.list(self._target.folder):
            self._storage.delete(self._target.folder)

    def _remove_staging(self) -> None:
        self._storage.delete(self._staging)
        temporary = os.path.dirname(self._staging)
        if is_remote(self._target.folder):
            return
        if not self._storage.list(temporary):
            self._storage.delete(temporary)

    def _staging_target(self) -> str:
        return self._staging if self._target.partition_by else os.path.join(self._staging, "part-0")

    def _moves(self) -> Iterator[tuple[str, str]]:
        mark = "." if self._target.partition_by else "-"
        suffix = f"{mark}c000{extension(self._target.format, self._target.options)}"
        numbers: dict[str, int] = {}
        for status in sorted(self._storage.walk(self._staging)):
            folder = spark_folder(os.path.relpath(os.path.dirname(status.path), self._staging))
            number = numbers[folder] = numbers.get(folder, -1) + 1
            name = f"part-{number:05d}-{self._job}{suffix}"
            yield status.path, os.path.join(self._target.folder, folder, name)

    def _replaced(self, folders: set[str]) -> list[str]:
        if not self._target.overwrite:
            return []
        root = self._target.folder
        if self._target.dynamic and self._target.partition_by:
            return sorted(folder for folder in folders if is_folder(folder))
        temporary = os.path.join(root, TEMPORARY)
        left = [os.path.join(temporary, name) for name in self._storage.list(temporary) if name != self._job]
        return left + [os.path.join(root, name) for name in self._storage.list(root) if name != TEMPORARY]


def named(resolved: Resolved, partition_by: Sequence[str] = ()) -> exp.Select:
    """The query with Spark's names for its columns; empty strings of partition columns are null, as in Hive."""
    folders = {name.lower() for name in partition_by}
    columns = []
    for attribute in resolved.attributes:
        value: exp.Expression = exp.column(attribute.sql, quoted=True)
        if attribute.name.lower() in folders and isinstance(attribute.type, StringType):
            value = exp.Nullif(this=value, expression=exp.Literal.string(""))
        columns.append(exp.alias_(value, attribute.name, quoted=True))
    return exp.Select(expressions=columns).from_(exp.Subquery(this=resolved.query.copy(), alias="rows_"))
