"""Streaming aggregation: any DuckDB aggregate, kept as its exported state per group.

A batch is aggregated to states, joined with the state table by its keys and combined; what changed is the changelog.
Update mode gives the groups that changed, complete mode all of them. `append` needs a watermark and is refused before.

    batch    SELECT keys, aggregate EXPORT_STATE FROM input GROUP BY keys
    changed  SELECT keys, combine(batch, state) FROM batch LEFT JOIN state
    state    rows of `changed` in place of those with the same keys

Invariants: first, last and lists keep arrival order (DuckDB's `combine(a, b)` puts the rows of `b` before those of
`a`, so the old state is the second); the input is read once; states come back from a file as the bits they were.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import pyarrow as pa
import pyarrow.compute as pc
from sqlglot import exp

from headwater.compile.relations.aggregate import AggregatePieces, compile_aggregate
from headwater.compile.resolved import Resolved
from headwater.duck import Connection, DuckError, ExportState, arrow, sql_text
from headwater.errors import RuntimeSparkError, unsupported
from headwater.plan.relations import Aggregate
from headwater.state.store import REMOVED, StateStore
from headwater.streaming.operators.base import Moment, Site, stateful
from headwater.streaming.progress import StateReport

_FRESH = "_fresh"
_OLD, _NEW = "old", "new"


@dataclass(frozen=True)
class AggregatePlan:
    """What to aggregate. Columns of the state are named by position, so that names may change between runs.

    Attributes:
        input: the rows, over the streams' views.
        keys: expressions over the input's columns, the grouping; none: one group of all rows.
        measures: aggregate calls over the input's columns.
        names: the input's columns by the names users gave them, for comparing plans of two runs.
    """

    input: exp.Query
    keys: tuple[exp.Expression, ...]
    measures: tuple[exp.Expression, ...]
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def key_names(self) -> list[str]:
        """Names of the keys in state and result."""
        return [f"key_{index}" for index in range(len(self.keys))]

    @property
    def measure_names(self) -> list[str]:
        """Names of the measures in state and result."""
        return [f"measure_{index}" for index in range(len(self.measures))]

    def describe(self) -> dict[str, object]:
        """What may not change between runs."""
        return {
            "operator": "stateStoreSave",
            "keys": [self._shown(tree) for tree in self.keys],
            "aggregates": [self._shown(tree) for tree in self.measures],
        }

    def _shown(self, tree: exp.Expression) -> str:
        shown = tree.copy()
        for column in shown.find_all(exp.Column):
            column.set("this", exp.to_identifier(self.names.get(column.name, column.name)))
            column.set("table", None)
        return sql_text(shown)


class StreamingAggregate:
    """See the module.

    Args:
        plan: what to aggregate.
        store: where the state is kept.
        mode: which groups go on after a batch.
        index: number of the operator in its query; names its tables and its result `aggregate_<index>`.
    """

    name = "stateStoreSave"

    def __init__(self, plan: AggregatePlan, store: StateStore, mode: Literal["update", "complete"], index: int) -> None:
        self._plan = plan
        self._store = store
        self._mode = mode
        self.result = f"operator_{index}"
        self._state = f"aggregate_{index}_state"
        self._batch = f"aggregate_{index}_batch"
        self._changed = f"aggregate_{index}_changed"
        self._total = 0
        self._updates_ms = 0
        self._merge_text = sql_text(_create(self._changed, self._merge()))
        self._batch_text = sql_text(_create(self._batch, self._aggregated()))

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        try:
            for table in (self._state, self._batch):
                _run(connection, sql_text(_create(table, self._aggregated().limit(0))))
        except DuckError as error:
            if "cannot export state" not in str(error):
                raise
            calls = ", ".join(sql_text(tree) for tree in self._plan.measures)
            raise unsupported(f"one of the aggregates {calls} on a stream", "Aggregate in foreachBatch.") from error
        _run(connection, self._merge_text)
        source = self._state if self._mode == "complete" else self._changed
        finals = [exp.alias_(exp.func("finalize", _column(n)), n, quoted=True) for n in self._plan.measure_names]
        query = exp.select(*(_column(n) for n in self._plan.key_names), *finals).from_(source)
        _run(connection, sql_text(_create(self.result, query, kind="VIEW")))

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:  # noqa: ARG002
        """See `StatefulOperator`."""
        difference = self._store.check_operator(self._plan.describe())
        if difference is not None:
            raise RuntimeSparkError("STATE_STORE_OPERATOR_MISMATCH", path=self._store.folder, reason=difference)
        for change in self._store.load(version):
            self._apply_file(connection, change.rows)
        self._total = _count(connection, self._state)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        _run(connection, self._batch_text)
        moment.ran()
        self._updates_ms = _since(begin)

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        _run(connection, self._merge_text)
        changed = arrow(
            connection, exp.select(*(_column(n) for n in self._columns), _column(_FRESH)).from_(self._changed)
        )
        self._total += pc.sum(changed.column(_FRESH)).as_py() or 0
        rows = _with_removed(changed.drop_columns([_FRESH]))
        self._replace(connection)
        updates, begin = self._updates_ms + _since(begin), time.perf_counter()
        size = self._store.write("changelog", version, rows)
        if self._store.snapshot_due(self._total):
            self._snapshot(connection, version)
        per_row = rows.nbytes / max(rows.num_rows, 1)
        return StateReport(
            self.name,
            self._total,
            rows.num_rows,
            updates_ms=updates,
            commit_ms=_since(begin),
            memory_bytes=int(per_row * self._total),
            metrics={"changelogBytes": size},
        )

    def purge(self, before: int) -> None:
        """See `StatefulOperator`."""
        self._store.purge(before)

    def output_watermark(self, input_ms: int) -> int | None:
        """See `StatefulOperator`."""
        return input_ms

    def due(self, moment: Moment, next_ms: int | None) -> bool:  # noqa: ARG002
        """See `StatefulOperator`."""
        return False

    # ── queries ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _columns(self) -> list[str]:
        return [*self._plan.key_names, *self._plan.measure_names]

    def _aggregated(self) -> exp.Select:
        plan = self._plan
        keys = [exp.alias_(tree.copy(), n, quoted=True) for n, tree in zip(plan.key_names, plan.keys, strict=True)]
        states = [
            exp.alias_(ExportState(this=tree.copy()), n, quoted=True)
            for n, tree in zip(plan.measure_names, plan.measures, strict=True)
        ]
        query = exp.select(*keys, *states).from_(plan.input.subquery("input"))
        return query.group_by(*(exp.Literal.number(i + 1) for i in range(len(keys)))) if keys else query

    def _merge(self) -> exp.Select:
        known = exp.select("*", exp.alias_(exp.true(), "known")).from_(self._state).subquery(_OLD)
        absent = exp.column("known", _OLD).is_(exp.null())
        measures = []
        for name, tree in zip(self._plan.measure_names, self._plan.measures, strict=True):
            both = _combined(tree, _column(name, _OLD), _column(name, _NEW))
            merged = exp.case().when(absent.copy(), _column(name, _NEW)).else_(both)
            measures.append(exp.alias_(merged, name, quoted=True))
        keys = [_column(name, _NEW) for name in self._plan.key_names]
        query = exp.select(*keys, *measures, exp.alias_(absent, _FRESH))
        return query.from_(exp.alias_(exp.to_table(self._batch), _NEW, table=True)).join(
            known, on=_same_keys(self._plan.key_names, _OLD, _NEW), join_type="left"
        )

    def _replace(self, connection: Connection) -> None:
        """Rows of `changed` take the place of those of the same keys."""
        _run(connection, _delete(self._state, self._changed, self._plan.key_names))
        rows = exp.select(*(_column(name) for name in self._columns)).from_(self._changed)
        _run(connection, sql_text(exp.insert(rows, self._state)))

    # ── files ───────────────────────────────────────────────────────────────────────────────────────────────

    def _snapshot(self, connection: Connection, version: int) -> None:
        """Write all groups, and let the table forget its deleted rows."""
        query = exp.select(*(_column(name) for name in self._columns)).from_(self._state)
        self._store.write("snapshot", version, _with_removed(arrow(connection, query)))
        _run(connection, sql_text(_create(self._state, query)))

    def _apply_file(self, connection: Connection, rows: pa.Table) -> None:
        connection.register("state_file", rows)
        try:
            _run(connection, _delete(self._state, "state_file", self._plan.key_names))
            kept = exp.select(*self._from_file(rows)).from_("state_file").where(_column(REMOVED).not_())
            _run(connection, sql_text(exp.insert(kept, self._state)))
        except DuckError as error:
            raise RuntimeSparkError(
                "STATE_STORE_OPERATOR_MISMATCH", path=self._store.folder, reason=str(error)
            ) from error
        finally:
            connection.unregister("state_file")

    def _from_file(self, rows: pa.Table) -> list[exp.Expression]:
        measures = dict(zip(self._plan.measure_names, self._plan.measures, strict=True))
        return [
            _as_state(measures[name], rows.schema.field(name).type, name) if name in measures else _column(name)
            for name in self._columns
        ]


@dataclass(frozen=True)
class _Cut:
    plan: AggregatePlan
    result: Resolved
    site: Site

    def opened(self, stores: Callable[[str], StateStore]) -> StreamingAggregate:
        mode = "complete" if self.site.mode == "complete" else "update"
        return StreamingAggregate(self.plan, stores(""), cast(Literal["update", "complete"], mode), self.site.number)


@stateful(Aggregate)
def aggregate(node: Aggregate, site: Site) -> _Cut:
    """The operator of a streaming aggregation."""
    if node.having is not None:
        raise unsupported("HAVING on a stream", "Filter the aggregated columns in an outer query.")
    pieces = compile_aggregate(node, site.context)
    site.inputs.update(pieces.child.inputs)
    return _Cut(_aggregate_plan(pieces), _result(pieces, site.output), site)


def _aggregate_plan(pieces: AggregatePieces) -> AggregatePlan:
    for state in pieces.states:
        if state.distinct and not is_set(state.call):
            raise unsupported(f"{sql_text(state.call)} on a stream", "Use approx_count_distinct.")
    return AggregatePlan(
        pieces.child.query,
        tuple(key.sql for key in pieces.keys),
        tuple(state.call for state in pieces.states),
        {attribute.sql: attribute.name for attribute in pieces.child.attributes},
    )


def _result(pieces: AggregatePieces, output: str) -> Resolved:
    """The aggregation's output over the operator's result view."""
    names = [key.attribute.sql for key in pieces.keys]
    keys = [exp.alias_(exp.column(f"key_{i}"), n, quoted=True) for i, n in enumerate(names)]
    states = [exp.alias_(exp.column(f"measure_{i}"), s.name, quoted=True) for i, s in enumerate(pieces.states)]
    inner = exp.select(*keys, *states).from_(output).subquery("grouped")
    outputs = [exp.alias_(cast(exp.Expression, i.sql).copy(), i.attribute.sql, quoted=True) for i in pieces.outputs]
    attributes = tuple(item.attribute for item in pieces.outputs)
    return Resolved(exp.select(*outputs).from_(inner), attributes, streaming=True)


def _combined(call: exp.Expression, old: exp.Column, new: exp.Column) -> exp.Expression:
    """The state of the rows of `old`, then those of `new`."""
    name = _function(call)
    if name in ("first", "any_value", "last"):
        # DuckDB's combine of `last` keeps the first value of fixed-size types; a state without a value is NULL
        one, other = (new, old) if name == "last" else (old, new)
        return exp.case().when(one.is_(exp.null()), other).else_(one.copy())
    both = _call("combine", new, old)
    return _without_repeats(both, new) if is_set(call) else both


def _function(call: exp.Expression) -> str:
    """The aggregate function's name in lower case."""
    inner = _inner(call)
    if isinstance(inner, exp.Func) and not isinstance(inner, exp.Anonymous):
        return inner.sql_name().lower()
    return str(inner.this).lower()


def _inner(call: exp.Expression) -> exp.Expression:
    """The call without FILTER and IGNORE NULLS around it."""
    while isinstance(call, exp.Filter | exp.IgnoreNulls):
        call = call.this
    return call


def is_set(call: exp.Expression) -> bool:
    """Whether it is the list of different values (`collect_set`), the one distinct aggregate that can be kept."""
    return _function(call) == "list" and isinstance(_inner(call).expressions[0], exp.Distinct)


def _without_repeats(state: exp.Expression, other: exp.Expression) -> exp.Expression:
    """A list state without the values that both parts of it brought; `other` tells its type."""
    values = _call("list_distinct", _call("finalize", state))
    element = _call("list_extract", _call("finalize", other), exp.Literal.number(1))
    return _exported(values, "list", element)


def _exported(value: exp.Expression, aggregate: str, argument: exp.Expression) -> exp.Expression:
    """The state of `aggregate` over arguments like `argument` that holds `value`."""
    signature = exp.Array(expressions=[_call("typeof", argument)])
    return _call("to_aggregate_state", value, exp.Literal.string(aggregate), signature)


def _call(name: str, *arguments: exp.Expression) -> exp.Anonymous:
    return exp.Anonymous(this=name, expressions=list(arguments))


def _as_state(call: exp.Expression, stored: pa.DataType, name: str) -> exp.Expression:
    """A stored state as DuckDB's: it casts all but bare times and bytes, the states of `min` and `max`."""
    if not (pa.types.is_temporal(stored) or pa.types.is_binary(stored) or pa.types.is_large_binary(stored)):
        return _column(name)
    kind = _function(call)
    if kind not in ("min", "max"):
        raise unsupported(f"the state of {sql_text(call)} in a stream")
    return _exported(_column(name), kind, _column(name))


def _with_removed(rows: pa.Table) -> pa.Table:
    for column in rows.schema:
        if pa.types.is_interval(column.type):
            raise unsupported(f"an interval (`{column.name}`) in the state of a stream", "Cast it to seconds.")
    return rows.append_column(REMOVED, pa.repeat(pa.scalar(False), rows.num_rows))


def _column(name: str, table: str | None = None) -> exp.Column:
    return exp.column(name, table, quoted=True)


def _same_keys(names: list[str], left: str, right: str) -> exp.Condition:
    return exp.and_(exp.true(), *(exp.NullSafeEQ(this=_column(n, left), expression=_column(n, right)) for n in names))


def _delete(table: str, using: str, keys: list[str]) -> str:
    target = exp.alias_(exp.to_table(table), _OLD, table=True)
    rows = exp.alias_(exp.to_table(using), _NEW, table=True)
    return sql_text(exp.Delete(this=target, using=[rows], where=exp.Where(this=_same_keys(keys, _OLD, _NEW))))


def _create(name: str, query: exp.Query, kind: str = "TABLE") -> exp.Create:
    properties = exp.Properties(expressions=[exp.TemporaryProperty()])
    return exp.Create(this=exp.to_table(name), kind=kind, replace=True, properties=properties, expression=query)


def _run(connection: Connection, text: str) -> None:
    connection.execute(text).fetchall()


def _count(connection: Connection, table: str) -> int:
    text = sql_text(exp.select(exp.Count(this=exp.Star())).from_(table))
    return int(connection.execute(text).fetchall()[0][0])


def _since(begin: float) -> int:
    return int((time.perf_counter() - begin) * 1000)
