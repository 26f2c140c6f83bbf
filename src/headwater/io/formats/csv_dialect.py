"""How CSV text is cut into records and cells, in SQL.

Every record is cut by itself, so a broken one cannot take its neighbours along; records without quotes, the common
case, take the short way.

Invariants: `__cells` holds each cell's text; a quoted cell comes without its quotes; an unclosed quote runs to the
end of its record.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlglot import exp

from headwater.errors import unsupported
from headwater.io.formats.base import FormatOptions
from headwater.io.formats.encodings import encoding_of, separator_of
from headwater.io.formats.scan import FILE, LINE, aliased, call, lines, name, pieces, reader, subquery
from headwater.io.storage import FileStatus

CELLS = "__cells"
_EMPTY_MARK = "\x02"
_BOM = "\ufeff"


@dataclass(frozen=True)
class CsvDialect:
    """The options that decide how text is cut; names are Spark's."""

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
    multi_line: bool = False
    line_end: str = ""

    @classmethod
    def of(cls, options: FormatOptions) -> CsvDialect:
        """From reader options."""
        return cls(
            separator=options.text("sep", options.text("delimiter", ",")).replace("\\t", "\t"),
            quote=options.text("quote", '"').replace("\0", ""),
            escape=options.text("escape", "\\"),
            comment=options.text("comment"),
            header=options.flag("header"),
            null_value=options.text("nullValue"),
            empty_value=options.text("emptyValue"),
            trim_start=options.flag("ignoreLeadingWhiteSpace"),
            trim_end=options.flag("ignoreTrailingWhiteSpace"),
            encoding=encoding_of(options),
            multi_line=options.flag("multiLine"),
            line_end=separator_of(options),
        )

    def records(self, files: Sequence[FileStatus], *, header: bool | None = None) -> exp.Select:
        """Columns `__cells`, `__line`, `__file`; blank and comment records and headers are left out."""
        skip = self.header if header is None else header
        raw = self._documents(files, skip) if self.multi_line else self._lines(files, skip)
        query = exp.select(aliased(self._cells(), CELLS), name(LINE), name(FILE)).from_(subquery(raw, "lines"))
        return query.where(*self._kept())

    def _lines(self, files: Sequence[FileStatus], skip: bool) -> exp.Select:
        if self.line_end:
            return pieces(files, self.line_end, header=skip)
        return lines(files, header=skip, encoding=self.encoding)

    def cell(self, index: int) -> exp.Expr:
        """Cell `index` of a record as text, null where Spark says null."""
        cell: exp.Expr = exp.Bracket(this=name(CELLS), expressions=[exp.Literal.number(index + 1)], offset=1)
        if self.trim_start:
            cell = call("ltrim", cell)
        if self.trim_end:
            cell = call("rtrim", cell)
        cell = exp.Nullif(this=cell, expression=exp.Literal.string(""))
        if self.empty_value:
            empty = exp.If(this=exp.Literal.string(_EMPTY_MARK), true=exp.Literal.string(self.empty_value))
            cell = exp.Case(this=cell, ifs=[empty], default=cell.copy())
        if self.null_value:
            cell = exp.Nullif(this=cell, expression=exp.Literal.string(self.null_value))
        return cell

    def _kept(self) -> list[exp.Expr]:
        present = exp.Not(this=exp.Is(this=name(LINE), expression=exp.null()))
        blank = exp.and_(call("starts_with", name(LINE), " "), call("regexp_full_match", name(LINE), "\\s+"))
        kept: list[exp.Expr] = [present, exp.Not(this=exp.Paren(this=blank))]
        if self.comment:
            kept.append(exp.Not(this=call("starts_with", name(LINE), self.comment)))
        return kept

    def _cells(self) -> exp.Expr:
        plain = call("string_split", name(LINE), self.separator)
        if not self.quote:
            return plain
        quoted = exp.If(this=call("contains", name(LINE), self.quote), true=self._quoted_cells())
        return exp.Case(ifs=[quoted], default=plain)

    def _quoted_cells(self) -> exp.Expr:
        """Cut at separators outside quotes, then take the quotes off."""
        if len(self.separator) != 1:
            raise unsupported("a CSV separator of several characters together with quotes", "Set option quote to ''.")
        pieces = call(
            "regexp_extract_all",
            exp.DPipe(this=name(LINE), expression=exp.Literal.string(self.separator)),
            self._piece(),
        )
        cell = exp.to_identifier("cell")
        return call("list_transform", pieces, exp.Lambda(this=self._unquoted(exp.column(cell)), expressions=[cell]))

    def _piece(self) -> str:
        """One cell and its separator: a quoted cell; an unclosed one; one whose quotes mean nothing."""
        separator, quote = re.escape(self.separator), re.escape(self.quote)
        closed = f"[ \\t]*{quote}{self._inside()}{quote}[ \\t]*{separator}"
        open_ended = f"{quote}[^{quote}]*$"
        odd = f"{quote}(?:[^{quote}]|{quote}[^{separator}])*{quote}{separator}"
        return f"(?s){closed}|{open_ended}|{odd}|[^{separator}]*{separator}"

    def _inside(self) -> str:
        quote, escape = re.escape(self.quote), re.escape(self.escape)
        if not self.escape:
            return f"[^{quote}]*"
        if self.escape == self.quote:
            return f"(?:[^{quote}]|{quote}{quote})*"
        return f"(?:[^{quote}{escape}]|{escape}.)*"

    def _unquoted(self, piece: exp.Column) -> exp.Expr:
        """The text of one piece."""
        body = call("left", piece, -1)
        trimmed = call("trim", body.copy(), " \t")
        clean = call(
            "regexp_full_match", trimmed.copy(), f"(?s){re.escape(self.quote)}{self._inside()}{re.escape(self.quote)}"
        )
        unclosed = call("regexp_full_match", body.copy(), f"(?s){re.escape(self.quote)}[^{re.escape(self.quote)}]*")
        inside = call("array_slice", trimmed.copy(), 2, -2)
        unescaped = call("replace", inside, self.escape + self.quote, self.quote) if self.escape else inside
        if self.escape and self.escape != self.quote:
            unescaped = call("replace", unescaped, self.escape * 2, self.escape)
        marked = unescaped
        if self.empty_value:
            empty = exp.If(this=exp.Literal.string(""), true=exp.Literal.string(_EMPTY_MARK))
            marked = exp.Case(this=unescaped, ifs=[empty], default=unescaped.copy())
        rest = call("substring", body.copy(), 2)
        return exp.Case(ifs=[exp.If(this=clean, true=marked), exp.If(this=unclosed, true=rest)], default=body)

    def _documents(self, files: Sequence[FileStatus], skip_header: bool) -> exp.Select:
        """Records of whole files: line breaks inside quotes stay in the record."""
        quote = re.escape(self.quote)
        pattern = f"(?s)(?:[^{quote}\\n]|{quote}{self._inside()}{quote})+(?:\\n|$)"
        table = reader("read_text", [file.path for file in files])
        content = call("trim", call("replace", name("content"), "\r\n", "\n"), _BOM)
        pieces = call("regexp_extract_all", content, pattern)
        if skip_header:
            pieces = call("list_slice", pieces, exp.Literal.number(2), call("len", pieces.copy()))
        rows = exp.select(aliased(exp.Unnest(expressions=[pieces]), LINE), aliased(name("filename"), FILE)).from_(table)
        text = call("rtrim", name(LINE), "\n")
        return exp.select(aliased(exp.Nullif(this=text, expression=exp.Literal.string("")), LINE), name(FILE)).from_(
            subquery(rows, "pieces")
        )
