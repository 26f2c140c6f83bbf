"""Text: one string column `value`, a row a line, or a row a file with `wholetext`.

Invariants: lines end at `\\n`, `\\r` or `\\r\\n` unless `lineSep` says otherwise; empty lines are rows; the end of the
last line is not a row.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import AnalysisError
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.formats.scan import FILE, aliased, attach, call, name, needs_file, reader
from headwater.io.storage import FileStatus

_CONTENT = "content"
_PIECES = "__pieces"


class Text:
    """The format `text`."""

    extensions: tuple[str, ...] = (".txt",)

    def infer(self, connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:  # noqa: ARG002
        """See `Format.infer`."""
        return StructType([StructField("value", StringType(), True)])

    def scan(self, request: ScanRequest) -> exp.Query:
        """See `Format.scan`. Raises for a schema that is not one string."""
        fields = request.schema.fields
        if len(fields) > 1 or any(not isinstance(field.dataType, StringType) for field in fields):
            raise AnalysisError("TEXT_SINGLE_COLUMN", count=len(fields))
        whole = request.options.flag("wholetext")
        value = name(_CONTENT) if whole else exp.Unnest(expressions=[name(_PIECES)])
        columns: list[exp.Expr] = [aliased(value, field.name) for field in fields]
        if needs_file(request):
            columns.append(name(FILE))
        rows = exp.select(*columns).from_(exp.Subquery(this=_files(request), alias="files"))
        return attach(request, rows)

    def copy_options(self, options: FormatOptions) -> dict[str, exp.Expression]:  # noqa: ARG002
        """See `Format.copy_options`: lines as they are, one column."""
        return {
            "FORMAT": exp.Var(this="csv"),
            "HEADER": exp.false(),
            "QUOTE": exp.Literal.string(""),
            "ESCAPE": exp.Literal.string(""),
            "DELIMITER": exp.Literal.string("\x01"),
        }


formats.register("text")(Text())


def _files(request: ScanRequest) -> exp.Select:
    """A row a file: its path, its content, its lines."""
    table = reader("read_text", [file.path for file in request.files])
    return exp.select(name(_CONTENT), aliased(_lines(request.options), _PIECES), aliased(name("filename"), FILE)).from_(
        table
    )


def _lines(options: FormatOptions) -> exp.Expr:
    separator = options.text("lineSep")
    content: exp.Expr = name(_CONTENT)
    if not separator:
        separator = "\n"
        content = call("replace", call("replace", content, "\r\n", "\n"), "\r", "\n")
    pieces = call("string_split", content, separator)
    last = exp.EQ(
        this=exp.Bracket(this=pieces.copy(), expressions=[exp.Neg(this=exp.Literal.number(1))], offset=1),
        expression=exp.Literal.string(""),
    )
    return exp.Case(
        ifs=[
            exp.If(
                this=last,
                true=call(
                    "list_resize",
                    pieces.copy(),
                    exp.Sub(this=call("len", pieces.copy()), expression=exp.Literal.number(1)),
                ),
            )
        ],
        default=pieces,
    )
