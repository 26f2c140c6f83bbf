"""JSON read record by record with its text at hand, for the modes and files that need it.

Invariants: an array at the top of a record gives a row per element; blank records give none; `__line` is the text
of the record, also in error messages.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyspark.sql.types import StructField
from sqlglot import exp

from headwater.io.formats.base import FormatOptions, ScanRequest
from headwater.io.formats.cells import CellRules
from headwater.io.formats.encodings import encoding_of, separator_of
from headwater.io.formats.json_inside import is_given, lost_inside
from headwater.io.formats.json_lenient import Leniency
from headwater.io.formats.json_values import VALUE, field_of, mismatched, raw_type, typed, value_at
from headwater.io.formats.modes import ReadMode
from headwater.io.formats.scan import FILE, LINE, aliased, call, lines, name, needs_file, pieces, reader, subquery
from headwater.io.storage import FileStatus

_BOM = "\ufeff"


def scan(request: ScanRequest, mode: ReadMode) -> exp.Select:
    """The rows of the files, bad records by `mode`; ends with `__file` if the request needs it."""
    rules = CellRules.of(request.options)
    fields = mode.data(request.schema)
    bad = _bad(fields, rules)
    columns: list[exp.Expr] = []
    for field in request.schema.fields:
        value = mode.text(field.name, bad) or typed(field_of(field.name), field.dataType, rules)
        columns.append(aliased(value, field.name))
    if needs_file(request):
        columns.append(name(FILE))
    rows = exp.select(*columns).from_(subquery(parsed(request, fields), "parsed"))
    return mode.apply(rows, bad)


def parsed(request: ScanRequest, fields: Sequence[StructField]) -> exp.Select:
    """Columns `__value` (a struct of raw fields; null if the record is no JSON object), `__line`, `__file`."""
    structure = json.dumps({field.name: raw_type(field.dataType) for field in fields} or {"__none": "VARCHAR"})
    is_object = exp.and_(call("json_valid", name(LINE)), call("starts_with", name(LINE), "{"))
    value = exp.Case(ifs=[exp.If(this=is_object, true=call("json_transform", name(LINE), structure))])
    found = records(request.files, request.options)
    if request.rescue is not None and not request.options.flag("readerCaseSensitive", True):
        found = _in_case(found, [field.name for field in fields])
    return exp.select(aliased(value, VALUE), name(LINE), name(FILE)).from_(subquery(found, "records"))


def _in_case(rows: exp.Select, names: Sequence[str]) -> exp.Select:
    """The records with their keys as the schema writes them; those that are so already stay as they are."""
    key = exp.to_identifier("key")
    item = exp.column(key.copy())
    is_object = exp.and_(call("starts_with", name(LINE), "{"), call("json_valid", name(LINE)))
    keys = exp.Case(ifs=[exp.If(this=is_object, true=call("json_keys", name(LINE)))])
    whens = [exp.If(this=exp.Literal.string(one.lower()), true=exp.Literal.string(one)) for one in names]
    written = exp.Case(this=call("lower", item.copy()), ifs=whens, default=item.copy()) if whens else item
    odd = call("list_filter", keys, exp.Lambda(this=exp.NEQ(this=written, expression=item.copy()), expressions=[key]))
    value = value_at(name(LINE), item.copy())
    pair = call("concat", exp.cast(call("to_json", written.copy()), "VARCHAR"), ":", value)
    pairs = call("list_transform", keys.copy(), exp.Lambda(this=pair, expressions=[key.copy()]))
    rebuilt = call("concat", "{", call("array_to_string", pairs, ","), "}")
    some = exp.GT(this=call("len", odd), expression=exp.Literal.number(0))
    line = exp.Case(ifs=[exp.If(this=some, true=rebuilt)], default=name(LINE))
    return exp.select(aliased(line, LINE), name(FILE)).from_(subquery(rows, "written_so"))


def records(files: Sequence[FileStatus], options: FormatOptions, *, arrays: bool = True) -> exp.Select:
    """Columns `__line` (one JSON value, trimmed) and `__file`; of an array at the top each element, if `arrays`."""
    whole = _texts(files, options)
    # Trimming a set of characters costs more than all else here, and hardly any line needs it.
    tidy = exp.and_(call("starts_with", name(LINE), "{"), call("ends_with", name(LINE), "}"))
    trimmed_text = call("trim", name(LINE), f" \t\r\n{_BOM}")
    text = exp.Case(ifs=[exp.If(this=tidy, true=name(LINE))], default=trimmed_text)
    trimmed = exp.select(aliased(text, LINE), name(FILE)).from_(subquery(whole, "texts"))
    mended = Leniency.of(options).mended(name(LINE))
    trimmed = exp.select(aliased(mended, LINE), name(FILE)).from_(subquery(trimmed, "written"))
    full = exp.NEQ(this=name(LINE), expression=exp.Literal.string(""))
    if not arrays:
        return exp.select(name(LINE), name(FILE)).from_(subquery(trimmed, "trimmed")).where(full)
    is_array = exp.and_(call("starts_with", name(LINE), "["), call("json_valid", name(LINE)))
    elements = exp.cast(call("json_extract", name(LINE), "$[*]"), "VARCHAR[]")
    itself = exp.Array(expressions=[name(LINE)])
    each = exp.Unnest(expressions=[exp.Case(ifs=[exp.If(this=is_array, true=elements)], default=itself)])
    return exp.select(aliased(each, LINE), name(FILE)).from_(subquery(trimmed, "trimmed")).where(full)


def _texts(files: Sequence[FileStatus], options: FormatOptions) -> exp.Select:
    encoding, separator = encoding_of(options), separator_of(options)
    if options.flag("multiLine"):
        return _documents(files)
    return pieces(files, separator) if separator else lines(files, encoding=encoding)


def _documents(files: Sequence[FileStatus]) -> exp.Select:
    table = reader("read_text", [file.path for file in files])
    return exp.select(aliased(name("content"), LINE), aliased(name("filename"), FILE)).from_(table)


def _bad(fields: Sequence[StructField], rules: CellRules) -> exp.Expr:
    """Whether the record is no object, or a value of it is not of its field's type."""
    broken: exp.Expr = exp.Is(this=name(VALUE), expression=exp.null())
    wrong = [mismatched(field_of(field.name), field.dataType, rules) for field in fields]
    inside = [is_given(text) for field in fields for text in lost_inside(field, rules, unknown=False)]
    return exp.or_(broken, *[test for test in wrong if test is not None], *inside)
