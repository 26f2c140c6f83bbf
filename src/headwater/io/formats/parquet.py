"""Parquet: columns found by name; those a file lacks are null.

Invariants: a type wanted is cast to from the type stored where that loses nothing; without `rescue` another stored type
raises, naming file and column, with it a value that does not fit goes to the rescued-data column.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql.types import DataType, NullType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, DuckError, sql_text
from headwater.errors import AnalysisError, FileReadError
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.cells import FRACTIONS, INTEGERS
from headwater.io.formats.rescue import union
from headwater.io.formats.scan import FILE, aliased, attach, name, needs_file, nothing, reader, struct_of
from headwater.io.formats.stored import columns
from headwater.io.instants import has_instants, in_utc, int96_columns, with_zone, without_zone
from headwater.io.s3_files import of_each, opened
from headwater.io.storage import FileStatus
from headwater.types.arrow import from_arrow
from headwater.types.duck import duck_name, from_duck


class Parquet:
    """The format `parquet`."""

    extensions: tuple[str, ...] = (".parquet",)

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
        """See `Format.infer`: of one file, or of all with `mergeSchema`."""
        if not files:
            raise AnalysisError("UNABLE_TO_INFER_SCHEMA", format="Parquet")
        chosen = files if options.flag("mergeSchema") else files[:1]
        paths = [file.path for file in chosen]
        table = reader("read_parquet", paths, union_by_name=len(chosen) > 1, hive_partitioning=False)
        try:
            rows = connection.execute(f"DESCRIBE {sql_text(exp.select('*').from_(table))}").fetchall()
        except DuckError as cause:
            raise _unreadable(chosen, cause) from cause
        instants = frozenset[str]().union(*map(int96_columns, chosen))
        fields = [StructField(row[0], from_duck(row[1]), True) for row in rows]
        return StructType([_placed(field, instants) for field in fields])

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`."""
        if not request.files:
            return nothing(request.schema)
        if request.rescue is not None:
            return attach(request, _rescuing(request))
        of_each(request.files, lambda file: _check_types(file, request.schema))
        groups: dict[frozenset[str], list[str]] = {}
        for file in request.files:
            groups.setdefault(int96_columns(file), []).append(file.path)
        return attach(request, union([_read(request, paths, instants) for instants, paths in groups.items()]))

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """See `Format.copy_options`."""
        codec = options.text("compression", "snappy").lower()
        written = "uncompressed" if codec == "none" else codec
        return {"FORMAT": exp.Var(this="parquet"), "COMPRESSION": exp.Literal.string(written)}


formats.register("parquet")(Parquet())


def columns_of(file: FileStatus) -> StructType:
    """The columns a file stores. Raises FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER naming it."""
    try:
        stored = cast(StructType, from_arrow(pq.read_schema(opened(file.path))))
    except (pa.ArrowInvalid, OSError) as cause:
        raise _unreadable([file], cause) from cause
    instants = int96_columns(file)
    return StructType([_placed(field, instants) for field in stored.fields]) if instants else stored


def _placed(field: StructField, instants: frozenset[str]) -> StructField:
    """A stored column; INT96 are instants, as in Spark."""
    if field.name not in instants:
        return field
    return StructField(field.name, with_zone(field.dataType), field.nullable, field.metadata)


def _read(request: ScanRequest, paths: Sequence[str], instants: frozenset[str]) -> exp.Select:
    """The wanted columns of files that hold INT96 in the columns `instants`."""
    folded = {column.lower() for column in instants}
    fields = request.schema.fields
    old = {f.name for f in fields if f.name.lower() in folded and has_instants(f.dataType)}
    found = [StructField(f.name, without_zone(f.dataType) if f.name in old else f.dataType) for f in fields]
    extra = {"filename": FILE} if needs_file(request) else {}
    table = reader("read_parquet", list(paths), schema=_schema(StructType(found)), **extra)
    selected: list[exp.Expr] = [
        aliased(in_utc(name(f.name), f.dataType), f.name) if f.name in old else name(f.name) for f in fields
    ]
    if needs_file(request):
        selected.append(name(FILE))
    return exp.select(*selected).from_(table)


_WIDER: dict[str, tuple[str, ...]] = {
    "integer": ("integer", "decimal", "fraction"),
    "fraction": ("fraction",),
    "decimal": ("decimal",),
    "date": ("date", "timestamp_ntz"),
    "timestamp": ("timestamp", "timestamp_ntz"),
    "timestamp_ntz": ("timestamp", "timestamp_ntz"),
    "binary": ("binary", "string"),
}
"""Kinds of stored columns and the kinds they are read as; any other kind is read as itself only."""


def _check_types(file: FileStatus, schema: StructType) -> None:
    """Raises FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH for a column whose values would be bent to fit."""
    stored = {field.name.lower(): field.dataType for field in columns_of(file).fields}
    for field in schema.fields:
        kind = stored.get(field.name.lower(), NullType())
        if not isinstance(kind, NullType) and _kind(field.dataType) not in _WIDER.get(_kind(kind), (_kind(kind),)):
            raise FileReadError(
                "FAILED_READ_FILE.PARQUET_COLUMN_DATA_TYPE_MISMATCH",
                path=file.uri or file.path,
                column=f"[{field.name}]",
                expectedType=field.dataType.simpleString(),
                actualType=kind.simpleString(),
            )


def _kind(data_type: DataType) -> str:
    if isinstance(data_type, INTEGERS):
        return "integer"
    if isinstance(data_type, FRACTIONS):
        return "fraction"
    return str(data_type.typeName())


def _unreadable(files: Sequence[FileStatus], cause: Exception) -> FileReadError:
    named = [file for file in files if file.path in str(cause)] or list(files[:1])
    return FileReadError("FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER", path=named[0].uri or named[0].path)


def _schema(schema: StructType) -> exp.Map:
    """DuckDB's `schema` argument: it finds columns by name, casts, and fills absent ones with null."""
    keys: list[exp.Expr] = [exp.Literal.string(field.name) for field in schema.fields]
    values: list[exp.Expr] = [
        struct_of(
            {
                "name": exp.Literal.string(field.name),
                "type": exp.Literal.string(duck_name(field.dataType)),
                "default_value": exp.null(),
            }
        )
        for field in schema.fields
    ]
    return exp.Map(keys=exp.Array(expressions=keys), values=exp.Array(expressions=values))


def _rescuing(request: ScanRequest) -> exp.Select:
    """One scan per distinct set of stored columns, all rows together."""
    groups: dict[tuple[str, frozenset[str]], tuple[StructType, list[FileStatus]]] = {}
    for file, stored in zip(request.files, of_each(request.files, columns_of), strict=True):
        groups.setdefault((stored.json(), int96_columns(file)), (stored, []))[1].append(file)
    return union([_scan(request, stored, files) for stored, files in groups.values()])


def _scan(request: ScanRequest, stored: StructType, files: Sequence[FileStatus]) -> exp.Select:
    table = reader("read_parquet", [file.path for file in files], filename=FILE)
    rows = _in_utc(table, stored, int96_columns(files[0]))
    return exp.select(*columns(request, stored, files)).from_(rows)


def _in_utc(table: exp.Expr, stored: StructType, instants: frozenset[str]) -> exp.Expr:
    """The rows of a scan with its INT96 columns as instants."""
    if not instants:
        return table
    placed = [aliased(in_utc(name(f.name), f.dataType), f.name) for f in stored.fields if f.name in instants]
    query = exp.Select(expressions=[exp.Star(replace=placed)], from_=exp.From(this=table))
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("placed_")))
