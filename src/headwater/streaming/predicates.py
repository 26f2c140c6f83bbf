"""Conditions taken apart: what Spark's optimizer knows of a condition without knowing its values.

Invariant: what is said of a condition holds for every row; where that is not certain, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from headwater.functions.base import functions
from headwater.plan.expressions import Call, Cast, Column, Expression, ExtractValue, Literal
from headwater.plan.node import Node

_RANDOM = frozenset({"rand", "random", "randn", "uuid", "shuffle", "monotonically_increasing_id", "randstr", "uniform"})
_ELSEWHERE = frozenset({
    "window", "session_window", "window_time", "input_file_name", "input_file_block_start", "input_file_block_length",
    "spark_partition_id", "raise_error", "assert_true",
})  # fmt: skip
"""Mean something else in another place of the plan, or are for their effect."""
_NULL_OF_NULL = frozenset({
    "==", "=", "!=", "<>", "<", "<=", ">", ">=", "not", "!", "+", "-", "*", "/", "%", "div", "mod", "negative",
    "positive", "between", "like", "ilike", "rlike", "regexp", "regexp_like", "contains", "startswith", "endswith",
    "upper", "ucase", "lower", "lcase", "trim", "ltrim", "rtrim", "btrim", "length", "char_length",
    "character_length", "len", "substring", "substr", "left", "right", "reverse", "repeat", "lpad", "rpad",
    "replace", "translate", "locate", "instr", "position", "split", "initcap", "ascii", "regexp_replace",
    "regexp_extract", "md5", "sha", "sha1", "sha2", "base64", "unbase64", "hex", "unhex", "abs", "ceil", "ceiling",
    "floor", "round", "bround", "sqrt", "exp", "ln", "log10", "log2", "pow", "power", "sign", "signum", "pmod",
    "year", "quarter", "month", "day", "dayofmonth", "dayofweek", "dayofyear", "weekday", "weekofyear", "hour",
    "minute", "second", "date_add", "dateadd", "date_sub", "datediff", "date_diff", "add_months", "months_between",
    "last_day", "next_day", "trunc", "date_trunc", "to_timestamp", "to_date", "date_format", "unix_timestamp",
    "to_unix_timestamp", "unix_millis", "unix_micros", "unix_seconds", "timestamp_seconds", "timestamp_millis",
    "timestamp_micros", "from_unixtime", "from_utc_timestamp", "to_utc_timestamp", "array_contains", "element_at",
    "get_json_object", "int", "bigint", "double", "float", "string", "boolean", "date", "timestamp", "smallint",
    "tinyint", "decimal",
})  # fmt: skip
"""Functions that give NULL as soon as one argument is NULL."""


def conjuncts(condition: Expression) -> list[Expression]:
    """The parts of an AND; BETWEEN is two of them."""
    if isinstance(condition, Call) and not condition.distinct:
        name, arguments = condition.name.lower(), condition.arguments
        if name == "and" and len(arguments) == 2:
            return [one for part in arguments for one in conjuncts(part)]
        if name == "between" and len(arguments) == 3 and not random(condition):
            value, low, high = arguments
            return [Call(">=", (value, low)), Call("<=", (value, high))]
    return [condition]


def all_of(parts: Sequence[Expression]) -> Expression:
    """The AND of one or more conditions."""
    whole = parts[0]
    for part in parts[1:]:
        whole = Call("and", (whole, part))
    return whole


def random(node: Node) -> bool:
    """Whether a value may differ from one call to the next."""
    return any(isinstance(one, Call) and one.name.lower() in _RANDOM for one in node.walk())


def is_generator(node: Node) -> bool:
    """Whether it makes several rows of one."""
    found = (functions.get(one.name.lower()) for one in node.walk() if isinstance(one, Call))
    return any(one is not None and one.kind == "generator" for one in found)


def movable(expression: Expression) -> bool:
    """Whether its value is known from the columns it names alone, wherever in the plan it stands."""
    return all(isinstance(one, Column | Literal | Cast | ExtractValue) or _plain(one) for one in expression.walk())


def _plain(node: Node) -> bool:
    if not isinstance(node, Call) or node.filter is not None or node.order or node.distinct:
        return False
    name = node.name.lower()
    found = functions.get(name)
    return name not in _RANDOM and name not in _ELSEWHERE and found is not None and found.kind == "scalar"


def columns(node: Node) -> Iterator[Column]:
    """The columns it names."""
    return (one for one in node.walk() if isinstance(one, Column))


def is_null_of_null(expression: Expression) -> list[Column]:
    """The columns whose NULL makes the whole NULL."""
    if isinstance(expression, Column):
        return [expression]
    inner: Iterable[Node] = ()
    if (isinstance(expression, Cast) and expression.mode != "try") or isinstance(expression, ExtractValue):
        inner = (expression.child,)
    elif isinstance(expression, Call) and expression.name.lower() in _NULL_OF_NULL:
        inner = expression.arguments
    return [column for one in inner if isinstance(one, Expression) for column in is_null_of_null(one)]


def never_null(part: Expression) -> list[Column]:
    """The columns that are not NULL where the condition holds."""
    if isinstance(part, Call) and part.name.lower() == "isnotnull":
        return is_null_of_null(part.arguments[0])
    return is_null_of_null(part)


def refuses_nulls(part: Expression) -> bool:
    """Whether the condition does not hold for a row of which all columns it names are NULL."""
    if isinstance(part, Call) and part.name.lower() == "or":
        return all(isinstance(one, Expression) and refuses_nulls(one) for one in part.arguments)
    if isinstance(part, Call) and part.name.lower() == "and":
        return any(isinstance(one, Expression) and refuses_nulls(one) for one in part.arguments)
    if isinstance(part, Call) and part.name.lower() == "in":
        return bool(never_null(part.arguments[0]))
    return bool(never_null(part))


def with_implied(parts: Sequence[Expression]) -> list[Expression]:
    """The conditions, and those that follow by the equality of two columns. Once, as Spark does: not by a chain."""
    found = dict.fromkeys(parts)
    for part in parts:
        pair = _equal(part)
        if pair is not None:
            others = [one for one in parts if one != part]
            found |= dict.fromkeys(_put(one, *pair) for one in others)
            found |= dict.fromkeys(_put(one, *reversed(pair)) for one in others)
    return list(found)


def _equal(part: Expression) -> tuple[Column, Column] | None:
    if isinstance(part, Call) and part.name in ("==", "=") and len(part.arguments) == 2:
        one, other = part.arguments
        if isinstance(one, Column) and isinstance(other, Column):
            return one, other
    return None


def _put(part: Expression, column: Column, other: Column) -> Expression:
    """The condition with another column in the place of one."""

    def change(node: Node) -> Node:
        return other if node == column else node.map_children(change)

    changed = change(part)
    assert isinstance(changed, Expression)
    return changed


def is_not_null(column: Column) -> Call:
    """The condition that a column has a value."""
    return Call("isnotnull", (column,))


def missing(parts: Iterable[Expression], known: Sequence[Expression]) -> list[Expression]:
    """The conditions that do not follow from others known to hold, each once."""
    held = set(known)
    needed = [part for part in dict.fromkeys(parts) if part not in held]
    others = [*known, *(part for part in needed if not _only_not_null(part))]
    valued = {column for part in others for column in never_null(part)}
    return [part for part in needed if not (_only_not_null(part) and part.arguments[0] in valued)]  # type: ignore[attr-defined]


def _only_not_null(part: Expression) -> bool:
    return isinstance(part, Call) and part.name == "isnotnull" and isinstance(part.arguments[0], Column)


def renamed(part: Expression, names: dict[Column, Column]) -> Expression | None:
    """The condition under other names; None if one of its columns has none."""
    if any(column not in names for column in columns(part)):
        return None

    def change(node: Node) -> Node:
        return names[node] if isinstance(node, Column) else node.map_children(change)

    return change(part)  # type: ignore[return-value]
