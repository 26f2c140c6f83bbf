"""A streaming query ready to run: compiled queries, and between them the nodes that look at or keep something.

The plan is cut at its watermarks and its stateful operators (`cutting`). Stages run in order, inputs before what reads
them; each gives its rows as a table or view that the next ones name. The query above them all is the output.

Invariants: nothing is compiled here; a batch that fails leaves the run unusable, never the files; the state of all
operators is at one version.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, cast

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import AnalysisError, RuntimeSparkError
from headwater.state.store import StateStore
from headwater.streaming import times
from headwater.streaming.observing import ObserveNode, ObserveStage
from headwater.streaming.operators.base import Moment, StatefulOperator, TellsEventTimes, evict_name, late_name
from headwater.streaming.progress import StateReport
from headwater.streaming.statics import StaticSide
from headwater.streaming.watermark import (
    EventTimes,
    Feed,
    WatermarkNode,
    WatermarkStage,
    WatermarkTracker,
    input_watermarks,
)

_REDEFINED = (
    "Redefining watermark is disallowed. You can set the config "
    "'spark.sql.streaming.statefulOperator.allowMultiple' to 'false' to restore the previous behavior. "
    "Note that multiple stateful operators will be disallowed."
)


_PURGED_AT_ONCE = 10


@dataclass(frozen=True)
class OperatorNode:
    """A stateful operator, what flows into it (see `Feed`), and where it keeps its state.

    `reads`: its queries over what flows into it, as far as they are known.
    """

    number: int
    operator: StatefulOperator
    sources: tuple[str, ...]
    stores: Sequence[StateStore] = ()
    reads: tuple[exp.Query, ...] = ()


Node = WatermarkNode | ObserveNode | OperatorNode


@dataclass(frozen=True)
class Dataflow:
    """A streaming query, compiled.

    Attributes:
        query: the output, over the temporary views `stream_<i>` and the nodes' outputs.
        schema: Spark's schema of the output; columns of `query` by position.
        leaves: the column names of each `stream_<i>`, in the order of the sources.
        inputs: Arrow data of the static side.
        nodes: in the order they run.
        statics: static reads that are renewed before each batch.
    """

    query: exp.Query
    schema: StructType
    leaves: tuple[tuple[str, ...], ...]
    inputs: dict[str, Any] = field(default_factory=dict)
    nodes: tuple[Node, ...] = ()
    statics: tuple[StaticSide, ...] = ()

    @property
    def operators(self) -> list[OperatorNode]:
        """The stateful operators, in the order they run."""
        return [node for node in self.nodes if isinstance(node, OperatorNode)]

    @property
    def watermarks(self) -> list[WatermarkNode]:
        """The watermark nodes, in the order they run."""
        return [node for node in self.nodes if isinstance(node, WatermarkNode)]

    def close(self) -> None:
        """Free the state of all operators."""
        for node in self.operators:
            for store in node.stores:
                store.close()


@dataclass(frozen=True)
class BatchTime:
    """A batch's number and times, the same in a replay; `late_ms` is the watermark of the batch before."""

    batch_id: int
    timestamp_ms: int
    late_ms: int
    watermark_ms: int


class DataflowRun:
    """A dataflow at work on one connection.

    Args:
        flow: what to run; the streams' views exist and give no rows yet.
        policy: how the query's watermark is chosen among its nodes': `min` or `max`.
    """

    def __init__(self, flow: Dataflow, connection: Connection, policy: str) -> None:
        self._connection = connection
        self._operators = flow.operators
        self._feeds = [Feed(o.number, o.sources, o.operator.output_watermark) for o in self._operators]
        self.tracker = WatermarkTracker([node.delay_ms for node in flow.watermarks], policy)
        self._stages: list[WatermarkStage | ObserveStage | OperatorNode] = []
        self._purged = 0
        self._statics = flow.statics
        self._times: Mapping[str, int | None] = {}
        self._set_times(0, {node.number: Moment(0, 0) for node in flow.operators})
        self._refresh()
        for node in flow.nodes:
            if isinstance(node, OperatorNode):
                node.operator.prepare(connection)
                self._stages.append(node)
            else:
                self._stages.append(node.prepare(connection))
        self._watermarks = [stage for stage in self._stages if isinstance(stage, WatermarkStage)]
        self._told = {w.node.told_by: w for w in self._watermarks if w.node.told_by is not None}

    @property
    def has_watermark(self) -> bool:
        """Whether event time is looked at anywhere."""
        return bool(self._watermarks)

    def restore(self, version: int, ids: Mapping[int, Sequence[str]]) -> None:
        """Load every operator's state before batch `version`."""
        for node in self._operators:
            written = ids.get(node.number, ())
            if version > 0 and node.stores and not written:
                reason = "the commit log does not say what it was written as"
                raise RuntimeSparkError(
                    "STATE_STORE_DAMAGED", version=version, path=node.stores[0].folder, reason=reason
                )
            node.operator.restore(self._connection, version, written)

    # ── one batch ───────────────────────────────────────────────────────────────────────────────────────────

    def advance(
        self, time: BatchTime, ran: Callable[[], None], first: Mapping[int, exp.Table] = MappingProxyType({})
    ) -> None:
        """Step 4: run every stage; `ran` is called after each statement that may have read a source.

        Args:
            first: tables by operator; see `Moment`.

        Raises, as Spark does in that batch, if a watermark is defined over another one.
        """
        moments = self.begin(time, ran, first)
        for stage in self._stages:
            if isinstance(stage, WatermarkStage | ObserveStage):
                stage.advance(ran)
                continue
            number = stage.number
            stage.operator.advance(self._connection, moments[number])
            ran()
            if number in self._told:
                self._told[number].times = cast(TellsEventTimes, stage.operator).event_times

    def begin(
        self,
        time: BatchTime,
        ran: Callable[[], None] = lambda: None,
        first: Mapping[int, exp.Table] = MappingProxyType({}),
    ) -> Mapping[int, Moment]:
        """Let all queries see the batch's times and the static tables as they are now. Arguments as of `advance`."""
        if time.watermark_ms > 0 and any(stage.node.again for stage in self._watermarks):
            raise AnalysisError("_LEGACY_ERROR_TEMP_3102", msg=_REDEFINED)
        late = input_watermarks(self._feeds, time.late_ms)
        evict = input_watermarks(self._feeds, time.watermark_ms)
        moments = {
            number: Moment(time.batch_id, time.timestamp_ms, late[number], evict[number], ran, first.get(number))
            for number in late
        }
        self._set_times(time.timestamp_ms, moments)
        self._refresh()
        return moments

    def _refresh(self) -> None:
        for side in self._statics:
            side.refresh(self._connection)

    def commit(self, version: int) -> list[StateReport]:
        """Steps 5 and 6: every operator's state is being written; reports from the top of the plan down."""
        reports = {node.number: node.operator.commit(self._connection, version) for node in self._operators}
        return [reports[number] for number in sorted(reports)]

    def see(self) -> None:
        """Let the query's watermark follow the batch's event times."""
        self.tracker.update([stage.times for stage in self._watermarks])

    def event_times(self) -> EventTimes | None:
        """The event times of the leftmost node that had any in this batch, as Spark reports them."""
        return next((stage.times for stage in self._watermarks if stage.times), None)

    def observed(self) -> dict[str, Mapping[str, Any]]:
        """The batch's observed metrics by their names, sorted, as Spark reports them."""
        found = {stage.node.name: stage.values for stage in self._stages if isinstance(stage, ObserveStage)}
        return dict(sorted(found.items()))

    def due(self, *, by_clock: bool = True) -> bool:
        """Whether a batch without data has work: the watermark has moved, or time has passed.

        Args:
            by_clock: whether an operator that waits for processing time asks for one batch after another. What is there
                now ends without it; Spark's `availableNow` would never end.
        """
        following = input_watermarks(self._feeds, self.tracker.watermark_ms)
        moments = [(node.operator, self._moments[node.number], following[node.number]) for node in self._operators]
        asking = [(one, moment) for one, moment, limit in moments if one.due(moment, limit)]
        return any(by_clock or not one.due(moment, moment.eviction_ms) for one, moment in asking)

    def purge(self, before: int) -> None:
        """Step 8: forget what only versions below `before` need; some at a time, for it lists the state's files."""
        if before < self._purged + _PURGED_AT_ONCE:
            return
        self._purged = before
        for node in self._operators:
            node.operator.purge(before)

    def _set_times(self, batch_ms: int, moments: Mapping[int, Moment]) -> None:
        """Let the queries see the batch's times (milliseconds since 1970)."""
        self._moments = dict(moments)
        named: dict[str, int | None] = {times.BATCH: batch_ms}
        for number, moment in moments.items():
            named |= {late_name(number): moment.late_ms, evict_name(number): moment.eviction_ms}
        if named != self._times:
            self._connection.execute(times.setting(named)).fetchall()
            self._times = named
