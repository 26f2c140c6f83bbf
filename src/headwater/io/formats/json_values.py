"""JSON values by Spark's rules: what DuckDB is asked to read a field as, and how that becomes the field's type.

Numbers and booleans are read as JSON, so that `"2"` and `3.7` are told from `2`; strings, dates and times as text.

Invariants: a value of another JSON type than its field wants is null; an array with one such element is null.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql.types import ArrayType, BooleanType, DataType, MapType, StringType, StructType
from sqlglot import exp

from headwater.io.formats.cells import FRACTIONS, INTEGERS, CellRules, from_string, from_token
from headwater.io.formats.scan import call, name, struct_of

VALUE = "__value"
"""The column of a record's raw fields, in one struct."""
Leaf = Callable[[exp.Expr, DataType, CellRules], exp.Expr]
_TOKENS = (*INTEGERS, *FRACTIONS, BooleanType)


def field_of(column: str) -> exp.Expr:
    """A field of `__value`."""
    return call("struct_extract", name(VALUE), column)


def value_at(document: exp.Expr, key: exp.Expr) -> exp.Expr:
    """The JSON text of an object's value under a key. A pointer takes any key; a path no empty or control character."""
    escaped = call("replace", call("replace", key, "~", "~0"), "/", "~1")
    return exp.cast(call("json_extract", document, call("concat", "/", escaped)), "VARCHAR")


def raw_type(data_type: DataType) -> str:
    """The DuckDB type a field is read as."""
    if isinstance(data_type, StructType):
        inner = ", ".join(f"{_quoted(field.name)} {raw_type(field.dataType)}" for field in data_type.fields)
        return f"STRUCT({inner})"
    if isinstance(data_type, ArrayType):
        return f"{raw_type(data_type.elementType)}[]"
    if isinstance(data_type, MapType):
        return f"MAP(VARCHAR, {raw_type(data_type.valueType)})"
    return "JSON" if isinstance(data_type, _TOKENS) else "VARCHAR"


def _leaf(value: exp.Expr, data_type: DataType, rules: CellRules) -> exp.Expr:
    if isinstance(data_type, _TOKENS):
        return from_token(exp.cast(value, "VARCHAR"), data_type, rules)
    return from_string(value, data_type, rules)


def typed(value: exp.Expr, data_type: DataType, rules: CellRules, depth: int = 0, leaf: Leaf = _leaf) -> exp.Expr:
    """A field read as `raw_type`, as a value of its type; `leaf` converts what has no inside."""
    if _as_read(data_type):
        return value
    if isinstance(data_type, StructType):
        return _struct(value, data_type, rules, depth, leaf)
    if isinstance(data_type, ArrayType):
        return _array(value, data_type.elementType, rules, depth, leaf)
    if isinstance(data_type, MapType):
        values = _each(call("map_values", value), data_type.valueType, rules, depth, leaf)
        rebuilt = call("map", call("map_keys", value.copy()), values)
        return exp.Case(ifs=[exp.If(this=_present(value), true=rebuilt)])
    return leaf(value, data_type, rules)


def mismatched(value: exp.Expr, data_type: DataType, rules: CellRules) -> exp.Expr | None:
    """Whether a field had a value that is not of its type; None if that cannot be."""
    if isinstance(data_type, StringType):
        return None
    wrong = exp.Is(this=exp.Paren(this=typed(value, data_type, rules)), expression=exp.null())
    return exp.and_(_present(value), wrong)


def _as_read(data_type: DataType) -> bool:
    """Whether the value needs no second look: texts, and nested values of texts."""
    if isinstance(data_type, StructType):
        return all(_as_read(field.dataType) for field in data_type.fields)
    if isinstance(data_type, ArrayType):
        return _as_read(data_type.elementType)
    if isinstance(data_type, MapType):
        return _as_read(data_type.valueType)
    return isinstance(data_type, StringType)


def _struct(value: exp.Expr, data_type: StructType, rules: CellRules, depth: int, leaf: Leaf) -> exp.Expr:
    fields = {
        field.name: typed(call("struct_extract", value.copy(), field.name), field.dataType, rules, depth, leaf)
        for field in data_type.fields
    }
    return exp.Case(ifs=[exp.If(this=_present(value), true=struct_of(fields))])


def _array(value: exp.Expr, element: DataType, rules: CellRules, depth: int, leaf: Leaf) -> exp.Expr:
    converted = _each(value, element, rules, depth, leaf)
    lost = exp.GT(this=call("list_count", value.copy()), expression=call("list_count", converted.copy()))
    return exp.Case(ifs=[exp.If(this=exp.Not(this=lost), true=converted)])


def _each(values: exp.Expr, element: DataType, rules: CellRules, depth: int, leaf: Leaf) -> exp.Expr:
    item = exp.to_identifier(f"item{depth}")
    body = typed(exp.column(item.copy()), element, rules, depth + 1, leaf)
    return call("list_transform", values.copy(), exp.Lambda(this=body, expressions=[item]))


def _present(value: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.Is(this=value.copy(), expression=exp.null()))


def _quoted(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'
