"""Streaming aggregation: any DuckDB aggregate, kept as its exported state per group.

    batch    SELECT keys, aggregate EXPORT_STATE FROM input GROUP BY keys; no table, where only `changes` asks for it
    changes  SELECT keys, combine(batch, state) FROM batch LEFT JOIN state; to be removed are those groups that the
             watermark has passed, and what else of the state it has passed; late groups are marked. Where the state is
             small one FULL JOIN finds both

Update mode gives the groups that were updated, append mode those that are removed; complete mode gives the whole state,
and drops and evicts nothing. A group is late if its event time is at or before the watermark of the batch before.

Invariants: the input is read once; first, last and lists keep arrival order.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from headwater.compile.relations.aggregate import compile_aggregate
from headwater.compile.relations.watermark import DELAY
from headwater.duck import Connection
from headwater.errors import AnalysisError
from headwater.plan.relations import Aggregate
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import ROW, StateTable
from headwater.streaming.folding import FIGURES, EventQuery, carrying, event_times, figures, is_timed, timed
from headwater.streaming.operators.aggregation import Aggregation, Counters, since
from headwater.streaming.operators.base import Moment, OperatorPlan, Site, at_or_before, stateful
from headwater.streaming.operators.measures import Measure
from headwater.streaming.operators.session_window import SessionPlan
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, create, named, run, same, table
from headwater.streaming.watermark import EventTimes, WatermarkNode

_OLD, _NEW = "old", "new"
_UPDATED = "_updated"
"""Whether a group of the changes was in the batch, and is not passed over."""
_PASSED_OVER = "_passed_over"
"""Whether a group of the batch is late, or was to have an event time and has none."""
_PASSED = "_passed"
"""Whether the watermark has passed a group of the batch."""
_SMALL = 50_000
"""Rows of state up to which one pass over all of it costs less than planning a second join, which reads but few."""


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

    @cached_property
    def aggregated(self) -> exp.Select:
        """The batch's groups."""
        keys = [named(key.sql.copy(), name) for name, key in self.keys.items()]
        states = [named(measure.exported(), measure.name) for measure in self.measures]
        query = exp.select(*keys, *states).from_(self.pieces.child.query.subquery("input"))
        if self.pieces.sets is not None:  # of no rows there is no total, as in Spark
            some = exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(0))
            query.set("group", exp.Group(expressions=[self.pieces.sets.copy()]))
            return query.having(some)
        return query.group_by(*(exp.Literal.number(index + 1) for index in range(len(keys)))) if keys else query

    @property
    def first_query(self) -> exp.Select:
        """The batch's groups, with their event times if they carry them."""
        if self.events is None:
            return self.aggregated
        return self.aggregated.select(*figures()).from_(self.events.query.subquery("input"))

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
        like = plan.aggregated
        self._state = StateTable(
            store, plan.site.output, plan.key_columns, plan.measure_columns, like, plan.alone(like)
        )
        self._texts = _Texts(plan, self._state)
        self._over: dict[str, _Texts] = {}
        self._counters = Counters()
        self.event_times: EventTimes | None = None

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        with self._plan.exporting():
            run(connection, self._texts.batch)
        self._state.prepare(connection)
        texts = self._texts
        for text in (texts.changed, texts.changed_and_gone, texts.changed_and_gone_at_once, texts.output):
            run(connection, text)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        self._state.restore(connection, version, ids[0] if ids else None)
        self._plan.check(self.name, self._store)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        texts = self._texts if moment.first is None else self._texts_over(moment.first)
        if texts.fills:
            run(connection, texts.batch)
            moment.ran()
        self._state.settle()
        # if the watermark stands where it stood, nothing that old is left or came in
        evicts = texts.evicts and moment.late_ms != moment.eviction_ms
        small = self._state.rows <= _SMALL
        going = texts.changed_and_gone_at_once if small else texts.changed_and_gone
        some = run(connection, going if evicts else texts.changed)
        if texts.at_once:
            moment.ran()
        updates_ms, begin = since(begin), time.perf_counter()
        self.event_times, updated, gone, late = None, 0, 0, 0
        if some:
            changes = self._state.apply_filled(connection, moment.batch_id + 1, texts.beside)
            over = changes.column(_PASSED_OVER)
            updated, gone = _true(changes.column(_UPDATED)), _true(changes.column(REMOVED)) - _true(over)
            late = _true(over)
            if self._plan.events is not None:
                self.event_times = event_times(changes)
                late = _true(pc.and_(over, timed(changes)))
        if self._plan.site.mode == "complete":  # the output is the state
            self._state.settle()
        self._counters = Counters(updated, gone, late, updates_ms, since(begin))

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

    @property
    def first_query(self) -> exp.Query:
        """See `BeginsWithQuery`."""
        return self._plan.first_query

    def _texts_over(self, first: exp.Table) -> _Texts:
        """The statements over groups that are there already."""
        if first.name not in self._over:
            self._over[first.name] = _Texts(self._plan, self._state, first)
        return self._over[first.name]


class _Texts:
    """The statements, and the names of what they fill.

    Args:
        first: the table that has the batch's groups already.

    Attributes:
        evicts: groups may be late, and are removed when the watermark has passed them.
        at_once: nothing but `changes` needs the batch's groups: they are not kept.
        fills: `batch` is to be run first.
    """

    def __init__(self, plan: AggregatePlan, state: StateTable, first: exp.Table | None = None) -> None:
        self._plan = plan
        self.state = state
        self._batch_rows = first if first is not None else exp.to_table(f"{plan.site.output}_batch", quoted=True)
        self.evicts = plan.event is not None and plan.site.mode != "complete"
        self.at_once = first is None and not self.evicts and plan.events is None
        self.fills = first is None and not self.at_once

    @cached_property
    def batch(self) -> str:
        """Fills the batch's groups."""
        return create(self._batch_rows.name, self._plan.first_query)

    @cached_property
    def changed(self) -> str:
        """Fills the batch's groups, with what the state knew of them."""
        return self.state.filling(self._updated(exp.false()))

    @cached_property
    def changed_and_gone(self) -> str:
        """Fills the same, those that the watermark has passed marked, and the rest of what it has passed."""
        if not self.evicts:
            return self.changed
        return self.state.filling(exp.union(self._updated(self._passed_or_not()), self._left(), distinct=False))

    @cached_property
    def changed_and_gone_at_once(self) -> str:
        """Fills the same in one pass over all of the state."""
        if not self.evicts:
            return self.changed
        found = exp.Not(this=self._absent.copy())
        query = self._joined(self._passed_or_not(), "full").where(exp.or_(found, self._passed(_OLD)))
        return self.state.filling(query)

    def _updated(self, passed: exp.Expr) -> exp.Select:
        return self._joined(passed, "left")

    def _joined(self, passed: exp.Expr, kind: str) -> exp.Select:
        """The batch's groups and what the state knows of them; `full`: and what the state has beside."""
        plan, everything = self._plan, kind == "full"
        keys: list[exp.Expr] = [column(name, _NEW) for name in plan.keys]
        if everything:
            keys = [named(self._either(name), name) for name in plan.keys]
        states = [named(self._combined(measure, everything), measure.name) for measure in plan.measures]
        flags = self._flags_of_all() if everything else self._flags()
        groups = plan.aggregated.subquery() if self.at_once else self._batch_rows.copy()
        marked = exp.select("*", named(self._passed_over(), _PASSED_OVER), named(passed, _PASSED)).from_(groups)
        columns = [*keys, *states, *flags, *(column(name, _NEW) for name in self._events)]
        query = exp.select(*columns).from_(marked.subquery(_NEW))
        return query.join(table(self.state.relation, _OLD), on=same(list(plan.keys), _OLD, _NEW), join_type=kind)

    @property
    def _absent(self) -> exp.Expr:
        """Whether a row of a full join has no group of the batch."""
        return column(_PASSED_OVER, _NEW).is_(exp.null())

    def _either(self, name: str) -> exp.Expr:
        return exp.case().when(self._absent, column(name, _OLD)).else_(column(name, _NEW))

    def _combined(self, measure: Measure, everything: bool) -> exp.Expr:
        old, new = column(measure.name, _OLD), column(measure.name, _NEW)
        state = exp.case().when(self._absent, old.copy()) if everything else exp.case()
        return state.when(column(ROW, _OLD).is_(exp.null()), new).else_(measure.combined(old, new.copy()))

    def _flags_of_all(self) -> list[exp.Expr]:
        """The flags of a full join's rows: what is of the state alone is to be removed."""
        flags, alone = self._flags(), [exp.true(), column(ROW, _OLD), exp.false(), exp.false()]
        cases = (
            exp.case().when(self._absent, old).else_(flag.unalias()) for old, flag in zip(alone, flags, strict=True)
        )
        return [named(case, flag.alias_or_name) for case, flag in zip(cases, flags, strict=True)]

    def _flags(self) -> list[exp.Expr]:
        """A group that is passed over stands for nothing in the state: it is removed, if it ever was there."""
        over = column(_PASSED_OVER, _NEW)
        counts = exp.Not(this=over)
        removed, row = exp.or_(over, column(_PASSED, _NEW)), exp.case().when(counts, column(ROW, _OLD))
        return [named(removed, REMOVED), named(row, ROW), named(counts.copy(), _UPDATED), over.copy()]

    def _passed_over(self) -> exp.Expr:
        """Whether a group of the batch is late, or has no event time and was to have one."""
        plan = self._plan
        reasons: list[exp.Expr] = []
        if plan.events is not None and plan.events.timed:
            reasons.append(exp.Not(this=is_timed()))
        if plan.event is not None and self.evicts:
            name, event = plan.event
            late = at_or_before(column(name), event.type, plan.site.late)
            reasons.append(exp.Coalesce(this=exp.Paren(this=late), expressions=[exp.false()]))
        return exp.or_(*reasons) if reasons else exp.false()

    def _left(self) -> exp.Select:
        """What of the state the watermark has passed, and is not in the batch."""
        columns = [column(name, _OLD) for name in (*self._plan.keys, *self._plan.measure_names)]
        flags = [named(exp.true(), REMOVED), column(ROW, _OLD)]
        flags += [named(exp.false(), name) for name in (_UPDATED, _PASSED_OVER)]
        query = exp.select(*columns, *flags, *(exp.null() for _ in self._events))
        query = query.from_(table(self.state.relation, _OLD)).where(self._passed(_OLD))
        batch = table(self._batch_rows.copy(), _NEW)
        return query.join(batch, on=same(list(self._plan.keys), _OLD, _NEW), join_type="anti")

    def _passed_or_not(self) -> exp.Expr:
        return exp.Coalesce(this=exp.Paren(this=self._passed()), expressions=[exp.false()])

    def _passed(self, alias: str | None = None) -> exp.Expression:
        assert self._plan.event is not None
        name, event = self._plan.event
        return at_or_before(column(name, alias), event.type, self._plan.site.evict)

    @property
    def _events(self) -> tuple[str, ...]:
        return FIGURES if self._plan.events is not None else ()

    @property
    def beside(self) -> list[str]:
        """What the changes have beside the state's columns: flags, and the groups' event times."""
        return [_UPDATED, _PASSED_OVER, *self._events]

    @cached_property
    def output(self) -> str:
        """The view of the groups that go on."""
        mode = self._plan.site.mode
        query = exp.select(*map(column, self._plan.keys), *self._plan.finals())
        if mode == "complete":
            return create(self._plan.site.output, query.from_(self.state.relation), "VIEW")
        given = column(_UPDATED) if mode == "update" else exp.and_(column(REMOVED), exp.Not(this=column(_PASSED_OVER)))
        return create(self._plan.site.output, query.from_(self.state.changes).where(given), "VIEW")


def _true(flags: pa.ChunkedArray) -> int:
    """How many flags are true."""
    return sum(chunk.true_count for chunk in flags.chunks)
