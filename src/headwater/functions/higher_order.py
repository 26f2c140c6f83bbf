"""Spark's higher-order functions: a lambda over the elements of arrays and maps.

Invariants: indexes given to lambdas start at 0; a NULL collection gives NULL; a lambda sees each element's real type.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count

from pyspark.sql.types import ArrayType, BooleanType, DataType, IntegerType, MapType
from sqlglot import exp

from headwater.functions.array import element_type
from headwater.functions.base import FunctionCall, LambdaOperand, Typed, function
from headwater.functions.building import (
    Value,
    add,
    binary,
    case,
    cast,
    done,
    duck,
    either,
    is_null,
    lambda_,
    less,
    let,
    subtract,
    titled,
    value,
)
from headwater.functions.map import checked, map_type
from headwater.types.duck import duck_name

_letters = count()


class Applied:
    """A lambda compiled for variable types: `sql` is DuckDB's lambda, `body` its typed body, `name` Spark's."""

    def __init__(self, operand: LambdaOperand, types: Sequence[tuple[DataType, bool]], index: bool = False) -> None:
        letters = [f"arg_{next(_letters)}" for _ in types]
        variables = [Typed(exp.column(x), kind, nullable) for x, (kind, nullable) in zip(letters, types, strict=True)]
        if index:
            variables[-1] = Typed(cast(subtract(exp.column(letters[-1]), 1), "INTEGER"), IntegerType(), False)
        used = len(operand.variables)
        self.body = operand.build(variables[:used])
        self._letters = letters[:used]
        marks = ", ".join(["namedlambdavariable()"] * used)
        self.name = f"lambdafunction({self.body.name}, {marks})"

    def over(self, sql: exp.Expression) -> exp.Expression:
        """`LAMBDA variables : sql`."""
        return exp.Lambda(this=sql, expressions=[exp.to_identifier(x) for x in self._letters], colon=True)

    @property
    def sql(self) -> exp.Expression:
        """`LAMBDA variables : body`."""
        return self.over(self.body.sql)

    def at(self, *values: Value) -> exp.Expression:
        """The body with values in place of the variables, each computed once."""
        body = self.body.sql

        def put(*bound: exp.Expression) -> exp.Expression:
            table = dict(zip(self._letters, bound, strict=True))
            return body.copy().transform(
                lambda node: table[node.name].copy() if isinstance(node, exp.Column) and node.name in table else node
            )

        return let([value(item) for item in values], put)


def _element(array_: Typed, call: FunctionCall) -> tuple[DataType, bool]:
    kind = element_type(array_, call)
    return kind.elementType, kind.containsNull


_INDEX: tuple[DataType, bool] = (IntegerType(), False)


def _over_array(call: FunctionCall) -> tuple[Typed, Applied]:
    (array_,), (operand,) = call.operands, call.lambdas
    types = [_element(array_, call), _INDEX][: len(operand.variables)]
    return array_, Applied(operand, types, index=len(types) == 2)


@function("transform")
def transform(call: FunctionCall) -> Typed:
    """transform(array, x -> … | (x, i) -> …) → array"""
    array_, applied = _over_array(call)
    kind = ArrayType(applied.body.type, applied.body.nullable) if applied.body.type else None
    return done(
        duck("list_transform", array_.sql, applied.sql), kind, call, name=titled(call, array_.name, applied.name)
    )


@function("filter")
def filter_(call: FunctionCall) -> Typed:
    """filter(array, x -> … | (x, i) -> …) → array"""
    array_, applied = _over_array(call)
    sql = duck("list_filter", array_.sql, applied.sql)
    return done(sql, array_.type, call, name=titled(call, array_.name, applied.name))


def _quantified(call: FunctionCall, decisive: bool) -> Typed:
    array_, applied = _over_array(call)

    def decide(tests: exp.Expression) -> exp.Expression:
        unknown = less(duck("list_count", tests), duck("len", tests))
        return case(
            (is_null(tests), None),
            (duck("list_contains", tests, decisive), decisive),
            (unknown, None),
            otherwise=not decisive,
        )

    sql = cast(let([duck("list_transform", array_.sql, applied.sql)], decide), "BOOLEAN")
    return Typed(sql, BooleanType(), True, name=titled(call, array_.name, applied.name))


@function("exists", "any_match")
def exists(call: FunctionCall) -> Typed:
    """exists(array, x -> boolean) → boolean"""
    return _quantified(call, True)


@function("forall", "all_match")
def forall(call: FunctionCall) -> Typed:
    """forall(array, x -> boolean) → boolean"""
    return _quantified(call, False)


@function("aggregate", "reduce")
def aggregate(call: FunctionCall) -> Typed:
    """aggregate(array, start, (acc, x) -> …[, acc -> …]) → the folded value"""
    array_, start = call.take(2)
    item = _element(array_, call)
    assert start.type is not None
    merge = Applied(call.lambdas[0], [(start.type, True), item])
    kind = merge.body.type or start.type
    if kind != start.type:
        merge = Applied(call.lambdas[0], [(kind, True), item])
    name_of = duck_name(kind)
    folded = duck("list_reduce", array_.sql, merge.over(cast(merge.body.sql, name_of)), cast(start.sql, name_of))
    shown = "lambdafunction(namedlambdavariable(), namedlambdavariable())"
    result: Typed = Typed(folded, kind, True)
    if len(call.lambdas) > 1:
        finish = Applied(call.lambdas[1], [(kind, True)])
        shown = finish.name
        result = Typed(finish.at(folded), finish.body.type, True)
    return Typed(result.sql, result.type, True, name=titled(call, array_.name, start.name, merge.name, shown))


@function("zip_with")
def zip_with(call: FunctionCall) -> Typed:
    """zip_with(array, array, (x, y) -> …) → array as long as the longer one"""
    left, right = call.take(2)
    applied = Applied(call.lambdas[0], [(_element(left, call)[0], True), (_element(right, call)[0], True)])

    def zipped(a: exp.Expression, b: exp.Expression) -> exp.Expression:
        positions = duck("range", 1, add(duck("greatest", duck("len", a), duck("len", b)), 1))
        row = lambda at: applied.at(duck("list_extract", a, at), duck("list_extract", b, at))  # noqa: E731
        return case((either(is_null(a), is_null(b)), None), otherwise=duck("list_transform", positions, lambda_(row)))

    kind = ArrayType(applied.body.type, applied.body.nullable) if applied.body.type else None
    return done(let([left.sql, right.sql], zipped), kind, call, name=titled(call, left.name, right.name, applied.name))


@function("array_sort")
def array_sort(call: FunctionCall) -> Typed:
    """array_sort(array[, (a, b) -> int]) → array in ascending order, NULLs last"""
    (array_,) = call.operands
    if not call.lambdas:
        return done(duck("list_sort", array_.sql, "ASC", "NULLS LAST"), array_.type, call, name=_default_sort(array_))
    kind, _ = _element(array_, call)
    applied = Applied(call.lambdas[0], [(kind, True), (kind, True)])

    def insert(sorted_: exp.Expression, item: exp.Expression) -> exp.Expression:
        before = duck("len", duck("list_filter", sorted_, lambda_(lambda x: binary(exp.LTE, applied.at(x, item), 0))))
        single = exp.Array(expressions=[item.copy()])

        def place(at: exp.Expression) -> exp.Expression:
            rest = duck("list_slice", sorted_, add(at, 1), duck("len", sorted_))
            return duck("list_concat", duck("list_slice", sorted_, 1, at), duck("list_concat", single, rest))

        return let([before], place)

    empty = cast(exp.Array(expressions=[]), f"{duck_name(kind)}[]")
    wrapped = duck("list_transform", array_.sql, lambda_(lambda x: exp.Array(expressions=[x])))
    step = lambda_(lambda acc, one: insert(acc, duck("list_extract", one, 1)), 2)
    return done(
        duck("list_reduce", wrapped, step, empty), array_.type, call, name=titled(call, array_.name, applied.name)
    )


def _default_sort(array_: Typed) -> str:
    v = "namedlambdavariable()"
    body = (
        f"(IF((({v} IS NULL) AND ({v} IS NULL)), 0, (IF(({v} IS NULL), 1, (IF(({v} IS NULL), -1, "
        f"(IF(({v} < {v}), -1, (IF(({v} > {v}), 1, 0)))))))))"
    )
    return f"array_sort({array_.name}, lambdafunction({body}, {v}, {v}))"


def _over_map(call: FunctionCall) -> tuple[Typed, MapType, Applied]:
    (map_,), (operand,) = call.operands, call.lambdas
    kind = map_type(map_, call)
    return map_, kind, Applied(operand, [(kind.keyType, False), (kind.valueType, kind.valueContainsNull)])


def _entries(map_: exp.Expression, make: Applied) -> exp.Expression:
    row = lambda entry: make.at(duck("struct_extract", entry, "key"), duck("struct_extract", entry, "value"))  # noqa: E731
    return duck("list_transform", duck("map_entries", map_), lambda_(row))


@function("transform_values")
def transform_values(call: FunctionCall) -> Typed:
    """transform_values(map, (k, v) -> …) → map"""
    map_, kind, applied = _over_map(call)
    sql = let(
        [map_.sql], lambda m: case((is_null(m), None), otherwise=duck("map", duck("map_keys", m), _entries(m, applied)))
    )
    made = MapType(kind.keyType, applied.body.type, applied.body.nullable) if applied.body.type else None
    return done(sql, made, call, name=titled(call, map_.name, applied.name))


@function("transform_keys")
def transform_keys(call: FunctionCall) -> Typed:
    """transform_keys(map, (k, v) -> …) → map; repeated keys are an error"""
    map_, kind, applied = _over_map(call)
    sql = let([map_.sql], lambda m: checked(_entries(m, applied), duck("map_values", m), call))
    made = MapType(applied.body.type, kind.valueType, kind.valueContainsNull) if applied.body.type else None
    return done(sql, made, call, name=titled(call, map_.name, applied.name))


@function("map_filter")
def map_filter(call: FunctionCall) -> Typed:
    """map_filter(map, (k, v) -> boolean) → map"""
    map_, kind, applied = _over_map(call)
    test = lambda entry: applied.at(duck("struct_extract", entry, "key"), duck("struct_extract", entry, "value"))  # noqa: E731
    sql = duck("map_from_entries", duck("list_filter", duck("map_entries", map_.sql), lambda_(test)))
    return done(sql, kind, call, name=titled(call, map_.name, applied.name))


@function("map_zip_with")
def map_zip_with(call: FunctionCall) -> Typed:
    """map_zip_with(map, map, (k, v1, v2) -> …) → map over the keys of both"""
    left, right = call.take(2)
    one, two = map_type(left, call), map_type(right, call)
    applied = Applied(call.lambdas[0], [(one.keyType, False), (one.valueType, True), (two.valueType, True)])

    def zipped(a: exp.Expression, b: exp.Expression) -> exp.Expression:
        later = duck(
            "list_filter",
            duck("map_keys", b),
            lambda_(lambda k: exp.Not(this=duck("list_contains", duck("map_keys", a), k))),
        )
        keys = duck("list_concat", duck("map_keys", a), later)

        def of(key: exp.Expression) -> exp.Expression:
            found = [duck("list_extract", duck("map_extract", m, key), 1) for m in (a, b)]
            return applied.at(key, *found)

        def values(all_: exp.Expression) -> exp.Expression:
            return duck("map", all_, duck("list_transform", all_, lambda_(of)))

        return case((either(is_null(a), is_null(b)), None), otherwise=let([keys], values))

    made = MapType(one.keyType, applied.body.type, applied.body.nullable) if applied.body.type else None
    return done(let([left.sql, right.sql], zipped), made, call, name=titled(call, left.name, right.name, applied.name))
