"""`singleVariantColumn`: each JSON record whole as one VARIANT.

Invariants: as in Spark a record may be any JSON value, an array too; one that is none, or an object with a key twice,
is null, or what the mode says.
"""

from __future__ import annotations

from pyspark.sql.types import StructField, StructType, VariantType
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.io.formats.base import FormatOptions, ScanRequest
from headwater.io.formats.json_careful import records
from headwater.io.formats.modes import ReadMode
from headwater.io.formats.scan import FILE, LINE, aliased, call, name, needs_file, subquery
from headwater.types.ddl import type_sql

OPTION = "singlevariantcolumn"
_BAD = "__bad"


def schema_of(options: FormatOptions) -> StructType | None:
    """The one column, if the option is given."""
    column = options.get(OPTION)
    return None if column is None else StructType([StructField(column, VariantType(), True)])


def scan(request: ScanRequest, mode: ReadMode) -> exp.Select:
    """The rows of the files. Raises INVALID_SINGLE_VARIANT_COLUMN for another schema."""
    _check(request, mode)
    tested = exp.select(name(LINE), name(FILE), aliased(_bad(), _BAD))
    tested = tested.from_(subquery(records(request.files, request.options, arrays=False), "records"))
    bad = name(_BAD)
    columns: list[exp.Expr] = []
    value = exp.Case(ifs=[exp.If(this=exp.Not(this=bad), true=exp.cast(name(LINE), "JSON"))])
    for field in request.schema.fields:
        columns.append(aliased(mode.text(field.name, bad) or value.copy(), field.name))
    if needs_file(request):
        columns.append(name(FILE))
    return mode.apply(exp.select(*columns).from_(subquery(tested, "tested")), bad)


def _bad() -> exp.Expr:
    """Whether the record is no JSON, or an object with a key twice."""
    keys = call("json_keys", name(LINE))
    twice = exp.LT(this=call("len", call("list_distinct", keys)), expression=call("len", keys.copy()))
    valid = call("json_valid", name(LINE))
    is_object = call("starts_with", name(LINE), "{")
    return exp.Case(
        ifs=[exp.If(this=exp.Not(this=valid), true=exp.true()), exp.If(this=is_object, true=twice)],
        default=exp.false(),
    )


def _check(request: ScanRequest, mode: ReadMode) -> None:
    others = mode.data(request.schema)
    named = len(others) == 1 and others[0].name == request.options[OPTION]
    if not named or not isinstance(others[0].dataType, VariantType):
        raise AnalysisError("INVALID_SINGLE_VARIANT_COLUMN", schema=f'"{type_sql(request.schema)}"')
