"""Plan expressions in the text that Spark's own parser prints for its trees (`Expression.sql`).

It lets a test compare what we read from SQL text with what Spark reads, without running either.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from pyspark.sql import types

from headwater.plan import expressions as e

_INFIX = {"==": "=", "and": "AND", "or": "OR"}
_SYMBOLS = {*"+-*/%&|^<>", "<=", ">=", "<=>", "<<", ">>", ">>>", "div"}


def spark_text(node: e.Expression) -> str:
    """`node` as Spark prints it."""
    return _RENDERERS[type(node)](node)


def _call(node: e.Call) -> str:
    parts = [spark_text(argument) for argument in node.arguments]
    name = _INFIX.get(node.name, node.name)
    if len(parts) == 2 and (node.name in _INFIX or name in _SYMBOLS):
        return f"({parts[0]} {name} {parts[1]})"
    if len(parts) == 1 and node.name == "-":
        return f"(- {parts[0]})"
    special = _SPECIAL.get(node.name)
    if special is not None:
        return special(parts)
    if node.filter is not None:
        parts.append(spark_text(node.filter))
    parts.extend(spark_text(order) for order in node.order)
    return f"{node.name}({', '.join(parts)})"


def _when(parts: list[str]) -> str:
    pairs = [f"WHEN {parts[i]} THEN {parts[i + 1]}" for i in range(0, len(parts) - 1, 2)]
    last = [f"ELSE {parts[-1]}"] if len(parts) % 2 else []
    return " ".join(["CASE", *pairs, *last, "END"])


_SPECIAL: dict[str, Callable[[list[str]], str]] = {
    "~": lambda p: f"~{p[0]}",
    "in": lambda p: f"({p[0]} IN ({', '.join(p[1:])}))",
    "isnotnull": lambda p: f"({p[0]} IS NOT NULL)",
    "isnull": lambda p: f"({p[0]} IS NULL)",
    "like": lambda p: f"{p[0]} LIKE {p[1]}" + (f" ESCAPE {p[2]}" if len(p) > 2 else ""),
    "not": lambda p: f"(NOT {p[0]})",
    "positive": lambda p: f"(+ {p[0]})",
    "rlike": lambda p: f"RLIKE({p[0]}, {p[1]})",
    "when": _when,
}


def _literal(node: e.Literal) -> str:
    value, kind = node.value, node.type
    if value is None:
        return "NULL"
    if isinstance(kind, types.StringType):
        escaped = value.replace("\\", "\\\\").replace("'", "\\'")
        return f"'{escaped}'"
    if isinstance(kind, types.BooleanType):
        return str(value).lower()
    if isinstance(kind, types.BinaryType):
        return f"X'{value.hex().upper()}'"
    return _number_or_time(value, kind)


def _number_or_time(value: Any, kind: types.DataType) -> str:
    suffixes = {types.LongType: "L", types.ShortType: "S", types.ByteType: "Y", types.DoubleType: "D"}
    if isinstance(kind, types.DecimalType):
        return f"{value}BD"
    if isinstance(kind, types.FloatType):
        return f"CAST('{value}' AS FLOAT)"
    if isinstance(kind, types.DateType):
        return f"DATE '{datetime(1970, 1, 1) + timedelta(value):%Y-%m-%d}'"
    if isinstance(kind, types.TimestampType | types.TimestampNTZType):
        name = "TIMESTAMP" if isinstance(kind, types.TimestampType) else "TIMESTAMP_NTZ"
        return f"{name} '{datetime(1970, 1, 1) + timedelta(microseconds=value):%Y-%m-%d %H:%M:%S}'"
    if isinstance(kind, types.DayTimeIntervalType | types.YearMonthIntervalType):
        return _interval(value, kind)
    return f"{value}{suffixes.get(type(kind), '')}"


def _interval(value: int, kind: types.DataType) -> str:
    units = kind.simpleString().removeprefix("interval ").upper()
    sign, rest = "-" if value < 0 else "", abs(value)
    if isinstance(kind, types.YearMonthIntervalType):
        texts = {"YEAR": str(rest // 12), "MONTH": str(rest), "YEAR TO MONTH": f"{rest // 12}-{rest % 12}"}
        return f"INTERVAL '{sign}{texts[units]}' {units}"
    first, last = kind.startField, kind.endField
    sizes = (86_400_000_000, 3_600_000_000, 60_000_000, 1_000_000)
    parts = []
    for place in range(first, last + 1):
        amount, rest = divmod(rest, sizes[place])
        parts.append(str(amount) if place == 0 else f"{amount:02d}")
    text = ":".join(parts).replace(":", " ", 1) if first == 0 else ":".join(parts)
    fraction = f".{rest:06d}".rstrip("0") if rest else ""
    return f"INTERVAL '{sign}{text}{fraction}' {units}"


def _quoted(part: str) -> str:
    plain = part.replace("_", "a").isalnum() and not part[0].isdigit()
    escaped = part.replace("`", "``")
    return part if plain else f"`{escaped}`"


def _cast(node: e.Cast) -> str:
    name = "TRY_CAST" if node.mode == "try" else "CAST"
    return f"{name}({spark_text(node.child)} AS {node.type.simpleString().upper()})"


def _sort_order(node: e.SortOrder) -> str:
    direction = "ASC" if node.ascending else "DESC"
    return f"{spark_text(node.child)} {direction} NULLS {'FIRST' if node.nulls_first else 'LAST'}"


def _window(node: e.Window) -> str:
    partition = ", ".join(spark_text(each) for each in node.partition)
    order = ", ".join(spark_text(each) for each in node.order)
    frame = _frame(node.frame) if node.frame else "unspecifiedframe$()"
    clauses = [f"PARTITION BY {partition}" if partition else "", f"ORDER BY {order}" if order else "", frame]
    return f"{spark_text(node.function)} OVER ({' '.join(clause for clause in clauses if clause)})"


def _frame(frame: e.Frame) -> str:
    return f"{frame.unit.upper()} BETWEEN {_bound(frame.lower)} AND {_bound(frame.upper)}"


def _bound(bound: e.FrameBound) -> str:
    words = bound.kind.replace("_", " ").upper()
    return words if bound.offset is None else f"{spark_text(bound.offset)} {words}"


def _alias(node: e.Alias) -> str:
    child = spark_text(node.child)
    return f"{child} AS {node.names[0]}" if len(node.names) == 1 else f"multialias({child})"


_SUBQUERIES = {"scalar": "scalarsubquery()", "exists": "exists()", "in": "listquery()"}


def _subquery(node: e.Subquery) -> str:
    values = ", ".join(spark_text(value) for value in node.values)
    return f"({values} IN ({_SUBQUERIES['in']}))" if node.kind == "in" else _SUBQUERIES[node.kind]


_RENDERERS: dict[type, Callable[[Any], str]] = {
    e.Alias: _alias,
    e.Call: _call,
    e.Cast: _cast,
    e.Column: lambda node: ".".join(_quoted(part) for part in node.parts),
    e.ExtractValue: lambda node: f"{spark_text(node.child)}[{spark_text(node.extraction)}]",
    e.Lambda: lambda node: f"lambdafunction({', '.join([spark_text(node.body), *node.variables])})",
    e.LambdaVariable: lambda node: node.name,
    e.Literal: _literal,
    e.NamedArgument: lambda node: f"namedargumentexpression({spark_text(node.value)})",
    e.SortOrder: _sort_order,
    e.Star: lambda _: "unresolvedstar()",
    e.Subquery: _subquery,
    e.Window: _window,
}
