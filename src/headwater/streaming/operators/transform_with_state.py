"""`transformWithState` and `transformWithStateInPandas`: a user's StatefulProcessor over the groups of each batch.

    first batch   handleInitialState for the groups of the initial state
    every batch   handleInputRows for its groups, then handleExpiredTimer for what is due, then values past their
                  time to live go

Invariants: only the groups at hand are looked up; what a batch does depends on its rows, its times and the state
alone, so a replay does the same; timers fire in the order of their times.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from pyspark.sql.types import Row, StructType
from sqlglot import exp

from headwater import duck
from headwater.compile.grouping import GROUP, GroupedRows, create, keyed, same_keys
from headwater.compile.relations.grouped import output_schema
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Resolved
from headwater.duck import Connection, sql_text
from headwater.errors import RuntimeSparkError
from headwater.plan.relations import TransformWithState
from headwater.state.store import StateStore
from headwater.streaming.handed import OutputRows
from headwater.streaming.operators.base import Moment, Site, at_or_before, stateful
from headwater.streaming.progress import StateReport
from headwater.streaming.variable_tables import EXPIRES, VariableTables
from headwater.udf.failures import user_code
from headwater.udf.processor import MODE_NAMES, Processor, StateOfBatch, variables_of
from headwater.udf.shapes import PANDAS_TYPES, shape_of
from headwater.udf.variables import Variable, Variables

_TIMERS_AT_ONCE = 20_000


@stateful(TransformWithState)
def transform_with_state(node: TransformWithState, site: Site) -> TransformPlan:
    """The operator of a node."""
    rows = site.compile(keyed(node.input, node.grouping))
    initial = None if node.initial is None else site.compile(keyed(node.initial, node.initial_grouping))
    return TransformPlan(node, site, rows, initial)


@dataclass(frozen=True)
class TransformPlan:
    """The compiled operator, its state without a place."""

    node: TransformWithState
    site: Site
    rows: Resolved
    initial: Resolved | None

    @property
    def result(self) -> Resolved:
        """See `OperatorPlan`."""
        return OutputRows(self.site.output, self.output).resolved()

    @property
    def output(self) -> StructType:
        """The output's schema."""
        return output_schema(self.node, self.rows.attributes)

    def opened(self, stores: Callable[[str], StateStore]) -> Transform:
        """See `OperatorPlan`."""
        return Transform(self, stores)


@dataclass
class _Counters:
    """What a batch did, for its report."""

    updated: int = 0
    removed: int = 0
    expired_values: int = 0
    forgotten: int = 0
    milliseconds: dict[str, int] = field(default_factory=dict)
    timers: Any = None


class Transform:
    """See the module."""

    def __init__(self, plan: TransformPlan, stores: Callable[[str], StateStore]) -> None:
        self._node = node = plan.node
        site = plan.site
        pandas = node.function.eval_type in PANDAS_TYPES
        self.name = "transformWithStateInPandasExec" if pandas else "transformWithStateInPySparkExec"
        self._store = stores("")
        prefix = f"operator_{site.number}"
        late = (lambda column, kind: at_or_before(column, kind, site.late)) if node.time_mode == "eventtime" else None
        self._rows = GroupedRows(prefix, plan.rows, len(node.grouping), late)
        self._initial: GroupedRows | None = None
        if plan.initial is not None:
            self._initial = GroupedRows(
                f"{prefix}_initial", plan.initial, len(node.initial_grouping), wanted=self._rows.wanted
            )
        self._tables = VariableTables(stores, prefix, self._rows)
        self._schema = node.output
        self._output = OutputRows(site.output, plan.output)
        self._shape = shape_of(node.function, site.context.settings, site.context.time_zone)
        self._timers = _Timers(prefix, self._rows, self._tables.timers.state.relation)
        self._event = next((i for i, f in enumerate(plan.output.fields) if DELAY in (f.metadata or {})), None)
        self._old_rows = self._older(site, plan.output)
        self._declared: list[Variable] = []
        self._counters = _Counters()
        self._now = 0

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        self._rows.prepare(connection)
        if self._initial is not None:
            self._initial.prepare(connection)
            self._rows.prepare(connection)
        self._tables.prepare(connection)
        self._output.clear(connection)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`; runs the processor's `init` to learn its variables."""
        self._check_modes()
        self._declared = variables_of(self._node.function, self._node.time_mode)
        self._tables.restore(connection, version, ids, self._declared)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        self._counters = _Counters()
        self._now = moment.timestamp_ms
        self._output.clear(connection)
        for table in self._tables.all:
            table.turn(moment.timestamp_ms)
        state = StateOfBatch(
            Variables(moment.timestamp_ms),
            lambda variable: self._tables.by_name[variable.name].cells,
            self._tables.timers.cells,
            moment.eviction_ms or 0,
        )
        processor = Processor(self._node.function, self._node.time_mode, state)
        processor.open()
        self._forget(connection, processor)
        if self._initial is not None and moment.batch_id == 0:
            self._start(connection, processor)
        for chunk in self._rows.chunks(connection, moment.ran):
            self._begin(connection)
            with user_code():
                keys = self._shape.keys(chunk.keys, self._rows.key_schema)
                groups = self._shape.groups(chunk.rows, self._rows.data_schema, chunk.bounds)
                given = (processor.rows(*each) for each in zip(chunk.groups, keys, groups, strict=True))
                self._give(connection, chain.from_iterable(given))
            self._flush(connection)
        self._counters.milliseconds["rows"] = _since(begin)
        self._expire(connection, processor, moment)
        processor.close()
        self._sweep(connection)
        counts = state.shared.counts
        self._counters.updated = counts.updated
        self._counters.removed = counts.removed + self._counters.expired_values
        self._counters.timers = state.timer_counts

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`."""
        counted = sum(table.count(connection) for table in self._tables.by_name.values())
        written = self._tables.commit(connection, version)
        return StateReport(
            self.name,
            counted,
            self._counters.updated,
            self._counters.removed,
            updates_ms=self._counters.milliseconds["rows"],
            removals_ms=self._counters.milliseconds["timers"],
            memory_bytes=sum(table.state.memory_bytes for table in self._tables.all),
            rows_dropped=self._rows.dropped,
            metrics=self._metrics(),
            written=written,
        )

    def purge(self, before: int) -> None:
        """See `StatefulOperator`."""
        self._tables.purge(before)

    def output_watermark(self, input_ms: int) -> int | None:
        """The input's; None where rows have no event time."""
        return None if self._node.time_mode == "processingtime" else input_ms

    def due(self, moment: Moment, next_ms: int | None) -> bool:
        """Whether there may be work without data: always where time itself is looked at, as in Spark."""
        if self._node.time_mode == "processingtime":
            return True
        return next_ms is not None and (moment.eviction_ms is None or next_ms > moment.eviction_ms)

    def _check_modes(self) -> None:
        """Raises STATE_STORE_INVALID_CONFIG_AFTER_RESTART, STATE_STORE_OPERATOR_MISMATCH."""
        modes = {"timeMode": MODE_NAMES[self._node.time_mode], "outputMode": self._node.output_mode.title()}
        noted = self._store.noted_operator()
        for name, mode in modes.items():
            if noted.get(name, mode) != mode:
                raise RuntimeSparkError(
                    "STATE_STORE_INVALID_CONFIG_AFTER_RESTART", configName=name, oldConfig=noted[name], newConfig=mode
                )
        difference = self._store.check_operator({"operator": self.name, **modes})
        if difference is not None:
            raise RuntimeSparkError("STATE_STORE_OPERATOR_MISMATCH", path=self._store.folder, reason=difference)

    # ── the parts of a batch ────────────────────────────────────────────────────────────────────────────────

    def _start(self, connection: Connection, processor: Processor) -> None:
        """The first batch's initial state."""
        assert self._initial is not None
        begin = time.perf_counter()
        for chunk in self._initial.chunks(connection):
            self._begin(connection)
            with user_code():
                keys = self._shape.keys(chunk.keys, self._initial.key_schema)
                groups = self._shape.groups(chunk.rows, self._initial.data_schema, chunk.bounds)
            for group, key, states in zip(chunk.groups, keys, groups, strict=True):
                processor.initial(group, key, states)
            self._flush(connection)
        self._counters.milliseconds["initial"] = _since(begin)

    def _expire(self, connection: Connection, processor: Processor, moment: Moment) -> None:
        """Fire what is due now, earliest first; timers set meanwhile wait for the next batch."""
        begin = time.perf_counter()
        processor.timers()
        due = {"processingtime": moment.timestamp_ms, "eventtime": moment.eviction_ms or 0}.get(self._node.time_mode)
        for fired in self._timers.take(connection, due) if due is not None else ():
            self._begin(connection)
            groups, keys = self._rows.chosen_keys(connection)
            make = Row(*self._rows.key_schema.names)
            with user_code():
                rows = [make(*key) for key in self._shape.keys(keys, self._rows.key_schema)]
                by_group = dict(zip(groups, rows, strict=True))
                given = (processor.expired(group, by_group[group], expires) for group, expires in fired)
                self._give(connection, chain.from_iterable(given))
            self._flush(connection)
        self._counters.milliseconds["timers"] = _since(begin)

    def _sweep(self, connection: Connection) -> None:
        """Remove values past their time to live."""
        for table in self._tables.by_name.values():
            self._counters.expired_values += table.expire(connection, self._now)

    def _forget(self, connection: Connection, processor: Processor) -> None:
        """Remove what the processor's `init` deleted."""
        known = self._tables.by_name
        deleted = [known[name] for name in processor.handle.deleted if name in known]
        for table in deleted:
            table.forget(connection)
        self._counters.forgotten = len(deleted)

    def _begin(self, connection: Connection) -> None:
        for table in self._tables.all:
            table.begin(connection)

    def _flush(self, connection: Connection) -> None:
        for table in self._tables.all:
            table.flush(connection)

    def _give(self, connection: Connection, given: Iterator[Any]) -> None:
        for rows in self._shape.tables(given, self._schema):
            self._output.add(connection, rows)
        if self._old_rows is not None:
            self._check(connection, self._old_rows)

    # ── the watermark of the output ─────────────────────────────────────────────────────────────────────────

    def _older(self, site: Site, output: StructType) -> str | None:
        """The query of one output row that the watermark of the batch before has passed."""
        if self._event is None:
            return None
        column = exp.column(f"out_{self._event}", quoted=True)
        reached = at_or_before(column, output.fields[self._event].dataType, site.late)
        old = exp.LT(this=reached.this, expression=reached.expression)
        shown = [exp.func("epoch_us", reached.this.copy()), exp.func("epoch_ms", site.late)]
        return sql_text(exp.select(*shown).from_(site.output).where(old).limit(1))

    def _check(self, connection: Connection, text: str) -> None:
        old = connection.execute(text).fetchall()
        if old:
            raise RuntimeSparkError(
                "EMITTING_ROWS_OLDER_THAN_WATERMARK_NOT_ALLOWED",
                emittedRowEventTime=old[0][0],
                currentWatermark=old[0][1],
            )

    # ── the report ──────────────────────────────────────────────────────────────────────────────────────────

    def _metrics(self) -> dict[str, int]:
        counters, timers = self._counters, self._counters.timers
        kinds = [(variable.kind, variable.ttl_ms is not None) for variable in self._declared]
        metrics = {
            "initialStateProcessingTimeMs": counters.milliseconds.get("initial", 0),
            "numDeletedStateVars": counters.forgotten,
            "numDeletedTimers": timers.deleted,
            "numExpiredTimers": 0,
            "numRegisteredTimers": timers.registered,
            "numValuesRemovedDueToTTLExpiry": counters.expired_values,
            "timerProcessingTimeMs": counters.milliseconds["timers"],
        }
        for kind in ("list", "map", "value"):
            metrics[f"num{kind.title()}StateVars"] = kinds.count((kind, False))
            metrics[f"num{kind.title()}StateWithTTLVars"] = kinds.count((kind, True))
        return dict(sorted(metrics.items()))


class _Timers:
    """The timers that are due, some at a time, earliest first."""

    def __init__(self, prefix: str, rows: GroupedRows, relation: str) -> None:
        self._variable, self._part = f"{prefix}_due", f"{prefix}_due_part"
        due = f"{prefix}_timers_due"
        names = [column.name for column in rows.columns()]
        keys = [exp.column(name, quoted=True) for name in names]
        passed = exp.LTE(this=exp.column(EXPIRES), expression=_variable(self._variable))
        order = exp.Order(expressions=[exp.Ordered(this=c, nulls_first=True) for c in (exp.column(EXPIRES), *keys)])
        number = exp.Paren(this=exp.Sub(this=exp.Window(this=exp.RowNumber(), order=order), expression=_number(1)))
        part = exp.alias_(exp.IntDiv(this=number, expression=_number(_TIMERS_AT_ONCE)), "part")
        self._due = create(due, exp.select(*keys, EXPIRES, part).from_(relation).where(passed))
        here = exp.EQ(this=exp.column("part"), expression=_variable(self._part))
        self._wanted = rows.chosen(exp.select(*(key.copy() for key in keys)).distinct().from_(due).where(here))
        joined = exp.select(exp.column(GROUP, "w"), exp.column(EXPIRES, "d")).from_(f"{due} AS d")
        joined = joined.join(f"{rows.wanted} AS w", on=same_keys(names, "d", "w")).where(here.copy())
        self._fired = sql_text(joined.order_by(exp.column(EXPIRES, "d"), exp.column(GROUP, "w")))

    def take(self, connection: Connection, due: int) -> Iterator[list[tuple[int, int]]]:
        """Group and time of the timers that are due now; the groups of the last ones given are at hand."""
        connection.execute(f"SET VARIABLE {self._variable} = {due}").fetchall()
        count = int(duck.run(connection, self._due)[0][0])
        for part in range(-(-count // _TIMERS_AT_ONCE)):
            connection.execute(f"SET VARIABLE {self._part} = {part}").fetchall()
            duck.run(connection, self._wanted)
            yield [(int(group), int(expires)) for group, expires in duck.run(connection, self._fired)]


def _variable(name: str) -> exp.Expression:
    return exp.cast(exp.Anonymous(this="getvariable", expressions=[exp.Literal.string(name)]), "BIGINT")


def _number(value: int) -> exp.Expression:
    return exp.Literal.number(value)


def _since(begin: float) -> int:
    return int((time.perf_counter() - begin) * 1000)
