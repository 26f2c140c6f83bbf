"""Spark's operators: comparison, logic, null tests, membership, CASE WHEN, LIKE, and reading by index.

Arithmetic is in `arithmetic`. Operands of different types are first brought to Spark's common type.

Invariants: comparisons give NULL for NULL (but `<=>` never does); NaN equals NaN and is the largest double.
"""

from __future__ import annotations

from dataclasses import replace

from pyspark.sql.types import BooleanType, DataType, MapType, NullType, StringType
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.functions.base import MISSING, FunctionCall, Typed, function
from headwater.functions.conversion import cast_typed
from headwater.functions.fields import element
from headwater.functions.widening import common_type, wider
from headwater.types.ddl import type_sql

_COMPARISONS: dict[str, type[exp.Binary]] = {
    "==": exp.EQ,
    "=": exp.EQ,
    "!=": exp.NEQ,
    "<>": exp.NEQ,
    "<": exp.LT,
    "<=": exp.LTE,
    ">": exp.GT,
    ">=": exp.GTE,
    "<=>": exp.NullSafeEQ,
}


def operation(node: type[exp.Binary], left: exp.Expression, right: exp.Expression) -> exp.Expression:
    """`(left op right)`."""
    return exp.Paren(this=node(this=left, expression=right))


def mismatch(call: FunctionCall, left: Typed, right: Typed) -> AnalysisError:
    """DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES."""
    return AnalysisError(
        "DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES",
        sqlExpr=f'"({left.name} {call.name} {right.name})"',
        left=f'"{type_sql(left.type)}"' if left.type else "unknown",
        right=f'"{type_sql(right.type)}"' if right.type else "unknown",
    )


def to_common(call: FunctionCall, operands: tuple[Typed, ...]) -> tuple[Typed, ...]:
    """Operands brought to their common type. Raises DATATYPE_MISMATCH.DATA_DIFF_TYPES."""
    types = [operand.type or NullType() for operand in operands]
    target = common_type(types)
    if target is None:
        shown = "[" + ", ".join(f'"{type_sql(t)}"' for t in types) + "]"
        raise AnalysisError(
            "DATATYPE_MISMATCH.DATA_DIFF_TYPES", sqlExpr=f'"{call.name}"', functionName=f"`{call.name}`", dataType=shown
        )
    return tuple(coerced(call, operand, target) for operand in operands)


def coerced(call: FunctionCall, operand: Typed, target: DataType) -> Typed:
    """The operand implicitly cast; the name stays."""
    if operand.type == target:
        return operand
    return replace(cast_typed(operand, target, call), name=operand.name)


def compared(call: FunctionCall, left: Typed, right: Typed) -> tuple[Typed, Typed]:
    """Both sides in the type in which Spark compares them. Raises DATATYPE_MISMATCH.BINARY_OP_DIFF_TYPES."""
    target = wider(left.type or NullType(), right.type or NullType())
    if target is None or isinstance(target, MapType):
        raise mismatch(call, left, right)
    return coerced(call, left, target), coerced(call, right, target)


def _comparison(call: FunctionCall) -> Typed:
    """compare two values of one type"""
    left, right = compared(call, *call.take(2))
    node = _COMPARISONS[call.name]
    nullable = node is not exp.NullSafeEQ and (left.nullable or right.nullable)
    return Typed(operation(node, left.sql, right.sql), BooleanType(), nullable)


for _name in _COMPARISONS:
    function(_name)(_comparison)


def condition(call: FunctionCall, operand: Typed) -> exp.Expression:
    """A boolean operand. Raises DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE."""
    if isinstance(operand.type, BooleanType):
        return operand.sql
    if isinstance(operand.type, StringType | NullType):
        return cast_typed(operand, BooleanType(), call).sql
    raise AnalysisError(
        "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE",
        sqlExpr=f'"{call.name}"',
        paramIndex="first",
        requiredType='"BOOLEAN"',
        inputSql=f'"{operand.name}"',
        inputType=f'"{type_sql(operand.type)}"' if operand.type else "unknown",
    )


def _logic(node: type[exp.Binary], call: FunctionCall) -> Typed:
    left, right = call.take(2)
    for side in (left, right):
        if not isinstance(side.type, BooleanType | NullType | StringType):
            raise _wrong_type(call, left, right, side)
    sql = operation(node, condition(call, left), condition(call, right))
    return Typed(sql, BooleanType(), left.nullable or right.nullable)


def _wrong_type(call: FunctionCall, left: Typed, right: Typed, side: Typed) -> AnalysisError:
    if left.type != right.type:
        return mismatch(replace(call, name=call.name.upper()), left, right)
    return AnalysisError(
        "DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE",
        sqlExpr=f'"({left.name} {call.name.upper()} {right.name})"',
        inputType='"BOOLEAN"',
        actualDataType=f'"{type_sql(side.type)}"' if side.type else "unknown",
    )


@function("and")
def and_(call: FunctionCall) -> Typed:
    """expr1 and expr2 → boolean"""
    return _logic(exp.And, call)


@function("or")
def or_(call: FunctionCall) -> Typed:
    """expr1 or expr2 → boolean"""
    return _logic(exp.Or, call)


@function("not", "!")
def not_(call: FunctionCall) -> Typed:
    """not expr → boolean"""
    (operand,) = call.take(1)
    return Typed(
        exp.Paren(this=exp.Not(this=exp.Paren(this=condition(call, operand)))), BooleanType(), operand.nullable
    )


@function("isnull")
def isnull(call: FunctionCall) -> Typed:
    """isnull(expr) → boolean"""
    (operand,) = call.take(1)
    return Typed(operation(exp.Is, operand.sql, exp.Null()), BooleanType(), False)


@function("isnotnull")
def isnotnull(call: FunctionCall) -> Typed:
    """isnotnull(expr) → boolean"""
    (operand,) = call.take(1)
    test = operation(exp.Is, operand.sql, exp.Null())
    return Typed(exp.Paren(this=exp.Not(this=test)), BooleanType(), False)


@function("in")
def in_(call: FunctionCall) -> Typed:
    """expr in (value, …) → boolean"""
    if len(call.operands) == 1:
        return Typed(exp.false(), BooleanType(), False)
    wanted, *values = to_common(call, call.operands)
    sql = exp.Paren(this=exp.In(this=wanted.sql, expressions=[value.sql for value in values]))
    return Typed(sql, BooleanType(), any(operand.nullable for operand in call.operands))


@function("between")
def between(call: FunctionCall) -> Typed:
    """between(expr, low, high) → boolean: low <= expr and expr <= high"""
    value, low, high = to_common(call, call.take(3))
    sql = exp.Paren(this=exp.Between(this=value.sql, low=low.sql, high=high.sql))
    return Typed(sql, BooleanType(), any(operand.nullable for operand in call.operands))


@function("when")
def when(call: FunctionCall) -> Typed:
    """when(condition, value, …[, otherwise]): the value of the first condition that is true"""
    operands = call.operands
    pairs = len(operands) // 2
    values = [operands[2 * i + 1] for i in range(pairs)] + ([operands[-1]] if len(operands) % 2 else [])
    results = to_common(replace(call, name="casewhen"), tuple(values))
    ifs = [exp.If(this=condition(call, operands[2 * i]), true=results[i].sql) for i in range(pairs)]
    default = results[pairs].sql if len(results) > pairs else None
    nullable = default is None or any(result.nullable for result in results)
    tree = exp.Case(ifs=ifs, default=default) if default is not None else exp.Case(ifs=ifs)
    return Typed(tree, results[0].type, nullable)


def _like(node: type[exp.Binary], call: FunctionCall) -> Typed:
    text, pattern, *escape = (coerced(call, operand, StringType()) for operand in call.take(2, 3))
    tree: exp.Binary = node(this=text.sql, expression=pattern.sql)
    if escape or pattern.literal is MISSING or "\\" in str(pattern.literal):
        tree = exp.Escape(this=tree, expression=escape[0].sql if escape else exp.Literal.string("\\"))
    return Typed(exp.Paren(this=tree), BooleanType(), text.nullable or pattern.nullable)


@function("like")
def like(call: FunctionCall) -> Typed:
    """str like pattern [escape char] → boolean: `_` is one character, `%` any number"""
    return _like(exp.Like, call)


@function("ilike")
def ilike(call: FunctionCall) -> Typed:
    """str ilike pattern [escape char] → boolean: like, without case"""
    return _like(exp.ILike, call)


@function("getitem")
def getitem(call: FunctionCall) -> Typed:
    """value[key]: array element by 0-based index, map value, struct field"""
    base, key = call.take(2)
    return element(base, key, call)
