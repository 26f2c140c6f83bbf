"""Streaming aggregation: any DuckDB aggregate, kept as its exported state per group.

    batch    SELECT keys, aggregate EXPORT_STATE FROM input GROUP BY keys
    changed  SELECT keys, combine(batch, state) FROM batch LEFT JOIN state, without late groups
    gone     the groups of `changed` and the state that the watermark has passed
    applied  `changed` without `gone`, and what of `gone` the state held, to be removed

Update mode gives `changed`, append mode `gone`; complete mode gives the whole state, and drops and evicts nothing. A
group is late if its event time is at or before the watermark of the batch before.

Invariants: the input is read once; first, last and lists keep arrival order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property

from sqlglot import exp

from headwater.compile.relations.aggregate import compile_aggregate
from headwater.duck import Connection
from headwater.plan.relations import Aggregate
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import ROW, StateTable
from headwater.streaming.operators.aggregation import Aggregation, Counters, since
from headwater.streaming.operators.base import Moment, OperatorPlan, Site, at_or_before, stateful
from headwater.streaming.operators.session_window import SessionPlan
from headwater.streaming.operators.sql import column, create, named, run, same, table
from headwater.streaming.progress import StateReport

_OLD, _NEW = "old", "new"


class AggregatePlan(Aggregation):
    """A compiled aggregation by columns."""

    def opened(self, stores: Callable[[str], StateStore]) -> StreamingAggregate:
        """See `OperatorPlan`."""
        return StreamingAggregate(self, stores(""))


@stateful(Aggregate)
def aggregate(node: Aggregate, site: Site) -> OperatorPlan:
    """The operator of a streaming aggregation."""
    pieces = compile_aggregate(node, site.context)
    site.inputs.update(pieces.child.inputs)
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
        values = plan.measure_columns
        self._texts = texts = _Texts(plan)
        self._state = StateTable(
            store, plan.site.output, plan.key_columns, values, texts.aggregated, plan.alone(texts.aggregated)
        )
        texts.state = self._state.relation
        self._counters = Counters()

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        with self._plan.exporting():
            run(connection, self._texts.batch)
        self._state.prepare(connection)
        run(connection, self._texts.changed)
        if self._texts.evicts:
            run(connection, self._texts.gone)
            run(connection, self._texts.applied)
        run(connection, self._texts.output)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        self._state.restore(connection, version, ids[0] if ids else None)
        self._plan.check(self.name, self._store)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        groups = run(connection, self._texts.batch)
        moment.ran()
        updated = run(connection, self._texts.changed)
        updates_ms, begin = since(begin), time.perf_counter()
        gone = run(connection, self._texts.gone) if self._may_evict(moment) else 0
        removals_ms, begin = since(begin), time.perf_counter()
        if gone or updated:
            self._state.apply(connection, self._texts.applied_rows if gone else self._texts.changed_rows)
        self._counters = Counters(updated, gone, groups - updated, updates_ms + since(begin), removals_ms)

    def _may_evict(self, moment: Moment) -> bool:
        """If the watermark stands where it stood, nothing that old is left or came in; `gone` is emptied once."""
        return self._texts.evicts and (moment.late_ms != moment.eviction_ms or self._counters.removed > 0)

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
    """The statements, and the names of what they fill."""

    state = ""
    """The relation of the state."""

    def __init__(self, plan: AggregatePlan) -> None:
        self._plan = plan
        stem = plan.site.output
        self._batch_rows = f"{stem}_batch"
        self.changed_rows, self.applied_rows = f"{stem}_changed", f"{stem}_applied"
        self._gone_rows = f"{stem}_gone"
        self.evicts = plan.event is not None and plan.site.mode != "complete"

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
        return create(self._batch_rows, self.aggregated)

    @cached_property
    def changed(self) -> str:
        """Fills the groups that are not late, with what the state knew of them."""
        plan = self._plan
        fresh = column(ROW, _OLD).is_(exp.null())
        states = [
            named(exp.case().when(fresh.copy(), new).else_(measure.combined(old, new.copy())), measure.name)
            for measure in plan.measures
            for old, new in [(column(measure.name, _OLD), column(measure.name, _NEW))]
        ]
        keys = [column(name, _NEW) for name in plan.keys]
        query = exp.select(*keys, *states, column(ROW, _OLD), named(exp.false(), REMOVED))
        query = query.from_(table(self._batch_rows, _NEW)).join(
            table(self.state, _OLD), on=same(list(plan.keys), _OLD, _NEW), join_type="left"
        )
        if plan.event is not None and self.evicts:
            name, event = plan.event
            late = at_or_before(column(name, _NEW), event.type, plan.site.late)
            query = query.where(exp.Not(this=exp.Is(this=exp.Paren(this=late), expression=exp.true())))
        return create(self.changed_rows, query)

    @cached_property
    def gone(self) -> str:
        """Fills the groups that the watermark has passed, with what came in in this batch."""
        columns = [column(each) for each in (*self._plan.keys, *self._plan.measure_names, ROW)]
        changed = exp.select(*columns).from_(self.changed_rows).where(self._passed())
        known = exp.select(column(ROW)).from_(self.changed_rows).where(column(ROW).is_(exp.null()).not_())
        kept = exp.select(*columns).from_(self.state).where(self._passed(), column(ROW).isin(query=known).not_())
        return create(self._gone_rows, exp.union(changed, kept, distinct=False))

    @cached_property
    def applied(self) -> str:
        """The view of what is to be applied to the state where groups go."""
        columns = [column(each) for each in (*self._plan.keys, *self._plan.measure_names, ROW)]
        passed = exp.Is(this=exp.Paren(this=self._passed()), expression=exp.true())
        stay = exp.select(*columns, named(exp.false(), REMOVED)).from_(self.changed_rows).where(exp.Not(this=passed))
        known = column(ROW).is_(exp.null()).not_()
        leave = exp.select(*columns, named(exp.true(), REMOVED)).from_(self._gone_rows).where(known)
        return create(self.applied_rows, exp.union(stay, leave, distinct=False), "VIEW")

    def _passed(self) -> exp.Expression:
        assert self._plan.event is not None
        name, event = self._plan.event
        return at_or_before(column(name), event.type, self._plan.site.evict)

    @cached_property
    def output(self) -> str:
        """The view of the groups that go on."""
        source = {"complete": self.state, "update": self.changed_rows, "append": self._gone_rows}[self._plan.site.mode]
        query = exp.select(*map(column, self._plan.keys), *self._plan.finals()).from_(source)
        return create(self._plan.site.output, query, "VIEW")
