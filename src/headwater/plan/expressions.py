"""Expressions in Spark's terms, before names and types are resolved.

Invariants: function names are Spark's, lower case; literals carry their Spark type and a Python value;
nothing here knows DuckDB or protobuf.
"""

from __future__ import annotations

from dataclasses import field
from typing import Any
from typing import Literal as OneOf

from pyspark.sql.types import DataType

from headwater.plan.node import Node, node


@node
class Expression(Node):
    """Base of all expressions."""


@node
class Literal(Expression):
    """A constant.

    `value` by type: None; bool; int; float; Decimal; str; bytes; date → days since epoch (int); timestamp and
    timestamp_ntz → microseconds since epoch (int); day-time interval → microseconds; year-month interval →
    months; calendar interval → (months, days, microseconds); time → nanoseconds; array → tuple of values;
    map → tuple of (key, value) pairs; struct → tuple of values. Nested values follow the same table.
    """

    value: Any
    type: DataType


@node
class Column(Expression):
    """A name to resolve: parts of a dotted, possibly back-quoted identifier (`a.b` → ("a", "b")).

    `plan_id` names the DataFrame the column was taken from (`df["a"]`), if any.
    """

    parts: tuple[str, ...]
    plan_id: int | None = None
    metadata: bool = False


@node
class Star(Expression):
    """`*` or `target.*`; `except_` and `replace` as in SQL's `* EXCEPT (…)`."""

    target: tuple[str, ...] = ()
    plan_id: int | None = None
    except_: tuple[tuple[str, ...], ...] = ()


@node
class ColumnRegex(Expression):
    """All columns whose name matches a Java regular expression (`df.colRegex`)."""

    pattern: str
    plan_id: int | None = None


@node
class Alias(Expression):
    """`child AS name`; several names for generators (`explode(map) AS (k, v)`). `metadata` is JSON text."""

    child: Expression
    names: tuple[str, ...]
    metadata: str | None = None


@node
class Call(Expression):
    """A function or operator call: `name` is Spark's function name, operators by their symbol (`+`, `==`, `and`)."""

    name: str
    arguments: tuple[Expression, ...] = ()
    distinct: bool = False
    filter: Expression | None = None
    """SQL's `FILTER (WHERE …)` of an aggregate."""
    ignore_nulls: bool = False
    order: tuple[SortOrder, ...] = ()
    """SQL's `WITHIN GROUP (ORDER BY …)` of an aggregate."""


@node
class NamedArgument(Expression):
    """`key => value` in a call."""

    key: str
    value: Expression


@node
class Cast(Expression):
    """`CAST(child AS type)`; mode: `ansi` and `legacy` override the session, `try` gives NULL, `default` follows it."""

    child: Expression
    type: DataType
    mode: OneOf["default", "legacy", "ansi", "try"] = "default"


@node
class StoredValue(Expression):
    """A value that goes into a table's column, in the column's type; a number too large for it raises `overflow`."""

    child: Expression
    type: DataType
    column: str
    overflow: str


@node
class SortOrder(Expression):
    """A sort key. Spark's default: nulls first when ascending, last when descending (already applied here)."""

    child: Expression
    ascending: bool = True
    nulls_first: bool = True


@node
class LambdaVariable(Expression):
    """A variable bound by a `Lambda`."""

    name: str


@node
class Lambda(Expression):
    """`(x, y) -> body` for higher-order functions."""

    body: Expression
    variables: tuple[str, ...]


@node
class FrameBound(Node):
    """One end of a window frame; `offset` is an expression for `preceding`/`following`."""

    kind: OneOf["unbounded_preceding", "preceding", "current_row", "following", "unbounded_following"]
    offset: Expression | None = None


@node
class Frame(Node):
    """`ROWS|RANGE BETWEEN lower AND upper`."""

    unit: OneOf["rows", "range"]
    lower: FrameBound
    upper: FrameBound


@node
class Window(Expression):
    """`function OVER (PARTITION BY … ORDER BY … frame)`."""

    function: Expression
    partition: tuple[Expression, ...] = ()
    order: tuple[SortOrder, ...] = ()
    frame: Frame | None = None


@node
class ExtractValue(Expression):
    """`child[extraction]`: array index (0-based), map key, or struct field (string literal)."""

    child: Expression
    extraction: Expression


@node
class UpdateFields(Expression):
    """`struct.withField(name, value)`, or `dropFields` when value is None; `field` may be dotted."""

    struct: Expression
    field: str
    value: Expression | None


@node
class Subquery(Expression):
    """A subquery used as an expression; `plan` is a Relation, `values` the left side of IN."""

    kind: OneOf["scalar", "exists", "in", "table"]
    plan: Node
    values: tuple[Expression, ...] = ()


@node
class SubqueryReference(Expression):
    """A subquery of the DataFrame API before `WithRelations` binds its plan id."""

    kind: OneOf["scalar", "exists", "in", "table"]
    plan_id: int
    values: tuple[Expression, ...] = ()


@node
class PythonUDF(Expression):
    """An inline Python function: `command` is the client's cloudpickle, `eval_type` PySpark's PythonEvalType."""

    name: str
    arguments: tuple[Expression, ...]
    type: DataType
    eval_type: int
    command: bytes = field(repr=False)
    deterministic: bool = True
    python_version: str = ""
    distinct: bool = False
    paths: tuple[str, ...] = field(default=(), compare=False)
    """What `sys.path` needs for it: the Python files the client has sent."""
