"""Spark's functions about the session, the row and errors, and its random functions.

Invariants: random functions take a seed for compatibility, but draw from DuckDB's generator: the same seed does not
give Spark's numbers.
"""

from __future__ import annotations

import getpass

from pyspark.sql.types import DoubleType, IntegerType, IntegralType, LongType, NullType, StringType
from sqlglot import exp

from headwater.errors import RuntimeSparkError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    add,
    case,
    cast,
    duck,
    multiply,
    names,
    subtract,
    titled,
    to_double,
    to_text,
    to_type,
    value,
)
from headwater.functions.kernels import kernel
from headwater.functions.raising import fail


def _constant(text: str, name: str) -> Typed:
    return Typed(exp.Literal.string(text), StringType(), False, text, name)


@function("typeof")
def typeof(call: FunctionCall) -> Typed:
    """typeof(value) → string: its type, such as `array<int>`"""
    (operand,) = call.take(1)
    kind = operand.type or NullType()
    return _constant(kind.simpleString(), titled(call, operand.name))


@function("current_user", "session_user", "user")
def current_user(call: FunctionCall) -> Typed:
    """current_user() → string: who runs the server"""
    call.take(0)
    return _constant(getpass.getuser(), f"{call.name.lower()}()")


@function("version")
def version(call: FunctionCall) -> Typed:
    """version() → string: the Spark version that is spoken"""
    call.take(0)
    return _constant("4.2.0 headwater", "version()")


@function("uuid")
def uuid(call: FunctionCall) -> Typed:
    """uuid() → string: a random UUID"""
    call.take(0, 1)
    return Typed(cast(duck("uuid"), "VARCHAR"), StringType(), False)


@function("rand", "random")
def rand(call: FunctionCall) -> Typed:
    """rand([seed]) → double in [0, 1)"""
    operands = call.take(0, 1)
    return Typed(duck("random"), DoubleType(), False, name=titled(call, *names(operands), name="rand"))


@function("randn")
def randn(call: FunctionCall) -> Typed:
    """randn([seed]) → double, normally distributed"""
    operands = call.take(0, 1)
    radius = duck("sqrt", multiply(-2, duck("ln", subtract(1, duck("random")))))
    angle = duck("cos", multiply(multiply(2, duck("pi")), duck("random")))
    return Typed(multiply(radius, angle), DoubleType(), False, name=titled(call, *names(operands)))


@function("uniform")
def uniform(call: FunctionCall) -> Typed:
    """uniform(low, high[, seed]) → a random number between them"""
    low, high, *_ = call.take(2, 3)
    if isinstance(low.type, IntegralType) and isinstance(high.type, IntegralType):
        span = subtract(high.sql, low.sql)
        drawn = cast(duck("floor", add(low.sql, multiply(span, duck("random")))), "INTEGER")
        return Typed(drawn, IntegerType(), False)
    start, end = to_double(call, low).sql, to_double(call, high).sql
    return Typed(add(start, multiply(subtract(end, start), duck("random"))), DoubleType(), False)


@kernel(["INTEGER"], "VARCHAR", volatile=True)
def random_text(length: int) -> str:
    """Random letters and digits."""
    import secrets
    import string as letters

    return "".join(secrets.choice(letters.ascii_letters + letters.digits) for _ in range(length))


@function("randstr")
def randstr(call: FunctionCall) -> Typed:
    """randstr(length[, seed]) → string of random letters and digits"""
    length = call.take(1, 2)[0]
    return Typed(duck("hw_random_text", cast(length.sql, "INTEGER")), StringType(), False)


@function("monotonically_increasing_id")
def monotonically_increasing_id(call: FunctionCall) -> Typed:
    """monotonically_increasing_id() → long: increasing from row to row"""
    call.take(0)
    number = exp.Window(this=exp.Anonymous(this="row_number", expressions=[]))
    return Typed(cast(subtract(number, 1), "BIGINT"), LongType(), False)


@function("spark_partition_id")
def spark_partition_id(call: FunctionCall) -> Typed:
    """spark_partition_id() → int: always 0, there is one partition"""
    call.take(0)
    return Typed(value(0), IntegerType(), False, name="SPARK_PARTITION_ID()")


@function("input_file_block_length", "input_file_block_start")
def input_file_block(call: FunctionCall) -> Typed:
    """input_file_block_length() → long: -1, files are not read in blocks"""
    call.take(0)
    return Typed(cast(-1, "BIGINT"), LongType(), False)


@function("raise_error")
def raise_error(call: FunctionCall) -> Typed:
    """raise_error(message) → fails with USER_RAISED_EXCEPTION"""
    message = call.take(1, 2)[0]
    sql = fail(RuntimeSparkError, "USER_RAISED_EXCEPTION", errorMessage=to_text(call, message).sql)
    return Typed(
        cast(sql, "INTEGER"),
        NullType(),
        True,
        name=titled(call, "USER_RAISED_EXCEPTION", f"map(errorMessage, {message.name})"),
    )


@function("assert_true")
def assert_true(call: FunctionCall) -> Typed:
    """assert_true(condition[, message]) → NULL, or fails with USER_RAISED_EXCEPTION"""
    from pyspark.sql.types import BooleanType

    condition, *rest = call.take(1, 2)
    default = f"'{condition.name}' is not true!"
    message = to_text(call, rest[0]).sql if rest else exp.Literal.string(default)
    failure = fail(RuntimeSparkError, "USER_RAISED_EXCEPTION", errorMessage=message)
    test = to_type(call, condition, BooleanType()).sql
    sql = cast(case((test, None), otherwise=failure), "INTEGER")
    return Typed(sql, NullType(), True, name=titled(call, condition.name, rest[0].name if rest else default))
