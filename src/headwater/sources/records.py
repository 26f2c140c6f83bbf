"""Records beside rows: what a file's row was in the file, whether it is none, and where it came from.

Whoever keeps bad records somewhere (`streaming.sieve`) reads them so. Formats without text have no bad records.

Invariants: the rows are those of a scan in the mode PERMISSIVE, in its order; a user who has said what happens to bad
records (another mode, a corrupt-record column) is obeyed: none is bad then.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import StringType, StructField, StructType
from sqlglot import exp

from headwater.io.formats import Format, FormatOptions
from headwater.io.formats.base import ScanRequest
from headwater.io.formats.csv_dialect import CsvDialect
from headwater.io.formats.csv_inference import header_of
from headwater.io.formats.modes import RECORD_OPTION, ReadMode
from headwater.io.formats.scan import aliased, call, name, subquery
from headwater.io.mounts import quote_uri
from headwater.sources.base import BatchInput, scanned

RECORD, BAD, FILE, HEADER = "__record", "__bad", "__file", "__header"
COLUMNS = (RECORD, BAD, FILE, HEADER)
"""The record's text (STRING, NULL where there is none), whether it is bad (BOOLEAN), its file (STRING), and what stands
above such records in a file of theirs (STRING, mostly NULL)."""
TEXTUAL = ("json", "csv", "xml")
_CORRUPT, _METADATA = "__corrupt", "_metadata"


def with_records(name_: str, file_format: Format, request: ScanRequest, columns: list[str]) -> BatchInput:
    """The rows of a scan with `COLUMNS` at the end.

    Args:
        name_: of the format.
        columns: those of the scan that are wanted, in order.
    """
    asked = replace(request, metadata=True)
    textual = name_ in TEXTUAL
    sifted = textual and _may_be_bad(request)
    if textual:
        kept = [RECORD, _CORRUPT] if sifted else [RECORD]
        fields = StructType([*request.schema.fields, *(StructField(each, StringType()) for each in kept)])
        chosen = {RECORD_OPTION: RECORD, **({"columnnameofcorruptrecord": _CORRUPT} if sifted else {})}
        asked = replace(asked, schema=fields, options=FormatOptions({**request.options, **chosen}))
    found = scanned(file_format, asked)
    bad: exp.Expr = exp.Not(this=exp.Is(this=name(_CORRUPT), expression=exp.null())) if sifted else exp.false()
    record: exp.Expr = name(RECORD) if textual else _nothing()
    file = call("struct_extract", name(_METADATA), exp.Literal.string("file_path"))
    header = _header(file, request) if name_ == "csv" and request.options.flag("header") else _nothing()
    added = (aliased(record, RECORD), aliased(bad, BAD), aliased(file, FILE), aliased(header, HEADER))
    query = exp.select(*(name(each) for each in columns), *added).from_(subquery(found.query, "records"))
    return replace(found, query=query)


def _header(file: exp.Expr, request: ScanRequest) -> exp.Expr:
    """The header of a row's CSV file. Where columns are found by position it does not matter: any will do."""
    dialect = CsvDialect.of(request.options)
    found: dict[tuple[str, ...], list[exp.Expr]] = {}
    for one in request.files if request.rescue is not None else request.files[:1]:
        uri = exp.Literal.string(quote_uri(one.uri or f"file:{one.path}"))
        found.setdefault(header_of(one, dialect), []).append(uri)
    lines = {line: dialect.separator.join(_cell(each, dialect) for each in line) for line in found}
    first, *others = found
    whens = [
        exp.If(this=exp.In(this=file.copy(), expressions=found[line]), true=exp.Literal.string(lines[line]))
        for line in others
    ]
    usual = exp.Literal.string(lines[first])
    return exp.Case(ifs=whens, default=usual) if whens else usual


def _nothing() -> exp.Expr:
    return exp.cast(exp.null(), "VARCHAR")


def _cell(text: str, dialect: CsvDialect) -> str:
    odd = dialect.quote and any(mark in text for mark in (dialect.separator, dialect.quote))
    if not odd:
        return text
    escaped = text.replace(dialect.quote, (dialect.escape or dialect.quote) + dialect.quote)
    return f"{dialect.quote}{escaped}{dialect.quote}"


def without_rows(query: exp.Query) -> exp.Query:
    """A query that gives no rows, with `COLUMNS` at the end."""
    added = [aliased(exp.false() if column == BAD else _nothing(), column) for column in COLUMNS]
    return exp.select(exp.Star(), *added).from_(subquery(query, "nothing"))


def _may_be_bad(request: ScanRequest) -> bool:
    mode = ReadMode.of(request.options, request.schema)
    return mode.mode == "PERMISSIVE" and mode.corrupt is None
