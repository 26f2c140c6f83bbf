"""`limit` on a stream: the first rows that ever come go on, the others do not. The state is how many have gone on.

Invariants: the input is read once and whole, so that its rows are counted and the operators below see all of theirs;
a limit above a streaming aggregation in complete mode is no operator: it cuts each batch's whole result.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pyspark.sql.types import LongType
from sqlglot import exp

from headwater.compile.resolved import Resolved
from headwater.duck import Connection, sql_text
from headwater.plan.relations import Aggregate, Limit, Relation
from headwater.sinks.base import OutputMode
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import StateColumn, StateTable
from headwater.streaming.operators.base import Moment, Site, stateful
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, count, create, named, run

_COUNT = "count"


def _counts(node: Limit, streams: Callable[[Relation], bool], mode: OutputMode) -> bool:
    """Whether the limit is over all batches."""
    if not streams(node) or mode == "update":
        return False
    return mode == "append" or not any(isinstance(one, Aggregate) and streams(one) for one in node.walk())


@dataclass(frozen=True)
class LimitPlan:
    """A compiled limit: the rows, and how many of them go on."""

    site: Site
    input: Resolved
    limit: int

    @property
    def columns(self) -> list[exp.Column]:
        """The columns of the input, hidden ones too."""
        return [column(a.sql) for a in (*self.input.attributes, *self.input.hidden)]

    @property
    def reads(self) -> tuple[exp.Query, ...]:
        """The query over its input."""
        return (self.input.query,)

    @property
    def result(self) -> Resolved:
        """See `OperatorPlan`: the input's columns."""
        query = exp.select(*self.columns).from_(self.site.output)
        return replace(self.input, query=query, inputs={}, streaming=True)

    def opened(self, stores: Callable[[str], StateStore]) -> StreamingLimit:
        """See `OperatorPlan`."""
        return StreamingLimit(self, stores(""))


@stateful(Limit, _counts)
def limit(node: Limit, site: Site) -> LimitPlan:
    """The operator of `limit`."""
    return LimitPlan(site, site.compile(node.input), node.count)


class StreamingLimit:
    """See the module."""

    name = "globalLimit"

    def __init__(self, plan: LimitPlan, store: StateStore) -> None:
        self._limit = plan.limit
        self._state = StateTable(store, plan.site.output, [], [StateColumn(_COUNT, LongType())])
        self._left = f"{plan.site.output}_left"
        self._seen = f"{plan.site.output}_seen"
        self._fill, self._output, self._known, self._note = self._texts(plan)
        self._gone_on = self._updated = self._updates_ms = 0

    def _texts(self, plan: LimitPlan) -> tuple[str, str, str, str]:
        batch = f"{plan.site.output}_batch"
        left = exp.func("getvariable", exp.Literal.string(self._left))
        output = exp.select(*plan.columns).from_(batch).where(exp.LT(this=column("rowid"), expression=left))
        known = exp.select(exp.func("coalesce", exp.Max(this=column(_COUNT)), exp.Literal.number(0)))
        seen = exp.cast(exp.func("getvariable", exp.Literal.string(self._seen)), "BIGINT")
        note = exp.select(named(seen, _COUNT), named(exp.false(), REMOVED))
        return (
            create(batch, plan.input.query),
            create(plan.site.output, output, "VIEW"),
            sql_text(known.from_(self._state.relation)),
            create(self._seen, note, "VIEW"),
        )

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        self._state.prepare(connection)
        for text in (self._fill, self._output, self._note):
            run(connection, text)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        self._state.restore(connection, version, ids[0] if ids else None)
        self._gone_on = count(connection, self._known)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        rows = run(connection, self._fill)
        moment.ran()
        taken = min(rows, self._limit - self._gone_on)
        _set(connection, self._left, taken)
        self._updated = int(taken > 0)
        if taken > 0:
            self._gone_on += taken
            _set(connection, self._seen, self._gone_on)
            self._state.apply(connection, self._seen)
        self._updates_ms = int((time.perf_counter() - begin) * 1000)

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`."""
        written = self._state.commit(connection, version)
        return StateReport(
            self.name,
            self._state.rows,
            self._updated,
            updates_ms=self._updates_ms,
            memory_bytes=self._state.memory_bytes,
            written=(written,),
        )

    def purge(self, before: int) -> None:
        """See `StatefulOperator`."""
        self._state.purge(before)

    def output_watermark(self, input_ms: int) -> int | None:
        """See `StatefulOperator`."""
        return input_ms

    def due(self, moment: Moment, next_ms: int | None) -> bool:
        """See `StatefulOperator`: a limit has nothing to do without rows."""
        del moment, next_ms
        return False


def _set(connection: Connection, name: str, number: int) -> None:
    run(connection, f"SET VARIABLE {name} = {number}")
