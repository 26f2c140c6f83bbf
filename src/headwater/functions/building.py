"""Short words for writing DuckDB expressions and their Spark types.

Invariants: strings given to `duck` become quoted literals, never SQL text; `let` computes each value once.
"""

from __future__ import annotations

import typing
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Union

from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    IntegralType,
    LongType,
    StringType,
    TimestampNTZType,
    TimestampType,
)
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.functions.base import MISSING, FunctionCall, Typed

Value = Union[exp.Expression, str, int, float, bool, None]  # noqa: UP007 (evaluated at run time on 3.10)

_letters = count()


def value(item: Value) -> exp.Expression:
    """An expression for a Python value; expressions pass, copied."""
    return item.copy() if isinstance(item, exp.Expression) else typing.cast(exp.Expression, exp.convert(item))


def duck(name: str, *arguments: Value) -> exp.Expression:
    """A call of a DuckDB function."""
    return exp.Anonymous(this=name, expressions=[value(argument) for argument in arguments])


def cast(item: Value, type_name: str) -> exp.Expression:
    """`CAST(item AS type_name)` with a DuckDB type name."""
    return exp.Cast(this=value(item), to=exp.DataType.build(type_name, dialect="duckdb"))


def try_cast(item: Value, type_name: str) -> exp.Expression:
    """`TRY_CAST(item AS type_name)` with a DuckDB type name."""
    return exp.TryCast(this=value(item), to=exp.DataType.build(type_name, dialect="duckdb"))


def binary(node: type[exp.Binary], left: Value, right: Value) -> exp.Expression:
    """`(left op right)`."""
    return exp.Paren(this=node(this=value(left), expression=value(right)))


def add(left: Value, right: Value) -> exp.Expression:
    """`(left + right)`."""
    return binary(exp.Add, left, right)


def subtract(left: Value, right: Value) -> exp.Expression:
    """`(left - right)`."""
    return binary(exp.Sub, left, right)


def multiply(left: Value, right: Value) -> exp.Expression:
    """`(left * right)`."""
    return binary(exp.Mul, left, right)


def equal(left: Value, right: Value) -> exp.Expression:
    """`(left = right)`."""
    return binary(exp.EQ, left, right)


def less(left: Value, right: Value) -> exp.Expression:
    """`(left < right)`."""
    return binary(exp.LT, left, right)


def more(left: Value, right: Value) -> exp.Expression:
    """`(left > right)`."""
    return binary(exp.GT, left, right)


def at_least(left: Value, right: Value) -> exp.Expression:
    """`(left >= right)`."""
    return binary(exp.GTE, left, right)


def is_null(item: Value) -> exp.Expression:
    """`(item IS NULL)`."""
    return binary(exp.Is, item, exp.Null())


def either(*items: Value) -> exp.Expression:
    """`(a OR b OR …)`."""
    return exp.Paren(this=exp.or_(*(value(item) for item in items)))


def both(*items: Value) -> exp.Expression:
    """`(a AND b AND …)`."""
    return exp.Paren(this=exp.and_(*(value(item) for item in items)))


def negate(item: Value) -> exp.Expression:
    """`(NOT item)`."""
    return exp.Paren(this=exp.Not(this=value(item)))


def case(*branches: tuple[Value, Value], otherwise: Value = None) -> exp.Expression:
    """`CASE WHEN … THEN … ELSE otherwise END`."""
    ifs = [exp.If(this=value(condition), true=value(result)) for condition, result in branches]
    return exp.Case(ifs=ifs, default=value(otherwise))


def lambda_(body: Callable[..., Value], variables: int = 1) -> exp.Expression:
    """`LAMBDA v1, … : body(v1, …)` with variable names of its own."""
    names = [f"let_{next(_letters)}" for _ in range(variables)]
    columns = [exp.column(name) for name in names]
    return exp.Lambda(this=value(body(*columns)), expressions=[exp.to_identifier(name) for name in names], colon=True)


def simple(item: exp.Expression) -> bool:
    """Whether repeating the expression is free: a column, a literal, or a cast or sign of one."""
    if isinstance(item, exp.Cast | exp.Paren | exp.Neg):
        return simple(item.this)
    return isinstance(item, exp.Column | exp.Literal | exp.Null | exp.Boolean | exp.Identifier)


def let(values: Sequence[exp.Expression], body: Callable[..., Value]) -> exp.Expression:
    """`body(*values)` with each value computed once, whatever the body repeats."""
    return _let(list(values), [], body)


def _let(values: list[exp.Expression], bound: list[exp.Expression], body: Callable[..., Value]) -> exp.Expression:
    if not values:
        return value(body(*bound))
    first, *rest = values
    if simple(first):
        return _let(rest, [*bound, first], body)
    inner = lambda_(lambda variable: _let(rest, [*bound, variable], body))
    return duck("list_extract", duck("list_transform", exp.Array(expressions=[first.copy()]), inner), 1)


def struct(**fields: Value) -> exp.Expression:
    """A DuckDB struct."""
    return struct_of(fields.items())


def struct_of(fields: Iterable[tuple[str, Value]]) -> exp.Expression:
    """A DuckDB struct of (name, value) pairs."""
    pairs = [exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value(item)) for name, item in fields]
    return exp.Struct(expressions=pairs)


def done(sql: exp.Expression, type_: DataType | None, call: FunctionCall, **changes: object) -> Typed:
    """The result of a null-propagating function: nullable if an operand is. `changes` override Typed's fields."""
    nullable = any(operand.nullable for operand in call.operands)
    return Typed(sql, type_, **{"nullable": nullable, **changes})  # type: ignore[arg-type]


def titled(call: FunctionCall, *arguments: str, name: str | None = None) -> str:
    """Spark's column name `name(arguments)`."""
    return f"{name or call.name}({', '.join(arguments)})"


def names(operands: Sequence[Typed]) -> list[str]:
    """The operands' column names."""
    return [operand.name for operand in operands]


def constant(operand: Typed) -> object:
    """The operand's value if it is a literal, else MISSING."""
    return operand.literal


def literal_text(call: FunctionCall, operand: Typed, what: str) -> str | None:
    """The operand's value, which must be a literal string (None: a NULL). Raises NON_FOLDABLE_INPUT."""
    if operand.literal is MISSING:
        raise AnalysisError(
            "DATATYPE_MISMATCH.NON_FOLDABLE_INPUT",
            sqlExpr=f'"{call.name}"',
            inputName=f"`{what}`",
            inputType='"STRING"',
            inputExpr=f'"{operand.name}"',
        )
    return None if operand.literal is None else str(operand.literal)


def text_literal(words: str, name: str | None = None) -> Typed:
    """A string operand made of a Python string."""
    return Typed(exp.Literal.string(words), StringType(), False, words, words if name is None else name)


def int_literal(number: int) -> Typed:
    """An integer operand made of a Python int."""
    from pyspark.sql.types import IntegerType

    return Typed(value(number), IntegerType(), False, number, str(number))


def is_string(operand: Typed) -> bool:
    """Whether the operand is a string."""
    return isinstance(operand.type, StringType)


def is_binary(operand: Typed) -> bool:
    """Whether the operand is a byte string."""
    return isinstance(operand.type, BinaryType)


def _convert(operand: Typed, target: DataType, call: FunctionCall) -> Typed:
    from headwater.functions.conversion import cast_typed  # conversion is built on this module

    return cast_typed(operand, target, call)


def to_type(call: FunctionCall, operand: Typed, target: DataType) -> Typed:
    """The operand cast to `target` by the session's rules; itself if it has that type. The name stays."""
    if operand.type is not None and type(operand.type) is type(target) and not isinstance(target, DecimalType):
        return operand
    changed = _convert(operand, target, call)
    return Typed(changed.sql, target, changed.nullable, _carried(operand, target), operand.name)


def _carried(operand: Typed, target: DataType) -> object:
    if operand.literal is None:
        return None
    if isinstance(operand.type, IntegralType) and isinstance(target, LongType | IntegralType):
        return operand.literal
    return MISSING


def to_text(call: FunctionCall, operand: Typed) -> Typed:
    """The operand as Spark's string."""
    return to_type(call, operand, StringType())


def to_double(call: FunctionCall, operand: Typed) -> Typed:
    """The operand as a double."""
    return to_type(call, operand, DoubleType())


def to_int(call: FunctionCall, operand: Typed) -> Typed:
    """The operand as an int."""
    from pyspark.sql.types import IntegerType

    return to_type(call, operand, IntegerType())


def to_long(call: FunctionCall, operand: Typed) -> Typed:
    """The operand as a long."""
    return to_type(call, operand, LongType())


def to_date(call: FunctionCall, operand: Typed) -> Typed:
    """The operand as a date."""
    return to_type(call, operand, DateType())


def to_timestamp(call: FunctionCall, operand: Typed) -> Typed:
    """The operand as a timestamp; TIMESTAMP_NTZ stays itself."""
    if isinstance(operand.type, TimestampNTZType):
        return operand
    return to_type(call, operand, TimestampType())


def boolean(sql: exp.Expression, call: FunctionCall, **changes: object) -> Typed:
    """A boolean result."""
    return done(sql, BooleanType(), call, **changes)
