"""From the text of one CSV cell or the token of one JSON value to a typed value, by Spark's rules, in SQL.

Invariants: a text that is not a value of the type becomes null, never an error and never a nearby value
(DuckDB alone would read `3.7` as the integer 4); no rule looks at more than its own cell.
"""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    NullType,
    ShortType,
    StringType,
    TimestampNTZType,
    TimestampType,
)
from sqlglot import exp

from headwater.io.formats.base import FormatOptions
from headwater.io.formats.patterns import strptime_formats
from headwater.io.formats.scan import call
from headwater.types.duck import to_duck

INTEGERS = (ByteType, ShortType, IntegerType, LongType)
FRACTIONS = (FloatType, DoubleType)
TEMPORAL = (DateType, TimestampType, TimestampNTZType)


@dataclass(frozen=True)
class CellRules:
    """The reader options that cells depend on; patterns are Java's, None means Spark's default reading."""

    date: str | None = None
    timestamp: str | None = None
    timestamp_ntz: str | None = None
    nan: str = "NaN"
    positive_infinity: str = "Inf"
    negative_infinity: str = "-Inf"

    @classmethod
    def of(cls, options: FormatOptions) -> CellRules:
        """From reader options."""
        return cls(
            options.get("dateformat"),
            options.get("timestampformat"),
            options.get("timestampntzformat"),
            options.text("nanValue", "NaN"),
            options.text("positiveInf", "Inf"),
            options.text("negativeInf", "-Inf"),
        )


def from_text(text: exp.Expr, data_type: DataType, rules: CellRules) -> exp.Expr:
    """The value of a CSV cell."""
    if isinstance(data_type, StringType):
        return text
    if isinstance(data_type, INTEGERS):
        return guarded(call("regexp_full_match", text.copy(), "[+-]?[0-9]+"), cast(text, data_type))
    if isinstance(data_type, BooleanType):
        return _boolean(exp.Lower(this=text))
    if isinstance(data_type, FRACTIONS):
        return _fraction(text, data_type, rules)
    if isinstance(data_type, BinaryType):
        return call("encode", text)
    return _shared(text, data_type, rules)


def from_token(token: exp.Expr, data_type: DataType, rules: CellRules) -> exp.Expr:
    """The value of a JSON number, true or false, given as its raw text."""
    if isinstance(data_type, INTEGERS):
        value = cast(token, data_type)
        return guarded(exp.EQ(this=exp.cast(value, "VARCHAR"), expression=token.copy()), value.copy())
    if isinstance(data_type, BooleanType):
        return _boolean(token)
    if isinstance(data_type, FRACTIONS):
        return _quoted_fraction(token, data_type)
    return from_string(call("trim", token, '"'), data_type, rules)


def from_string(text: exp.Expr, data_type: DataType, rules: CellRules) -> exp.Expr:
    """The value of a JSON value given as the text of a string."""
    if isinstance(data_type, BinaryType):
        return call("try", call("from_base64", text))
    return _shared(text, data_type, rules)


def cast(value: exp.Expr, data_type: DataType) -> exp.Expr:
    """TRY_CAST to the DuckDB form of a Spark type."""
    return exp.TryCast(this=value.copy(), to=to_duck(data_type))


def guarded(condition: exp.Expr, value: exp.Expr) -> exp.Expr:
    """`CASE WHEN condition THEN value END`."""
    return exp.Case(ifs=[exp.If(this=condition, true=value)])


def _boolean(text: exp.Expr) -> exp.Expr:
    whens = [exp.If(this=exp.Literal.string(word), true=exp.convert(word == "true")) for word in ("true", "false")]
    return exp.Case(this=text.copy(), ifs=whens)


def _fraction(text: exp.Expr, data_type: DataType, rules: CellRules) -> exp.Expr:
    words = {rules.nan: "NaN", rules.positive_infinity: "Infinity", rules.negative_infinity: "-Infinity"}
    whens = [
        exp.If(this=exp.Literal.string(word), true=exp.cast(exp.Literal.string(value), to_duck(data_type)))
        for word, value in words.items()
    ]
    plain = guarded(exp.Not(this=call("contains", text.copy(), "_")), cast(text, data_type))
    return exp.Case(this=text.copy(), ifs=whens, default=plain)


_QUOTED = ("NaN", "+INF", "+Infinity", "Infinity", "INF", "-INF", "-Infinity")
"""What Spark reads in a string where a number was to be; DuckDB reads the same words, but for the plus sign."""


def _quoted_fraction(token: exp.Expr, data_type: DataType) -> exp.Expr:
    """JSON numbers; of strings only the names of the special values."""
    named = exp.In(this=token.copy(), expressions=[exp.Literal.string(f'"{word}"') for word in _QUOTED])
    special = exp.and_(call("starts_with", token.copy(), '"'), named)
    word = exp.If(this=special, true=call("trim", token.copy(), '"+'))
    return cast(exp.Case(ifs=[word], default=token.copy()), data_type)


def _shared(text: exp.Expr, data_type: DataType, rules: CellRules) -> exp.Expr:
    if isinstance(data_type, TEMPORAL):
        return _temporal(text, data_type, rules)
    if isinstance(data_type, DecimalType):
        return cast(text, data_type)
    if isinstance(data_type, NullType):
        return exp.cast(exp.null(), "INTEGER")
    return cast(text, data_type)


def _temporal(text: exp.Expr, data_type: DataType, rules: CellRules) -> exp.Expr:
    if isinstance(data_type, DateType):
        pattern = rules.date
    else:
        pattern = rules.timestamp if isinstance(data_type, TimestampType) else rules.timestamp_ntz
    if pattern is None:
        return cast(text, data_type)
    formats = exp.Array(expressions=[exp.Literal.string(item) for item in strptime_formats(pattern)])
    return cast(call("try_strptime", text.copy(), formats), data_type)
