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

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from headwater.streaming.statements import column, named
from headwater.streaming.watermark import EventTimes, WatermarkNode

EVENT = "event_ms"
"""The event time of a row; NULL where it has none."""
_NEWEST, _OLDEST, _SUM, _ROWS, _TIMED = "event_newest", "event_oldest", "event_sum", "event_rows", "event_timed"
FIGURES = (_NEWEST, _OLDEST, _SUM, _ROWS, _TIMED)
"""What the groups carry of their rows' event times."""


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

    event = named(exp.func("epoch_ms", node.time.copy()), EVENT)
    changed = _with_column(query, lambda table: table.name == node.output, event, lift)
    return None if changed is None else EventQuery(changed, bool(lifted))


def with_row_number(query: exp.Query, table: str, alias: str) -> exp.Select | None:
    """The query with the row numbers of the table that it reads; None unless it only projects and filters."""
    return _with_column(query, lambda one: one.name == table, named(column("rowid"), alias), lambda _: True)


def with_column_of(query: exp.Query, table: str, name: str) -> exp.Select | None:
    """The query with one more column of the table that it reads; None unless it only projects."""
    return _with_column(query, lambda one: one.name == table, named(column(name), name), _keeps_all)


def with_file_value(query: exp.Query, value: exp.Expr, alias: str) -> exp.Select | None:
    """A scan's query with a value of the file that the row is in (`file_index`); None unless it only projects."""
    return _with_column(query, lambda one: isinstance(one.this, exp.Func), named(value, alias), _keeps_all)


def _keeps_all(level: exp.Select) -> bool:
    return level.args.get("where") is None


def _with_column(
    query: exp.Query,
    wanted: Callable[[exp.Table], bool],
    value: exp.Expr,
    allowed: Callable[[exp.Select], bool],
) -> exp.Select | None:
    changed = query.copy()
    found = [one for one in changed.find_all(exp.Table) if wanted(one)]
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
    """The columns `FIGURES` of a group."""
    return [
        named(exp.Max(this=column(EVENT)), _NEWEST),
        named(exp.Min(this=column(EVENT)), _OLDEST),
        named(exp.Sum(this=column(EVENT)), _SUM),
        named(exp.Count(this=exp.Star()), _ROWS),
        named(exp.Count(this=column(EVENT)), _TIMED),
    ]


def is_timed() -> exp.Expr:
    """Whether a group has a row with an event time."""
    return exp.GT(this=column(_TIMED), expression=exp.Literal.number(0))


def timed(groups: pa.Table) -> pa.ChunkedArray:
    """Which groups have a row with an event time; null where it is not a group of the batch."""
    return pc.greater(groups.column(_TIMED), 0)


def event_times(groups: pa.Table) -> EventTimes | None:
    """The event times of all rows of the groups that are of the batch; None if there are none."""
    rows = pc.sum(groups.column(_ROWS)).as_py()
    if not rows:
        return None
    most, least = pc.max(groups.column(_NEWEST)).as_py(), pc.min(groups.column(_OLDEST)).as_py()
    if rows > (pc.sum(groups.column(_TIMED)).as_py() or 0):  # Spark reads a NULL time as 0
        most, least = max(most or 0, 0), min(least or 0, 0)
    return EventTimes(most, least, int((pc.sum(groups.column(_SUM)).as_py() or 0) / rows))
