"""Spark's array functions that treat arrays as sets.

Invariants: the first occurrences stay, in order; NULL is a value equal to NULL; a NULL array gives NULL.
"""

from __future__ import annotations

from pyspark.sql.types import ArrayType, BooleanType
from sqlglot import exp

from headwater.functions.array import element_type
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    both,
    case,
    cast,
    done,
    duck,
    either,
    equal,
    is_null,
    lambda_,
    let,
    more,
    negate,
)
from headwater.functions.conditional import unified


@function("array_distinct")
def array_distinct(call: FunctionCall) -> Typed:
    """array_distinct(array) → array of first occurrences"""
    (array_,) = call.take(1)
    return done(_distinct(array_.sql), element_type(array_, call), call)


def _distinct(array_: exp.Expression) -> exp.Expression:
    """First occurrences in order; NULL counts as a value."""

    def keep(all_: exp.Expression) -> exp.Expression:
        def first(item: exp.Expression, at: exp.Expression) -> exp.Expression:
            nulls = duck("list_position", duck("list_transform", all_, lambda_(lambda x: is_null(x))), True)
            return equal(case((is_null(item), nulls), otherwise=duck("list_position", all_, item)), at)

        return duck("list_filter", all_, lambda_(first, 2))

    return let([array_], keep)


def _two_arrays(call: FunctionCall) -> tuple[exp.Expression, exp.Expression, ArrayType, bool]:
    first, second = call.take(2)
    (left, right), kind = unified(call, [first, second])
    if not isinstance(kind, ArrayType):
        kind = element_type(first, call)
    return left.sql, right.sql, kind, first.nullable or second.nullable


def _has(all_: exp.Expression, item: exp.Expression) -> exp.Expression:
    """Whether the array holds the item, NULL being equal to NULL."""
    unknown = more(duck("len", all_), duck("list_count", all_))
    return case((is_null(item), unknown), otherwise=duck("list_contains", all_, item))


def _contains_null(operand: Typed) -> bool:
    return not isinstance(operand.type, ArrayType) or operand.type.containsNull


@function("array_union")
def array_union(call: FunctionCall) -> Typed:
    """array_union(array, array) → array of the distinct elements of both"""
    left, right, kind, nullable = _two_arrays(call)
    sql = let(
        [left, right],
        lambda a, b: case((either(is_null(a), is_null(b)), None), otherwise=_distinct(duck("list_concat", a, b))),
    )
    return Typed(sql, kind, nullable)


@function("array_intersect")
def array_intersect(call: FunctionCall) -> Typed:
    """array_intersect(array, array) → array of the distinct elements in both"""
    left, right, kind, nullable = _two_arrays(call)
    first, second = call.operands
    kind = ArrayType(kind.elementType, _contains_null(first) and _contains_null(second))

    def common(a: exp.Expression, b: exp.Expression) -> exp.Expression:
        kept = duck("list_filter", a, lambda_(lambda item: _has(b, item)))
        return case((either(is_null(a), is_null(b)), None), otherwise=_distinct(kept))

    return Typed(let([left, right], common), kind, nullable)


@function("array_except")
def array_except(call: FunctionCall) -> Typed:
    """array_except(array, array) → array of the distinct elements of the first that the second lacks"""
    left, right, kind, nullable = _two_arrays(call)
    kind = ArrayType(kind.elementType, _contains_null(call.operands[0]))

    def rest(a: exp.Expression, b: exp.Expression) -> exp.Expression:
        kept = duck("list_filter", a, lambda_(lambda item: negate(_has(b, item))))
        return case((either(is_null(a), is_null(b)), None), otherwise=_distinct(kept))

    return Typed(let([left, right], rest), kind, nullable)


@function("arrays_overlap")
def arrays_overlap(call: FunctionCall) -> Typed:
    """arrays_overlap(array, array) → boolean: a common element that is not NULL; NULL if only NULLs might be"""
    left, right, _, nullable = _two_arrays(call)

    def overlap(a: exp.Expression, b: exp.Expression) -> exp.Expression:
        unknown = either(more(duck("len", a), duck("list_count", a)), more(duck("len", b), duck("list_count", b)))
        filled = both(more(duck("len", a), 0), more(duck("len", b), 0))
        return case(
            (either(is_null(a), is_null(b)), None),
            (duck("list_has_any", a, b), True),
            (both(filled, unknown), None),
            otherwise=False,
        )

    holds_null = any(_contains_null(operand) for operand in call.operands)
    return Typed(cast(let([left, right], overlap), "BOOLEAN"), BooleanType(), nullable or holds_null)
