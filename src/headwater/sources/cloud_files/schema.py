"""The schema of an Auto Loader stream: inferred from a sample, kept in versions, grown by new fields.

Versions lie in `<schemaLocation>/_schemas/<n>`: the line `v1`, then `{"dataSchemaJson": …, "partitionSchemaJson": …}`.

Invariants: a version is written once; a new version has the columns of the one before, in order and with their
types, and then the new ones.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, cast

from pyspark.sql.types import StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import ConcurrentWriteError
from headwater.io.formats import Format, formats
from headwater.io.formats.csv_dialect import CsvDialect
from headwater.io.formats.csv_inference import header_of
from headwater.io.formats.json_careful import records
from headwater.io.formats.json_rescue import unknown_keys
from headwater.io.formats.parquet import columns_of
from headwater.io.formats.scan import FILE, LINE, aliased, call, name, subquery
from headwater.io.formats.widening import wider
from headwater.io.storage import FileStatus, Storage
from headwater.sources.cloud_files.hints import with_hints
from headwater.sources.cloud_files.options import CloudOptions

_SAMPLE_FILES = 1000
_SAMPLE_BYTES = 50 * 1024**3
_CORRUPT = "_corrupt_record"


class SchemaLog:
    """The versions of a schema under a folder."""

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self._folder = f"{folder}/_schemas"

    def latest(self) -> StructType | None:
        """The newest version's data columns, or None."""
        versions = self._versions()
        if not versions:
            return None
        lines = self._storage.read(f"{self._folder}/{versions[-1]}").decode().split("\n", 1)
        body: dict[str, Any] = json.loads(lines[1])
        return cast(StructType, StructType.fromJson(json.loads(body["dataSchemaJson"])))

    def add(self, schema: StructType) -> None:
        """Write the next version. Raises CONCURRENT_STREAM_LOG_UPDATE if another run was quicker."""
        versions = self._versions()
        number = versions[-1] + 1 if versions else 0
        body = {"dataSchemaJson": schema.json(), "partitionSchemaJson": StructType().json()}
        data = f"v1\n{json.dumps(body, separators=(',', ':'), ensure_ascii=False)}"
        try:
            self._storage.create(f"{self._folder}/{number}", data.encode())
        except FileExistsError as cause:
            raise ConcurrentWriteError("CONCURRENT_STREAM_LOG_UPDATE", batchId=number, path=self._folder) from cause

    def _versions(self) -> list[int]:
        return sorted(int(item) for item in self._storage.list(self._folder) if item.isdecimal())


def infer(connection: Connection, files: Sequence[FileStatus], options: CloudOptions) -> StructType:
    """The data columns of a sample of the newest files, with the user's hints."""
    sample = _sample(files)
    inferred = _merge(connection, sample, options)
    kept = StructType([field for field in inferred.fields if field.name != _CORRUPT])
    return with_hints(kept, options.hints)


def new_fields(
    connection: Connection, files: Sequence[FileStatus], schema: StructType, options: CloudOptions
) -> list[tuple[StructField, str]]:
    """Fields of `files` that `schema` does not know, each with a file it was met in; in order of name or place."""
    if options.format == "csv":
        found = _csv_fields(files, options)
    elif options.format == "json":
        found = _json_keys(connection, files, schema, options)
    else:
        found = _stored_fields(connection, files, options)
    known = {field.name.lower() for field in schema.fields}  # a name in another case is rescued, not new
    unknown = {name_: place for name_, place in found.items() if name_.lower() not in known}
    if not unknown:
        return []
    places = {file.path: file for file in files}
    typed = _merge(connection, [places[path] for path in dict.fromkeys(unknown.values())], options)
    hinted = {field.name: field for field in with_hints(typed, options.hints).fields}
    return [(hinted.get(column, StructField(column, StringType(), True)), path) for column, path in unknown.items()]


def typed_columns(connection: Connection, files: Sequence[FileStatus], options: CloudOptions) -> StructType:
    """The columns of files with the types that their values have."""
    return _merge(connection, files, replace(options, infer_types=True))


def _sample(files: Sequence[FileStatus]) -> list[FileStatus]:
    sample: list[FileStatus] = []
    size = 0
    for file in sorted(files, key=lambda item: item.modified_ms, reverse=True)[:_SAMPLE_FILES]:
        if sample and size + file.size > _SAMPLE_BYTES:
            break
        sample.append(file)
        size += file.size
    return sorted(sample)


def _merge(connection: Connection, files: Sequence[FileStatus], options: CloudOptions) -> StructType:
    """The union of the files' columns."""
    if options.format == "json" and not options.infer_types:
        keys = sorted(_json_keys(connection, files, StructType(), options))
        return StructType([StructField(key, StringType(), True) for key in keys])
    file_format = cast(Format, formats.get(options.format))
    reader = type(options.reader)(
        {**options.reader, "inferschema": str(options.infer_types).lower(), "mergeschema": "true"}
    )
    if options.format in ("json", "xml"):
        return file_format.infer(connection, files, reader)
    if options.format != "csv":
        return _widest([stored_columns(connection, file, options) for file in files])
    groups: dict[tuple[str, ...], list[FileStatus]] = {}
    dialect = CsvDialect.of(options.reader)
    for file in files:
        groups.setdefault(header_of(file, dialect) if dialect.header else (), []).append(file)
    merged: dict[str, StructField] = {}
    for group in groups.values():
        for field in file_format.infer(connection, group, reader).fields:
            known = merged.get(field.name)
            agreed = known is None or known.dataType == field.dataType
            merged[field.name] = field if agreed else StructField(field.name, StringType(), True)
    return StructType(list(merged.values()))


def _json_keys(
    connection: Connection, files: Sequence[FileStatus], schema: StructType, options: CloudOptions
) -> dict[str, str]:
    """Keys of objects in `files` beyond those of `schema`, sorted, each with its first file."""
    is_object = exp.and_(call("starts_with", name(LINE), "{"), call("json_valid", name(LINE)))
    keys = exp.Case(ifs=[exp.If(this=is_object, true=call("json_keys", name(LINE)))])
    listed = exp.select(aliased(keys, "__keys"), name(FILE)).from_(subquery(records(files, options.reader), "records"))
    odd = exp.select(name("__keys"), name(FILE)).from_(subquery(listed, "listed"))
    odd = odd.where(unknown_keys([field.name for field in schema.fields]))
    each = exp.select(exp.alias_(exp.Unnest(expressions=[name("__keys")]), "key"), name(FILE)).from_(
        subquery(odd, "odd")
    )
    query = (
        exp.select(exp.column("key"), exp.alias_(exp.Min(this=name(FILE)), "file"))
        .from_(subquery(each, "each_key"))
        .group_by(exp.column("key"))
        .order_by(exp.column("key"))
    )
    return dict(connection.execute(sql_text(query)).fetchall())


def _csv_fields(files: Sequence[FileStatus], options: CloudOptions) -> dict[str, str]:
    dialect = CsvDialect.of(options.reader)
    found: dict[str, str] = {}
    for file in files if dialect.header else ():
        for column in header_of(file, dialect):
            found.setdefault(column, file.path)
    return found


def _stored_fields(connection: Connection, files: Sequence[FileStatus], options: CloudOptions) -> dict[str, str]:
    found: dict[str, str] = {}
    for file in files:
        for field in stored_columns(connection, file, options).fields:
            if field.name != _CORRUPT:
                found.setdefault(field.name, file.path)
    return found


def stored_columns(connection: Connection, file: FileStatus, options: CloudOptions) -> StructType:
    """The columns of one file as it stores them, or as its records have them."""
    if options.format == "parquet":
        return columns_of(file)
    if file.size == 0 and options.format in ("avro", "orc"):
        return StructType()
    file_format = cast(Format, formats.get(options.format))
    return file_format.infer(connection, [file], options.reader)


def _widest(schemas: Sequence[StructType]) -> StructType:
    """All columns; of types that do not agree the wider one, or the first if there is none (the others are rescued)."""
    fields: dict[str, StructField] = {}
    for schema in schemas:
        for field in schema.fields:
            known = fields.setdefault(field.name, StructField(field.name, field.dataType, True))
            kind = wider(known.dataType, field.dataType)
            if kind is not None:
                fields[field.name] = StructField(field.name, kind, True)
    return StructType(list(fields.values()))
