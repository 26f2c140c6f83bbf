"""What a query's trigger and its way of tracking progress allow: Spark's rules, in Spark's words.

Continuous and real-time queries run here as micro-batches that follow each other without a pause; what Spark's modes
refuse is refused all the same, so that a query that runs here runs there.

Invariant: nothing is refused that Spark runs in the same mode, but for what Headwater lacks anywhere.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from headwater.errors import IllegalArgumentError
from headwater.io.formats.base import FormatOptions
from headwater.plan.commands import StartStream
from headwater.plan.expressions import Call
from headwater.plan.node import Node
from headwater.plan.relations import (
    Aggregate,
    ApplyInPandasWithState,
    CachedRemote,
    CollectMetrics,
    CommonTables,
    Deduplicate,
    Distinct,
    Drop,
    DropNA,
    FillNA,
    Filter,
    GeneratorJoin,
    Hint,
    Join,
    Limit,
    Project,
    Relation,
    ReplaceNA,
    SetOperation,
    SubqueryAlias,
    ToDF,
    ToSchema,
    TransformWithState,
    WithColumns,
    WithColumnsRenamed,
    WithRelations,
    WithWatermark,
)
from headwater.settings import Settings
from headwater.streaming.analysis import refused
from headwater.streaming.leaves import Leaf

_ASYNC, _ASYNC_INTERVAL = "asyncprogresstrackingenabled", "asyncprogresstrackingcheckpointintervalms"
_ASYNC_OVERRIDE = "_asyncprogresstrackingoverridesinksupportcheck"
_ASYNC_SINKS = frozenset({"noop", "console", "memory", "kafka", "foreach"})
_CONTINUOUS_SOURCES = frozenset({"rate", "kafka", "socket"})
_CONTINUOUS_SINKS = frozenset({"noop", "console", "memory", "kafka", "foreach"})
_REAL_TIME_SOURCES = frozenset({"kafka"})
_REAL_TIME_SINKS = frozenset({"console", "memory", "kafka", "foreach", "headwater-memory"})
_ROWS = (
    Project,
    WithColumns,
    WithColumnsRenamed,
    ToDF,
    ToSchema,
    Drop,
    Filter,
    SubqueryAlias,
    FillNA,
    DropNA,
    ReplaceNA,
)
"""Nodes that Spark plans as projections and filters."""
_NOW = frozenset({"current_timestamp", "now", "current_date", "curdate", "localtimestamp", "current_time"})
_SPARK_NAMES = {
    WithWatermark: "EventTimeWatermark",
    Limit: "LocalLimit",
    SetOperation: "Union",
    GeneratorJoin: "Generate",
    Distinct: "Deduplicate",
}
_REAL_TIME_REFUSED = {
    ApplyInPandasWithState: "FlatMapGroupsInPandasWithStateExec",
    Limit: "StreamingGlobalLimitExec",
    Join: "StreamingSymmetricHashJoinExec",
}
_INPUT_CLASSES = {
    "rate": "org.apache.spark.sql.execution.streaming.sources.RateStreamMicroBatchStream",
    "rate-micro-batch": "org.apache.spark.sql.execution.streaming.sources.RatePerMicroBatchStream",
    "delta": "org.apache.spark.sql.delta.sources.DeltaSource",
}
_FILE_SOURCE = "org.apache.spark.sql.execution.streaming.runtime.FileStreamSource"


@dataclass(frozen=True)
class Mode:
    """A query about to start: its command, checked plan, sources and sink."""

    command: StartStream
    plan: Relation
    leaves: Sequence[Leaf]
    sink: str
    settings: Settings

    def check(self) -> None:
        """Refuse what the trigger does not allow. Raises Spark's errors."""
        if self.command.trigger.kind == "continuous":
            self._continuous()
        elif self.command.trigger.kind == "real_time":
            self._real_time()

    def async_ms(self) -> int | None:
        """The interval of asynchronous progress tracking; None: it is off. Raises where Spark does."""
        options = FormatOptions(self.command.options)
        given = options.text(_ASYNC) or "false"
        if given.lower() not in ("true", "false"):
            raise IllegalArgumentError("ASYNC_PROGRESS_TRACKING.OPTION", value=given)
        if given.lower() == "false" or self.command.trigger.kind == "continuous":
            return None
        interval = options.text(_ASYNC_INTERVAL) or "1000"
        if not interval.isdecimal():
            raise IllegalArgumentError("ASYNC_PROGRESS_TRACKING.OPTION", value=interval)
        if self.command.trigger.kind == "real_time" and int(interval) > 0:
            raise IllegalArgumentError(
                "STREAMING_REAL_TIME_MODE.ASYNC_PROGRESS_TRACKING_CHECKPOINTING_INTERVAL_NON_ZERO"
            )
        self._async(options)
        return int(interval)

    def _async(self, options: FormatOptions) -> None:
        trigger = {"once": "Once", "available_now": "AvailableNow"}.get(self.command.trigger.kind)
        if self.sink.lower() not in _ASYNC_SINKS and not options.flag(_ASYNC_OVERRIDE):
            raise IllegalArgumentError("ASYNC_PROGRESS_TRACKING.SINK", sink=self.sink)
        if trigger is not None:
            raise IllegalArgumentError("ASYNC_PROGRESS_TRACKING.TRIGGER", trigger=trigger)
        if any(self._stateful(node) for node in self._relations(self.plan)):
            raise IllegalArgumentError("ASYNC_PROGRESS_TRACKING.STATEFUL")

    # ── continuous ──────────────────────────────────────────────────────────────────────────────────────────

    def _continuous(self) -> None:
        if self.sink == "foreachBatch":
            raise refused("'foreachBatch' is not supported with continuous trigger.")
        allowed = {leaf.relation_id for leaf in self.leaves if _allows(leaf, "continuous", _CONTINUOUS_SOURCES)}
        for node in self._relations(self.plan):
            if isinstance(node, CachedRemote) and node.relation_id in allowed:
                continue
            if not isinstance(node, _ROWS):
                name = "StreamingRelation" if isinstance(node, CachedRemote) else _spark_name(node)
                raise refused(f"Continuous processing does not support {name} operations.")
            if any(isinstance(one, Call) and one.name in _NOW for one in _expressions(node)):
                raise refused("Continuous processing does not support current time operations.")
        if self.sink.lower() not in _CONTINUOUS_SINKS:
            raise refused(f"Data source {self.sink} does not support continuous processing.")

    # ── real time ───────────────────────────────────────────────────────────────────────────────────────────

    def _real_time(self) -> None:
        least = self.settings.duration_ms("spark.sql.streaming.realTimeMode.minBatchDuration")
        if self.command.trigger.interval_ms < least:
            raise IllegalArgumentError(
                "INVALID_STREAMING_REAL_TIME_MODE_TRIGGER_INTERVAL",
                interval=self.command.trigger.interval_ms,
                minBatchDuration=least,
            )
        if self.command.output_mode != "update":
            mode = self.command.output_mode.capitalize()
            raise IllegalArgumentError("STREAMING_REAL_TIME_MODE.OUTPUT_MODE_NOT_SUPPORTED", outputMode=mode)
        if self.settings.flag("spark.sql.streaming.realTimeMode.allowlistCheck"):
            self._real_time_allowed()
        self._real_time_unions()
        for leaf in self.leaves:
            name = leaf.request.format
            if not _allows(leaf, "real_time", _REAL_TIME_SOURCES):
                class_name = _INPUT_CLASSES.get(name.lower(), _FILE_SOURCE if leaf.request.paths else name)
                raise IllegalArgumentError("STREAMING_REAL_TIME_MODE.INPUT_STREAM_NOT_SUPPORTED", className=class_name)

    def _real_time_allowed(self) -> None:
        if self.sink.lower() not in _REAL_TIME_SINKS:
            raise _not_allowed("sink", self.sink)
        for node in self._relations(self.plan):
            name = _REAL_TIME_REFUSED.get(type(node))
            if name is not None and (not isinstance(node, Join) or self._joins_streams(node)):
                raise _not_allowed("operator", name)

    def _real_time_unions(self) -> None:
        for node in self._relations(self.plan):
            if not isinstance(node, SetOperation):
                continue
            if any(self._stateful(one) for side in (node.left, node.right) for one in self._relations(side)):
                raise IllegalArgumentError("STREAMING_REAL_TIME_MODE.STATEFUL_OPERATORS_BEFORE_UNION_NOT_SUPPORTED")
            requests = [leaf.request for leaf in self.leaves]
            if any(requests.count(request) > 1 for request in requests):
                names = ", ".join(request.format for request in requests)
                raise IllegalArgumentError(
                    "STREAMING_REAL_TIME_MODE.IDENTICAL_SOURCES_IN_UNION_NOT_SUPPORTED", sources=names
                )

    # ── the plan ────────────────────────────────────────────────────────────────────────────────────────────

    def _relations(self, node: Relation) -> Iterator[Relation]:
        """The relations of a plan, inputs first."""
        for child in node.children():
            if isinstance(child, Relation):
                yield from self._relations(child)
        if not isinstance(node, CollectMetrics | CommonTables | Hint | WithRelations):
            yield node

    def _streams(self, node: Relation) -> bool:
        known = {leaf.relation_id for leaf in self.leaves}
        return any(isinstance(one, CachedRemote) and one.relation_id in known for one in node.walk())

    def _joins_streams(self, node: Join) -> bool:
        return self._streams(node.left) and self._streams(node.right)

    def _stateful(self, node: Relation) -> bool:
        if isinstance(node, Join):
            return self._joins_streams(node)
        kinds = (Aggregate, Deduplicate, Distinct, Limit, ApplyInPandasWithState, TransformWithState)
        return isinstance(node, kinds) and self._streams(node)


def _allows(leaf: Leaf, mode: str, formats: frozenset[str]) -> bool:
    """Whether a source runs in a mode: by its format, or because its provider says so."""
    return leaf.request.format.lower() in formats or bool(getattr(leaf.provider, mode, False))


def _expressions(node: Relation) -> Iterator[Node]:
    for child in node.children():
        if not isinstance(child, Relation):
            yield from child.walk()


def _spark_name(node: Relation) -> str:
    return _SPARK_NAMES.get(type(node), type(node).__name__)


def _not_allowed(kind: str, name: str) -> IllegalArgumentError:
    return IllegalArgumentError(
        "STREAMING_REAL_TIME_MODE.OPERATOR_OR_SINK_NOT_IN_ALLOWLIST", errorType=kind, message=f"{name} is"
    )
