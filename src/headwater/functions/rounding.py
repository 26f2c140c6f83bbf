"""Spark's rounding functions, remainders and arithmetic that gives NULL instead of an error.

Invariants: decimals get Spark's precision and scale; halves round away from zero, in `bround` to even.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from pyspark.sql.types import DataType, DecimalType, DoubleType, FloatType, IntegralType, LongType, StringType
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function, functions
from headwater.functions.building import (
    add,
    binary,
    case,
    cast,
    done,
    duck,
    int_literal,
    let,
    names,
    titled,
    to_double,
    to_long,
)
from headwater.functions.kernels import kernel


def _number(call: FunctionCall, operand: Typed) -> Typed:
    return to_double(call, operand) if isinstance(operand.type, StringType) or operand.type is None else operand


def _whole(call: FunctionCall, duck_name: str) -> Typed:
    number = _number(call, call.operands[0])
    shown = titled(call, *names(call.operands), name=call.name.upper() if call.name in ("ceil", "floor") else None)
    if isinstance(number.type, IntegralType):
        return done(to_long(call, number).sql, LongType(), call, name=shown)
    if isinstance(number.type, DecimalType):
        kind = DecimalType(min(number.type.precision - number.type.scale + 1, 38), 0)
        sql = cast(duck(duck_name, number.sql), f"DECIMAL({kind.precision},0)")
        return done(sql, kind, call, name=shown)
    return done(duck("hw_whole", duck(duck_name, cast(number.sql, "DOUBLE"))), LongType(), call, name=shown)


@kernel(["DOUBLE"], "BIGINT")
def whole(x: float) -> int:
    """Java's cast of a double to long: saturating, NaN as 0."""
    if x != x:
        return 0
    return max(min(int(x) if abs(x) < 1e19 else (2**63 if x > 0 else -(2**63)), 2**63 - 1), -(2**63))


@function("ceil", "ceiling")
def ceil(call: FunctionCall) -> Typed:
    """ceil(number[, scale]) → long, or a decimal of that scale: the next whole number upwards"""
    return _scaled(call, "ceil") if len(call.take(1, 2)) == 2 else _whole(call, "ceil")


@function("floor")
def floor(call: FunctionCall) -> Typed:
    """floor(number[, scale]) → long, or a decimal of that scale: the next whole number downwards"""
    return _scaled(call, "floor") if len(call.take(1, 2)) == 2 else _whole(call, "floor")


def _as_decimal(call: FunctionCall, operand: Typed) -> tuple[exp.Expression, DecimalType]:
    widths = {"byte": 3, "short": 5, "integer": 10, "long": 20}
    number = _number(call, operand)
    if isinstance(number.type, DecimalType):
        return number.sql, number.type
    if isinstance(number.type, IntegralType):
        kind = DecimalType(widths.get(number.type.typeName(), 20), 0)
    else:
        kind = DecimalType(14, 7) if isinstance(number.type, FloatType) else DecimalType(30, 15)
    return cast(number.sql, f"DECIMAL({kind.precision},{kind.scale})"), kind


def _scaled(call: FunctionCall, mode: str) -> Typed:
    operand, scale = call.take(2)
    sql, kind = _as_decimal(call, operand)
    places = scale.literal if isinstance(scale.literal, int) else 0
    result = _rounded_type(kind, places)
    name = f"DECIMAL({result.precision},{result.scale})"
    return done(cast(duck("hw_round", cast(sql, "VARCHAR"), places, mode), name), result, call, nullable=True)


def _rounded_type(kind: DecimalType, places: int) -> DecimalType:
    whole_digits = kind.precision - kind.scale + 1
    if places < 0:
        return DecimalType(min(max(whole_digits, -places + 1), 38), 0)
    scale = min(kind.scale, places)
    return DecimalType(min(whole_digits + scale, 38), scale)


_MODES = {"ceil": "ROUND_CEILING", "floor": "ROUND_FLOOR", "round": "ROUND_HALF_UP", "bround": "ROUND_HALF_EVEN"}


@kernel(["VARCHAR", "INTEGER", "VARCHAR"], "VARCHAR")
def round(number: str, places: int, mode: str) -> str:  # noqa: A001 (SQL's name)
    """A decimal's digits rounded to `places` after the point (before it if negative)."""
    exact = Decimal(number)
    if not exact.is_finite():
        return number
    return f"{exact.quantize(Decimal(1).scaleb(-places), rounding=_MODES[mode]):f}"


@kernel(["DOUBLE", "INTEGER", "VARCHAR"], "DOUBLE")
def round_double(number: float, places: int, mode: str) -> float:
    """A double rounded by its shortest decimal form, as Java's BigDecimal does."""
    if number != number or number in (float("inf"), float("-inf")) or places > 330:
        return number
    exact = Decimal(repr(number))
    return float(exact.quantize(Decimal(1).scaleb(-places), rounding=_MODES[mode])) if abs(places) < 28 else number


def _rounding(call: FunctionCall, mode: str) -> Typed:
    operand, *rest = call.take(1, 2)
    scale = rest[0] if rest else int_literal(0)
    places = scale.literal if isinstance(scale.literal, int) else 0
    number = _number(call, operand)
    name = titled(call, operand.name, scale.name)
    kind: DataType | None = number.type
    if isinstance(kind, IntegralType):
        return _round_integer(call, number, places, mode, name)
    if isinstance(kind, DecimalType):
        result = _rounded_type(kind, places)
        target = f"DECIMAL({result.precision},{result.scale})"
        if mode == "round" and places >= 0:
            return done(cast(duck("round", number.sql, min(places, kind.scale)), target), result, call, name=name)
        return done(cast(duck("hw_round", cast(number.sql, "VARCHAR"), places, mode), target), result, call, name=name)
    if isinstance(kind, FloatType):
        exact = cast(cast(number.sql, "VARCHAR"), "DOUBLE")
        return done(cast(duck("hw_round_double", exact, places, mode), "FLOAT"), FloatType(), call, name=name)
    return done(duck("hw_round_double", cast(number.sql, "DOUBLE"), places, mode), DoubleType(), call, name=name)


def _round_integer(call: FunctionCall, number: Typed, places: int, mode: str, name: str) -> Typed:
    if places >= 0:
        return done(number.sql, number.type, call, name=name)
    rounded = cast(duck("hw_round", cast(number.sql, "VARCHAR"), places, mode), "HUGEINT")
    from headwater.types.duck import duck_name

    assert number.type is not None
    return done(cast(rounded, duck_name(number.type)), number.type, call, name=name)


@function("round")
def round_(call: FunctionCall) -> Typed:
    """round(number[, scale = 0]) → the same kind: halves away from zero"""
    return _rounding(call, "round")


@function("bround")
def bround(call: FunctionCall) -> Typed:
    """bround(number[, scale = 0]) → the same kind: halves to even"""
    return _rounding(call, "bround")


def _operator(call: FunctionCall, symbol: str) -> Typed:
    entry = functions.get(symbol)
    assert entry is not None
    return entry.build(replace(call, name=symbol))


def _trying(call: FunctionCall, symbol: str) -> Typed:
    """The operator's value, or NULL where it fails."""
    call.take(2)
    if symbol in "/%":
        lenient = _operator(replace(call, ansi=False), symbol)
        return Typed(lenient.sql, lenient.type, True, name=titled(call, *names(call.operands)))
    result = _operator(replace(call, ansi=True), symbol)
    return Typed(
        exp.Anonymous(this="TRY", expressions=[result.sql]), result.type, True, name=titled(call, *names(call.operands))
    )


@function("try_add")
def try_add(call: FunctionCall) -> Typed:
    """try_add(a, b) → a + b, NULL on overflow"""
    return _trying(call, "+")


@function("try_subtract")
def try_subtract(call: FunctionCall) -> Typed:
    """try_subtract(a, b) → a - b, NULL on overflow"""
    return _trying(call, "-")


@function("try_multiply")
def try_multiply(call: FunctionCall) -> Typed:
    """try_multiply(a, b) → a * b, NULL on overflow"""
    return _trying(call, "*")


@function("try_divide")
def try_divide(call: FunctionCall) -> Typed:
    """try_divide(a, b) → a / b, NULL for a zero divisor"""
    return _trying(call, "/")


@function("try_mod")
def try_mod(call: FunctionCall) -> Typed:
    """try_mod(a, b) → a % b, NULL for a zero divisor"""
    return _trying(call, "%")


@function("mod")
def mod(call: FunctionCall) -> Typed:
    """mod(a, b) → a % b"""
    call.take(2)
    return replace(_operator(call, "%"), name=titled(call, *names(call.operands)))


@function("pmod")
def pmod(call: FunctionCall) -> Typed:
    """pmod(a, b) → the remainder that is not negative for a positive b"""
    call.take(2)
    remainder = _operator(call, "%")

    def wrapped(rest: exp.Expression, by: exp.Expression) -> exp.Expression:
        return case((binary(exp.LT, rest, 0), binary(exp.Mod, add(rest, by), by)), otherwise=rest)

    sql = let([remainder.sql, call.operands[1].sql], wrapped)
    return Typed(sql, remainder.type, True, name=titled(call, *names(call.operands)))


@function("positive")
def positive(call: FunctionCall) -> Typed:
    """positive(number) → the number"""
    (number,) = call.take(1)
    return done(number.sql, number.type, call, name=f"(+ {number.name})")
