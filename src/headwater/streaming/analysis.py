"""Which plans may stream, in which output mode: the rules of Spark 4.3's `UnsupportedOperationChecker`, in its words.

The order is Spark's, and of several faults the first is told: Python state functions, the output mode, then every
relation from the inputs up, last the chains of stateful operators. Rules that need columns (is the watermark among the
keys?) look at compiled attributes. What Spark finds out when it plans a batch is told then: `operators.refused`.

Invariants: a plan that passes gives the rows Spark would give; what is missing here is refused by name, never run as if
the batch were the whole stream, even where Spark's checks are turned off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pyspark.sql.types import BooleanType, NumericType

from headwater import compile as compiler
from headwater.compile import Compiler, compile_join
from headwater.compile.relations.sessions import is_session
from headwater.compile.relations.sets import duplicate_keys
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute
from headwater.errors import AnalysisError, unsupported
from headwater.log import logger
from headwater.plan.expressions import Alias, Call, Window
from headwater.plan.relations import (
    Aggregate,
    ApplyInPandasWithState,
    Deduplicate,
    Join,
    Limit,
    Offset,
    Relation,
    Sample,
    SetOperation,
    Sort,
    Statistic,
    Tail,
    TransformWithState,
    Transpose,
)
from headwater.sinks.base import OutputMode
from headwater.streaming.leaves import Leaf, StreamContext, StreamSession
from headwater.streaming.operators.join_watermark import is_bounded
from headwater.streaming.reading import Streams, downwards, expressions_of, is_distinct, upwards
from headwater.streaming.rewriting import as_spark_runs_it, with_explicit_aggregates

_LOG = logger("streaming.analysis")
_WAY_OUT = "Do it in foreachBatch, or run the query on Apache Spark."
_LATE_CHAIN = (
    "Detected pattern of possible 'correctness' issue due to global watermark. The query contains stateful operation "
    'which can emit rows older than the current watermark plus allowed late record delay, which are "late rows" in '
    "downstream stateful operations and these rows can be discarded. Please refer the programming guide doc for more "
    "details. If you understand the possible risk of correctness issue and still need to run the query, you can "
    "disable this check by setting the config `spark.sql.streaming.statefulOperator.checkCorrectness.enabled` to false."
)
NEEDS_START = (
    "Queries with streaming sources must be executed with writeStream.start(), or from a streaming table or flow "
    "definition within a Spark Declarative Pipeline."
)
"""What an action says to a DataFrame that streams."""
_JOINS = {
    "inner": "Inner",
    "cross": "Cross",
    "left_outer": "LeftOuter",
    "right_outer": "RightOuter",
    "full_outer": "FullOuter",
    "left_semi": "LeftSemi",
    "left_anti": "LeftAnti",
}


def refused(message: str) -> AnalysisError:
    """Spark's error for a streaming operation it does not have."""
    return AnalysisError("_LEGACY_ERROR_TEMP_3102", msg=message)


# ── event time ──────────────────────────────────────────────────────────────────────────────────────────────


def event_time(attributes: Sequence[Attribute]) -> Attribute | None:
    """The column that carries the watermark, or None. Raises MULTIPLE_EVENT_TIME_COLUMNS."""
    found = [a for a in attributes if DELAY in a.metadata]
    if len({a.origin or a.sql for a in found}) > 1:
        names = ",".join(f"{a.name}-T{a.metadata[DELAY]}ms" for a in found)
        raise AnalysisError("MULTIPLE_EVENT_TIME_COLUMNS", eventTimeCols=f"({names})")
    return found[0] if found else None


def required_event_time(attributes: Sequence[Attribute]) -> Attribute:
    """The column that carries the watermark. Raises Spark's error for `dropDuplicatesWithinWatermark` without one."""
    found = event_time(attributes)
    if found is None:
        raise refused(
            "dropDuplicatesWithinWatermark is not supported on streaming DataFrames/DataSets without watermark"
        )
    return found


def aggregate_refused(mode: OutputMode, operation: str = "streaming aggregations without watermark") -> AnalysisError:
    """For an aggregation that the output mode does not allow."""
    return AnalysisError("STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION", outputMode=mode, operation=operation)


# ── the check ───────────────────────────────────────────────────────────────────────────────────────────────


def checked(plan: Relation, leaves: Sequence[Leaf], session: StreamSession, mode: OutputMode) -> Relation:
    """The plan to run, if it may. Raises AnalysisError, UNSUPPORTED_FEATURE."""
    context = StreamContext(session, {leaf.relation_id: leaf.resolved(index) for index, leaf in enumerate(leaves)})
    plan = with_explicit_aggregates(plan)
    check = _Check(plan, context, mode)
    if context.settings.flag("spark.sql.streaming.unsupportedOperationCheck"):
        check.spark_rules()
    check.missing()
    return as_spark_runs_it(plan, check.streams, check.columns)


class _Check:
    def __init__(self, plan: Relation, context: StreamContext, mode: OutputMode) -> None:
        self.plan = plan
        self.context = context
        self.mode = mode
        self.streams = Streams(context).below
        self.aggregates = self.aggregates_of(plan)

    def spark_rules(self) -> None:
        """Spark's checks, in Spark's order."""
        self.state_functions()
        self.output_mode()
        for node in upwards(self.plan):
            rule = _RULES.get(type(node))
            if rule is not None:
                rule(self, node)
            self.expressions(node)
        self.chains()

    def aggregates_of(self, node: Relation) -> list[Relation]:
        """The streaming aggregations at or below a node, topmost first."""
        return [
            one for one in downwards(node) if (isinstance(one, Aggregate) or is_distinct(one)) and self.streams(one)
        ]

    def columns(self, node: Relation) -> tuple[Attribute, ...]:
        """The columns of a relation."""
        return compiler.compile_cut(node, self.context).attributes

    def watermarked(self, node: Relation) -> bool:
        """Whether a column of the relation carries a watermark."""
        return any(DELAY in column.metadata for column in self.columns(node))

    def keys(self, node: Relation) -> Sequence[Attribute]:
        """The grouping columns of an aggregation."""
        if not isinstance(node, Aggregate):
            return self.columns(node)
        frame = Compiler(self.context).relation(replace(node, having=None))
        return [key.attribute for key in frame.grouped.keys] if frame.grouped else []

    # ── the query as a whole ────────────────────────────────────────────────────────────────────────────────

    def state_functions(self) -> None:
        """One `applyInPandasWithState` at most; who names an event time has one."""
        functions = [one for one in downwards(self.plan) if self.streams(one)]
        for one in functions:
            if isinstance(one, TransformWithState) and one.event_time and not self.watermarked(one.input):
                raise AnalysisError("CANNOT_ASSIGN_EVENT_TIME_COLUMN_WITHOUT_WATERMARK")
        if sum(isinstance(one, ApplyInPandasWithState) for one in functions) > 1:
            raise refused("Multiple applyInPandasWithStates are not supported on a streaming DataFrames/Datasets")

    def output_mode(self) -> None:
        """The output mode suits the topmost aggregation."""
        if not self.aggregates:
            if self.mode == "complete":
                raise aggregate_refused(self.mode, "no streaming aggregations")
            return
        if self.mode == "complete":
            return
        keys = self.keys(self.aggregates[0])
        if self.mode == "append" and not any(DELAY in key.metadata for key in keys):
            raise aggregate_refused(self.mode)
        if self.mode == "update" and any(is_session(key.metadata) for key in keys):
            raise aggregate_refused(self.mode, "session window streaming aggregations")

    def chains(self) -> None:
        """No stateful operator above one that may emit rows older than the watermark."""
        if not any(self.follows_late_rows(node) for node in downwards(self.plan)):
            return
        if self.context.settings.flag("spark.sql.streaming.statefulOperator.checkCorrectness.enabled"):
            raise refused(_LATE_CHAIN)
        _LOG.warning("%s", _LATE_CHAIN)

    def follows_late_rows(self, node: Relation) -> bool:
        if not self.stateful(node):
            return False
        pivot = isinstance(node, Aggregate) and node.kind == "pivot" and self.mode != "append"
        if pivot and self.pivots_in_two_steps(node):
            return True
        return any(one is not node and self.emits_late_rows(one) for one in downwards(node))

    def stateful(self, node: Relation) -> bool:
        """Whether the node drops late rows."""
        if not self.streams(node):
            return False
        if isinstance(node, Join):
            return self.streams(node.left) and self.streams(node.right)
        if isinstance(node, Deduplicate):
            return node.within_watermark or any(DELAY in key.metadata for key in self.duplicate_keys(node))
        return isinstance(node, Aggregate | ApplyInPandasWithState | TransformWithState) or is_distinct(node)

    def emits_late_rows(self, node: Relation) -> bool:
        if not self.streams(node):
            return False
        if isinstance(node, ApplyInPandasWithState):
            return node.timeout == "EventTimeTimeout"
        return self.mode != "append" and (isinstance(node, Aggregate) or is_distinct(node))

    def pivots_in_two_steps(self, node: Relation) -> bool:
        """Whether Spark's pivot is an aggregation of an aggregation: where all values are numbers or booleans."""
        assert isinstance(node, Aggregate)
        values = self.columns(node)[len(self.keys(node)) :]
        return all(isinstance(value.type, NumericType | BooleanType) for value in values)

    def duplicate_keys(self, node: Deduplicate) -> list[Attribute]:
        fold = not self.context.settings.flag("spark.sql.caseSensitive")
        return duplicate_keys(node, self.columns(node.input), fold)

    # ── relations ───────────────────────────────────────────────────────────────────────────────────────────

    def aggregate(self, node: Aggregate) -> None:
        if not self.streams(node):
            return
        own = [*node.aggregates, *([node.having] if node.having else [])]
        calls = [one for child in own for one in (child, *expressions_of(child)) if isinstance(one, Call)]
        if any(call.distinct or call.name.lower() in ("count_distinct", "countdistinct") for call in calls):
            raise refused(
                "Distinct aggregations are not supported on streaming DataFrames/Datasets. "
                "Consider using approx_count_distinct() instead."
            )

    def state_function(self, node: ApplyInPandasWithState) -> None:
        if not self.streams(node):
            return
        self._state_function_mode(node)
        if node.timeout == "EventTimeTimeout" and not self.watermarked(node.input):
            raise refused(
                "Watermark must be specified in the query using '[Dataset/DataFrame].withWatermark()' for using "
                "event-time timeout in a applyInPandasWithState. Event-time timeout not supported without watermark."
            )

    def _state_function_mode(self, node: ApplyInPandasWithState) -> None:
        mode, on = node.output_mode, "on a streaming DataFrame/Dataset"
        if not self.aggregates:
            if mode != self.mode and mode != "complete":
                raise refused(
                    f"applyInPandasWithState in {mode} mode is not supported with "
                    f"{self.mode.capitalize()} output mode {on}"
                )
        elif mode == "update":
            raise refused(f"applyInPandasWithState in update mode is not supported with aggregation {on}")
        elif self.aggregates_of(node):
            raise refused(f"applyInPandasWithState in append mode is not supported after aggregation {on}")

    def join(self, node: Join) -> None:
        left, right, name = self.streams(node.left), self.streams(node.right), _JOINS[node.kind]
        if left and right:
            self._join_mode(node, name)
            self._join_ends(node, name)
        if node.kind == "full_outer" and left != right:
            stream, static = ("left", "right") if left else ("right", "left")
            raise refused(
                f"FullOuter joins with streaming DataFrames/Datasets on the {stream} and a static "
                f"DataFrame/Dataset on the {static} is not supported"
            )
        if node.kind == "left_anti" and right:
            raise refused("LeftAnti joins with a streaming DataFrame/Dataset on the right are not supported")
        if node.kind in ("left_outer", "left_semi") and right and not left:
            raise refused(
                f"{name} join with a streaming DataFrame/Dataset on the right and a static DataFrame/Dataset "
                "on the left is not supported"
            )
        if node.kind == "right_outer" and left and not right:
            raise refused(
                "RightOuter join with a streaming DataFrame/Dataset on the left and a static DataFrame/DataSet "
                "on the right not supported"
            )

    def _join_mode(self, node: Join, name: str) -> None:
        outer = node.kind.endswith("outer")
        allowed = ("append",) if outer else ("append", "update")
        if self.mode not in allowed and node.kind != "left_anti":
            modes = "Append output mode" if outer else "Append and Update output modes"
            raise refused(
                f"{name} join between two streaming DataFrames/Datasets is not supported in "
                f"{self.mode.capitalize()} output mode, only in {modes}"
            )

    def _join_ends(self, node: Join, name: str) -> None:
        """The state of an outer or semi join can be let go."""
        if node.kind in ("inner", "cross", "left_anti") or is_bounded(compile_join(node, self.context), self.context):
            return
        raise refused(
            f"Stream-stream {name} join between two streaming DataFrame/Datasets is not supported without a "
            "watermark in the join keys, or a watermark on the nullable side and an appropriate range condition"
        )

    def deduplicate(self, node: Deduplicate) -> None:
        if node.within_watermark and self.streams(node) and not self.watermarked(node.input):
            required_event_time(self.columns(node.input))

    def set_operation(self, node: SetOperation) -> None:
        left, right = self.streams(node.left), self.streams(node.right)
        if node.kind == "union" and left != right:
            raise refused("Union between streaming and batch DataFrames/Datasets is not supported")
        if node.kind == "except" and right:
            raise refused("Except on a streaming DataFrame/Dataset on the right is not supported")
        if node.kind == "intersect" and (left or right):
            raise refused("Intersect of streaming DataFrames/Datasets is not supported")

    def sort(self, node: Sort) -> None:
        complete = self.mode == "complete" and any(isinstance(one, Aggregate) for one in self.aggregates_of(node))
        if self.streams(node) and not complete:
            raise refused(
                "Sorting is not supported on streaming DataFrames/Datasets, unless it is on aggregated "
                "DataFrame/Dataset in Complete output mode"
            )

    def limit(self, node: Limit) -> None:
        if self.streams(node) and self.mode == "update":
            raise refused("Limits are not supported on streaming DataFrames/Datasets in Update output mode")

    def offset(self, node: Offset) -> None:
        del node
        raise refused("Offset is not supported on streaming DataFrames/Datasets")

    def sample(self, node: Sample) -> None:
        if self.streams(node):
            raise refused("Sampling is not supported on streaming DataFrames/Datasets")

    # ── expressions ─────────────────────────────────────────────────────────────────────────────────────────

    def expressions(self, node: Relation) -> None:
        """No window functions over a stream; no row numbers that start again with every batch."""
        found = list(expressions_of(node))
        window = next((one for one in found if isinstance(one, Window)), None)
        if window is not None and self.streams(node):
            raise self._window_refused(node, window)
        if any(isinstance(one, Call) and one.name.lower() == "monotonically_increasing_id" for one in found):
            raise refused(
                "Expression(s): monotonically_increasing_id() is not supported with streaming DataFrames/Datasets"
            )

    def _window_refused(self, node: Any, window: Window) -> AnalysisError:
        made = Compiler(self.context)
        name = made.expression(window, made.scope(made.relation(node.input))).name
        function, _, spec = name.partition(" OVER ")
        shown = (one.names[0] for one in expressions_of(node) if isinstance(one, Alias) and one.child is window)
        return AnalysisError(
            "NON_TIME_WINDOW_NOT_SUPPORTED_IN_STREAMING",
            windowFunc=function.upper(),
            columnName=f"`{next(shown, name)}`",
            windowSpec=spec.upper(),
        )

    # ── what is missing here ────────────────────────────────────────────────────────────────────────────────

    def missing(self) -> None:
        """Raises UNSUPPORTED_FEATURE for what would be run as if the batch were the whole stream."""
        for node in upwards(self.plan):
            if self.streams(node) and isinstance(node, Transpose):
                raise refused(NEEDS_START)
            if self.streams(node) and type(node) in _MISSING:
                raise unsupported(_MISSING[type(node)], _WAY_OUT)
            if isinstance(node, SetOperation) and self.streams(node) and not self._set_operation_runs(node):
                raise unsupported(f"{node.kind.upper()}{' ALL' if node.all else ''} on a stream", _WAY_OUT)

    def _set_operation_runs(self, node: SetOperation) -> bool:
        """Unions do, and a stream without the rows of a static relation."""
        return node.kind == "union" or (node.kind == "except" and not node.all and not self.streams(node.right))


_RULES: dict[type[Relation], Callable[[_Check, Any], None]] = {
    Aggregate: _Check.aggregate,
    ApplyInPandasWithState: _Check.state_function,
    Join: _Check.join,
    Deduplicate: _Check.deduplicate,
    SetOperation: _Check.set_operation,
    Sort: _Check.sort,
    Limit: _Check.limit,
    Offset: _Check.offset,
    Sample: _Check.sample,
}

_MISSING: dict[type[Relation], str] = {
    Statistic: "a statistic of a stream",
    Tail: "tail on a stream",
}
