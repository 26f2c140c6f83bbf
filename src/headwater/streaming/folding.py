"""Event times carried through a query: a watermark whose rows only one aggregation reads needs no table of them.

The aggregation then reads what is below the watermark directly, and each of its groups carries the event times of its
rows; the batch's largest, least and mean are taken from the groups.

Invariants: every row of the watermark is in just as many groups as every other; where that is not certain from the
shape of the query, the watermark keeps its table.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from headwater.streaming.statements import column, named
from headwater.streaming.watermark import WatermarkNode

EVENT = "event_ms"
"""The event time of a row; NULL where it has none."""
_NEWEST, _OLDEST, _SUM, _ROWS, _TIMED = "event_newest", "event_oldest", "event_sum", "event_rows", "event_timed"
_ONE_TO_ONE = {"kind", "expressions", "from_", "where"}


@dataclass(frozen=True)
class EventQuery:
    """A query with its rows' event times as one more column.

    Attributes:
        timed: of the groups, those without any event time are to be left out, as the query left out their rows.
    """

    query: exp.Select
    timed: bool


def carrying(query: exp.Query, node: WatermarkNode) -> EventQuery | None:
    """The query over a watermark's table with the column `EVENT`; None unless it only projects.

    A filter for rows that have the event time may be in it, as `window` brings it: it is lifted.
    """
    changed = query.copy()
    found = [table for table in changed.find_all(exp.Table) if table.name == node.output]
    if len(found) != 1 or not isinstance(changed, exp.Select):
        return None
    level = found[0].parent_select
    if level is None or level.args.get("where") is not None:
        return None
    carried: exp.Expr = exp.func("epoch_ms", node.time.copy())
    timed = False
    while isinstance(level, exp.Select):
        timed = _lifted(level, node) or timed
        if not _projects(level):
            return None
        level.select(named(carried, EVENT), copy=False)
        if level is changed:
            return EventQuery(changed, timed)
        derived = level.parent
        if not isinstance(derived, exp.Subquery) or not derived.alias:
            return None
        carried, level = column(EVENT, derived.alias), derived.parent_select
    return None


def _projects(level: exp.Select) -> bool:
    """Whether it gives just one row for each of the one relation it reads."""
    if any(value for name, value in level.args.items() if name not in ("expressions", "from_")):
        return False
    many = (exp.Unnest, exp.Explode, exp.AggFunc, exp.Window, exp.Star, exp.Select)
    return not any(one.find(*many) or _unnests(one) for one in level.expressions)


def _unnests(tree: exp.Expr) -> bool:
    return any(str(call.this).lower() == "unnest" for call in tree.find_all(exp.Anonymous))


def _lifted(level: exp.Select, node: WatermarkNode) -> bool:
    """Take the filter for the event time away, if it is the only one."""
    where = level.args.get("where")
    test = where.this.unnest() if where is not None else None
    test = test.this.unnest() if isinstance(test, exp.Not) else None
    if not (isinstance(test, exp.Is) and isinstance(test.expression, exp.Null) and isinstance(test.this, exp.Column)):
        return False
    if not isinstance(node.time, exp.Column) or test.this.name != node.time.name:
        return False
    level.set("where", None)
    return True


def figures() -> list[exp.Expr]:
    """What the groups carry of their rows' event times."""
    known = exp.Coalesce(this=column(EVENT), expressions=[exp.Literal.number(0)])  # Spark reads a NULL time as 0
    return [
        named(exp.Max(this=known), _NEWEST),
        named(exp.Min(this=known.copy()), _OLDEST),
        named(exp.Sum(this=known.copy()), _SUM),
        named(exp.Count(this=exp.Star()), _ROWS),
        named(exp.Count(this=column(EVENT)), _TIMED),
    ]


def is_timed(alias: str | None = None) -> exp.Expr:
    """Whether a group has a row with an event time."""
    return exp.GT(this=column(_TIMED, alias), expression=exp.Literal.number(0))


def totals() -> list[exp.Expr]:
    """The largest, least and mean event time of all groups, in milliseconds since 1970; NULL if there are none."""
    mean = exp.Div(this=exp.Sum(this=column(_SUM)), expression=exp.Sum(this=column(_ROWS)))
    return [exp.Max(this=column(_NEWEST)), exp.Min(this=column(_OLDEST)), mean]
