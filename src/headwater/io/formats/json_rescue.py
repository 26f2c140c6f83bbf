"""Auto Loader's rescued-data column for JSON: what the schema could not take, as a JSON string.

`{"field": value, …, "_file_path": "…"}` holds fields the schema does not know and values that are not of their
field's type; a record that is no JSON object is kept whole under `_corrupt_record`. Null for a clean record.

Invariant: clean records, the common case, cost a comparison of their key list and no text.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import StructField
from sqlglot import exp

from headwater.io.formats.base import ScanRequest
from headwater.io.formats.cells import CellRules
from headwater.io.formats.json_careful import parsed
from headwater.io.formats.json_inside import is_given, lost_inside
from headwater.io.formats.json_values import field_of, mismatched, typed, value_at
from headwater.io.formats.modes import ReadMode
from headwater.io.formats.rescue import file_path
from headwater.io.formats.scan import FILE, LINE, aliased, call, name, needs_file, subquery, value_of
from headwater.io.storage import FileStatus

_KEYS = "__keys"


def scan(request: ScanRequest, mode: ReadMode) -> exp.Select:
    """The rows of the files with the rescued-data column; a wrong type alone makes no record bad."""
    rules = CellRules.of(request.options)
    fields = mode.data(request.schema)
    broken = exp.Is(this=name("__value"), expression=exp.null())
    columns: list[exp.Expr] = []
    for field in request.schema.fields:
        value = mode.text(field.name, broken) or typed(field_of(field.name), field.dataType, rules)
        columns.append(aliased(value, field.name))
    columns.append(aliased(_rescued(request.files, fields, rules), str(request.rescue)))
    if needs_file(request):
        columns.append(name(FILE))
    rows = exp.select(*columns).from_(subquery(_with_keys(request, fields), "parsed"))
    return mode.apply(rows, broken)


def unknown_keys(known: Sequence[str]) -> exp.Expr:
    """Whether `__keys` has a name that is not known; the usual order of names is compared first."""
    names = value_of(list(known))
    if not known:
        return exp.GT(this=call("len", name(_KEYS)), expression=exp.Literal.number(0))
    usual = exp.If(this=exp.EQ(this=name(_KEYS), expression=names), true=exp.false())
    return exp.Case(ifs=[usual], default=exp.Not(this=call("list_has_all", names.copy(), name(_KEYS))))


def _with_keys(request: ScanRequest, fields: Sequence[StructField]) -> exp.Select:
    is_object = exp.Not(this=exp.Is(this=name("__value"), expression=exp.null()))
    keys = exp.Case(ifs=[exp.If(this=is_object, true=call("json_keys", name(LINE)))])
    return exp.select(exp.Star(), aliased(keys, _KEYS)).from_(subquery(parsed(request, fields), "values"))


def _rescued(files: Sequence[FileStatus], fields: Sequence[StructField], rules: CellRules) -> exp.Expr:
    wrong = [(field.name, mismatched(field_of(field.name), field.dataType, rules)) for field in fields]
    tests = [(column, test) for column, test in wrong if test is not None]
    inside = [text for field in fields for text in lost_inside(field, rules)]
    dirty = exp.or_(
        unknown_keys([field.name for field in fields]), *[test for _, test in tests], *[is_given(one) for one in inside]
    )
    broken = exp.Is(this=name("__value"), expression=exp.null())
    whole = _object(files, exp.Literal.string('"_corrupt_record":'), exp.cast(call("to_json", name(LINE)), "VARCHAR"))
    lost = exp.Nullif(this=_pairs(fields, tests), expression=exp.Literal.string(""))
    misfits = _object(files, call("concat_ws", ",", lost, *[one.copy() for one in inside]))
    return exp.Case(ifs=[exp.If(this=broken, true=whole), exp.If(this=dirty, true=misfits)])


def _object(files: Sequence[FileStatus], *pairs: exp.Expr) -> exp.Expr:
    return call("concat", "{", *pairs, ',"_file_path":', file_path(files), "}")


def _pairs(fields: Sequence[StructField], tests: Sequence[tuple[str, exp.Expr]]) -> exp.Expr:
    """`"name":value` of every key that is unknown or whose value did not fit, joined by commas."""
    key = exp.to_identifier("key")
    known = exp.Not(this=call("list_contains", value_of([field.name for field in fields]), exp.column(key.copy())))
    misfits = [
        exp.and_(exp.EQ(this=exp.column(key.copy()), expression=exp.Literal.string(column)), test.copy())
        for column, test in tests
    ]
    kept = call("list_filter", name(_KEYS), exp.Lambda(this=exp.or_(known, *misfits), expressions=[key.copy()]))
    pair = call(
        "concat",
        exp.cast(call("to_json", exp.column(key.copy())), "VARCHAR"),
        ":",
        value_at(name(LINE), exp.column(key.copy())),
    )
    return call("array_to_string", call("list_transform", kept, exp.Lambda(this=pair, expressions=[key.copy()])), ",")
