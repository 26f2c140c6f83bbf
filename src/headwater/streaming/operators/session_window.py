"""Streaming aggregation by `session_window`: the open sessions of each key, merged in SQL.

    batch     each row's own session, rows of the same key, start and end already aggregated
    sessions  those of the batch that are not late and the state's of the same keys, in order; each with the start of
              the merged session it belongs to
    changed   merged sessions that took in something new, and the state's that were taken in by another
    gone      the sessions of the state that the watermark has passed

Append mode gives `gone`; complete mode the whole state, which is never evicted. A row is late if its own session ends
at or before the watermark of the batch before, even where an open session could take it in, as in Spark.

Invariants: sessions that touch are one; the key of the state is the other keys and the start; the input is read once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import cast

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater import duck
from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import ROW, StateColumn, StateTable
from headwater.streaming.operators.aggregation import Aggregation, Counters, since
from headwater.streaming.operators.base import Moment, at_or_before
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, create, named, run

_START, _END = "session_start", "session_end"
_OPENS, _BEGIN = "opens", "begin"
"""The start of a session that no one before it reaches; the start of the merged session."""


class SessionPlan(Aggregation):
    """A compiled aggregation by sessions."""

    @cached_property
    def others(self) -> list[StateColumn]:
        """The keys but the session."""
        return [key for key in self.key_columns if key.name != self.session]

    @cached_property
    def session(self) -> str:
        """The name of the session among the operator's keys."""
        return next(name for name, key in self.keys.items() if key is self.pieces.session)

    @cached_property
    def borders(self) -> tuple[StateColumn, StateColumn]:
        """Start and end as columns of the state."""
        key = self.keys[self.session]
        window = cast(StructType, key.attribute.type)
        label = key.attribute.name
        return (
            StateColumn(_START, window["start"].dataType, f"{label}.start"),
            StateColumn(_END, window["end"].dataType, f"{label}.end"),
        )

    def opened(self, stores: Callable[[str], StateStore]) -> StreamingSessions:
        """See `OperatorPlan`."""
        return StreamingSessions(self, stores(""))


class StreamingSessions:
    """See the module."""

    name = "sessionWindowStateStoreSaveExec"

    def __init__(self, plan: SessionPlan, store: StateStore) -> None:
        self._plan = plan
        self._store = store
        start, end = plan.borders
        values = [end, *plan.measure_columns]
        texts = _Texts(plan)
        self._state = StateTable(
            store, plan.site.output, [*plan.others, start], values, texts.aggregated, plan.alone(texts.aggregated)
        )
        texts.state = self._state
        self._texts = texts
        self._counters = Counters()

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        with self._plan.exporting():
            run(connection, self._texts.batch)
        self._state.prepare(connection)
        for text in (self._texts.sessions, self._texts.changed, self._texts.gone, self._texts.output):
            run(connection, text)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        self._state.restore(connection, version, ids[0] if ids else None)
        self._plan.check(self.name, self._store)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`. Raises, as Spark at run, if the session is the only key."""
        if not self._plan.others:
            message = "Global aggregation with session window in streaming query is not supported."
            raise AnalysisError("_LEGACY_ERROR_TEMP_3102", msg=message)
        begin = time.perf_counter()
        rows = run(connection, self._texts.batch)
        moment.ran()
        dropped = run(connection, self._texts.drop) if rows and self._plan.event is not None else 0
        updated, absorbed = self._merge(connection) if rows > dropped else (0, 0)
        updates_ms, begin = since(begin), time.perf_counter()
        gone = self._evict(connection)
        self._counters = Counters(updated, absorbed + gone, dropped, updates_ms, since(begin))

    def _merge(self, connection: Connection) -> tuple[int, int]:
        """How many sessions the keys of the batch have now (all count as updated, as in Spark), and lost."""
        run(connection, self._texts.sessions)
        run(connection, self._texts.changed)
        kept, lost = duck.run(connection, self._texts.figures)[0]
        self._state.apply(connection, self._texts.changed_rows)
        return int(kept), int(lost)

    def _evict(self, connection: Connection) -> int:
        if not self._texts.evicts:
            return 0
        gone = run(connection, self._texts.gone)
        if gone:
            self._state.apply(connection, self._texts.gone_rows)
        return gone

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
        """See `StatefulOperator`."""
        if self._plan.site.mode == "complete" or moment.eviction_ms is None or next_ms is None:
            return False
        return next_ms > moment.eviction_ms


class _Texts:
    """The statements, and the names of what they fill."""

    state: StateTable

    def __init__(self, plan: SessionPlan) -> None:
        self._plan = plan
        stem = plan.site.output
        self._batch_rows, self._session_rows = f"{stem}_batch", f"{stem}_sessions"
        self.changed_rows, self.gone_rows = f"{stem}_changed", f"{stem}_gone"
        self.evicts = plan.event is not None and plan.site.mode != "complete"
        self._others = [key.name for key in plan.others]
        self._columns = [*self._others, _START, _END, *plan.measure_names]

    @cached_property
    def aggregated(self) -> exp.Select:
        """The rows' own sessions."""
        plan = self._plan
        keys = [named(plan.keys[name].sql.copy(), name) for name in self._others]
        session = plan.keys[plan.session].sql
        borders = [
            named(exp.func("struct_extract", session.copy(), exp.Literal.string(part)), name)
            for part, name in (("start", _START), ("end", _END))
        ]
        states = [named(measure.exported(), measure.name) for measure in plan.measures]
        query = exp.select(*keys, *borders, *states).from_(plan.pieces.child.query.subquery("input"))
        return query.group_by(*(exp.Literal.number(index + 1) for index in range(len(keys) + 2)))

    @cached_property
    def batch(self) -> str:
        """Fills the batch's sessions."""
        return create(self._batch_rows, self.aggregated)

    def _is_late(self) -> exp.Expr:
        late = at_or_before(column(_END), self._plan.borders[1].kind, self._plan.site.late)
        return exp.Is(this=exp.Paren(this=late), expression=exp.true())

    @cached_property
    def drop(self) -> str:
        """Takes the late sessions out of the batch."""
        return sql_text(exp.delete(self._batch_rows).where(self._is_late()))

    @cached_property
    def sessions(self) -> str:
        """Fills the sessions to be merged; `begin` is the start of the merged one."""
        columns = [column(name) for name in self._columns]
        fresh = exp.select(*columns, named(exp.cast(exp.null(), "BIGINT"), ROW)).from_(self._batch_rows)
        kept = exp.select(*columns, column(ROW)).from_(self.state.matching(self._batch_rows, self._others).subquery())
        both = exp.union(kept, fresh, distinct=False).subquery()
        opens = exp.select("*", named(self._opens(), _OPENS)).from_(both)
        begin = self._window(exp.Max(this=column(_OPENS)))
        return create(self._session_rows, exp.select("*", named(begin, _BEGIN)).from_(opens.subquery()))

    def _opens(self) -> exp.Expression:
        """The start, where the row does not touch those before it; else NULL."""
        before = exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="1", end_side="PRECEDING")
        reached = self._window(exp.Max(this=column(_END)), before)
        return exp.case().when(exp.LTE(this=column(_START), expression=reached), exp.null()).else_(column(_START))

    def _window(self, call: exp.Expression, spec: exp.WindowSpec | None = None) -> exp.Window:
        order = exp.Order(expressions=[exp.Ordered(this=column(_START), nulls_first=True)])
        return exp.Window(this=call, partition_by=[column(name) for name in self._others], order=order, spec=spec)

    @cached_property
    def changed(self) -> str:
        """Fills the merged sessions with something new in them, and those that are part of another one now."""
        others = [column(name) for name in self._others]
        fresh = column(ROW).is_(exp.null())
        first = exp.Where(this=exp.EQ(this=column(_START), expression=column(_BEGIN)))
        ordered = exp.Order(
            expressions=[column(_START), column(_END), exp.Ordered(this=column(ROW), nulls_first=False)]
        )
        merged = [named(measure.merged(column(measure.name), ordered), measure.name) for measure in self._plan.measures]
        news = exp.select(
            *others,
            named(column(_BEGIN), _START),
            named(exp.Max(this=column(_END)), _END),
            *merged,
            named(exp.Filter(this=exp.func("any_value", column(ROW)), expression=first), ROW),
            named(exp.false(), REMOVED),
        ).from_(self._session_rows)
        news = news.group_by(*(c.copy() for c in others), column(_BEGIN)).having(exp.func("bool_or", fresh))
        taken = exp.select(*map(column, self._columns), column(ROW), named(exp.true(), REMOVED)).from_(
            self._session_rows
        )
        taken = taken.where(exp.and_(exp.not_(fresh.copy()), exp.NEQ(this=column(_START), expression=column(_BEGIN))))
        return create(self.changed_rows, exp.union(news, taken, distinct=False))

    @cached_property
    def figures(self) -> str:
        """Counts the merged sessions, and the state's that are part of another one now."""
        other = exp.and_(column(ROW).is_(exp.null()).not_(), exp.NEQ(this=column(_START), expression=column(_BEGIN)))
        lost = exp.func("count_if", other)
        return sql_text(exp.select(exp.Count(this=column(_OPENS)), lost).from_(self._session_rows))

    @cached_property
    def gone(self) -> str:
        """Fills the sessions of the state that the watermark has passed."""
        columns = [*map(column, self._columns), column(ROW), named(exp.true(), REMOVED)]
        passed = at_or_before(column(_END), self._plan.borders[1].kind, self._plan.site.evict)
        return create(self.gone_rows, exp.select(*columns).from_(self.state.relation).where(passed))

    @cached_property
    def output(self) -> str:
        """The view of the sessions that go on."""
        source = self.state.relation if self._plan.site.mode == "complete" else self.gone_rows
        pairs = [
            exp.PropertyEQ(this=exp.to_identifier(part, quoted=True), expression=column(name))
            for part, name in (("start", _START), ("end", _END))
        ]
        session = named(exp.Struct(expressions=pairs), self._plan.session)
        query = exp.select(*map(column, self._others), session, *self._plan.finals()).from_(source)
        return create(self._plan.site.output, query, "VIEW")
