"""`dropDuplicates`, `distinct`: of all rows with the same key only the first goes on. `dropDuplicatesWithinWatermark`
forgets a key once the watermark is past the event time of its first row by the delay.

    batch   the input's rows, in order of arrival
    first   the first row of each key in the batch; late rows are left out
    new     those whose key the state does not hold: they go on, and into the state
    gone    the keys of the state that the watermark has passed

Invariants: the input is read once; a key that is evicted in this batch still holds off duplicates in this batch, as in
Spark; without an event time among the keys (and outside of "within watermark") nothing is ever evicted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from pyspark.sql.types import LongType, StructType
from sqlglot import exp

from headwater.compile.relations.sets import duplicate_keys
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection, sql_text
from headwater.plan.relations import Deduplicate
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import ROW, StateColumn, StateTable
from headwater.streaming.analysis import event_time, required_event_time
from headwater.streaming.operators.base import Moment, Site, at_or_before, stateful
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, count, create, named, run, same, table

_EXPIRY = "expiry"
_PLACE = "place"


@dataclass(frozen=True)
class DeduplicatePlan:
    """A compiled deduplication.

    Attributes:
        input: the rows, with the columns that are hidden above.
        keys: what may occur once.
        event: the event time, if there is one.
        within: keys are forgotten some time after their first row.
    """

    site: Site
    input: Resolved
    keys: tuple[Attribute, ...]
    event: Attribute | None
    within: bool

    @property
    def columns(self) -> list[str]:
        """The columns of the input."""
        return [a.sql for a in (*self.input.attributes, *self.input.hidden)]

    @property
    def result(self) -> Resolved:
        """See `OperatorPlan`: the input's columns."""
        query = exp.select(*map(column, self.columns)).from_(self.site.output)
        return replace(self.input, query=query, inputs={}, streaming=True)

    @cached_property
    def state_keys(self) -> list[StateColumn]:
        """The keys in the state, named by position, so that names may change between runs."""
        return [StateColumn(f"key_{index}", key.type, key.name) for index, key in enumerate(self.keys)]

    @cached_property
    def state_values(self) -> list[StateColumn]:
        """What the state knows of a key: the time up to which it counts."""
        return [StateColumn(_EXPIRY, LongType(), "expiresAtMicros")] if self.within else []

    def opened(self, stores: Callable[[str], StateStore]) -> StreamingDeduplicate:
        """See `OperatorPlan`."""
        return StreamingDeduplicate(self, stores(""))


@stateful(Deduplicate)
def deduplicate(node: Deduplicate, site: Site) -> DeduplicatePlan:
    """The operator of `dropDuplicates` and `dropDuplicatesWithinWatermark`."""
    made = site.compile(node.input)
    keys = duplicate_keys(node, made.attributes, fold=not site.context.settings.flag("spark.sql.caseSensitive"))
    event = required_event_time(made.attributes) if node.within_watermark else _event_time(made.attributes, keys)
    return DeduplicatePlan(site, made, tuple(keys), event, node.within_watermark)


def _event_time(attributes: Sequence[Attribute], keys: Sequence[Attribute]) -> Attribute | None:
    """Of several event times, as a join has them, the one among the keys: Spark drops those that nothing reads."""
    timed = [key for key in keys if DELAY in key.metadata]
    return timed[0] if len(timed) == 1 else event_time(attributes)


class StreamingDeduplicate:
    """See the module."""

    def __init__(self, plan: DeduplicatePlan, store: StateStore) -> None:
        self.name = "dedupeWithinWatermark" if plan.within else "dedupe"
        self._state = StateTable(store, plan.site.output, plan.state_keys, plan.state_values)
        self._texts = _Texts(plan, self._state)
        self._dropped = self._duplicates = self._new = self._gone = 0
        self._updates_ms = self._removals_ms = 0

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        self._state.prepare(connection)
        for text in (self._texts.batch, self._texts.first, self._texts.new, self._texts.output):
            run(connection, text)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        self._state.restore(connection, version, ids[0] if ids else None)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        rows = run(connection, self._texts.batch)
        moment.ran()
        self._dropped = count(connection, self._texts.late) if self._texts.late and moment.late_ms is not None else 0
        run(connection, self._texts.first)
        self._new = run(connection, self._texts.new)
        self._duplicates = rows - self._dropped - self._new
        if self._new:
            self._state.apply(connection, self._texts.new_rows)
        self._updates_ms, begin = _since(begin), time.perf_counter()
        self._gone = 0
        if self._texts.gone and moment.eviction_ms is not None:
            self._gone = run(connection, self._texts.gone)
            if self._gone:
                self._state.apply(connection, self._texts.gone_rows)
        self._removals_ms = _since(begin)

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`."""
        written = self._state.commit(connection, version)
        return StateReport(
            self.name,
            self._state.rows,
            self._new,
            self._gone,
            self._updates_ms,
            self._removals_ms,
            written.milliseconds,
            self._state.memory_bytes,
            self._dropped,
            {"changelogBytes": written.bytes, "numDroppedDuplicateRows": self._duplicates},
            (written.id,),
        )

    def purge(self, before: int) -> None:
        """See `StatefulOperator`."""
        self._state.purge(before)

    def output_watermark(self, input_ms: int) -> int | None:
        """See `StatefulOperator`."""
        return input_ms

    def due(self, moment: Moment, next_ms: int | None) -> bool:
        """See `StatefulOperator`."""
        return moment.eviction_ms is not None and next_ms is not None and next_ms > moment.eviction_ms


class _Texts:
    """The statements, and the names of what they fill."""

    def __init__(self, plan: DeduplicatePlan, state: StateTable) -> None:
        self._plan = plan
        self._state = state
        stem = plan.site.output
        self._batch, self._first = f"{stem}_batch", f"{stem}_first"
        self.new_rows, self.gone_rows = f"{stem}_new", f"{stem}_gone"
        self.batch = create(self._batch, plan.input.query)
        self.late = self._late_rows() if plan.event else ""
        self.first = create(self._first, self._first_rows())
        self.new = create(self.new_rows, self._unknown_rows())
        self.output = create(stem, self._output_rows(), "VIEW")
        self.gone = self._gone_rows()

    def _late_rows(self) -> str:
        """How many rows are late."""
        return sql_text(exp.select(exp.Count(this=exp.Star())).from_(self._batch).where(self._is_late()))

    def _is_late(self) -> exp.Expr:
        event = cast(Attribute, self._plan.event)
        return at_or_before(column(event.sql), event.type, self._plan.site.late)

    def _first_rows(self) -> exp.Select:
        """Where the first row of each key stands in the batch, and when its key expires."""
        plan, row = self._plan, column("rowid")
        keys = [named(column(key.sql), kept.name) for key, kept in zip(plan.keys, plan.state_keys, strict=True)]
        values = [named(exp.ArgMin(this=self._expiry(), expression=row.copy()), _EXPIRY)] if plan.within else []
        query = exp.select(*keys, *values, named(exp.Min(this=row), _PLACE)).from_(self._batch)
        if plan.event:
            query = query.where(exp.Not(this=exp.Is(this=exp.Paren(this=self._is_late()), expression=exp.true())))
        return query.group_by(*(exp.Literal.number(index + 1) for index in range(len(keys))))

    def _expiry(self) -> exp.Expr:
        """The event time and the delay, in microseconds; no event time counts as 1970, as in Spark."""
        event = cast(Attribute, self._plan.event)
        when: exp.Expr = column(event.sql)
        if isinstance(event.type, StructType):
            when = exp.Dot(this=when, expression=exp.to_identifier("end", quoted=True))
        known = exp.Coalesce(this=exp.func("epoch_us", when), expressions=[exp.Literal.number(0)])
        return exp.Add(this=known, expression=exp.Literal.number(1000 * int(cast(int, event.metadata[DELAY]))))

    def _unknown_rows(self) -> exp.Select:
        keys = [kept.name for kept in self._plan.state_keys]
        known = self._state.matching(self._first).subquery("known")
        columns = [column(kept.name, "first") for kept in (*self._plan.state_keys, *self._plan.state_values)]
        unknown = named(exp.cast(exp.null(), "BIGINT"), ROW)
        query = exp.select(*columns, column(_PLACE, "first"), unknown, named(exp.false(), REMOVED))
        return query.from_(table(self._first, "first")).join(known, on=same(keys, "first", "known"), join_type="anti")

    def _output_rows(self) -> exp.Select:
        query = exp.select(*(column(name, "batch") for name in self._plan.columns)).from_(table(self._batch, "batch"))
        new = exp.EQ(this=column("rowid", "batch"), expression=column(_PLACE, "new"))
        return query.join(table(self.new_rows, "new"), on=new, join_type="semi")

    def _gone_rows(self) -> str:
        """The keys that the watermark has passed; none if nothing is ever evicted."""
        plan = self._plan
        passed: exp.Expr | None = None
        if plan.within:
            limit = exp.func("epoch_us", exp.func("getvariable", exp.Literal.string(plan.site.evict)))
            passed = exp.LTE(this=column(_EXPIRY), expression=limit)
        elif plan.event in plan.keys:
            event = plan.event
            assert event is not None
            passed = at_or_before(column(f"key_{plan.keys.index(event)}"), event.type, plan.site.evict)
        if passed is None:
            return ""
        kept = exp.select("*", named(exp.true(), REMOVED))
        return create(self.gone_rows, kept.from_(self._state.relation).where(passed))


def _since(begin: float) -> int:
    return int((time.perf_counter() - begin) * 1000)
