"""Spark's CSV functions: a line of text to a struct and back.

Invariants: a field that does not fit its type is NULL; the separator, quote and escape are options.
"""

from __future__ import annotations

from pyspark.sql.types import DataType, StringType, StructField, StructType
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    case,
    duck,
    is_null,
    lambda_,
    let,
    literal_text,
    struct_of,
    text_literal,
    titled,
    to_text,
)
from headwater.functions.json import options_of, schema_argument
from headwater.functions.kernels import kernel


@kernel(["VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR"], "VARCHAR[]")
def csv_fields(line: str, separator: str, quote: str, escape: str) -> list[str | None]:
    """The fields of a line; empty unquoted fields are NULL."""
    import csv

    doubled = escape == quote
    options = {"delimiter": separator, "quotechar": quote, "doublequote": doubled}
    rows = list(csv.reader([line], **options) if doubled else csv.reader([line], **options, escapechar=escape))  # type: ignore[arg-type]
    return [field if field != "" else None for field in rows[0]] if rows else []


@kernel(["VARCHAR[]", "VARCHAR", "VARCHAR"], "VARCHAR")
def csv_line(fields: list[str | None], separator: str, quote: str) -> str:
    """The fields as a line; those with separators, quotes or line ends are quoted."""

    def one(field: str | None) -> str:
        if field is None:
            return ""
        special = (
            any(mark in field for mark in (separator, quote, "\n", "\r")) or field != field.strip(" ") or field == ""
        )
        return quote + field.replace(quote, "\\" + quote) + quote if special else field

    return separator.join(map(one, fields))


def _read(call: FunctionCall, text: exp.Expression, kind: DataType, options: dict[str, str]) -> exp.Expression:
    from dataclasses import replace

    from pyspark.sql.types import DateType, TimestampType

    from headwater.functions.conversion import cast_typed
    from headwater.functions.datetime_text import read_text

    pattern = {DateType: options.get("dateformat"), TimestampType: options.get("timestampformat")}.get(type(kind))
    if pattern:
        typed = Typed(text, StringType())
        return read_text(replace(call, operands=(typed, text_literal(pattern))), kind, strict=False)
    return cast_typed(Typed(text, StringType()), kind, call, attempt=True).sql


@function("from_csv")
def from_csv(call: FunctionCall) -> Typed:
    """from_csv(line, schema[, options]) → struct; fields that do not fit are NULL"""
    text, schema, *rest = call.take(2, 3)
    kind = schema_argument(call, schema)
    assert isinstance(kind, StructType)
    options = options_of(rest[0] if rest else None)
    separator = options.get("sep", options.get("delimiter", ","))
    fields = duck(
        "hw_csv_fields", to_text(call, text).sql, separator, options.get("quote", '"'), options.get("escape", "\\")
    )

    if options.get("ignoreleadingwhitespace") == "true" or options.get("ignoretrailingwhitespace") == "true":
        side = {("true", "true"): "trim", ("true", "false"): "ltrim", ("false", "true"): "rtrim"}
        which = tuple(options.get(f"ignore{end}whitespace", "false") for end in ("leading", "trailing"))
        fields = duck("list_transform", fields, lambda_(lambda x: duck(side[which], x)))  # type: ignore[index]

    def build(parts: exp.Expression) -> exp.Expression:
        cells = [
            (f.name, _read(call, duck("list_extract", parts, i), f.dataType, options))
            for i, f in enumerate(kind.fields, 1)
        ]
        return case((is_null(parts), None), otherwise=struct_of(cells))

    made = StructType([StructField(f.name, f.dataType, True) for f in kind.fields])
    return Typed(let([fields], build), made, text.nullable, name=titled(call, text.name))


@function("to_csv")
def to_csv(call: FunctionCall) -> Typed:
    """to_csv(struct[, options]) → line of text"""
    from headwater.functions.text_form import text_of

    value, *rest = call.take(1, 2)
    options = options_of(rest[0] if rest else None)
    kind = value.type
    assert isinstance(kind, StructType)

    def write(row: exp.Expression) -> exp.Expression:
        cells = [_written(call, duck("struct_extract", row, f.name), f.dataType, options, text_of) for f in kind.fields]
        line = duck("hw_csv_line", exp.Array(expressions=cells), options.get("sep", ","), options.get("quote", '"'))
        return case((is_null(row), None), otherwise=line)

    return Typed(let([value.sql], write), StringType(), True, name=titled(call, value.name))


def _written(
    call: FunctionCall, cell: exp.Expression, kind: DataType, options: dict[str, str], text_of: object
) -> exp.Expression:
    from pyspark.sql.types import DateType, TimestampNTZType, TimestampType

    from headwater.functions.building import cast
    from headwater.functions.datetime_text import written

    if isinstance(kind, TimestampType):
        pattern = options.get("timestampformat", "yyyy-MM-dd'T'HH:mm:ss.SSSXXX")
        return written(call, Typed(cell, kind), text_literal(pattern))
    if isinstance(kind, DateType) and "dateformat" in options:
        return written(call, Typed(cast(cell, "TIMESTAMP"), TimestampNTZType()), text_literal(options["dateformat"]))
    return cast(text_of(cell, kind), "VARCHAR")  # type: ignore[operator]


@function("schema_of_csv")
def schema_of_csv(call: FunctionCall) -> Typed:
    """schema_of_csv(literal line[, options]) → string: its schema as DDL, columns _c0, _c1, …"""
    text, *rest = call.take(1, 2)
    options = options_of(rest[0] if rest else None)
    line = literal_text(call, text, "csv") or ""
    cells = csv_fields(line, options.get("sep", ","), options.get("quote", '"'), options.get("escape", "\\"))
    ddl = "STRUCT<" + ", ".join(f"_c{i}: {_kind(cell)}" for i, cell in enumerate(cells)) + ">"
    return Typed(exp.Literal.string(ddl), StringType(), False, ddl, titled(call, text.name))


def _kind(cell: str | None) -> str:
    import re

    rules = (
        (r"[+-]?\d{1,9}", "INT"),
        (r"[+-]?\d{10,18}", "BIGINT"),
        (r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|-?Inf(inity)?", "DOUBLE"),
        (r"\d{4}-\d\d-\d\d", "DATE"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*", "TIMESTAMP"),
        (r"(?i)true|false", "BOOLEAN"),
    )
    return next((name for pattern, name in rules if cell is not None and re.fullmatch(pattern, cell)), "STRING")
