"""Whole files as rows, Spark's `binaryFile`: `path`, `modificationTime`, `length`, `content`.

Invariants: DuckDB reads one file after the other, and none where `content` is not asked for; `path` is the file's as
the user wrote it, not percent-encoded.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import BinaryType, LongType, StringType, StructField, StructType, TimestampType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import RequirementError
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.rescue import file_uri
from headwater.io.formats.scan import FILE, aliased, attach, call, name, needs_file, nothing, reader
from headwater.io.storage import FileStatus

SCHEMA = StructType(
    [
        StructField("path", StringType(), False),
        StructField("modificationTime", TimestampType(), False),
        StructField("length", LongType(), False),
        StructField("content", BinaryType(), True),
    ]
)


class BinaryFile:
    """The format `binaryFile`."""

    extensions: tuple[str, ...] = ()

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:  # noqa: ARG002
        """See `Format.infer`: always the same."""
        return SCHEMA

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`. Raises IllegalArgumentException for another schema, as Spark does."""
        _check(request.schema)
        if not request.files:
            return nothing(request.schema)
        facts = {
            "path": file_uri(request.files, name("filename")),
            "modificationTime": call("date_trunc", "milliseconds", name("last_modified")),
            "length": name("size"),
            "content": name("content"),
        }
        columns = [aliased(facts[field.name], field.name) for field in request.schema.fields]
        if request.rescue is not None:
            columns.append(aliased(exp.cast(exp.null(), "VARCHAR"), request.rescue))
        if needs_file(request):
            columns.append(aliased(name("filename"), FILE))
        return attach(request, exp.select(*columns).from_(reader("read_blob", [file.path for file in request.files])))

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """Not called: this format is not written."""
        raise NotImplementedError("binaryFile")


formats.register("binaryFile")(BinaryFile())


def _check(schema: StructType) -> None:
    if [(f.name, f.dataType) for f in schema.fields] != [(f.name, f.dataType) for f in SCHEMA.fields]:
        raise RequirementError(
            f"\nBinary file data source expects dataSchema: {_scala(SCHEMA)},\nbut got: {_scala(schema)}.\n        "
        )


def _scala(schema: StructType) -> str:
    kinds = [(f.name, str(f.dataType).removesuffix("()"), str(f.nullable).lower()) for f in schema.fields]
    fields = ",".join("StructField(" + ",".join(kind) + ")" for kind in kinds)
    return f"StructType({fields})"
