"""A column carried through a query from the table below it, so that a table between the two is not needed.

A watermark whose rows only one aggregation reads keeps none of them: the aggregation reads what is below the watermark
directly, and each of its groups carries the event times of its rows; the batch's largest, least and mean are taken from
the groups. An operator that asks for single rows again reads them where the watermark keeps them, by their row number.

Invariants: every row of the table is in the result at most once (for event times: just once), whatever it projects;
where that is not certain from the shape of the query, nothing is carried.
"""

from __future__ import annotations

from collections.abc import Callable
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
    lifted: list[exp.Where] = []

    def lift(level: exp.Select) -> bool:
        where = level.args.get("where")
        if where is not None and _asks_for(where, node.time):
            lifted.append(where.pop())
        return level.args.get("where") is None

    changed = _with_column(query, node.output, named(exp.func("epoch_ms", node.time.copy()), EVENT), lift)
    return None if changed is None else EventQuery(changed, bool(lifted))


def with_row_number(query: exp.Query, table: str, alias: str) -> exp.Select | None:
    """The query with the row numbers of the table that it reads; None unless it only projects and filters."""
    return _with_column(query, table, named(column("rowid"), alias), lambda _: True)


def _with_column(
    query: exp.Query, table: str, value: exp.Expr, allowed: Callable[[exp.Select], bool]
) -> exp.Select | None:
    changed = query.copy()
    found = [one for one in changed.find_all(exp.Table) if one.name == table]
    level = found[0].parent_select if len(found) == 1 else None
    while isinstance(level, exp.Select) and allowed(level) and _projects(level):
        level.select(value, copy=False)
        if level is changed:
            return level
        derived = level.parent
        if not isinstance(derived, exp.Subquery) or not derived.alias:
            return None
        value, level = named(column(value.alias, derived.alias), value.alias), derived.parent_select
    return None


def _projects(level: exp.Select) -> bool:
    """Whether it gives at most one row for each of the one relation it reads."""
    if any(value for name, value in level.args.items() if name not in ("expressions", "from_", "where")):
        return False
    many = (exp.Unnest, exp.Explode, exp.AggFunc, exp.Window, exp.Star, exp.Select)
    return not any(one.find(*many) or _unnests(one) for one in level.expressions)


def _unnests(tree: exp.Expr) -> bool:
    return any(str(call.this).lower() == "unnest" for call in tree.find_all(exp.Anonymous))


def _asks_for(where: exp.Where, time: exp.Expr) -> bool:
    """Whether all it asks is that there is an event time."""
    test = where.this.unnest()
    test = test.this.unnest() if isinstance(test, exp.Not) else None
    if not (isinstance(test, exp.Is) and isinstance(test.expression, exp.Null) and isinstance(test.this, exp.Column)):
        return False
    return isinstance(time, exp.Column) and test.this.name == time.name


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
