"""Avro container files, read block by block with fastavro.

Invariants: a file's own schema says its columns, or the option `avroSchema`, by which Avro resolves all files; a column
that is read as a type which is not the stored one or wider raises, unless it is rescued.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.errors import FileReadError, unsupported
from headwater.io.formats.arrow_files import ArrowFiles, Batches
from headwater.io.formats.avro_types import converter, resolved, spark_type
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.stored import matching
from headwater.io.formats.widening import wider
from headwater.io.libraries import library
from headwater.io.s3_files import of_each, opened
from headwater.io.storage import FileStatus
from headwater.types.arrow import arrow_schema

_ROWS = 8192


class Avro(ArrowFiles):
    """The format `avro`."""

    title = "Avro"
    extensions: tuple[str, ...] = (".avro",)

    def stored(self, file: FileStatus, options: FormatOptions) -> StructType:
        """See `ArrowFiles.stored`."""
        return _columns(_schema(file, options.text("avroSchema")), file)

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`. Raises AVRO_INCOMPATIBLE_READ_TYPE."""
        if request.rescue is None:
            filled = [file for file in request.files if file.size != 0]
            for stored in of_each(filled, lambda file: self.stored(file, request.options)):
                _check_types(stored, request)
        return super().scan(request)

    def batches(self, file: FileStatus, stored: StructType, wanted: Sequence[str], options: FormatOptions) -> Batches:
        """See `ArrowFiles.batches`."""
        fields = [field for field in stored.fields if field.name in set(wanted)]
        target = arrow_schema(StructType(fields))
        given = options.text("avroSchema")
        convert = converter(_schema(file, given))
        with _open(file) as stream:
            rows: Iterator[Any] = library("fastavro", "avro").reader(
                stream, json.loads(given) if given else None, return_record_name=True, return_named_type=True
            )
            while chunk := list(islice(rows, _ROWS)):
                plain = chunk if convert is None else [convert(row) for row in chunk]
                yield pa.RecordBatch.from_pylist(plain, schema=target)


formats.register("avro")(Avro())


def _open(file: FileStatus) -> Any:
    found = opened(file.path)
    return open(found, "rb") if isinstance(found, str) else found


@lru_cache(maxsize=1024)
def _schema(file: FileStatus, given: str) -> Any:
    """The schema to read a file by, names resolved."""
    if given:
        return resolved(json.loads(given))
    fastavro = library("fastavro", "avro")
    try:
        with _open(file) as stream:
            return resolved(fastavro.reader(stream).writer_schema)
    except Exception as cause:  # a damaged schema is found by whatever stumbles over it
        if isinstance(cause, FileNotFoundError):
            raise FileReadError("FAILED_READ_FILE.FILE_NOT_EXIST", path=file.uri or file.path) from cause
        raise FileReadError(
            "FAILED_READ_FILE.NO_HINT", path=file.uri or file.path, reason=f"It is no Avro file: {cause}"
        ) from cause


def _columns(schema: Any, file: FileStatus) -> StructType:
    found = spark_type(schema)
    if not isinstance(found, StructType):
        raise unsupported(f"Avro files of values that are no records ({file.uri or file.path})", "Store records.")
    return found


def _check_types(stored: StructType, request: ScanRequest) -> None:
    kinds = {field.name: field.dataType for field in stored.fields}
    for field in request.schema.fields:
        column = matching(field.name, list(kinds), request)
        kind = kinds[column] if column is not None else field.dataType
        if kind.simpleString() != field.dataType.simpleString() and wider(kind, field.dataType) != field.dataType:
            raise FileReadError(
                "AVRO_INCOMPATIBLE_READ_TYPE",
                avroPath=f"field '{column}'",
                sqlPath=f"field '{field.name}'",
                avroType=kind.simpleString(),
                sqlType=f'"{field.dataType.simpleString().upper()}"',
            )
