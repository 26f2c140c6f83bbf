"""A streaming plan in the shapes that the rules and the operators know: what Spark's analyzer and optimizer make of it.

Invariants: the columns of the plan stay the same; what has no stream below stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from headwater.compile.resolved import Attribute
from headwater.functions.base import functions
from headwater.plan.expressions import Alias, Call, Column, Window
from headwater.plan.node import Node
from headwater.plan.relations import (
    Aggregate,
    Distinct,
    Drop,
    Filter,
    Join,
    Limit,
    Project,
    Relation,
    SetOperation,
    Sort,
    ToDF,
)
from headwater.streaming.filter_pushdown import FilterPushdown
from headwater.streaming.pivots import in_two_steps


def with_explicit_aggregates(plan: Relation) -> Relation:
    """The plan with each projection that aggregates (`df.select(sum("v"))`) as the aggregation it is."""
    changed = plan.map_children(_explicit)
    if isinstance(changed, Project) and any(_aggregates(one) for one in changed.expressions):
        return Aggregate(changed.input, "groupby", (), changed.expressions, plan_id=changed.plan_id)
    return changed


def _explicit(node: Node) -> Node:
    return with_explicit_aggregates(node) if isinstance(node, Relation) else node


def _aggregates(expression: Node) -> bool:
    """Whether an aggregate function is called in it, windows and subqueries aside."""
    if isinstance(expression, Window | Relation):
        return False
    if isinstance(expression, Call):
        found = functions.get(expression.name)
        if found is not None and found.kind == "aggregate":
            return True
    return any(_aggregates(child) for child in expression.children())


def as_spark_runs_it(
    plan: Relation, streams: Callable[[Node], bool], columns: Callable[[Relation], Sequence[Attribute]]
) -> Relation:
    """A checked plan: SQL's DISTINCT is an aggregation by all columns, a pivot two of them, adjacent limits are one.

    Filters stand as low as they may; what `FROM a, b WHERE …` filters by is the join's condition.
    """
    pushdown = FilterPushdown(plan, streams, columns)

    def change(node: Node) -> Node:
        changed = node.map_children(change)
        if not isinstance(node, Relation) or not streams(node):
            return changed
        if isinstance(changed, Filter):
            return pushdown.filter(changed)
        if isinstance(changed, Join):
            return pushdown.join(changed)
        if isinstance(changed, Limit) and isinstance(changed.input, Limit):
            return replace(changed.input, count=min(changed.count, changed.input.count), plan_id=changed.plan_id)
        if isinstance(changed, Sort) and isinstance(changed.input, Aggregate):
            return _with_sorted_columns(changed, changed.input, columns(changed.input))
        if isinstance(changed, Aggregate) and changed.kind == "pivot":
            return in_two_steps(changed, columns(node))
        if isinstance(changed, Distinct):
            return _by_all_columns(changed.input, columns(node), changed.plan_id)
        if isinstance(changed, SetOperation) and not changed.all:
            rows = replace(changed, all=changed.kind == "union", plan_id=None)
            return _by_all_columns(rows, columns(node), changed.plan_id)
        return changed

    return cast(Relation, change(plan))


def _with_sorted_columns(node: Sort, rows: Aggregate, columns: Sequence[Attribute]) -> Relation:
    """`SELECT k … GROUP BY k ORDER BY sum(v)`: what only the order names is aggregated too, and dropped after it."""
    names = {column.name.lower() for column in columns}
    added: list[Alias] = []
    order = []
    for key in node.order:
        if _aggregates(key.child) or any(c.parts[-1].lower() not in names for c in _columns(key.child)):
            added.append(Alias(key.child, (f"__order_{len(added)}",)))
            key = replace(key, child=Column(added[-1].names))
        order.append(key)
    if not added:
        return node
    wider = replace(rows, aggregates=(*rows.aggregates, *added))
    return Drop(replace(node, input=wider, order=tuple(order), plan_id=None), names=_names(added), plan_id=node.plan_id)


def _names(aliases: Sequence[Alias]) -> tuple[str, ...]:
    return tuple(alias.names[0] for alias in aliases)


def _columns(expression: Node) -> list[Column]:
    """The columns by name in it, struct fields not told from columns."""
    return [one for one in expression.walk() if isinstance(one, Column) and len(one.parts) == 1]


def _by_all_columns(rows: Relation, columns: Sequence[Attribute], plan_id: int | None) -> Aggregate:
    names = [column.name for column in columns]
    if len({name.lower() for name in names}) < len(names):
        names = [f"{name}_{index}" for index, name in enumerate(names)]
        rows = ToDF(rows, tuple(names))
    keys = tuple(Column((name,)) for name in names)
    shown = tuple(Alias(key, (column.name,)) for key, column in zip(keys, columns, strict=True))
    same = all(key.parts[0] == column.name for key, column in zip(keys, columns, strict=True))
    return Aggregate(rows, "groupby", keys, () if same else shown, output_grouping=same, plan_id=plan_id)
