"""Spark's map functions.

Invariants: a map keeps the order it was made in; a repeated or NULL key is an error; a NULL map gives NULL.
"""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    IntegerType,
    MapType,
    NullType,
    StringType,
    StructField,
    StructType,
)
from sqlglot import exp

from headwater.errors import AnalysisError, RuntimeSparkError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    add,
    case,
    cast,
    done,
    duck,
    either,
    is_null,
    lambda_,
    less,
    let,
    more,
    names,
    text_literal,
    titled,
    to_text,
    to_type,
)
from headwater.functions.conditional import unified
from headwater.functions.raising import fail
from headwater.types.ddl import type_sql


def map_type(operand: Typed, call: FunctionCall) -> MapType:
    """The operand's map type. Raises DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE."""
    if isinstance(operand.type, MapType):
        return operand.type
    if operand.type is None or isinstance(operand.type, NullType):
        return MapType(NullType(), NullType(), True)
    raise AnalysisError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        sqlExpr=f'"{titled(call, *names(call.operands))}"',
        paramIndex="first",
        requiredType='"MAP"',
        inputSql=f'"{operand.name}"',
        inputType=f'"{type_sql(operand.type)}"',
    )


def checked(keys: exp.Expression, values: exp.Expression, call: FunctionCall) -> exp.Expression:
    """A map of keys and values. Raises NULL_MAP_KEY and, unless the last wins, DUPLICATED_MAP_KEY."""
    last_wins = (call.settings("spark.sql.mapKeyDedupPolicy") or "EXCEPTION").upper() == "LAST_WIN"

    def build(all_: exp.Expression, items: exp.Expression) -> exp.Expression:
        distinct = duck("len", duck("list_distinct", all_))
        repeated = duck(
            "list_filter",
            all_,
            lambda_(
                lambda k: more(
                    duck("len", duck("list_filter", all_, lambda_(lambda x: exp.EQ(this=x, expression=k.copy())))), 1
                )
            ),
        )
        twice = fail(
            RuntimeSparkError,
            "DUPLICATED_MAP_KEY",
            key=duck("list_extract", repeated, 1),
            mapKeyDedupPolicy='"spark.sql.mapKeyDedupPolicy"',
        )
        return case(
            (either(is_null(all_), is_null(items)), None),
            (less(duck("list_count", all_), duck("len", all_)), fail(RuntimeSparkError, "NULL_MAP_KEY")),
            (less(distinct, duck("len", all_)), _last(all_, items) if last_wins else twice),
            otherwise=duck("map", all_, items),
        )

    return let([keys, values], build)


def _last(keys: exp.Expression, values: exp.Expression) -> exp.Expression:
    """A map where the last of equal keys wins, in the place of the first."""

    def single(at: exp.Expression) -> exp.Expression:
        sides = [exp.Array(expressions=[duck("list_extract", side, at)]) for side in (keys, values)]
        return exp.Array(expressions=[duck("map", *sides)])

    def merge(a: exp.Expression, b: exp.Expression) -> exp.Expression:
        joined = duck("map_concat", duck("list_extract", a, 1), duck("list_extract", b, 1))
        return exp.Array(expressions=[joined])

    singles = duck("list_transform", duck("range", 1, add(duck("len", keys), 1)), lambda_(single))
    return duck("list_extract", duck("list_reduce", singles, lambda_(merge, 2)), 1)


@function("map", "create_map")
def map_(call: FunctionCall) -> Typed:
    """map(key, value, …) → map"""
    operands = call.operands
    if not operands:
        empty = exp.Array(expressions=[])
        return Typed(
            duck("map", empty, empty), MapType(StringType(), StringType(), False), False, name=titled(call, name="map")
        )
    keys, key_type = unified(call, operands[::2])
    values, value_type = unified(call, operands[1::2])
    literal = len({repr(item.literal) for item in keys}) == len(keys) and all(
        isinstance(item.literal, str | int) for item in keys
    )
    lists = [exp.Array(expressions=[item.sql for item in side]) for side in (keys, values)]
    sql = duck("map", *lists) if literal else checked(lists[0], lists[1], call)
    kind = (
        MapType(key_type, value_type, any(item.nullable for item in operands[1::2]))
        if key_type and value_type
        else None
    )
    return Typed(sql, kind, False, name=titled(call, *names(operands), name="map"))


@function("map_from_arrays")
def map_from_arrays(call: FunctionCall) -> Typed:
    """map_from_arrays(keys, values) → map"""
    keys, values = call.take(2)
    kind = None
    if isinstance(keys.type, ArrayType) and isinstance(values.type, ArrayType):
        kind = MapType(keys.type.elementType, values.type.elementType, values.type.containsNull)
    return done(checked(keys.sql, values.sql, call), kind, call)


@function("map_from_entries")
def map_from_entries(call: FunctionCall) -> Typed:
    """map_from_entries(array<struct<key, value>>) → map"""
    (entries,) = call.take(1)
    if not isinstance(entries.type, ArrayType) or not isinstance(entries.type.elementType, StructType):
        raise map_type_error(call, entries)
    key, item = entries.type.elementType.fields

    def part(all_: exp.Expression, label: str) -> exp.Expression:
        return duck("list_transform", all_, lambda_(lambda row: duck("struct_extract", row, label)))

    def build(all_: exp.Expression) -> exp.Expression:
        holes = less(duck("list_count", all_), duck("len", all_))
        return case((holes, None), otherwise=checked(part(all_, key.name), part(all_, item.name), call))

    kind = MapType(key.dataType, item.dataType, item.nullable)
    return done(let([entries.sql], build), kind, call, nullable=entries.nullable or entries.type.containsNull)


def map_type_error(call: FunctionCall, operand: Typed) -> AnalysisError:
    """The error for an argument that is no array of pairs."""
    return AnalysisError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        sqlExpr=f'"{titled(call, *names(call.operands))}"',
        paramIndex="first",
        requiredType='"ARRAY" of pair "STRUCT"',
        inputSql=f'"{operand.name}"',
        inputType=f'"{type_sql(operand.type)}"' if operand.type else "unknown",
    )


@function("map_keys")
def map_keys(call: FunctionCall) -> Typed:
    """map_keys(map) → array"""
    (map__,) = call.take(1)
    return done(duck("map_keys", map__.sql), ArrayType(map_type(map__, call).keyType, False), call)


@function("map_values")
def map_values(call: FunctionCall) -> Typed:
    """map_values(map) → array"""
    (map__,) = call.take(1)
    kind = map_type(map__, call)
    return done(duck("map_values", map__.sql), ArrayType(kind.valueType, kind.valueContainsNull), call)


@function("map_entries")
def map_entries(call: FunctionCall) -> Typed:
    """map_entries(map) → array<struct<key, value>>"""
    (map__,) = call.take(1)
    kind = map_type(map__, call)
    entry = StructType(
        [StructField("key", kind.keyType, False), StructField("value", kind.valueType, kind.valueContainsNull)]
    )
    return done(duck("map_entries", map__.sql), ArrayType(entry, False), call)


@function("map_concat")
def map_concat(call: FunctionCall) -> Typed:
    """map_concat(map, …) → map of all entries; a repeated key is an error"""
    maps, kind = unified(call, call.operands)
    if not maps:
        return map_(call)

    def join(*all_: exp.Expression) -> exp.Expression:
        keys, values = (
            duck("list_concat", *(duck(side, each) for each in all_)) for side in ("map_keys", "map_values")
        )
        return case((either(*(is_null(each) for each in all_)), None), otherwise=checked(keys, values, call))

    if isinstance(kind, MapType):
        holds = any(isinstance(item.type, MapType) and item.type.valueContainsNull for item in call.operands)
        kind = MapType(kind.keyType, kind.valueType, holds)
    return done(let([item.sql for item in maps], join), kind, call)


def value_at(call: FunctionCall, map__: Typed, key: Typed) -> exp.Expression:
    """The value at a key, NULL if absent."""
    kind = map_type(map__, call)
    wanted = to_type(call, key, kind.keyType)
    return duck("list_extract", duck("map_extract", map__.sql, wanted.sql), 1)


@function("map_contains_key")
def map_contains_key(call: FunctionCall) -> Typed:
    """map_contains_key(map, key) → boolean"""
    map__, key = call.take(2)
    wanted = to_type(call, key, map_type(map__, call).keyType)
    return Typed(
        duck("list_contains", duck("map_keys", map__.sql), wanted.sql),
        BooleanType(),
        map__.nullable or key.nullable or True,
    )


@function("str_to_map")
def str_to_map(call: FunctionCall) -> Typed:
    """str_to_map(string[, pair delimiter = ',', key delimiter = ':']) → map<string, string>; delimiters are patterns"""
    text, *rest = call.take(1, 3)
    delimiters = [*rest, *[text_literal(","), text_literal(":")][len(rest) :]]
    pairs = duck("hw_split", to_text(call, text).sql, to_text(call, delimiters[0]).sql, -1)

    def build(parts: exp.Expression) -> exp.Expression:
        rows = duck(
            "list_transform", parts, lambda_(lambda part: duck("hw_split", part, to_text(call, delimiters[1]).sql, 2))
        )
        keys = duck("list_transform", rows, lambda_(lambda row: duck("list_extract", row, 1)))
        values = duck("list_transform", rows, lambda_(lambda row: duck("list_extract", row, 2)))
        return checked(keys, values, call)

    name = titled(call, text.name, *names(delimiters))
    return done(let([pairs], build), MapType(StringType(), StringType(), True), call, name=name)


@function("size", "cardinality")
def size(call: FunctionCall) -> Typed:
    """size(array | map) → int; NULL (without ANSI: -1) for NULL"""
    (operand,) = call.take(1)
    counted = duck("cardinality" if isinstance(operand.type, MapType) else "len", operand.sql)
    if not call.ansi:
        return Typed(cast(duck("coalesce", counted, -1), "INTEGER"), IntegerType(), False)
    return done(cast(counted, "INTEGER"), IntegerType(), call)
