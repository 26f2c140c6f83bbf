"""`observe(name, metrics…)`: the rows pass as they are; the metrics are checked by Spark's rules.

Invariant: a name stands for one list of metrics over one plan.
"""

from __future__ import annotations

from headwater.compile.compiler import Compiler, on
from headwater.compile.frame import Frame
from headwater.errors import AnalysisError
from headwater.functions.base import functions
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from headwater.plan.node import Node


@on(plan.CollectMetrics)
def _collect_metrics(node: plan.CollectMetrics, frame: Frame, compiler: Compiler) -> Frame:
    del compiler
    check_metrics(node)
    return frame


def check_metrics(node: plan.CollectMetrics) -> None:
    """Raises INVALID_OBSERVED_METRICS."""
    if not node.name:
        raise AnalysisError("INVALID_OBSERVED_METRICS.MISSING_NAME", operator="CollectMetrics")
    for metric in node.metrics:
        _check(metric, inside=False)


def _check(node: Node, *, inside: bool) -> None:
    if isinstance(node, ex.Window):
        raise _invalid("WINDOW_EXPRESSIONS_UNSUPPORTED", node.function)
    if isinstance(node, ex.Column) and not inside:
        raise _invalid("NON_AGGREGATE_FUNC_ARG_IS_ATTRIBUTE", node)
    if isinstance(node, ex.Call) and _aggregates(node):
        if inside:
            raise _invalid("NESTED_AGGREGATES_UNSUPPORTED", node)
        if node.distinct or node.name in ("count_distinct", "countdistinct"):
            raise _invalid("AGGREGATE_EXPRESSION_WITH_DISTINCT_UNSUPPORTED", node)
        if node.filter is not None:
            raise _invalid("AGGREGATE_EXPRESSION_WITH_FILTER_UNSUPPORTED", node)
        inside = True
    for child in node.children():
        _check(child, inside=inside)


def _aggregates(call: ex.Call) -> bool:
    found = functions.get(call.name)
    return found is not None and found.kind == "aggregate"


def _invalid(kind: str, node: Node) -> AnalysisError:
    shown = ".".join(node.parts) if isinstance(node, ex.Column) else getattr(node, "name", type(node).__name__)
    return AnalysisError(f"INVALID_OBSERVED_METRICS.{kind}", expr=f'"{shown}"')


def check_names(root: plan.Relation) -> None:
    """Raises DUPLICATED_METRICS_NAME."""
    seen: dict[str, plan.CollectMetrics] = {}
    for node in root.walk():
        if isinstance(node, plan.CollectMetrics) and seen.setdefault(node.name, node) != node:
            raise AnalysisError("DUPLICATED_METRICS_NAME", metricName=node.name)
