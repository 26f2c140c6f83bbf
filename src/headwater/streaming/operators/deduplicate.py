"""`dropDuplicates`, `distinct`: of all rows with the same key only the first goes on. `dropDuplicatesWithinWatermark`
forgets a key once the watermark is past the event time of its first row by the delay.

    batch    the input's rows, in order of arrival: a watermark's table where they lie in one already, else a copy
    changes  the first row of each key in the batch, late rows left out, if the state does not hold the key: they go
             on, and into the state; to be removed are those that the watermark has passed, and what of the state it has

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

from headwater import duck
from headwater.compile.relations.sets import duplicate_keys
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection, sql_text
from headwater.plan.relations import Deduplicate
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import ROW, StateColumn, StateTable
from headwater.streaming.analysis import event_time, required_event_time
from headwater.streaming.folding import with_row_number
from headwater.streaming.operators.base import Moment, Site, at_or_before, stateful
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, create, named, run, same, table

_EXPIRY = "expiry"
_PLACE = "place"
_NEW = "_new"
"""Whether a row of the changes goes on."""


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
    def reads(self) -> tuple[exp.Query, ...]:
        """All queries over its inputs."""
        return (self.input.query,)

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
        self._within = plan.within
        self._state = StateTable(store, plan.site.output, plan.state_keys, plan.state_values)
        self._texts = _Texts(plan, self._state)
        self._counted = (0, 0, 0, 0)
        self._updates_ms = self._removals_ms = 0

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        self._state.prepare(connection)
        texts = self._texts
        for text in (texts.batch, texts.changed, texts.changed_and_gone, texts.output):
            run(connection, text)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        self._state.restore(connection, version, ids[0] if ids else None)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        if not self._texts.in_place:
            run(connection, self._texts.batch)
            moment.ran()
        self._state.settle()
        # if the watermark stands where it stood, nothing that old is left or came in, but for keys without a time
        evicts = self._within or moment.late_ms != moment.eviction_ms
        some = run(connection, self._texts.changed_and_gone if evicts else self._texts.changed)
        rows, late, new, gone = duck.run(connection, self._texts.figures)[0]
        self._counted = (rows, late, new, gone)
        self._updates_ms, begin = _since(begin), time.perf_counter()
        if some:
            self._state.apply_filled(connection, moment.batch_id + 1)
        self._removals_ms = _since(begin)

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`."""
        written = self._state.commit(connection, version)
        rows, late, new, gone = self._counted
        return StateReport(
            self.name,
            self._state.rows,
            new,
            gone,
            self._updates_ms,
            self._removals_ms,
            self._state.memory_bytes,
            late,
            {"numDroppedDuplicateRows": rows - late - new},
            (written,),
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
    """The statements, and the names of what they fill.

    Attributes:
        in_place: the rows lie in a table already, and `batch` makes a view.
    """

    def __init__(self, plan: DeduplicatePlan, state: StateTable) -> None:
        self._plan = plan
        self._state = state
        self._batch = f"{plan.site.output}_batch"
        rows = self._numbered()
        self.in_place = rows is not None
        self.batch = create(self._batch, rows or plan.input.query, "TABLE" if rows is None else "VIEW")
        self._row = column(_PLACE if self.in_place else "rowid", "batch")
        self.changed = state.filling(self._new_rows(exp.false()))
        self.changed_and_gone = self._with_gone() or self.changed
        self.figures = self._figures()
        self.output = create(plan.site.output, self._output_rows(), "VIEW")

    def _numbered(self) -> exp.Select | None:
        """The rows where they lie, if a watermark keeps them."""
        tables = {found.name for found in self._plan.input.query.find_all(exp.Table)}
        if len(tables) != 1 or not (name := tables.pop()).startswith("watermark_"):
            return None
        return with_row_number(self._plan.input.query, name, _PLACE)

    def _is_late(self) -> exp.Expr:
        event = cast(Attribute, self._plan.event)
        return at_or_before(column(event.sql), event.type, self._plan.site.late)

    def _first_rows(self) -> exp.Select:
        """Where the first row of each key stands in the batch, and when its key expires."""
        plan, row = self._plan, self._row
        keys = [
            named(column(key.sql, "batch"), kept.name) for key, kept in zip(plan.keys, plan.state_keys, strict=True)
        ]
        values = [named(exp.ArgMin(this=self._expiry(), expression=row.copy()), _EXPIRY)] if plan.within else []
        query = exp.select(*keys, *values, named(exp.Min(this=row.copy()), _PLACE)).from_(table(self._batch, "batch"))
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

    def _new_rows(self, removed: exp.Expr) -> exp.Select:
        """The first rows of keys that the state does not hold."""
        keys = [kept.name for kept in self._plan.state_keys]
        names = [kept.name for kept in (*self._plan.state_keys, *self._plan.state_values)]
        flags = [named(removed, REMOVED), named(exp.cast(exp.null(), "BIGINT"), ROW), named(exp.true(), _NEW)]
        query = exp.select(*(column(name, "first") for name in (*names, _PLACE)), *flags)
        known = table(self._state.relation, "known")
        return query.from_(self._first_rows().subquery("first")).join(
            known, on=same(keys, "first", "known"), join_type="anti"
        )

    def _with_gone(self) -> str:
        """The same and the keys that the watermark has passed; "" if nothing is ever evicted."""
        passed = self._passed("first")
        if passed is None:
            return ""
        names = [kept.name for kept in (*self._plan.state_keys, *self._plan.state_values)]
        flags = [named(exp.true(), REMOVED), column(ROW), named(exp.false(), _NEW)]
        gone = exp.select(*map(column, names), named(exp.cast(exp.null(), "BIGINT"), _PLACE), *flags)
        gone = gone.from_(self._state.relation).where(self._passed(None))
        new = self._new_rows(exp.Coalesce(this=exp.Paren(this=passed), expressions=[exp.false()]))
        return self._state.filling(exp.union(new, gone, distinct=False))

    def _passed(self, alias: str | None) -> exp.Expr | None:
        """Whether the watermark has passed a key."""
        plan = self._plan
        if plan.within:
            limit = exp.func("epoch_us", plan.site.evict)
            return exp.LTE(this=column(_EXPIRY, alias), expression=limit)
        if plan.event is None or plan.event not in plan.keys:
            return None
        return at_or_before(column(f"key_{plan.keys.index(plan.event)}", alias), plan.event.type, plan.site.evict)

    def _figures(self) -> str:
        """How many rows came, were late, are new, are removed."""
        rows = exp.Count(this=exp.Star())
        late = exp.Filter(this=rows.copy(), expression=exp.Where(this=self._is_late())) if self._plan.event else "0"
        flags = [exp.Where(this=column(name)) for name in (_NEW, REMOVED)]
        counts = [exp.Filter(this=rows.copy(), expression=flag) for flag in flags]
        batch = exp.select(rows, late).from_(table(self._batch, "batch"))
        changes = exp.select(*counts).from_(self._state.changes)
        both = exp.select("*").from_(batch.subquery("batch"))
        return sql_text(both.join(changes.subquery("changes"), join_type="cross"))

    def _output_rows(self) -> exp.Select:
        query = exp.select(*(column(name, "batch") for name in self._plan.columns)).from_(table(self._batch, "batch"))
        new = exp.and_(exp.EQ(this=self._row.copy(), expression=column(_PLACE, "new")), column(_NEW, "new"))
        return query.join(table(self._state.changes, "new"), on=new, join_type="semi")


def _since(begin: float) -> int:
    return int((time.perf_counter() - begin) * 1000)
