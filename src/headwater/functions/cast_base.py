"""One cast being compiled: its value, types and rule, and how it fails.

Invariants: under `ansi` a failure raises Spark's condition, else it is NULL.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from pyspark.sql.types import (
    BooleanType,
    CalendarIntervalType,
    CharType,
    DataType,
    DayTimeIntervalType,
    NumericType,
    StringType,
    VarcharType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.errors import DateTimeError, NumberFormatError, RuntimeSparkError, SparkError
from headwater.functions.building import duck
from headwater.functions.raising import fail
from headwater.types.ddl import type_sql
from headwater.types.duck import to_duck

Rule = Literal["ansi", "try", "legacy"]
TEXT = (StringType, CharType, VarcharType)
INTERVALS = (DayTimeIntervalType, YearMonthIntervalType, CalendarIntervalType)


class Cast(NamedTuple):
    """A value to cast from `source` to `target` by `rule`."""

    sql: exp.Expression
    source: DataType
    target: DataType
    rule: Rule

    @property
    def safe(self) -> bool:
        """Whether a failure is NULL."""
        return self.rule != "ansi"

    def to(self, tree: exp.Expression, data_type: DataType | None = None) -> exp.Expression:
        """DuckDB's own cast to the target (or another type), by the rule."""
        node = exp.TryCast if self.safe else exp.Cast
        return node(this=tree, to=to_duck(data_type or self.target))

    def malformed(self, text: exp.Expression) -> exp.Expression:
        """The failure of a text that is not a value of the target type."""
        if self.safe:
            return exp.Null()
        shown = add_quotes(text)
        return fail(
            _failure_of(self.target),
            "CAST_INVALID_INPUT",
            expression=shown,
            sourceType='"STRING"',
            targetType=f'"{type_sql(self.target)}"',
        )


def add_quotes(text: exp.Expression) -> exp.Expression:
    """`'text'` for messages."""
    quote = exp.Literal.string("'")
    return duck("concat", quote, text, quote.copy())


def _failure_of(target: DataType) -> type[SparkError]:
    if isinstance(target, NumericType):
        return NumberFormatError
    return RuntimeSparkError if isinstance(target, BooleanType) else DateTimeError


def trimmed(text: exp.Expression) -> exp.Expression:
    """The text without white space around it."""
    return duck("trim", text, " \t\n\r\f\v")
