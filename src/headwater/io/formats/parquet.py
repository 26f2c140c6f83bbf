"""Parquet: columns found by name; those a file lacks are null.

Invariants: the types wanted are cast to from the types stored; a stored value that does not fit raises.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.scan import FILE, attach, name, needs_file, reader
from headwater.io.storage import FileStatus
from headwater.types.duck import duck_name, from_duck


class Parquet:
    """The format `parquet`."""

    extensions = (".parquet",)

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
        """See `Format.infer`."""
        if not files:
            raise AnalysisError("UNABLE_TO_INFER_SCHEMA", format="Parquet")
        chosen = files if options.flag("mergeSchema") else files[:1]
        table = reader("read_parquet", [file.path for file in chosen], union_by_name=len(chosen) > 1)
        rows = connection.execute(f"DESCRIBE {sql_text(exp.select('*').from_(table))}").fetchall()
        return StructType([StructField(row[0], from_duck(row[1]), True) for row in rows])

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`."""
        fields = request.schema.fields
        table = reader(
            "read_parquet",
            [file.path for file in request.files],
            schema=_schema(request.schema),
            **({"filename": FILE} if needs_file(request) else {}),
        )
        columns: list[exp.Expression] = [name(field.name) for field in fields]
        if needs_file(request):
            columns.append(name(FILE))
        return attach(request, exp.select(*columns).from_(table))

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """See `Format.copy_options`."""
        codec = options.text("compression", "snappy").lower()
        return {"FORMAT": exp.Var(this="parquet"), "COMPRESSION": exp.Literal.string("uncompressed" if codec == "none" else codec)}


formats.register("parquet")(Parquet())


def _schema(schema: StructType) -> exp.Map:
    """DuckDB's `schema` argument: it finds columns by name, casts, and fills absent ones with null."""
    keys = [exp.Literal.string(field.name) for field in schema.fields]
    values = [
        exp.Struct(
            expressions=[
                exp.PropertyEQ(this=exp.to_identifier("name"), expression=exp.Literal.string(field.name)),
                exp.PropertyEQ(this=exp.to_identifier("type"), expression=exp.Literal.string(duck_name(field.dataType))),
                exp.PropertyEQ(this=exp.to_identifier("default_value"), expression=exp.null()),
            ]
        )
        for field in schema.fields
    ]
    return exp.Map(keys=exp.Array(expressions=keys), values=exp.Array(expressions=values))
