"""The contract of a function: typed operands in, a typed DuckDB expression out.

    @function("upper", "ucase")
    def upper(call: FunctionCall) -> Typed:
        \"\"\"upper(string) → string\"\"\"
        (text,) = call.take(1)
        return Typed(exp.Upper(this=text.sql), StringType(), text.nullable)

Invariants: a builder never runs a query; it gives Spark's result type, or None to let DuckDB's binder say;
it copies no operand twice into the result unless it is a column or a literal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from pyspark.sql.types import DataType
from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.registry import Registry


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


MISSING = _Missing()


@dataclass(frozen=True)
class Typed:
    """A compiled expression.

    Attributes:
        sql: the DuckDB expression.
        type: Spark's type; None: ask DuckDB's binder.
        nullable: whether it can be NULL.
        literal: the value, in the form of `plan.expressions.Literal`, if it is a constant; else MISSING.
        name: Spark's auto-generated column name for it.
    """

    sql: exp.Expression
    type: DataType | None
    nullable: bool = True
    literal: object = MISSING
    name: str = ""


@dataclass(frozen=True)
class LambdaOperand:
    """A lambda argument: `build(variables)` compiles its body for given variable types."""

    variables: tuple[str, ...]
    build: Callable[[Sequence[Typed]], Typed]
    name: str = ""


@dataclass(frozen=True)
class OrderKey:
    """One key of `WITHIN GROUP (ORDER BY …)`."""

    value: Typed
    ascending: bool = True
    nulls_first: bool = True


@dataclass(frozen=True)
class FunctionCall:
    """A call being compiled.

    Attributes:
        name: the name it was called by.
        operands: compiled arguments.
        ansi, time_zone: the session's.
        distinct: `f(DISTINCT …)`.
        settings: other session settings, by key.
    """

    name: str
    operands: tuple[Typed, ...]
    ansi: bool = True
    time_zone: str = "UTC"
    distinct: bool = False
    lambdas: tuple[LambdaOperand, ...] = ()
    """Lambda arguments, in order; they are not among `operands`."""
    settings: Callable[[str], str | None] = field(default=lambda _: None)
    ignore_nulls: bool = False
    """`f(…) IGNORE NULLS`."""
    order: tuple[OrderKey, ...] = ()
    """`f(…) WITHIN GROUP (ORDER BY …)`."""
    now: exp.Expression = field(default_factory=lambda: exp.Anonymous(this="now"))
    """The time that counts as now (TIMESTAMPTZ): a stream's is its batch's."""

    def take(self, least: int, most: int | None = None) -> tuple[Typed, ...]:
        """The operands, if their number is between `least` and `most` (None: `least`). Raises WRONG_NUM_ARGS."""
        most = least if most is None else most
        if not least <= len(self.operands) <= most:
            expected = str(least) if least == most else f"[{least}, {most}]"
            raise AnalysisError(
                "WRONG_NUM_ARGS.WITHOUT_SUGGESTION",
                functionName=f"`{self.name}`",
                expectedNum=expected,
                actualNum=len(self.operands),
                docroot="https://spark.apache.org/docs/latest",
            )
        return self.operands


Builder = Callable[[FunctionCall], Typed]
Kind = Literal["scalar", "aggregate", "window", "generator"]


@dataclass(frozen=True)
class Function:
    """A registered function: its builder, kind, and the text shown by DESCRIBE FUNCTION."""

    names: tuple[str, ...]
    build: Builder
    kind: Kind
    usage: str


functions: Registry[Function] = Registry("headwater.functions")
"""All functions by Spark's name."""


def function(*names: str, kind: Kind = "scalar") -> Callable[[Builder], Builder]:
    """Decorator: register a builder under Spark's names for it."""

    def enter(build: Builder) -> Builder:
        functions.register(*names)(Function(names, build, kind, (build.__doc__ or "").strip()))
        return build

    return enter
