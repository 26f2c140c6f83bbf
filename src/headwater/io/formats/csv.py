"""CSV: records cut by `csv_dialect`, cells typed by Spark's rules. That is also faster than a typed CSV reader.

Invariants: missing cells are null, surplus cells are dropped, a cell that is not a value of its type is null.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.io.formats import csv_inference, csv_rescue
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.cells import CellRules, from_text
from headwater.io.formats.csv_dialect import CELLS, CsvDialect
from headwater.io.formats.modes import ReadMode
from headwater.io.formats.refusals import refuse
from headwater.io.formats.scan import FILE, aliased, attach, call, name, needs_file, nothing, subquery
from headwater.io.storage import FileStatus


class Csv:
    """The format `csv`."""

    extensions: tuple[str, ...] = (".csv",)

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
        """See `Format.infer`."""
        refuse("csv", options)
        return csv_inference.infer(connection, files, options)

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`."""
        if not request.files:
            return nothing(request.schema)
        refuse("csv", request.options, request.time_zone)
        mode = ReadMode.of(request.options, request.schema)
        if request.options.text("enforceSchema", "true").lower() == "false":
            csv_inference.check_headers(request, mode.data(request.schema))
        dialect = CsvDialect.of(request.options)
        if request.rescue is not None:
            return attach(request, csv_rescue.scan(request, mode, dialect))
        columns = list(_columns(request, mode, dialect))
        if needs_file(request):
            columns.append(name(FILE))
        rows = exp.select(*columns).from_(subquery(dialect.records(request.files), "records"))
        if mode.careful:
            rows = mode.apply(rows, _bad(request, mode, dialect))
        return attach(request, rows)

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """See `Format.copy_options`."""
        parameters: dict[str, exp.Expression] = {
            "FORMAT": exp.Var(this="csv"),
            "HEADER": exp.Boolean(this=options.flag("header")),
            "DELIMITER": exp.Literal.string(options.text("sep", options.text("delimiter", ",")).replace("\\t", "\t")),
            "QUOTE": exp.Literal.string(options.text("quote", '"')),
            "ESCAPE": exp.Literal.string(options.text("escape", "\\")),
            "NULLSTR": exp.Literal.string(options.text("nullValue")),
        }
        codec = options.text("compression", "none").lower()
        if codec != "none":
            parameters["COMPRESSION"] = exp.Literal.string(codec)
        return parameters


formats.register("csv")(Csv())


def _columns(request: ScanRequest, mode: ReadMode, dialect: CsvDialect) -> list[exp.Expr]:
    """The schema's fields; those that take the record's text take no cell."""
    rules = CellRules.of(request.options)
    columns: list[exp.Expr] = []
    index = 0
    for field in request.schema.fields:
        text = mode.text(field.name, _bad(request, mode, dialect))
        columns.append(aliased(text or from_text(dialect.cell(index), field.dataType, rules), field.name))
        index += text is None
    return columns


def _bad(request: ScanRequest, mode: ReadMode, dialect: CsvDialect) -> exp.Expr:
    """Whether the record has another number of cells, or a cell is not of its type."""
    rules = CellRules.of(request.options)
    fields = mode.data(request.schema)
    count = exp.NEQ(this=call("len", name(CELLS)), expression=exp.Literal.number(len(fields)))
    return exp.or_(count, *_misfits(fields, dialect, rules))


def _misfits(fields: Sequence[StructField], dialect: CsvDialect, rules: CellRules) -> list[exp.Expr]:
    tests: list[exp.Expr] = []
    for index, field in enumerate(fields):
        if not isinstance(field.dataType, StringType):
            value = exp.Paren(this=from_text(dialect.cell(index), field.dataType, rules))
            text = exp.Not(this=exp.Is(this=exp.Paren(this=dialect.cell(index)), expression=exp.null()))
            tests.append(exp.and_(text, exp.Is(this=value, expression=exp.null())))
    return tests
