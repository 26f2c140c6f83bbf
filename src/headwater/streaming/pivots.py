"""A pivot over a stream as Spark runs it: groups by the keys and the pivoted column, then a row per keys out of them.

    pivot(keys, p, values, f(x))  →  groupBy(keys).agg(first(c) FILTER (WHERE p <=> value), …)
                                       over groupBy(keys, p).agg(f(x) AS c)

Invariants: columns and types stay the same; where a value is neither number nor boolean Spark takes one step, and so do
we: the pivot stays a pivot.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import BooleanType, NumericType

from headwater.compile.resolved import Attribute
from headwater.plan.expressions import Alias, Call, Column, Expression
from headwater.plan.relations import Aggregate

_PIVOTED = "__pivoted"


def in_two_steps(node: Aggregate, columns: Sequence[Attribute]) -> Aggregate:
    """The pivot as an aggregation of an aggregation, if it is one in Spark; `columns` are the pivot's."""
    width = len(columns) - len(node.pivot_values) * len(node.aggregates)
    if node.pivot_column is None or not node.pivot_values or not all(_plain(cell) for cell in columns[width:]):
        return node
    keys = [f"__key_{index}" for index in range(width)]
    given = [Column((column.name,)) for column in columns[:width]] if node.implicit_grouping else node.grouping
    grouping = [Alias(_bare(key), (name,)) for key, name in zip(given, keys, strict=True)]
    cells = [Alias(_bare(call), (f"__cell_{index}",)) for index, call in enumerate(node.aggregates)]
    groups = Aggregate(node.input, "groupby", (*grouping, Alias(node.pivot_column, (_PIVOTED,))), tuple(cells))
    shown = [Alias(Column((key,)), (column.name,)) for key, column in zip(keys, columns, strict=False)]
    chosen = [_chosen(index, value) for value in node.pivot_values for index in range(len(cells))]
    named = [Alias(call, (column.name,)) for call, column in zip(chosen, columns[width:], strict=True)]
    return Aggregate(groups, "groupby", tuple(shown), tuple(named), plan_id=node.plan_id)


def _plain(cell: Attribute) -> bool:
    return isinstance(cell.type, NumericType | BooleanType)


def _bare(expression: Expression) -> Expression:
    return expression.child if isinstance(expression, Alias) else expression


def _chosen(index: int, value: Expression) -> Call:
    """The cell of the group of one value; there is one such group at most."""
    return Call("first", (Column((f"__cell_{index}",)),), filter=Call("<=>", (Column((_PIVOTED,)), value)))
