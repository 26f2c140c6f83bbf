"""CSV: one record a line (or quoted line breaks with `multiLine`), read by Spark's rules.

Every line is taken by itself and split in SQL, so a broken line cannot take its neighbours along; lines without
quotes, the common case, take the short way. That is also faster than a typed CSV reader.

Invariants: missing cells are null, surplus cells are dropped, a cell that is not a value of its type is null.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import unsupported
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.cells import CellRules, from_text
from headwater.io.formats.scan import FILE, LINE, aliased, attach, call, lines, name, needs_file
from headwater.io.storage import FileStatus

CELLS = "__cells"


@dataclass(frozen=True)
class Csv:
    """The format `csv`."""

    extensions: tuple[str, ...] = (".csv",)

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
        """See `Format.infer`."""
        raise NotImplementedError

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`."""
        rules = CellRules.of(request.options)
        dialect = CsvDialect.of(request.options)
        columns = [
            aliased(from_text(dialect.cell(index), field.dataType, rules), field.name)
            for index, field in enumerate(request.schema.fields)
        ]
        if needs_file(request):
            columns.append(name(FILE))
        rows = exp.select(*columns).from_(exp.Subquery(this=dialect.records(request.files), alias="records"))
        return attach(request, rows)

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:
        """See `Format.copy_options`."""
        return {
            "FORMAT": exp.Var(this="csv"),
            "HEADER": exp.convert(options.flag("header")),
            "DELIMITER": exp.Literal.string(options.text("sep", options.text("delimiter", ","))),
        }


@dataclass(frozen=True)
class CsvDialect:
    """How lines are cut into cells; option names are Spark's."""

    separator: str = ","
    quote: str = '"'
    escape: str = "\\"
    comment: str = ""
    header: bool = False
    null_value: str = ""
    empty_value: str = ""
    trim_start: bool = False
    trim_end: bool = False
    encoding: str = "utf-8"

    @classmethod
    def of(cls, options: FormatOptions) -> CsvDialect:
        """From reader options."""
        return cls(
            separator=options.text("sep", options.text("delimiter", ",")).replace("\\t", "\t"),
            quote=options.text("quote", '"'),
            escape=options.text("escape", "\\"),
            comment=options.text("comment"),
            header=options.flag("header"),
            null_value=options.text("nullValue"),
            empty_value=options.text("emptyValue"),
            trim_start=options.flag("ignoreLeadingWhiteSpace"),
            trim_end=options.flag("ignoreTrailingWhiteSpace"),
            encoding=options.text("encoding", options.text("charset", "utf-8")).lower(),
        )

    def records(self, files: Sequence[FileStatus]) -> exp.Select:
        """Columns `__cells` (the line's cells as texts), `__line`, `__file`; blank and comment lines left out."""
        rows = exp.Subquery(this=lines(files, header=self.header, encoding=self.encoding), alias="lines")
        kept = exp.Not(this=exp.Is(this=name(LINE), expression=exp.null()))
        query = exp.select(aliased(self._cells(), CELLS), name(LINE), name(FILE)).from_(rows).where(kept)
        blank = call("regexp_full_match", name(LINE), "\\s+")
        query = query.where(exp.Not(this=exp.Paren(this=exp.And(this=call("starts_with", name(LINE), " "), expression=blank))))
        if self.comment:
            query = query.where(exp.Not(this=call("starts_with", name(LINE), self.comment)))
        return query

    def cell(self, index: int) -> exp.Expression:
        """Cell `index` of a record as text, null where Spark says null."""
        cell: exp.Expression = exp.Bracket(
            this=name(CELLS), expressions=[exp.Literal.number(index + 1)], offset=1, safe=True
        )
        if self.trim_start:
            cell = call("ltrim", cell)
        if self.trim_end:
            cell = call("rtrim", cell)
        cell = exp.Nullif(this=cell, expression=exp.Literal.string(""))
        if self.null_value:
            cell = exp.Nullif(this=cell, expression=exp.Literal.string(self.null_value))
        return cell

    def _cells(self) -> exp.Expression:
        plain = call("string_split", name(LINE), self.separator)
        if not self.quote:
            return plain
        quoted = exp.If(this=call("contains", name(LINE), self.quote), true=self._quoted_cells())
        return exp.Case(ifs=[quoted], default=plain)

    def _quoted_cells(self) -> exp.Expression:
        """Cut at separators outside quotes, then take the quotes off."""
        separator, quote, escape = (re.escape(part) for part in (self.separator, self.quote, self.escape))
        if len(self.separator) != 1:
            raise unsupported("a CSV separator of several characters together with quotes", "Set option quote to ''.")
        inner = f"(?:[^{quote}{escape}]|{escape}.)*" if self.escape != self.quote else f"(?:[^{quote}]|{quote}{quote})*"
        pattern = f"{quote}{inner}{quote}{separator}|{quote}[^{quote}]*$|[^{separator}]*{separator}"
        pieces = call("regexp_extract_all", exp.DPipe(this=name(LINE), expression=exp.Literal.string(self.separator)), pattern)
        cell = exp.to_identifier("cell")
        return call("list_transform", pieces, exp.Lambda(this=self._unquoted(exp.column(cell)), expressions=[cell]))

    def _unquoted(self, piece: exp.Column) -> exp.Expression:
        """The text of one piece (a cell and its separator)."""
        body = call("left", piece, -1)
        opened, closed = call("starts_with", piece.copy(), self.quote), call("ends_with", body.copy(), self.quote)
        long_enough = exp.GT(this=call("length", body.copy()), expression=exp.Literal.number(1))
        inside = call("substring", body.copy(), exp.Literal.number(2), exp.Sub(this=call("length", body.copy()), expression=exp.Literal.number(2)))
        unescaped = call("replace", inside, self.escape + self.quote, self.quote)
        clean = exp.and_(opened, closed, long_enough)
        return exp.Case(ifs=[exp.If(this=clean, true=unescaped)], default=body)


formats.register("csv")(Csv())
