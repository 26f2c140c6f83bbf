"""Streaming aggregation: any DuckDB aggregate, kept as its exported state per group.

    batch    SELECT keys, aggregate EXPORT_STATE FROM input GROUP BY keys; no table, where only `changes` asks for it
    changes  SELECT keys, combine(batch, state) FROM batch LEFT JOIN state, without late groups; to be removed are those
             that the watermark has passed, and what else of the state it has passed

Update mode gives the groups that were updated, append mode those that are removed; complete mode gives the whole state,
and drops and evicts nothing. A group is late if its event time is at or before the watermark of the batch before.

Invariants: the input is read once; first, last and lists keep arrival order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sqlglot import exp

from headwater.compile.relations.aggregate import compile_aggregate
from headwater.compile.relations.watermark import DELAY
from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError
from headwater.plan.relations import Aggregate
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import ROW, StateTable
from headwater.streaming.folding import EventQuery, carrying, figures, is_timed, totals
from headwater.streaming.operators.aggregation import Aggregation, Counters, since
from headwater.streaming.operators.base import Moment, OperatorPlan, Site, at_or_before, stateful
from headwater.streaming.operators.session_window import SessionPlan
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, create, named, run, same, table
from headwater.streaming.watermark import EventTimes, WatermarkNode

_OLD, _NEW = "old", "new"
_UPDATED = "_updated"
"""Whether a group of the changes was in the batch, and not late."""


@dataclass(frozen=True)
class AggregatePlan(Aggregation):
    """A compiled aggregation by columns.

    Attributes:
        events: the input with its rows' event times, if the groups carry them.
    """

    events: EventQuery | None = None

    def folded(self, node: WatermarkNode) -> tuple[WatermarkNode, AggregatePlan] | None:
        """The watermark and the aggregation without a table between them; None if it is needed."""
        events = carrying(self.pieces.child.query, node)
        if events is None or (events.timed and not self._apart):
            return None
        return replace(node, told_by=self.site.number), replace(self, events=events)

    @property
    def _apart(self) -> bool:
        """Whether rows without an event time are in groups of their own."""
        return self.event is not None and self.pieces.sets is None

    def opened(self, stores: Callable[[str], StateStore]) -> StreamingAggregate:
        """See `OperatorPlan`."""
        return StreamingAggregate(self, stores(""))


@stateful(Aggregate)
def aggregate(node: Aggregate, site: Site) -> OperatorPlan:
    """The operator of a streaming aggregation. Raises if append mode could never give a group."""
    pieces = compile_aggregate(node, site.context)
    site.inputs.update(pieces.child.inputs)
    if site.mode == "append" and not any(DELAY in key.attribute.metadata for key in pieces.keys):
        raise AnalysisError(
            "UNSUPPORTED_STREAMING_OPERATOR_WITHOUT_WATERMARK", outputMode="Append", statefulOperator="aggregations"
        )
    plan = AggregatePlan(site, pieces) if pieces.session is None else SessionPlan(site, pieces)
    for measure in plan.measures:
        measure.check()
    return plan


class StreamingAggregate:
    """See the module."""

    name = "stateStoreSave"

    def __init__(self, plan: AggregatePlan, store: StateStore) -> None:
        self._plan = plan
        self._store = store
        texts = _Texts(plan)
        like = texts.aggregated
        self._state = StateTable(
            store, plan.site.output, plan.key_columns, plan.measure_columns, like, plan.alone(like)
        )
        texts.state = self._state
        self._texts = texts
        self._counters = Counters()
        self.event_times: EventTimes | None = None

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        with self._plan.exporting():
            run(connection, self._texts.batch)
        self._state.prepare(connection)
        for text in (self._texts.changed, self._texts.changed_and_gone, self._texts.output):
            run(connection, text)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        self._state.restore(connection, version, ids[0] if ids else None)
        self._plan.check(self.name, self._store)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        if not self._texts.at_once:
            run(connection, self._texts.batch)
            moment.ran()
        self._state.settle()
        # if the watermark stands where it stood, nothing that old is left or came in
        evicts = self._texts.evicts and moment.late_ms != moment.eviction_ms
        some = run(connection, self._texts.changed_and_gone if evicts else self._texts.changed)
        if self._texts.at_once:
            moment.ran()
        groups, *times, updated, gone, known = connection.execute(self._texts.figures).fetchall()[0]
        self.event_times = EventTimes.of(*times) if times else None
        updates_ms, begin = since(begin), time.perf_counter()
        if some:
            self._state.apply_filled(connection, known, moment.batch_id + 1)
        if self._plan.site.mode == "complete":  # the output is the state
            self._state.settle()
        self._counters = Counters(updated, gone, groups - updated, updates_ms, since(begin))

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`."""
        return self._counters.report(self.name, self._state, self._state.commit(connection, version))

    def purge(self, before: int) -> None:
        """See `StatefulOperator`."""
        self._state.purge(before)

    def output_watermark(self, input_ms: int) -> int | None:
        """See `StatefulOperator`."""
        return input_ms

    def due(self, moment: Moment, next_ms: int | None) -> bool:
        """See `StatefulOperator`. As in Spark it does not matter whether the event time is among the keys."""
        if self._plan.site.mode == "complete" or moment.eviction_ms is None or next_ms is None:
            return False
        return next_ms > moment.eviction_ms


class _Texts:
    """The statements, and the names of what they fill.

    Attributes:
        evicts: groups may be late, and are removed when the watermark has passed them.
        at_once: nothing but `changes` needs the batch's groups: they are not kept.
    """

    state: StateTable

    def __init__(self, plan: AggregatePlan) -> None:
        self._plan = plan
        self._batch_rows = f"{plan.site.output}_batch"
        self.evicts = plan.event is not None and plan.site.mode != "complete"
        self.at_once = not self.evicts and plan.events is None

    @cached_property
    def aggregated(self) -> exp.Select:
        """The batch's groups."""
        plan = self._plan
        keys = [named(key.sql.copy(), name) for name, key in plan.keys.items()]
        states = [named(measure.exported(), measure.name) for measure in plan.measures]
        query = exp.select(*keys, *states).from_(plan.pieces.child.query.subquery("input"))
        if plan.pieces.sets is not None:  # of no rows there is no total, as in Spark
            some = exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(0))
            query.set("group", exp.Group(expressions=[plan.pieces.sets.copy()]))
            return query.having(some)
        return query.group_by(*(exp.Literal.number(index + 1) for index in range(len(keys)))) if keys else query

    @cached_property
    def batch(self) -> str:
        """Fills the batch's groups."""
        events = self._plan.events
        if events is None:
            return create(self._batch_rows, self.aggregated)
        return create(self._batch_rows, self.aggregated.select(*figures()).from_(events.query.subquery("input")))

    @cached_property
    def changed(self) -> str:
        """Fills the groups that are not late, with what the state knew of them."""
        return self.state.filling(self._updated(exp.false()))

    @cached_property
    def changed_and_gone(self) -> str:
        """Fills the same, those that the watermark has passed marked, and the rest of what it has passed."""
        if not self.evicts:
            return self.changed
        passed = exp.Coalesce(this=exp.Paren(this=self._passed(_NEW)), expressions=[exp.false()])
        return self.state.filling(exp.union(self._updated(passed), self._left(), distinct=False))

    def _updated(self, passed: exp.Expr) -> exp.Select:
        plan = self._plan
        fresh = column(ROW, _OLD).is_(exp.null())
        states = [
            named(exp.case().when(fresh.copy(), new).else_(measure.combined(old, new.copy())), measure.name)
            for measure in plan.measures
            for old, new in [(column(measure.name, _OLD), column(measure.name, _NEW))]
        ]
        keys = [column(name, _NEW) for name in plan.keys]
        flags = [named(passed, REMOVED), column(ROW, _OLD), named(exp.true(), _UPDATED)]
        batch = self.aggregated.subquery(_NEW) if self.at_once else table(self._batch_rows, _NEW)
        query = (
            exp.select(*keys, *states, *flags)
            .from_(batch)
            .join(table(self.state.relation, _OLD), on=same(list(plan.keys), _OLD, _NEW), join_type="left")
        )
        if plan.events is not None and plan.events.timed:
            query = query.where(is_timed(_NEW))
        if plan.event is not None and self.evicts:
            name, event = plan.event
            late = at_or_before(column(name, _NEW), event.type, plan.site.late)
            query = query.where(exp.Not(this=exp.Is(this=exp.Paren(this=late), expression=exp.true())))
        return query

    def _left(self) -> exp.Select:
        """What of the state the watermark has passed, and is not in the batch."""
        columns = [column(name, _OLD) for name in (*self._plan.keys, *self._plan.measure_names)]
        flags = [named(exp.true(), REMOVED), column(ROW, _OLD), named(exp.false(), _UPDATED)]
        query = exp.select(*columns, *flags).from_(table(self.state.relation, _OLD)).where(self._passed(_OLD))
        return query.join(table(self._batch_rows, _NEW), on=same(list(self._plan.keys), _OLD, _NEW), join_type="anti")

    def _passed(self, alias: str) -> exp.Expression:
        assert self._plan.event is not None
        name, event = self._plan.event
        return at_or_before(column(name, alias), event.type, self._plan.site.evict)

    @cached_property
    def figures(self) -> str:
        """The number of the batch's groups, their event times; how many are not late, are removed, were known."""
        events = self._plan.events
        groups = exp.Count(this=exp.Star())
        of_batch: list[exp.Expr] = [groups]
        if events is not None:
            counted = exp.Filter(this=groups, expression=exp.Where(this=is_timed())) if events.timed else groups
            of_batch = [counted, *totals()]
        flags = [exp.Where(this=column(name)) for name in (_UPDATED, REMOVED)]
        counts = [exp.Filter(this=exp.Count(this=exp.Star()), expression=flag) for flag in flags]
        of_changes = exp.select(*counts, exp.Count(this=column(ROW))).from_(self.state.changes)
        if self.at_once:
            return sql_text(exp.select(groups, *of_changes.expressions).from_(self.state.changes))
        batch = exp.select(*of_batch).from_(self._batch_rows)
        return sql_text(
            exp.select("*").from_(batch.subquery("batch")).join(of_changes.subquery("changes"), join_type="cross")
        )

    @cached_property
    def output(self) -> str:
        """The view of the groups that go on."""
        mode = self._plan.site.mode
        query = exp.select(*map(column, self._plan.keys), *self._plan.finals())
        if mode == "complete":
            return create(self._plan.site.output, query.from_(self.state.relation), "VIEW")
        given = column(_UPDATED if mode == "update" else REMOVED)
        return create(self._plan.site.output, query.from_(self.state.changes).where(given), "VIEW")
