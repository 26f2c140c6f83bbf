"""Spark's arithmetic: `+ - * / % div` and signs, on numbers, decimals, dates and intervals.

Invariants: the result type is Spark's whatever the operands; under ANSI rules overflow and zero divisors raise, else
integers wrap as in Java and a zero divisor gives NULL; decimals keep Spark's precision and scale.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal, localcontext

from pyspark.sql.types import (
    ByteType,
    CalendarIntervalType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    FractionalType,
    IntegerType,
    IntegralType,
    LongType,
    NullType,
    NumericType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.errors import AnalysisError, ArithmeticSparkError
from headwater.functions.base import MISSING, FunctionCall, Typed, function
from headwater.functions.building import case, duck, equal
from headwater.functions.conversion import wrap_bits
from headwater.functions.kernels import kernel
from headwater.functions.operators import coerced, mismatch, operation
from headwater.functions.raising import fail
from headwater.functions.widening import bounded, decimal_of, tightest
from headwater.types.ddl import type_sql
from headwater.types.duck import to_duck

_NODES: dict[str, type[exp.Binary]] = {
    "+": exp.Add, "-": exp.Sub, "*": exp.Mul, "/": exp.Div, "%": exp.Mod, "div": exp.IntDiv,
}  # fmt: skip
_BITS: dict[type[DataType], int] = {ByteType: 8, ShortType: 16, IntegerType: 32, LongType: 64}
_INTERVAL = (DayTimeIntervalType, YearMonthIntervalType, CalendarIntervalType)
_INSTANT = (TimestampType, TimestampNTZType)
ANSI_FLAG = '"spark.sql.ansi.enabled"'


def _cast(tree: exp.Expression, data_type: DataType) -> exp.Expression:
    return exp.Cast(this=tree, to=to_duck(data_type))


def numbers(call: FunctionCall, left: Typed, right: Typed) -> tuple[Typed, Typed]:
    """Both operands as numbers: strings and NULLs give way to the other side. Raises DATATYPE_MISMATCH."""
    if isinstance(left.type, NullType) and isinstance(right.type, NullType):
        target: DataType = DoubleType()
        return coerced(call, left, target), coerced(call, right, target)
    if isinstance(left.type, StringType) and isinstance(right.type, StringType):
        raise _wrong(call, left, right)
    return _number(call, left, right), _number(call, right, left)


def _number(call: FunctionCall, operand: Typed, other: Typed) -> Typed:
    if isinstance(operand.type, NumericType):
        return operand
    if isinstance(operand.type, StringType):
        return coerced(call, operand, LongType() if isinstance(other.type, IntegralType) else DoubleType())
    if isinstance(operand.type, NullType):
        return coerced(call, operand, other.type if isinstance(other.type, NumericType) else DoubleType())
    raise _wrong(call, operand, other)


def _wrong(call: FunctionCall, operand: Typed, other: Typed) -> AnalysisError:
    if operand.type != other.type:
        return mismatch(call, *(call.operands if len(call.operands) == 2 else (operand, other)))
    return AnalysisError(
        "DATATYPE_MISMATCH.BINARY_OP_WRONG_TYPE",
        sqlExpr=f'"({operand.name} {call.name} {other.name})"',
        inputType='"NUMERIC"',
        actualDataType=f'"{type_sql(operand.type)}"' if operand.type else "unknown",
    )


def _as_decimal(operand: Typed) -> DecimalType:
    """The decimal an integer operand counts as: a constant has just its own digits."""
    if isinstance(operand.type, IntegralType) and isinstance(operand.literal, int):
        return DecimalType(max(len(str(abs(operand.literal))), 1), 0)
    assert operand.type is not None
    return decimal_of(operand.type)


def arithmetic(call: FunctionCall, symbol: str, left: Typed, right: Typed) -> Typed:
    """`left symbol right` on numbers, with Spark's result type."""
    left, right = numbers(call, left, right)
    assert left.type is not None
    assert right.type is not None
    nullable = left.nullable or right.nullable
    decimals = isinstance(left.type, DecimalType) or isinstance(right.type, DecimalType)
    floats = isinstance(left.type, FloatType | DoubleType) or isinstance(right.type, FloatType | DoubleType)
    if decimals and not floats:
        return _decimal(call, symbol, left, right, nullable)
    target = DoubleType() if symbol == "/" else tightest(left.type, right.type)
    assert target is not None
    a, b = _same(left, target), _same(right, target)
    if symbol in {"/", "%"}:
        return Typed(_divide(call, symbol, a, b, right), target, True)
    if isinstance(target, IntegralType) and not call.ansi:
        huge = exp.DataType.build("HUGEINT", dialect="duckdb")
        wide = operation(_NODES[symbol], exp.Cast(this=a, to=huge), b)
        return Typed(_cast(wrap_bits(wide, _BITS[type(target)]), target), target, nullable)
    return Typed(operation(_NODES[symbol], a, b), target, nullable)


def _same(operand: Typed, target: DataType) -> exp.Expression:
    return operand.sql if operand.type == target else _cast(operand.sql, target)


def _divide(
    call: FunctionCall, symbol: str, left: exp.Expression, right: exp.Expression, divisor: Typed
) -> exp.Expression:
    return operation(_NODES[symbol], left, nonzero(call, right, divisor, symbol))


def nonzero(call: FunctionCall, sql: exp.Expression, divisor: Typed, symbol: str = "/") -> exp.Expression:
    """The divisor, guarded: zero raises DIVIDE_BY_ZERO (REMAINDER_BY_ZERO) under ANSI rules, else is NULL."""
    if divisor.literal is not MISSING and divisor.literal not in (0, None):
        return sql
    if not call.ansi:
        return duck("nullif", sql, 0)
    error = "REMAINDER_BY_ZERO" if symbol == "%" else "DIVIDE_BY_ZERO"
    return case((equal(sql, 0), fail(ArithmeticSparkError, error, config=ANSI_FLAG)), otherwise=sql)


# ── decimals ────────────────────────────────────────────────────────────────────────────────────────────────


def decimal_result(symbol: str, a: DecimalType, b: DecimalType) -> DecimalType:
    """Spark's result type of decimal arithmetic."""
    scale = max(a.scale, b.scale)
    whole = max(a.precision - a.scale, b.precision - b.scale)
    if symbol in {"+", "-"}:
        return bounded(whole + scale + 1, scale)
    if symbol == "*":
        return bounded(a.precision + b.precision + 1, a.scale + b.scale)
    if symbol == "/":
        scale = max(6, a.scale + b.precision + 1)
        return bounded(a.precision - a.scale + b.scale + scale, scale)
    return bounded(min(a.precision - a.scale, b.precision - b.scale) + scale, scale)


def _decimal(call: FunctionCall, symbol: str, left: Typed, right: Typed, nullable: bool) -> Typed:
    a, b = _as_decimal(left), _as_decimal(right)
    target = decimal_result(symbol, a, b)
    x, y = _same(left, a), _same(right, b)
    if symbol in {"/", "%"}:
        y = nonzero(call, y, right, symbol)
        nullable = True
    tree = _divided(x, y, a, b, target) if symbol == "/" else operation(_NODES[symbol], *_fitting(x, y, a, b, symbol))
    made = _cast(tree, target) if call.ansi else exp.TryCast(this=tree, to=to_duck(target))
    return Typed(made, target, nullable or not call.ansi)


def _fitting(
    x: exp.Expression, y: exp.Expression, a: DecimalType, b: DecimalType, symbol: str
) -> tuple[exp.Expression, exp.Expression]:
    """DuckDB refuses products of more than 38 decimals: such go through doubles."""
    if symbol == "*" and a.scale + b.scale > 38:
        return _cast(x, DoubleType()), _cast(y, DoubleType())
    return x, y


def _divided(
    x: exp.Expression, y: exp.Expression, a: DecimalType, b: DecimalType, target: DecimalType
) -> exp.Expression:
    """Rounded half up: in integers while the scaled numerator has at most 38 digits, beyond that in Python."""
    shift = target.scale + 1 - a.scale + b.scale
    if shift < 0 or a.precision + shift > 38:
        return duck("hw_divide_wide", _cast(x, StringType()), _cast(y, StringType()), target.scale)
    numerator = operation(exp.Mul, _unscaled(x, a), exp.Literal.number(10**shift))
    quotient = operation(exp.IntDiv, numerator, _unscaled(y, b))
    rounded = exp.Paren(
        this=exp.Add(
            this=quotient, expression=case((operation(exp.LT, quotient.copy(), exp.Literal.number(0)), -5), otherwise=5)
        )
    )
    tenths = operation(exp.IntDiv, rounded, exp.Literal.number(10))
    huge = exp.Cast(this=tenths, to=exp.DataType.build("DECIMAL(38,0)", dialect="duckdb"))
    if target.scale == 0:
        return huge
    return _rescaled(huge, target)


def _unscaled(tree: exp.Expression, data_type: DecimalType) -> exp.Expression:
    huge = exp.DataType.build("HUGEINT", dialect="duckdb")
    if data_type.scale == 0:
        return exp.Cast(this=tree, to=huge)
    wide = _cast(tree, DecimalType(38, data_type.scale))
    factor = exp.Literal.number(10**data_type.scale)
    return exp.Cast(this=operation(exp.Mul, wide, exp.Cast(this=factor, to=huge)), to=huge)


def _rescaled(units: exp.Expression, target: DecimalType) -> exp.Expression:
    """`units / 10^scale` as a decimal."""
    step = exp.Literal.string(f"{Decimal(1).scaleb(-target.scale):f}")
    return operation(exp.Mul, units, exp.Cast(this=step, to=to_duck(DecimalType(target.scale, target.scale))))


@kernel(["VARCHAR", "VARCHAR", "INTEGER"], "VARCHAR")
def _divide_wide(numerator: str, denominator: str, scale: int) -> str:
    """A quotient of decimals, rounded half up to `scale` digits."""
    with localcontext() as context:
        context.prec = 120
        quotient = Decimal(numerator) / Decimal(denominator)
        return f"{quotient.quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP):f}"


# ── dates and intervals ─────────────────────────────────────────────────────────────────────────────────────


def _temporal(call: FunctionCall, symbol: str, left: Typed, right: Typed) -> Typed | None:
    """Arithmetic with a date, timestamp or interval among the operands; None if there is none."""
    kinds = (DateType, *_INSTANT, *_INTERVAL)
    if not isinstance(left.type, kinds) and not isinstance(right.type, kinds):
        return None
    nullable = left.nullable or right.nullable
    if symbol == "+" and isinstance(right.type, (DateType, *_INSTANT)):
        left, right = right, left
    if isinstance(left.type, DateType):
        return _from_date(call, symbol, left, right, nullable)
    if isinstance(left.type, _INSTANT) or (symbol == "-" and isinstance(right.type, _INSTANT)):
        return _from_instant(call, symbol, left, right, nullable)
    return _from_interval(call, symbol, left, right, nullable)


def _from_date(call: FunctionCall, symbol: str, left: Typed, right: Typed, nullable: bool) -> Typed | None:
    node = _NODES[symbol]
    if isinstance(right.type, IntegralType | NullType):
        name = f"date_{'add' if symbol == '+' else 'sub'}({left.name}, {right.name})"
        return Typed(operation(node, left.sql, _cast(right.sql, IntegerType())), DateType(), nullable, name=name)
    if symbol == "-" and isinstance(right.type, DateType | StringType):
        other = coerced(call, right, DateType())
        days = operation(exp.Sub, left.sql, other.sql)
        return Typed(duck("to_days", _cast(days, IntegerType())), DayTimeIntervalType(0, 0), nullable)
    if isinstance(right.type, YearMonthIntervalType) or _whole_days(right.type):
        return Typed(_cast(operation(node, left.sql, right.sql), DateType()), DateType(), nullable)
    if isinstance(right.type, _INTERVAL):
        instant = coerced(call, left, TimestampType())
        return Typed(operation(node, instant.sql, right.sql), TimestampType(), nullable)
    if isinstance(right.type, _INSTANT):
        return _from_instant(call, symbol, coerced(call, left, right.type), right, nullable)
    return None


def _whole_days(data_type: DataType | None) -> bool:
    return isinstance(data_type, DayTimeIntervalType) and data_type.endField == 0


def _from_instant(call: FunctionCall, symbol: str, left: Typed, right: Typed, nullable: bool) -> Typed | None:
    if isinstance(right.type, _INTERVAL):
        return Typed(operation(_NODES[symbol], left.sql, right.sql), left.type, nullable)
    if symbol != "-":
        return None
    target = left.type if isinstance(left.type, _INSTANT) else right.type
    assert target is not None
    a, b = coerced(call, left, target), coerced(call, right, target)
    gap = operation(exp.Sub, duck("epoch_us", a.sql), duck("epoch_us", b.sql))
    return Typed(duck("to_microseconds", gap), DayTimeIntervalType(0, 3), nullable)


def _from_interval(call: FunctionCall, symbol: str, left: Typed, right: Typed, nullable: bool) -> Typed | None:
    if symbol == "*" and isinstance(right.type, _INTERVAL):
        left, right = right, left
    if not isinstance(left.type, _INTERVAL):
        return None
    if isinstance(right.type, _INTERVAL) and symbol in {"+", "-"}:
        target = tightest(left.type, right.type)
        return None if target is None else Typed(operation(_NODES[symbol], left.sql, right.sql), target, nullable)
    if symbol not in {"*", "/"} or not isinstance(right.type, NumericType | StringType):
        return None
    factor = _cast(right.sql, DoubleType())
    if symbol == "/":
        factor = operation(exp.Div, _cast(exp.Literal.number(1), DoubleType()), nonzero(call, factor, right))
    if isinstance(left.type, YearMonthIntervalType):
        months = operation(
            exp.Add,
            operation(exp.Mul, duck("datepart", "year", left.sql), exp.Literal.number(12)),
            duck("datepart", "month", left.sql),
        )
        scaled = _cast(duck("round", operation(exp.Mul, months, factor)), IntegerType())
        return Typed(duck("to_months", scaled), YearMonthIntervalType(0, 1), nullable)
    micros = operation(exp.Mul, duck("epoch_us", left.sql), factor)
    return Typed(duck("to_microseconds", _cast(duck("round", micros), LongType())), DayTimeIntervalType(0, 3), nullable)


# ── the operators ───────────────────────────────────────────────────────────────────────────────────────────


def _operator(call: FunctionCall, symbol: str) -> Typed:
    left, right = call.operands
    temporal = _temporal(call, symbol, left, right)
    if temporal is None:
        return arithmetic(call, symbol, left, right)
    if isinstance(temporal.type, (DateType, *_INSTANT)) and not temporal.name:
        return replace(temporal, name=f"{left.name} {symbol} {right.name}")
    return temporal


@function("+")
def plus(call: FunctionCall) -> Typed:
    """expr1 + expr2, or + expr"""
    if len(call.operands) == 1:
        return call.operands[0]
    call.take(2)
    return _operator(call, "+")


@function("-", "negative")
def minus(call: FunctionCall) -> Typed:
    """expr1 - expr2, or - expr"""
    call.take(1, 2)
    return _operator(call, "-") if len(call.operands) == 2 else negated(call)


def negated(call: FunctionCall) -> Typed:
    """`- expr`."""
    (operand,) = call.operands
    if isinstance(operand.type, StringType):
        operand = coerced(call, operand, DoubleType())
    data_type = operand.type
    if isinstance(data_type, IntegralType):
        zero = Typed(_cast(exp.Literal.number(0), data_type), data_type, False)
        literal = -operand.literal if isinstance(operand.literal, int) else MISSING
        return replace(arithmetic(call, "-", zero, operand), literal=literal)
    if isinstance(data_type, (FractionalType, NullType, *_INTERVAL)):
        return Typed(exp.Paren(this=exp.Neg(this=exp.Paren(this=operand.sql))), data_type, operand.nullable)
    raise _wrong(call, operand, operand)


@function("*")
def times(call: FunctionCall) -> Typed:
    """expr1 * expr2"""
    call.take(2)
    return _operator(call, "*")


@function("/")
def over(call: FunctionCall) -> Typed:
    """expr1 / expr2: double, or decimal of decimals"""
    call.take(2)
    return _operator(call, "/")


@function("%")
def remainder(call: FunctionCall) -> Typed:
    """expr1 % expr2: the remainder, with the sign of expr1"""
    return arithmetic(call, "%", *call.take(2))


@function("div")
def div(call: FunctionCall) -> Typed:
    """expr1 div expr2 → bigint: the whole part of the quotient"""
    left, right = numbers(call, *call.take(2))
    nullable = True
    if isinstance(left.type, IntegralType) and isinstance(right.type, IntegralType):
        a, b = _cast(left.sql, LongType()), _cast(right.sql, LongType())
        return Typed(operation(exp.IntDiv, a, nonzero(call, b, right)), LongType(), nullable)
    quotient = arithmetic(call, "/", left, right)
    return Typed(_cast(duck("trunc", quotient.sql), LongType()), LongType(), nullable)
