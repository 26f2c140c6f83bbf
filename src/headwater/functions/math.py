"""Spark's mathematical functions: roots, logarithms, trigonometry, rounding, number bases.

Invariants: results are doubles unless said otherwise; a value outside a function's domain gives NaN or NULL as in
Spark, never DuckDB's error.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql.types import (
    DataType,
    DoubleType,
    FloatType,
    LongType,
    NullType,
    StringType,
)
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    Value,
    at_least,
    both,
    case,
    cast,
    done,
    duck,
    either,
    equal,
    is_null,
    let,
    more,
    multiply,
    names,
    negate,
    titled,
    to_double,
    to_int,
    to_long,
    to_text,
)

_NAN = cast("NaN", "DOUBLE")
Formula = Callable[[exp.Expression], exp.Expression]


def _double(call: FunctionCall, formula: Formula, *, shown: str | None = None, nullable: bool | None = None) -> Typed:
    (operand,) = call.take(1)
    number = to_double(call, operand)
    sql = let([cast(number.sql, "DOUBLE")], formula)
    return Typed(sql, DoubleType(), True if nullable is None else nullable, name=titled(call, operand.name, name=shown))


def _computed(name: str, *numbers: exp.Expression) -> exp.Expression:
    """A DuckDB function or a kernel; DuckDB takes a kernel's NaN for NULL, so NaN is put back."""
    result = cast(duck(name, *numbers), "DOUBLE")
    if name not in ("sign", "hw_cbrt", "hw_rint", "hw_expm1", "hw_pow", "hw_hypot"):
        return result
    nan = either(*(duck("isnan", number) for number in numbers))
    known = both(*(negate(is_null(number)) for number in numbers))
    result = case((known, case((nan, _NAN), otherwise=duck("coalesce", result, _NAN))))
    return result if name != "hw_pow" else case((equal(numbers[1], 0), cast(1, "DOUBLE")), otherwise=result)


def _plain(names_: tuple[str, ...], duck_name: str, shown: str | None, about: str) -> None:
    def build(call: FunctionCall) -> Typed:
        return _double(call, lambda x: _computed(duck_name, x), shown=shown)

    build.__doc__ = f"{names_[0]}(double) → double: {about}"
    build.__qualname__ = f"math_{names_[0]}"
    function(*names_)(build)


for _names, _duck_name, _shown, _about in (
    (("cbrt",), "hw_cbrt", "CBRT", "cube root"),
    (("exp",), "exp", "EXP", "e to the power"),
    (("sin",), "sin", "SIN", "sine"),
    (("cos",), "cos", "COS", "cosine"),
    (("tan",), "tan", "TAN", "tangent"),
    (("sinh",), "sinh", "SINH", "hyperbolic sine"),
    (("cosh",), "cosh", "COSH", "hyperbolic cosine"),
    (("tanh",), "tanh", "TANH", "hyperbolic tangent"),
    (("asinh",), "asinh", "ASINH", "inverse hyperbolic sine"),
    (("atan",), "atan", "ATAN", "inverse tangent"),
    (("degrees",), "degrees", "DEGREES", "radians to degrees"),
    (("radians",), "radians", "RADIANS", "degrees to radians"),
    (("rint",), "hw_rint", None, "nearest whole number, halves to even"),
    (("expm1",), "hw_expm1", "EXPM1", "exp(x) - 1"),
    (("signum",), "sign", "SIGNUM", "-1, 0 or 1"),
    (("sign",), "sign", None, "-1, 0 or 1"),
):
    _plain(_names, _duck_name, _shown, _about)


def _within(inside: Formula, test: Formula, outside: Value = _NAN) -> Formula:
    return lambda x: case((either(is_null(x), test(x)), inside(x)), otherwise=outside)


@function("sqrt")
def sqrt(call: FunctionCall) -> Typed:
    """sqrt(double) → double, NaN for a negative"""
    return _double(call, _within(lambda x: duck("sqrt", x), lambda x: at_least(x, 0)), shown="SQRT")


def _from_unit(duck_name: str) -> Formula:
    return _within(lambda x: duck(duck_name, x), lambda x: both(at_least(x, -1), at_least(1, x)))


@function("acos")
def acos(call: FunctionCall) -> Typed:
    """acos(double) → double, NaN outside [-1, 1]"""
    return _double(call, _from_unit("acos"), shown="ACOS")


@function("asin")
def asin(call: FunctionCall) -> Typed:
    """asin(double) → double, NaN outside [-1, 1]"""
    return _double(call, _from_unit("asin"), shown="ASIN")


@function("acosh")
def acosh(call: FunctionCall) -> Typed:
    """acosh(double) → double, NaN below 1"""
    return _double(call, _within(lambda x: duck("acosh", x), lambda x: at_least(x, 1)), shown="ACOSH")


@function("atanh")
def atanh(call: FunctionCall) -> Typed:
    """atanh(double) → double, NaN outside [-1, 1]"""

    def infinite(x: exp.Expression) -> exp.Expression:
        ends = multiply(x, cast("Infinity", "DOUBLE"))
        return case((equal(duck("abs", x), 1), ends), otherwise=duck("atanh", x))

    test = lambda x: both(at_least(x, -1), at_least(1, x))  # noqa: E731
    return _double(call, _within(infinite, test), shown="ATANH")


def _inverse(duck_name: str) -> Formula:
    def formula(x: exp.Expression) -> exp.Expression:
        return let(
            [duck(duck_name, x)],
            lambda y: case(
                (equal(y, 0), cast("Infinity", "DOUBLE")),
                otherwise=exp.Div(this=cast(1, "DOUBLE"), expression=y.copy()),
            ),
        )

    return formula


@function("cot")
def cot(call: FunctionCall) -> Typed:
    """cot(double) → double: cotangent"""
    return _double(call, _inverse("tan"), shown="COT")


@function("csc")
def csc(call: FunctionCall) -> Typed:
    """csc(double) → double: cosecant"""
    return _double(call, _inverse("sin"), shown="CSC")


@function("sec")
def sec(call: FunctionCall) -> Typed:
    """sec(double) → double: secant"""
    return _double(call, _inverse("cos"), shown="SEC")


def _positive(formula: Formula) -> Formula:
    """NULL where a logarithm's argument is not positive."""
    return lambda x: case((more(x, 0), formula(x)), (duck("isnan", x), _NAN))


@function("ln")
def ln(call: FunctionCall) -> Typed:
    """ln(double) → double: natural logarithm, NULL unless positive"""
    return _double(call, _positive(lambda x: duck("ln", x)))


@function("log10")
def log10(call: FunctionCall) -> Typed:
    """log10(double) → double, NULL unless positive"""
    return _double(call, _positive(lambda x: duck("log10", x)), shown="LOG10")


@function("log2")
def log2(call: FunctionCall) -> Typed:
    """log2(double) → double, NULL unless positive"""
    return _double(call, _positive(lambda x: duck("log2", x)), shown="LOG2")


@function("log1p")
def log1p(call: FunctionCall) -> Typed:
    """log1p(double) → double: ln(1 + x), NULL unless x > -1"""
    return _double(call, lambda x: case((more(x, -1), duck("hw_log1p", x)), (duck("isnan", x), _NAN)), shown="LOG1P")


@function("log")
def log(call: FunctionCall) -> Typed:
    """log([base,] double) → double, NULL unless both are positive"""
    operands = call.take(1, 2)
    if len(operands) == 1:
        return _double(call, _positive(lambda x: duck("ln", x)), shown="ln")

    def quotient(base: exp.Expression, x: exp.Expression) -> exp.Expression:
        ratio = exp.Div(this=duck("ln", x), expression=duck("ln", base))
        return case((both(more(base, 0), more(x, 0)), ratio))

    numbers = [cast(to_double(call, operand).sql, "DOUBLE") for operand in operands]
    return Typed(let(numbers, quotient), DoubleType(), True, name=titled(call, *names(operands), name="LOG"))


@function("pow", "power", "**")
def power(call: FunctionCall) -> Typed:
    """power(double, double) → double"""
    operands = call.take(2)
    numbers = [cast(to_double(call, operand).sql, "DOUBLE") for operand in operands]
    shown = "pow" if call.name == "pow" else "POWER"
    sql = let(numbers, lambda a, b: _computed("hw_pow", a, b))
    return done(sql, DoubleType(), call, name=titled(call, *names(operands), name=shown))


@function("atan2")
def atan2(call: FunctionCall) -> Typed:
    """atan2(y, x) → double"""
    operands = call.take(2)
    numbers = [cast(to_double(call, operand).sql, "DOUBLE") for operand in operands]
    return Typed(duck("atan2", *numbers), DoubleType(), True, name=titled(call, *names(operands), name="ATAN2"))


@function("hypot")
def hypot(call: FunctionCall) -> Typed:
    """hypot(a, b) → double: sqrt(a² + b²) without overflow"""
    operands = call.take(2)
    numbers = [cast(to_double(call, operand).sql, "DOUBLE") for operand in operands]
    sql = let(numbers, lambda a, b: _computed("hw_hypot", a, b))
    return done(sql, DoubleType(), call, name=titled(call, *names(operands), name="HYPOT"))


@function("e")
def e(call: FunctionCall) -> Typed:
    """e() → double: Euler's number"""
    call.take(0)
    return Typed(cast("2.718281828459045", "DOUBLE"), DoubleType(), False, name="E()")


@function("pi")
def pi(call: FunctionCall) -> Typed:
    """pi() → double"""
    call.take(0)
    return Typed(duck("pi"), DoubleType(), False, name="PI()")


@function("factorial")
def factorial(call: FunctionCall) -> Typed:
    """factorial(int) → long, NULL outside [0, 20]"""
    (number,) = call.take(1)

    def formula(n: exp.Expression) -> exp.Expression:
        return case((both(at_least(n, 0), at_least(20, n)), cast(duck("factorial", n), "BIGINT")))

    return Typed(let([to_int(call, number).sql], formula), LongType(), True)


@function("conv")
def conv(call: FunctionCall) -> Typed:
    """conv(string, from base, to base) → string: digits of another base (2 to 36; negative: signed)"""
    text, source, target = call.take(3)
    sql = duck("hw_conv", to_text(call, text).sql, to_int(call, source).sql, to_int(call, target).sql)
    return Typed(sql, StringType(), True)


@function("width_bucket")
def width_bucket(call: FunctionCall) -> Typed:
    """width_bucket(value, low, high, count) → long: number of the equal-width bucket, 0 below, count + 1 above"""
    operands = call.take(4)
    numbers = [_measure(call, operand) for operand in operands[:3]]
    return Typed(duck("hw_width_bucket", *numbers, to_long(call, operands[3]).sql), LongType(), True)


def _measure(call: FunctionCall, operand: Typed) -> exp.Expression:
    from pyspark.sql.types import DayTimeIntervalType, YearMonthIntervalType

    if isinstance(operand.type, YearMonthIntervalType | DayTimeIntervalType):
        return cast(duck("epoch", operand.sql), "DOUBLE")
    return cast(to_double(call, operand).sql, "DOUBLE")


@function("nanvl")
def nanvl(call: FunctionCall) -> Typed:
    """nanvl(a, b) → a, or b where a is NaN"""
    first, second = call.take(2)
    is_float = isinstance(first.type, FloatType) and isinstance(second.type, FloatType)
    kind: DataType = FloatType() if is_float else DoubleType()
    name = "FLOAT" if is_float else "DOUBLE"

    def choose(a: exp.Expression) -> exp.Expression:
        return case((duck("isnan", a), cast(second.sql, name)), otherwise=a)

    return Typed(let([cast(first.sql, name)], choose), kind, True)


@function("isnan")
def isnan(call: FunctionCall) -> Typed:
    """isnan(double) → boolean: false for NULL"""
    from pyspark.sql.types import BooleanType

    (number,) = call.take(1)
    test = duck("coalesce", duck("isnan", cast(to_double(call, number).sql, "DOUBLE")), False)
    return Typed(test, BooleanType(), False)


@function("abs")
def abs_(call: FunctionCall) -> Typed:
    """abs(number | interval) → the same type"""
    (number,) = call.take(1)
    if isinstance(number.type, StringType | NullType):
        number = to_double(call, number)
    return done(duck("abs", number.sql), number.type, call)
