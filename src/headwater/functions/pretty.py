"""How `show` prints a value: the text of CAST AS STRING, but NULL in capitals and binary as `[61 62]`.

Invariant: never NULL itself.
"""

from __future__ import annotations

from pyspark.sql.types import ArrayType, BinaryType, DataType, MapType, NullType, StringType, StructType
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import Value, case, duck, is_null, lambda_, let
from headwater.functions.text_form import concat, text_of

_NULL = "NULL"


@function("to_pretty_string")
def to_pretty_string(call: FunctionCall) -> Typed:
    """to_pretty_string(value): the text that `show` prints."""
    (operand,) = call.take(1)
    return Typed(pretty(operand.sql, operand.type or NullType()), StringType(), False, name=operand.name)


def pretty(sql: exp.Expression, data_type: DataType) -> exp.Expression:
    """The text of a value of a Spark type."""
    if isinstance(data_type, NullType):
        return exp.Literal.string(_NULL)
    return duck("coalesce", _text(sql, data_type), _NULL)


def _text(sql: exp.Expression, data_type: DataType) -> exp.Expression:
    if isinstance(data_type, BinaryType):
        return _bytes(sql)
    if isinstance(data_type, ArrayType):
        return _list("[", sql, lambda_(lambda item: pretty(item, data_type.elementType)), "]")
    if isinstance(data_type, MapType):
        return _list("{", duck("map_entries", sql), lambda_(lambda item: _entry(item, data_type)), "}")
    if isinstance(data_type, StructType):
        return let([sql], lambda item: _struct(item, data_type))
    return text_of(sql, data_type)


def _bytes(sql: exp.Expression) -> exp.Expression:
    pairs = duck("regexp_extract_all", duck("hex", sql), "..")
    return concat("[", duck("array_to_string", pairs, " "), "]")


def _list(opening: str, items: exp.Expression, shown: exp.Expression, closing: str) -> exp.Expression:
    return concat(opening, duck("array_to_string", duck("list_transform", items, shown), ", "), closing)


def _entry(item: exp.Expression, data_type: MapType) -> exp.Expression:
    key = pretty(duck("struct_extract", item, "key"), data_type.keyType)
    value = pretty(duck("struct_extract", item, "value"), data_type.valueType)
    return concat(key, " -> ", value)


def _struct(item: exp.Expression, data_type: StructType) -> exp.Expression:
    parts: list[Value] = ["{"]
    for place, field in enumerate(data_type.fields):
        parts += [", "] if place else []
        parts.append(pretty(duck("struct_extract", item, field.name), field.dataType))
    return case((is_null(item), None), otherwise=concat(*parts, "}"))
