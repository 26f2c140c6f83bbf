"""Rows to data files: the COPY statement that writes a query's rows as Spark would write them.

CSV and JSON values are made text by Spark's rules first (ISO timestamps in the session's zone with milliseconds,
null fields of JSON objects left out), so DuckDB only lays them out.

Invariants: a column's value is used under its own name once per use; partition columns are passed on untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    DataType,
    DateType,
    DoubleType,
    FloatType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    VariantType,
)
from sqlglot import exp

from headwater.errors import AnalysisError, unsupported
from headwater.io.formats.base import FormatOptions, formats
from headwater.io.formats.patterns import strptime_formats

_CODECS = {"none": "none", "uncompressed": "none", "gzip": "gzip", "zstd": "zstd"}
_SECONDS = "%Y-%m-%dT%H:%M:%S.%g"


def copy_rows(
    query: exp.Query,
    schema: StructType,
    format_name: str,
    target: str,
    options: FormatOptions,
    partition_by: Sequence[str] = (),
) -> exp.Copy:
    """The statement that writes the rows of `query` (columns as `schema`, under Spark's names).

    Args:
        target: a file, or with `partition_by` a folder that gets `name=value` folders.

    Raises:
        AnalysisError: DATA_SOURCE_NOT_FOUND, UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE.
    """
    found = formats.get(format_name)
    if found is None:
        raise AnalysisError("DATA_SOURCE_NOT_FOUND", provider=format_name)
    parameters = {**found.copy_options(options), **_layout(format_name, options)}
    folders = {name.lower() for name in partition_by}
    if partition_by:
        parameters["PARTITION_BY"] = exp.Tuple(expressions=[exp.column(name, quoted=True) for name in partition_by])
    if format_name == "json":
        rows = _json_rows(query, schema, folders, options)
    elif format_name == "csv":
        rows = _csv_rows(query, schema, folders, options)
    else:
        rows = query
    return exp.Copy(
        this=exp.Subquery(this=rows),
        kind=False,
        files=[exp.Literal.string(target)],
        params=[exp.CopyParameter(this=exp.var(name), expression=value) for name, value in parameters.items()],
    )


def _layout(format_name: str, options: FormatOptions) -> dict[str, exp.Expression]:
    if format_name == "parquet":
        return {}
    codec = options.text("compression", options.text("codec", "none")).lower().rpartition(".")[2]
    if codec not in _CODECS:
        raise unsupported(f"the compression `{codec}` for {format_name}", "Use gzip, zstd or none.")
    if options.text("lineSep", "\n") != "\n":
        raise unsupported("writing with the option lineSep", "Leave it out: lines end with \\n.")
    layout: dict[str, exp.Expression] = {"COMPRESSION": exp.Literal.string(_CODECS[codec])}
    if format_name == "json":
        layout |= _plain_lines()
    elif format_name == "csv":
        layout |= _csv_layout(options)
    return layout


def _plain_lines() -> dict[str, exp.Expression]:
    return {
        "FORMAT": exp.var("csv"),
        "HEADER": exp.false(),
        "QUOTE": exp.Literal.string(""),
        "ESCAPE": exp.Literal.string(""),
        "DELIMITER": exp.Literal.string("\x01"),
    }


def _csv_layout(options: FormatOptions) -> dict[str, exp.Expression]:
    layout: dict[str, exp.Expression] = {
        "QUOTE": exp.Literal.string(options.text("quote", '"')),
        "ESCAPE": exp.Literal.string(options.text("escape", "\\")),
        "NULL": exp.Literal.string(options.text("nullValue", "")),
    }
    if options.flag("quoteAll"):
        layout["FORCE_QUOTE"] = exp.Star()
    return layout


# ── CSV ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _csv_rows(query: exp.Query, schema: StructType, folders: set[str], options: FormatOptions) -> exp.Query:
    columns = []
    for field in schema.fields:
        value: exp.Expression = exp.column(field.name, quoted=True)
        if field.name.lower() not in folders:
            value = _csv_text(value, field, options)
        columns.append(exp.alias_(value, field.name, quoted=True))
    return exp.Select(expressions=columns).from_(exp.Subquery(this=query, alias="rows_"))


def _csv_text(value: exp.Expression, field: StructField, options: FormatOptions) -> exp.Expression:
    if isinstance(field.dataType, ArrayType | MapType | StructType | VariantType):
        kind = f'"{field.dataType.simpleString().upper()}"'
        raise AnalysisError(
            "UNSUPPORTED_DATA_TYPE_FOR_DATASOURCE", format="CSV", columnName=f"`{field.name}`", columnType=kind
        )
    return _moment_text(value, field.dataType, options) or _number_text(value, field.dataType) or value


# ── JSON ────────────────────────────────────────────────────────────────────────────────────────────────────


def _json_rows(query: exp.Query, schema: StructType, folders: set[str], options: FormatOptions) -> exp.Query:
    data = [field for field in schema.fields if field.name.lower() not in folders]
    columns = [(exp.column(field.name, quoted=True), field) for field in data]
    text = _object(columns, options, 0)
    kept = [exp.column(field.name, quoted=True) for field in schema.fields if field.name.lower() in folders]
    rows = exp.Subquery(this=query, alias="rows_")
    return exp.Select(expressions=[exp.alias_(text, "json_", quoted=True), *kept]).from_(rows)


def _object(
    columns: Sequence[tuple[exp.Expression, StructField]], options: FormatOptions, depth: int
) -> exp.Expression:
    parts = []
    for value, field in columns:
        text = _joined(
            _call("to_json", exp.Literal.string(field.name)), ":", _json(value, field.dataType, options, depth)
        )
        if not options.flag("ignoreNullFields", True):
            missing = _joined(_call("to_json", exp.Literal.string(field.name)), ":null")
            text = _call("coalesce", text, missing)
        parts.append(text)
    return _joined("{", _call("concat_ws", exp.Literal.string(","), *parts) if parts else "", "}")


def _json(value: exp.Expression, kind: DataType, options: FormatOptions, depth: int) -> exp.Expression:
    """JSON text of a value; NULL for NULL."""
    if isinstance(kind, StructType):
        fields = [(_call("struct_extract", value, exp.Literal.string(f.name)), f) for f in kind.fields]
        whole = _object(fields, options, depth)
        return exp.Case(ifs=[exp.If(this=_present(value), true=whole)])
    if isinstance(kind, ArrayType):
        items = _mapped(value, lambda item: _item(item, kind.elementType, options, depth + 1), depth)
        return _joined("[", items, "]")
    if isinstance(kind, MapType):
        entries = _mapped(_call("map_entries", value), lambda item: _entry(item, kind, options, depth + 1), depth)
        return _joined("{", entries, "}")
    moment = _moment_text(value, kind, options)
    if moment is not None:
        return _joined('"', moment, '"')
    return _scalar(value, kind)


def _scalar(value: exp.Expression, kind: DataType) -> exp.Expression:
    if isinstance(kind, BinaryType):
        return _joined('"', _call("base64", value), '"')
    if isinstance(kind, FloatType | DoubleType):
        special = exp.Or(this=_call("isnan", value), expression=_call("isinf", value))
        quoted = _joined('"', _number_text(value, kind) or value, '"')
        return exp.Case(ifs=[exp.If(this=special, true=quoted)], default=_text(_call("to_json", value)))
    if isinstance(kind, StringType) or "interval" in kind.typeName():
        return _text(_call("to_json", _text(value)))
    return _text(value)


def _item(value: exp.Expression, kind: DataType, options: FormatOptions, depth: int) -> exp.Expression:
    return _call("coalesce", _json(value, kind, options, depth), exp.Literal.string("null"))


def _entry(item: exp.Expression, kind: MapType, options: FormatOptions, depth: int) -> exp.Expression:
    key = _call("struct_extract", item, exp.Literal.string("key"))
    value = _call("struct_extract", item, exp.Literal.string("value"))
    return _joined(_call("to_json", _text(key)), ":", _item(value, kind.valueType, options, depth))


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────


def _moment_text(value: exp.Expression, kind: DataType, options: FormatOptions) -> exp.Expression | None:
    if isinstance(kind, TimestampType):
        local = exp.cast(value.copy(), "timestamp", dialect="duckdb")
        pattern = options.get("timestampformat")
        return _patterned(local, pattern) if pattern else _joined(_strftime(local, _SECONDS), _zone(value))
    if isinstance(kind, TimestampNTZType):
        pattern = options.get("timestampntzformat")
        return _patterned(value, pattern) if pattern else _strftime(value, _SECONDS)
    if isinstance(kind, DateType):
        pattern = options.get("dateformat")
        return _patterned(value, pattern) if pattern else _text(value)
    return None


def _zone(value: exp.Expression) -> exp.Expression:
    """`Z` or `+01:00`."""
    offset = _strftime(value, "%z")
    hours = exp.EQ(this=_call("length", offset), expression=exp.Literal.number(3))
    whole = exp.Case(ifs=[exp.If(this=hours, true=_joined(offset, ":00"))], default=offset.copy())
    zero = exp.EQ(this=offset.copy(), expression=exp.Literal.string("+00"))
    return exp.Case(ifs=[exp.If(this=zero, true=exp.Literal.string("Z"))], default=whole)


def _patterned(value: exp.Expression, pattern: str) -> exp.Expression:
    found = strptime_formats(pattern)[0]
    if "%f" in found or "%z" in found:
        raise unsupported(f"writing with the pattern `{pattern}`", "Use a pattern without fraction and zone.")
    return _strftime(value, found)


def _number_text(value: exp.Expression, kind: DataType) -> exp.Expression | None:
    if not isinstance(kind, FloatType | DoubleType):
        return None
    sign = exp.Case(
        ifs=[exp.If(this=exp.LT(this=value.copy(), expression=exp.Literal.number(0)), true=exp.Literal.string("-"))],
        default=exp.Literal.string(""),
    )
    return exp.Case(
        ifs=[
            exp.If(this=_call("isnan", value), true=exp.Literal.string("NaN")),
            exp.If(this=_call("isinf", value), true=_joined(sign, "Infinity")),
        ],
        default=_text(value),
    )


def _mapped(items: exp.Expression, body: Callable[[exp.Expression], exp.Expression], depth: int) -> exp.Expression:
    name = f"item_{depth}"
    inner = exp.Lambda(this=body(exp.column(name)), expressions=[exp.to_identifier(name)], colon=True)
    return _call("array_to_string", _call("list_transform", items, inner), exp.Literal.string(","))


def _strftime(value: exp.Expression, pattern: str) -> exp.Expression:
    return _call("strftime", value, exp.Literal.string(pattern))


def _present(value: exp.Expression) -> exp.Expression:
    return exp.Not(this=exp.Is(this=value.copy(), expression=exp.Null()))


def _text(value: exp.Expression) -> exp.Expression:
    return exp.cast(value.copy(), "text", dialect="duckdb")


def _call(name: str, *arguments: exp.Expression) -> exp.Expression:
    return exp.Anonymous(this=name, expressions=[argument.copy() for argument in arguments])


def _joined(*parts: exp.Expression | str) -> exp.Expression:
    """`a || b || …`: NULL if one is."""
    trees = [exp.Literal.string(part) if isinstance(part, str) else part.copy() for part in parts]
    whole = trees[0]
    for tree in trees[1:]:
        whole = exp.DPipe(this=whole, expression=tree)
    return exp.Paren(this=whole)
