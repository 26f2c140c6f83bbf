"""Joins of two streams: inner, left, right and full outer, left semi. Spark's `symmetricHashJoin`.

Each side's rows are kept until the watermark says that nothing more can match them. A batch's new rows are matched with
the kept rows of the other side and with each other; a row of an outer side that is finished without a match goes on
alone; a row of a semi join goes on with its first match and is kept no longer.

Invariants: each input is read once; a pair is given in one batch only; an unmatched row is given once, when it is
finished; only rows that may still match are in the state of a committed version.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from headwater import duck
from headwater.compile import JoinPieces, compile_join
from headwater.compile.frame import Item
from headwater.compile.resolved import Resolved
from headwater.duck import Connection, sql_text
from headwater.errors import AnalysisError, RuntimeSparkError
from headwater.plan.relations import Join, Relation
from headwater.sinks.base import OutputMode
from headwater.state.store import StateStore
from headwater.state.table import StateTable
from headwater.streaming.analysis import event_time
from headwater.streaming.operators import join_sql
from headwater.streaming.operators.base import Moment, Site, stateful
from headwater.streaming.operators.join_sql import NUMBER, Side
from headwater.streaming.operators.join_watermark import JoinWatermarks, SideWatermark, join_watermarks
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, create, named, run


@dataclass(frozen=True)
class JoinPlan:
    """A compiled join whose state has no place yet."""

    site: Site
    pieces: JoinPieces
    watermarks: JoinWatermarks

    @property
    def result(self) -> Resolved:
        """See `OperatorPlan`."""
        outputs, hidden = self.pieces.outputs, self.pieces.hidden
        query = exp.select(*map(_output, (*outputs, *hidden))).from_(self.site.output)
        attributes, out_of_sight = (tuple(item.attribute for item in items) for items in (outputs, hidden))
        return Resolved(query, attributes, streaming=True, hidden=out_of_sight)

    @property
    def reads(self) -> tuple[exp.Query, ...]:
        """The queries over its inputs."""
        return self.pieces.left.query, self.pieces.right.query

    def sides(self) -> tuple[Side, Side]:
        """The two sides."""
        stem, late = self.site.output, self.site.late
        events = [event_time(side.attributes) for side in (self.pieces.left, self.pieces.right)]
        left = Side("left", f"{stem}_left", self.pieces, events[0], self.watermarks.left, late)
        return left, Side("right", f"{stem}_right", self.pieces, events[1], self.watermarks.right, late)

    def describe(self) -> dict[str, object]:
        """What may not change between runs."""
        names = {a.sql: a.name for side in (self.pieces.left, self.pieces.right) for a in side.attributes}
        keys = [[_shown(tree, names) for tree in (key.left, key.right)] for key in self.pieces.keys]
        return {"operator": "symmetricHashJoin", "join": self.pieces.kind, "keys": keys}

    def opened(self, stores: Callable[[str], StateStore]) -> StreamingJoin:
        """See `OperatorPlan`."""
        return StreamingJoin(self, stores)


def _output(item: Item) -> exp.Expr:
    assert item.sql is not None
    return named(item.sql.copy(), item.attribute.sql)


def _shown(tree: exp.Expr, names: dict[str, str]) -> str:
    shown = tree.copy()
    for each in shown.find_all(exp.Column):
        each.set("this", exp.to_identifier(names[each.name]))
    return sql_text(shown)


def _of_streams(node: Join, streams: Callable[[Relation], bool], mode: OutputMode) -> bool:
    del mode
    return streams(node.left) and streams(node.right)


@stateful(Join, applies=_of_streams)
def join(node: Join, site: Site) -> JoinPlan:
    """The operator of a join of two streams. Raises if no equality says which rows may match."""
    pieces = compile_join(node, site.context)
    site.inputs.update({**pieces.left.inputs, **pieces.right.inputs})
    if not pieces.keys:
        raise AnalysisError("_LEGACY_ERROR_TEMP_1181")
    plan = JoinPlan(site, pieces, join_watermarks(pieces, site.context))
    plan.sides()
    return plan


class StreamingJoin:
    """See the module."""

    name = "symmetricHashJoin"

    def __init__(self, plan: JoinPlan, stores: Callable[[str], StateStore]) -> None:
        self._noted = stores("")
        self._plan = plan
        left, right = plan.sides()
        self._sides = (
            _KeptSide(left, stores("left"), plan.watermarks.left),
            _KeptSide(right, stores("right"), plan.watermarks.right),
        )
        stem, rows = plan.site.output, f"{plan.site.output}_rows"
        self._match = join_sql.match(left, right, plan.pieces, rows)
        self._add = join_sql.add_unmatched(left, right, rows)
        self._count = join_sql.count(left, right, rows)
        self._views = [side.change(rows) for side in (left, right)]
        shown = [] if left.once else right.input.attributes
        columns = [column(a.sql) for a in (*left.input.attributes, *shown)]
        self._views.append(create(stem, exp.select(*columns).from_(rows), "VIEW"))
        self._report = StateReport(self.name, 0, 0)

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        for side in self._sides:
            side.prepare(connection)
        for text in (self._match, *self._views):
            run(connection, text)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        difference = self._noted.check_operator(self._plan.describe())
        if difference is not None:
            raise RuntimeSparkError("STATE_STORE_OPERATOR_MISMATCH", path=self._noted.folder, reason=difference)
        for side, version_id in zip(self._sides, ids or (None, None), strict=True):
            side.restore(connection, version, version_id)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        for side in self._sides:
            side.take(connection, moment)
        for side in self._sides:
            side.state.settle()
        run(connection, self._match)
        if self._add:
            run(connection, self._add)
        late, stored, late_right, stored_right = duck.run(connection, self._count)[0]
        updates_ms, begin = _since(begin), time.perf_counter()
        before = sum(side.state.rows for side in self._sides)
        for side in self._sides:
            side.keep(connection, moment.batch_id + 1)
        after, updated = sum(side.state.rows for side in self._sides), stored + stored_right
        self._report = StateReport(
            self.name,
            after,
            updated,
            before + updated - after,
            updates_ms,
            _since(begin),
            rows_dropped=late + late_right,
        )

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`."""
        written = [side.state.commit(connection, version) for side in self._sides]
        return replace(
            self._report,
            memory_bytes=sum(side.state.memory_bytes for side in self._sides),
            written=tuple(written),
        )

    def purge(self, before: int) -> None:
        """See `StatefulOperator`."""
        for side in self._sides:
            side.state.purge(before)

    def output_watermark(self, input_ms: int) -> int | None:
        """See `StatefulOperator`."""
        return self._plan.watermarks.output(input_ms)

    def due(self, moment: Moment, next_ms: int | None) -> bool:
        """See `StatefulOperator`."""
        lets_go = self._plan.watermarks.left is not None or self._plan.watermarks.right is not None
        return lets_go and moment.eviction_ms is not None and next_ms is not None and next_ms > moment.eviction_ms


class _KeptSide:
    """One side and its state."""

    def __init__(self, side: Side, store: StateStore, finished: SideWatermark | None) -> None:
        self._side = side
        self._finished = finished
        stem = side.state.removesuffix("_state")
        self.state = StateTable(store, stem, [side.number], side.columns, side.like())
        self._take, self._number = side.take(), side.number_rows()
        self._last = sql_text(exp.select(exp.func("max", column(NUMBER))).from_(self.state.relation))
        self._first = 0

    def prepare(self, connection: Connection) -> None:
        """Create the tables; the input has no rows."""
        self._set(connection, self._side.first, "0")
        self._set(connection, self._side.limit, "CAST(NULL AS TIMESTAMPTZ)")
        run(connection, self._take)
        self.state.prepare(connection)
        run(connection, self._number)

    def restore(self, connection: Connection, version: int, version_id: str | None) -> None:
        """Load the state; numbering goes on after the last row kept."""
        self.state.restore(connection, version, version_id)
        last = duck.run(connection, self._last)[0][0]
        self._first = 0 if last is None else last + 1

    def take(self, connection: Connection, moment: Moment) -> None:
        """Take in the batch's rows."""
        if self._finished is not None and moment.eviction_ms is not None:
            limit = self._finished.limit(moment.eviction_ms) * 1000
            self._set(connection, self._side.limit, f"make_timestamptz({limit})")
        self._set(connection, self._side.first, str(self._first))
        self._first += run(connection, self._take)
        moment.ran()

    def keep(self, connection: Connection, version: int) -> None:
        """Bring the state to what the next batch needs: version `version`."""
        self.state.apply(connection, self._side.changed, last_of=version)

    @staticmethod
    def _set(connection: Connection, name: str, value: str) -> None:
        connection.execute(f"SET VARIABLE {name} = {value}").fetchall()


def _since(begin: float) -> int:
    return int((time.perf_counter() - begin) * 1000)
