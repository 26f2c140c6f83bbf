"""`GROUP BY ALL` and `ORDER BY ALL`: the keys they stand for.

Invariant: a column that is really called `all` comes first, as in Spark.
"""

from __future__ import annotations

from dataclasses import replace

from headwater.compile.frame import Frame
from headwater.functions.base import functions
from headwater.plan import expressions as ex
from headwater.plan import relations as plan


def grouped_by_all(node: plan.Aggregate, frame: Frame) -> plan.Aggregate:
    """`GROUP BY ALL` as grouping by each selected expression that aggregates nothing."""
    if len(node.grouping) != 1 or node.output_grouping or not _is_all(node.grouping[0], frame):
        return node
    keys = tuple(_bare(selected) for selected in node.aggregates if not _aggregates(selected))
    return replace(node, grouping=tuple(key for key in keys if not isinstance(key, ex.Literal)))


def ordered_by_all(order: tuple[ex.SortOrder, ...], frame: Frame) -> tuple[ex.SortOrder, ...]:
    """`ORDER BY ALL` as ordering by each column, by position."""
    if len(order) != 1 or not _is_all(order[0].child, frame):
        return order
    return tuple(replace(order[0], child=ex.Column((each.sql,), metadata=True)) for each in frame.attributes)


def _is_all(expression: ex.Expression, frame: Frame) -> bool:
    if not isinstance(expression, ex.Column) or [part.lower() for part in expression.parts] != ["all"]:
        return False
    return expression.plan_id is None and all(each.name.lower() != "all" for each in frame.attributes)


def _bare(expression: ex.Expression) -> ex.Expression:
    return expression.child if isinstance(expression, ex.Alias) else expression


def _aggregates(expression: ex.Expression) -> bool:
    if isinstance(expression, ex.Window | ex.Subquery):
        return False
    if isinstance(expression, ex.Call):
        found = functions.get(expression.name)
        if found is not None and found.kind == "aggregate":
            return True
    children = (child for child in expression.children() if isinstance(child, ex.Expression))
    return any(_aggregates(child) for child in children)
