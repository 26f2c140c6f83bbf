"""Which plans may stream, in which output mode: Spark's rules for what Headwater runs, by Spark's words.

Invariants: a plan that passes gives the rows Spark would give; a stateful operator that is missing here is refused by
name, never run as if the batch were the whole stream.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from headwater.errors import AnalysisError, unsupported
from headwater.functions.base import functions
from headwater.plan.expressions import Call, Window
from headwater.plan.node import Node
from headwater.plan.relations import (
    Aggregate,
    CachedRemote,
    CollectMetrics,
    Join,
    Limit,
    Offset,
    Project,
    Relation,
    Sample,
    SetOperation,
    Sort,
    Statistic,
    Tail,
    WithRelations,
    WithWatermark,
)
from headwater.sinks.base import OutputMode

_SIDES = {
    "left_outer": (
        "right",
        "LeftOuter join with a streaming DataFrame/Dataset on the right and a static "
        "DataFrame/Dataset on the left is not supported",
    ),
    "right_outer": (
        "left",
        "RightOuter join with a streaming DataFrame/Dataset on the left and a static "
        "DataFrame/DataSet on the right not supported",
    ),
    "full_outer": (
        "either",
        "FullOuter joins with streaming DataFrames/Datasets on the left and a static "
        "DataFrame/Dataset on the right is not supported",
    ),
    "left_semi": (
        "right",
        "LeftSemi join with a streaming DataFrame/Dataset on the right and a static "
        "DataFrame/Dataset on the left is not supported",
    ),
    "left_anti": ("right", "LeftAnti joins with a streaming DataFrame/Dataset on the right are not supported"),
}
_WAY_OUT = "Do it in foreachBatch, or run the query on Apache Spark."


def refused(message: str) -> AnalysisError:
    """Spark's error for a streaming operation it does not have."""
    return AnalysisError("_LEGACY_ERROR_TEMP_3102", msg=message)


def check_stream(plan: Relation, leaves: set[str], mode: OutputMode) -> None:
    """Check a plan whose streams are `CachedRemote` of `leaves`. Raises AnalysisError, UNSUPPORTED_FEATURE."""
    check = _Check(leaves, mode)
    check.plan = plan
    check.visit(plan)
    check.whole()


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


class _Check:
    def __init__(self, leaves: set[str], mode: OutputMode) -> None:
        self.leaves = leaves
        self.mode = mode
        self.plan: Relation
        self.aggregates: list[Aggregate] = []
        self._seen: dict[int, bool] = {}

    def streams(self, node: Node) -> bool:
        """Whether a stream is below."""
        known = self._seen.get(id(node))
        if known is None:
            known = isinstance(node, CachedRemote) and node.relation_id in self.leaves
            known = known or any(self.streams(child) for child in node.children())
            self._seen[id(node)] = known
        return known

    def aggregated(self, node: Node) -> bool:
        """Whether a streaming aggregation is below."""
        return any(isinstance(one, Aggregate) and self.streams(one) for one in node.walk())

    def visit(self, node: Node) -> None:
        """Check a node and all below it, inputs first."""
        for child in node.children():
            self.visit(child)
        if isinstance(node, Relation) and self.streams(node):
            if type(node) in _REFUSED:
                raise refused(_REFUSED[type(node)])
            if type(node) in _MISSING:
                raise unsupported(_MISSING[type(node)], _WAY_OUT)
            if type(node) in _RULES:
                _RULES[type(node)](self, node)
            self.windows(node)
            self.subqueries(node)

    def windows(self, node: Relation) -> None:
        """No window functions over a stream."""
        for child in node.children():
            if isinstance(child, Relation):
                continue
            window = next((one for one in child.walk() if isinstance(one, Window)), None)
            if window is not None:
                name = window.function.name.upper() + "()" if isinstance(window.function, Call) else "a function"
                raise AnalysisError(
                    "NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING", windowFunc=name, columnName="", windowSpec="OVER (…)"
                )

    def subqueries(self, node: Relation) -> None:
        """No stream inside an expression: it would be read as if the batch were all of it."""
        for child in node.children():
            inner = child.walk() if not isinstance(child, Relation) else iter(())
            if any(isinstance(one, Relation) and self.streams(one) for one in inner):
                raise unsupported("a subquery over a stream", _WAY_OUT)

    def whole(self) -> None:
        """The rules about the query as a whole: one aggregation, and its output mode."""
        if not self.aggregates:
            if self.mode == "complete":
                raise _mode_error(self.mode, "no streaming aggregations")
            return
        if self.mode == "append" and not any(isinstance(one, WithWatermark) for one in self.plan.walk()):
            raise _mode_error(self.mode, "streaming aggregations without watermark")

    # ── operators ───────────────────────────────────────────────────────────────────────────────────────────

    def aggregate(self, node: Aggregate) -> None:
        calls = [one for child in node.aggregates for one in child.walk() if isinstance(one, Call)]
        if any(call.distinct or call.name in ("count_distinct", "countdistinct") for call in calls):
            raise refused(
                "Distinct aggregations are not supported on streaming DataFrames/Datasets. "
                "Consider using approx_count_distinct() instead."
            )
        self.aggregates.append(node)

    def join(self, node: Join) -> None:
        left, right = self.streams(node.left), self.streams(node.right)
        if left and right:
            return
        side, message = _SIDES.get(node.kind, ("none", ""))
        if side == "either" or (side == "right" and right) or (side == "left" and left):
            raise refused(message)

    def set_operation(self, node: SetOperation) -> None:
        left, right = self.streams(node.left), self.streams(node.right)
        if node.kind == "union" and left and right:
            if not node.all and not node.by_name:
                raise unsupported("UNION DISTINCT of streams", _WAY_OUT)
            return
        if node.kind == "union":
            raise refused("Union between streaming and batch DataFrames/Datasets is not supported")
        if node.kind == "intersect":
            raise refused("Intersect of streaming DataFrames/Datasets is not supported")
        raise refused("Except on a streaming DataFrame/Dataset on the right is not supported")

    def references(self, node: WithRelations) -> None:
        if any(self.streams(one) for one in node.references):
            raise unsupported("a subquery over a stream", _WAY_OUT)

    def sort(self, node: Sort) -> None:
        if node.is_global and not (self.mode == "complete" and self.aggregated(node.input)):
            raise refused(
                "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated "
                "DataFrame/Dataset in Complete output mode"
            )

    def limit(self, node: Limit) -> None:
        if self.mode == "update":
            raise refused("Limits are not supported on streaming DataFrames/Datasets in Update output mode")

    def offset(self, node: Offset) -> None:
        if not (self.mode == "complete" and self.aggregated(node.input)):
            raise refused("Offset is not supported on streaming DataFrames/Datasets")


def _mode_error(mode: OutputMode, operation: str) -> AnalysisError:
    return AnalysisError("STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION", outputMode=mode, operation=operation)


_RULES: dict[type[Relation], Callable[[_Check, Any], None]] = {
    Aggregate: _Check.aggregate,
    Join: _Check.join,
    SetOperation: _Check.set_operation,
    Sort: _Check.sort,
    Limit: _Check.limit,
    Offset: _Check.offset,
    WithRelations: _Check.references,
}

_REFUSED: dict[type[Relation], str] = {
    Sample: "Sampling is not supported on streaming DataFrames/Datasets",
    Tail: "Tail is not supported on streaming DataFrames/Datasets",
}
_MISSING: dict[type[Relation], str] = {
    CollectMetrics: "observe on a stream",
    Statistic: "a statistic of a stream",
}
