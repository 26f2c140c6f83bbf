"""A streaming plan in the shapes that the rules and the operators know: what Spark's analyzer and optimizer make of it.

Invariants: the columns of the plan stay the same; what has no stream below stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import cast

from headwater.compile.resolved import Attribute
from headwater.functions.base import functions
from headwater.plan.expressions import Alias, Call, Column, Expression, PythonUDF, Window
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
    WithWatermark,
)
from headwater.streaming.pivots import in_two_steps

_RANDOM = frozenset({"rand", "random", "randn", "uuid", "shuffle", "monotonically_increasing_id", "randstr", "uniform"})


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

    A filter that does not look at the event time comes before the watermark: rows it drops do not move it. What
    `FROM a, b WHERE …` filters by is the join's condition.
    """

    def change(node: Node) -> Node:
        changed = node.map_children(change)
        if not isinstance(node, Relation) or not streams(node):
            return changed
        if isinstance(changed, Filter) and isinstance(changed.input, WithWatermark):
            return _below_the_watermark(changed, changed.input)
        if isinstance(changed, Filter) and isinstance(changed.input, Join):
            return _into_the_join(changed, changed.input)
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


def _below_the_watermark(node: Filter, marked: WithWatermark) -> Relation:
    """Spark pushes down what it may: parts of the condition without the event time, and none that is random."""
    parts = _conjuncts(node.condition)
    time = marked.event_time.split(".")[0].lower()
    pushed = [part for part in parts if not _names_time(part, time) and not _random(part)]
    if not pushed:
        return node
    rest = [part for part in parts if part not in pushed]
    below = Filter(marked.input, _all_of(pushed), plan_id=marked.input.plan_id)
    if isinstance(marked.input, WithWatermark):
        below = cast(Filter, _below_the_watermark(below, marked.input))
    above = replace(marked, input=below, plan_id=marked.plan_id if rest else node.plan_id)
    return replace(node, input=above, condition=_all_of(rest)) if rest else above


def _into_the_join(node: Filter, join: Join) -> Relation:
    if join.kind not in ("inner", "cross") or join.using or join.natural or join.lateral:
        return node
    parts = _conjuncts(node.condition)
    if any(_random(part) for part in parts):
        return node
    whole = _all_of([*([] if join.condition is None else [join.condition]), *parts])
    return replace(join, kind="inner", condition=whole, plan_id=node.plan_id)


def _conjuncts(condition: Expression) -> list[Expression]:
    if isinstance(condition, Call) and condition.name.lower() == "and" and len(condition.arguments) == 2:
        return [one for part in condition.arguments for one in _conjuncts(part)]
    return [condition]


def _all_of(parts: Sequence[Expression]) -> Expression:
    whole = parts[0]
    for part in parts[1:]:
        whole = Call("and", (whole, part))
    return whole


def _names_time(part: Expression, time: str) -> bool:
    return any(isinstance(one, Column) and time in (name.lower() for name in one.parts) for one in part.walk())


def _random(part: Expression) -> bool:
    """Whether its answer may differ from one call to the next, or is not known from the row alone."""
    return any(
        isinstance(one, Relation | PythonUDF) or (isinstance(one, Call) and one.name.lower() in _RANDOM)
        for one in part.walk()
    )


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
