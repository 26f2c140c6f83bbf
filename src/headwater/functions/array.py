"""Spark's array functions.

Invariants: positions are 1-based, negative from the end; a NULL array gives NULL; element types widen as in Spark;
NULL elements are kept where Spark keeps them.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    StringType,
)
from sqlglot import exp

from headwater.errors import AnalysisError, ArrayIndexError, RuntimeSparkError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    Value,
    add,
    both,
    case,
    cast,
    done,
    duck,
    either,
    equal,
    is_null,
    lambda_,
    less,
    let,
    more,
    names,
    negate,
    subtract,
    titled,
    to_int,
    to_text,
)
from headwater.functions.conditional import unified
from headwater.functions.raising import fail
from headwater.functions.widening import wider
from headwater.types.ddl import type_sql
from headwater.types.duck import duck_name


def element_type(operand: Typed, call: FunctionCall) -> ArrayType:
    """The operand's array type; VOID counts as array<void>. Raises DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE."""
    if isinstance(operand.type, ArrayType):
        return operand.type
    if operand.type is None or isinstance(operand.type, NullType):
        return ArrayType(NullType(), True)
    raise AnalysisError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        sqlExpr=f'"{titled(call, *names(call.operands))}"',
        paramIndex="first",
        requiredType='"ARRAY"',
        inputSql=f'"{operand.name}"',
        inputType=f'"{type_sql(operand.type)}"',
    )


def guarded(array: exp.Expression, result: Value) -> exp.Expression:
    """The result, or NULL for a NULL array."""
    return case((is_null(array), None), otherwise=result)


@function("array")
def array(call: FunctionCall) -> Typed:
    """array(value, …) → array of their common type"""
    if not call.operands:
        return Typed(cast(exp.Array(expressions=[]), "INTEGER[]"), ArrayType(NullType(), False), False)
    values, kind = unified(call, call.operands)
    nullable = any(operand.nullable for operand in call.operands)
    sql = exp.Array(expressions=[item.sql for item in values])
    return Typed(sql, ArrayType(kind, nullable) if kind else None, False)


def _with_element(call: FunctionCall, array_: Typed, item: Typed) -> tuple[exp.Expression, exp.Expression, ArrayType]:
    kind = element_type(array_, call)
    if item.type is None:
        return array_.sql, item.sql, kind
    joint = wider(kind.elementType, item.type)
    if joint is None:
        raise AnalysisError(
            "DATATYPE_MISMATCH.ARRAY_FUNCTION_DIFF_TYPES",
            sqlExpr=f'"{titled(call, *names(call.operands))}"',
            functionName=f"`{call.name}`",
            dataType='"ARRAY"',
            leftType=f'"{type_sql(kind)}"',
            rightType=f'"{type_sql(item.type)}"',
        )
    name = duck_name(joint)
    arrays = array_.sql if joint == kind.elementType else cast(array_.sql, f"{name}[]")
    items = item.sql if joint == item.type else cast(item.sql, name)
    return arrays, items, ArrayType(joint, kind.containsNull)


@function("array_contains")
def array_contains(call: FunctionCall) -> Typed:
    """array_contains(array, value) → boolean; NULL if not found among NULLs"""
    array_, item = call.take(2)
    kind = element_type(array_, call)
    arrays, items, _ = _with_element(call, array_, item)

    def search(all_: exp.Expression, one: exp.Expression) -> exp.Expression:
        found = duck("list_contains", all_, one)
        unknown = more(duck("len", all_), duck("list_count", all_))
        branches: list[tuple[Value, Value]] = [(either(is_null(all_), is_null(one)), None)]
        if kind.containsNull:
            branches.append((both(negate(found), unknown), None))
        return cast(case(*branches, otherwise=found), "BOOLEAN")

    nullable = array_.nullable or item.nullable or kind.containsNull
    return Typed(let([arrays, items], search), BooleanType(), nullable)


@function("array_append")
def array_append(call: FunctionCall) -> Typed:
    """array_append(array, value) → array"""
    array_, item = call.take(2)
    arrays, items, kind = _with_element(call, array_, item)
    sql = let([arrays], lambda all_: guarded(all_, duck("list_append", all_, items)))
    return Typed(sql, ArrayType(kind.elementType, True), array_.nullable)


@function("array_prepend")
def array_prepend(call: FunctionCall) -> Typed:
    """array_prepend(array, value) → array"""
    array_, item = call.take(2)
    arrays, items, kind = _with_element(call, array_, item)
    sql = let([arrays], lambda all_: guarded(all_, duck("list_prepend", items, all_)))
    return Typed(sql, ArrayType(kind.elementType, True), array_.nullable)


@function("array_compact")
def array_compact(call: FunctionCall) -> Typed:
    """array_compact(array) → array without NULLs"""
    (array_,) = call.take(1)
    kind = element_type(array_, call)
    sql = duck("list_filter", array_.sql, lambda_(lambda item: negate(is_null(item))))
    return done(sql, ArrayType(kind.elementType, False), call)


@function("array_position")
def array_position(call: FunctionCall) -> Typed:
    """array_position(array, value) → long: position of the first, 0 if absent"""
    array_, item = call.take(2)
    arrays, items, _ = _with_element(call, array_, item)

    def search(all_: exp.Expression, one: exp.Expression) -> exp.Expression:
        found = duck("coalesce", duck("list_position", all_, one), 0)
        return cast(case((either(is_null(all_), is_null(one)), None), otherwise=found), "BIGINT")

    return done(let([arrays, items], search), LongType(), call)


@function("array_remove")
def array_remove(call: FunctionCall) -> Typed:
    """array_remove(array, value) → array without the elements equal to value"""
    array_, item = call.take(2)
    arrays, items, kind = _with_element(call, array_, item)

    def drop(all_: exp.Expression, one: exp.Expression) -> exp.Expression:
        kept = duck("list_filter", all_, lambda_(lambda x: duck("coalesce", negate(equal(x, one)), True)))
        return case((is_null(one), None), otherwise=kept)

    return done(let([arrays, items], drop), kind, call)


@function("array_repeat")
def array_repeat(call: FunctionCall) -> Typed:
    """array_repeat(value, n) → array of n times the value"""
    item, count = call.take(2)
    many = duck("range", duck("greatest", cast(to_int(call, count).sql, "BIGINT"), 0))
    inner = let([item.sql], lambda one: duck("list_transform", many, lambda_(lambda _: one)))
    kind = ArrayType(item.type, item.nullable) if item.type else None
    return Typed(case((is_null(count.sql), None), otherwise=inner), kind, count.nullable)


@function("array_join")
def array_join(call: FunctionCall) -> Typed:
    """array_join(array<string>, delimiter[, for nulls]) → string; NULL elements skipped unless replaced"""
    array_, delimiter, *rest = call.take(2, 3)
    texts = array_.sql
    if element_type(array_, call).elementType != StringType():
        as_text = lambda item: to_text(call, Typed(item, element_type(array_, call).elementType)).sql  # noqa: E731
        texts = duck("list_transform", texts, lambda_(as_text))
    if rest:
        filler = to_text(call, rest[0]).sql
        texts = duck("list_transform", texts, lambda_(lambda item: duck("coalesce", item, filler)))
    joined = duck("array_to_string", cast(texts, "VARCHAR[]"), to_text(call, delimiter).sql)
    return done(joined, StringType(), call)


@function("array_max")
def array_max(call: FunctionCall) -> Typed:
    """array_max(array) → the largest element, NULLs skipped"""
    (array_,) = call.take(1)
    return Typed(duck("list_max", array_.sql), element_type(array_, call).elementType, True)


@function("array_min")
def array_min(call: FunctionCall) -> Typed:
    """array_min(array) → the smallest element, NULLs skipped"""
    (array_,) = call.take(1)
    return Typed(duck("list_min", array_.sql), element_type(array_, call).elementType, True)


@function("array_size")
def array_size(call: FunctionCall) -> Typed:
    """array_size(array) → int, NULL for NULL"""
    (array_,) = call.take(1)
    element_type(array_, call)
    return done(cast(duck("len", array_.sql), "INTEGER"), IntegerType(), call)


@function("sort_array")
def sort_array(call: FunctionCall) -> Typed:
    """sort_array(array[, ascending = true]) → array; NULLs first ascending, last descending"""
    array_, *rest = call.take(1, 2)
    kind = element_type(array_, call)
    name = titled(call, array_.name, rest[0].name if rest else "true")
    ascending = rest[0].literal if rest else True
    order = ("ASC", "NULLS FIRST") if ascending else ("DESC", "NULLS LAST")
    return Typed(duck("list_sort", array_.sql, *order), kind, array_.nullable, name=name)


@function("slice")
def slice_(call: FunctionCall) -> Typed:
    """slice(array, start, length) → array; start from 1 or negative from the end, 0 is an error"""
    array_, start, count = call.take(3)
    zero = fail(RuntimeSparkError, "INVALID_PARAMETER_VALUE.START", parameter="`start`", functionName="`slice`")

    def cut(all_: exp.Expression, at: exp.Expression, many: exp.Expression) -> exp.Expression:
        size = duck("len", all_)
        begin = case((less(at, 0), add(add(size, at), 1)), otherwise=at)
        negative = fail(
            RuntimeSparkError,
            "INVALID_PARAMETER_VALUE.LENGTH",
            parameter="`length`",
            functionName="`slice`",
            length=many,
        )
        outside = either(less(begin, 1), more(begin, size))
        part = duck("list_slice", all_, begin, subtract(add(begin, many), 1))
        return case(
            (either(is_null(all_), is_null(at), is_null(many)), None),
            (equal(at, 0), zero),
            (less(many, 0), negative),
            (either(outside, equal(many, 0)), duck("list_slice", all_, 1, 0)),
            otherwise=part,
        )

    sql = let([array_.sql, to_int(call, start).sql, to_int(call, count).sql], cut)
    return done(sql, element_type(array_, call), call)


@function("flatten")
def flatten(call: FunctionCall) -> Typed:
    """flatten(array<array>) → array; NULL if an inner array is"""
    (array_,) = call.take(1)
    kind = element_type(array_, call)
    inner = kind.elementType if isinstance(kind.elementType, ArrayType) else ArrayType(NullType(), True)

    def unless_null(all_: exp.Expression) -> exp.Expression:
        holes = more(duck("len", all_), duck("list_count", all_))
        return case((holes, None), otherwise=duck("flatten", all_))

    return Typed(let([array_.sql], unless_null), inner, array_.nullable or kind.containsNull)


@function("get")
def get(call: FunctionCall) -> Typed:
    """get(array, index from 0) → element, NULL outside"""
    array_, index = call.take(2)
    kind = element_type(array_, call)

    def read(at: exp.Expression) -> exp.Expression:
        return case((less(at, 0), None), otherwise=duck("list_extract", array_.sql, add(at, 1)))

    return Typed(let([cast(to_int(call, index).sql, "BIGINT")], read), kind.elementType, True)


@function("element_at")
def element_at(call: FunctionCall) -> Typed:
    """element_at(array, position from 1) or (map, key) → value; under ANSI outside an array is an error"""
    return _element(call, strict=call.ansi)


@function("try_element_at")
def try_element_at(call: FunctionCall) -> Typed:
    """try_element_at(array, position from 1) or (map, key) → value, NULL if absent"""
    return _element(call, strict=False)


def _element(call: FunctionCall, *, strict: bool) -> Typed:
    base, key = call.take(2)
    if isinstance(base.type, MapType):
        from headwater.functions.map import value_at

        return Typed(value_at(call, base, key), base.type.valueType, True)
    kind = element_type(base, call)

    def read(all_: exp.Expression, at: exp.Expression) -> exp.Expression:
        size = duck("len", all_)
        zero = fail(RuntimeSparkError, "INVALID_INDEX_OF_ZERO")
        outside = fail(ArrayIndexError, "INVALID_ARRAY_INDEX_IN_ELEMENT_AT", indexValue=at, arraySize=size)
        branches: list[tuple[Value, Value]] = [(either(is_null(all_), is_null(at)), None), (equal(at, 0), zero)]
        if strict:
            branches.append((more(duck("abs", at), size), outside))
        return case(*branches, otherwise=duck("list_extract", all_, at))

    sql = let([base.sql, cast(to_int(call, key).sql, "BIGINT")], read)
    nullable = base.nullable or key.nullable or kind.containsNull or not strict
    return Typed(sql, kind.elementType, nullable)


@function("array_insert")
def array_insert(call: FunctionCall) -> Typed:
    """array_insert(array, position, value) → array, filled with NULLs up to a position beyond its end"""
    array_, position, item = call.take(3)
    arrays, items, kind = _with_element(call, array_, item)

    def insert(all_: exp.Expression, at: exp.Expression, one: exp.Expression) -> exp.Expression:
        size = duck("len", all_)
        index = case((less(at, 0), add(add(size, at), 2)), otherwise=at)

        def nulls(count: exp.Expression) -> exp.Expression:
            hole = lambda_(lambda _: cast(None, duck_name(kind.elementType)))
            return duck("list_transform", duck("range", duck("greatest", count, 0)), hole)

        single = exp.Array(expressions=[one.copy()])
        inside = duck(
            "list_concat",
            duck(
                "list_concat",
                duck("list_slice", all_, 1, subtract(index, 1)),
                nulls(subtract(subtract(index, 1), size)),
            ),
            duck("list_concat", single, duck("list_slice", all_, index, size)),
        )
        before = duck("list_concat", duck("list_concat", single, nulls(subtract(0, index))), all_)
        zero = fail(RuntimeSparkError, "INVALID_INDEX_OF_ZERO")
        return case(
            (either(is_null(all_), is_null(at)), None), (equal(at, 0), zero), (less(index, 1), before), otherwise=inside
        )

    sql = let([arrays, cast(to_int(call, position).sql, "BIGINT"), items], insert)
    return Typed(sql, ArrayType(kind.elementType, True), array_.nullable or position.nullable)


@function("arrays_zip")
def arrays_zip(call: FunctionCall) -> Typed:
    """arrays_zip(array, …) → array<struct> of the elements at each position, NULL beyond an array's end"""
    from pyspark.sql.types import StructField, StructType

    from headwater.functions.building import struct_of

    kinds = [element_type(operand, call) for operand in call.operands]
    labels = _labels(call)

    def zipped(*arrays: exp.Expression) -> exp.Expression:
        longest = duck("greatest", *(duck("len", each) for each in arrays), 0)

        def row(at: exp.Expression) -> exp.Expression:
            return struct_of(
                [(label, duck("list_extract", each, at)) for label, each in zip(labels, arrays, strict=True)]
            )

        rows = duck("list_transform", duck("range", 1, add(longest, 1)), lambda_(row))
        return case((either(*(is_null(each) for each in arrays)), None), otherwise=rows)

    fields = [StructField(label, kind.elementType, True) for label, kind in zip(labels, kinds, strict=True)]
    return done(let([operand.sql for operand in call.operands], zipped), ArrayType(StructType(fields), False), call)


def _labels(call: FunctionCall) -> list[str]:
    """Field names: those of plain columns, else the position from 0."""
    plain = [isinstance(operand.sql, exp.Column) for operand in call.operands]
    return [
        operand.name if named else str(i) for i, (operand, named) in enumerate(zip(call.operands, plain, strict=True))
    ]


@function("sequence")
def sequence(call: FunctionCall) -> Typed:
    """sequence(start, stop[, step]) → array from start to stop, both included; dates and times by an interval"""
    from headwater.functions.sequence import build_sequence

    return build_sequence(call)


@function("shuffle")
def shuffle(call: FunctionCall) -> Typed:
    """shuffle(array[, seed]) → array in random order"""
    array_ = call.take(1, 2)[0]
    order = duck("list_grade_up", duck("list_transform", array_.sql, lambda_(lambda _: duck("random"))))
    return replace(
        done(duck("list_select", array_.sql, order), element_type(array_, call), call), name=titled(call, array_.name)
    )
