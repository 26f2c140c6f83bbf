"""`applyInPandasWithState`: a Python function per group and batch, with one state and one timeout per group.

    groups of the batch      function(key, frames, state)
    groups that timed out    function(key, one empty frame, state), also in a batch without data

Invariants: only the groups at hand are looked up; groups are called in the order of their keys, first those with rows;
a state whose timeout has passed stays due until the function updates or removes it, as in Spark.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pyarrow as pa
from pyspark.sql.streaming.state import GroupState
from pyspark.sql.types import LongType, StructType
from sqlglot import exp

from headwater import duck
from headwater.compile.grouping import GROUP, GroupedRows, keyed
from headwater.compile.resolved import Resolved
from headwater.duck import Connection
from headwater.errors import IllegalArgumentError, RuntimeSparkError
from headwater.plan.relations import ApplyInPandasWithState
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import StateColumn
from headwater.streaming.handed import GroupTable, OutputRows, by_position
from headwater.streaming.operators.base import Moment, Site, at_or_before, stateful
from headwater.streaming.progress import StateReport
from headwater.udf.failures import user_code
from headwater.udf.frames import Frames, checked, pieces
from headwater.udf.function import load
from headwater.udf.values import Kept, codec_of

STATE, TIMEOUT = "groupState", "timeoutTimestamp"
_NONE = GroupState.NO_TIMESTAMP


@stateful(ApplyInPandasWithState)
def apply_in_pandas_with_state(node: ApplyInPandasWithState, site: Site) -> WithStatePlan:
    """The operator of a node that `analysis` lets through. Raises if the function's output mode is none of Spark's."""
    if node.output_mode == "complete":
        raise IllegalArgumentError(
            "_LEGACY_ERROR_TEMP_3102", msg="The output mode of function should be append or update"
        )
    rows = site.compile(keyed(node.input, node.grouping))
    return WithStatePlan(node, site, rows)


@dataclass(frozen=True)
class WithStatePlan:
    """The compiled operator, its state without a place."""

    node: ApplyInPandasWithState
    site: Site
    rows: Resolved

    @property
    def result(self) -> Resolved:
        """See `OperatorPlan`."""
        return OutputRows(self.site.output, self.node.output).resolved()

    def opened(self, stores: Any) -> ApplyWithState:
        """See `OperatorPlan`."""
        return ApplyWithState(self.node, self.site, self.rows, stores(""))


@dataclass
class _Given:
    """What the function's calls have given: frames, and states by group."""

    frames: list[Any] = field(default_factory=list)
    groups: list[int] = field(default_factory=list)
    states: list[Kept | None] = field(default_factory=list)
    timeouts: list[int] = field(default_factory=list)
    removed: list[bool] = field(default_factory=list)


class ApplyWithState:
    """See the module."""

    name = "applyInPandasWithState"

    def __init__(self, node: ApplyInPandasWithState, site: Site, rows: Resolved, store: StateStore) -> None:
        self._node = node
        self._store = store
        prefix = f"operator_{site.number}"
        late = (lambda c, kind: at_or_before(c, kind, site.late)) if node.timeout == "EventTimeTimeout" else None
        self._rows = GroupedRows(prefix, rows, len(node.grouping), late)
        self._wrapper = StructType().add(STATE, node.state)
        self._codec = codec_of(self._wrapper)
        values = [StateColumn(STATE, node.state, loaded=by_position(node.state))]
        if node.timeout != "NoTimeout":
            values.append(StateColumn(TIMEOUT, LongType()))
        self._state = GroupTable(store, prefix, self._rows.wanted, self._rows.columns(), values)
        self._output = OutputRows(site.output, node.output)
        settings = site.context.settings
        self._frames = Frames(
            site.context.time_zone, safe=settings.flag("spark.sql.execution.pandas.convertToArrowArraySafely")
        )
        self._most = settings.number("spark.sql.execution.arrow.maxRecordsPerBatch")
        self._watermark = self._rows.event is not None
        self._threshold = f"{prefix}_threshold"
        self._timed_out = self._rows.chosen(self._due_rows())
        self._updated = self._removed = self._milliseconds = 0

    # ── the contract ────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        connection.execute(f"SET VARIABLE {self._threshold} = {_NONE}").fetchall()
        self._rows.prepare(connection)
        self._state.table.prepare(connection)
        self._output.clear(connection)

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`."""
        difference = self._store.check_operator({"operator": self.name})
        if difference is not None:
            raise RuntimeSparkError("STATE_STORE_OPERATOR_MISMATCH", path=self._store.folder, reason=difference)
        self._state.table.restore(connection, version, ids[0] if ids else None)

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`."""
        begin = time.perf_counter()
        self._updated = self._removed = 0
        self._output.clear(connection)
        function = load(self._node.function)
        for chunk in self._rows.chunks(connection, moment.ran):
            frame = self._frames.frame(chunk.rows, self._rows.data_schema)
            frames = (pieces(frame, start, stop, self._most) for start, stop in pairwise(chunk.bounds))
            self._call(connection, function, moment, (chunk.groups, chunk.keys, frames), timed_out=False)
        self._time_out(connection, function, moment)
        self._milliseconds = int((time.perf_counter() - begin) * 1000)

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`."""
        table = self._state.table
        written = table.commit(connection, version)
        return StateReport(
            self.name,
            table.rows,
            self._updated,
            self._removed,
            updates_ms=self._milliseconds,
            memory_bytes=table.memory_bytes,
            rows_dropped=self._rows.dropped,
            written=(written,),
        )

    def purge(self, before: int) -> None:
        """See `StatefulOperator`."""
        self._state.table.purge(before)

    def output_watermark(self, input_ms: int) -> int | None:  # noqa: ARG002
        """None: a function may give any time."""
        return None

    def due(self, moment: Moment, next_ms: int | None) -> bool:
        """Whether a timeout may pass without data: always where it is one of processing time, as in Spark."""
        if self._node.timeout == "ProcessingTimeTimeout":
            return True
        moved = next_ms is not None and (moment.eviction_ms is None or next_ms > moment.eviction_ms)
        return self._node.timeout == "EventTimeTimeout" and moved

    # ── calls ───────────────────────────────────────────────────────────────────────────────────────────────

    def _time_out(self, connection: Connection, function: Any, moment: Moment) -> None:
        """Call for the groups whose timeout has passed."""
        threshold = moment.eviction_ms if self._node.timeout == "EventTimeTimeout" else moment.timestamp_ms
        if self._node.timeout == "NoTimeout" or threshold is None:
            return
        connection.execute(f"SET VARIABLE {self._threshold} = {threshold}").fetchall()
        duck.run(connection, self._timed_out)
        groups, keys = self._rows.chosen_keys(connection)
        empty = self._empty()
        self._call(connection, function, moment, (groups, keys, ([empty.copy()] for _ in groups)), timed_out=True)

    def _empty(self) -> Any:
        import pandas as pd

        return pd.DataFrame(columns=self._rows.data_schema.names)

    def _call(
        self,
        connection: Connection,
        function: Any,
        moment: Moment,
        called: tuple[list[int], pa.Table, Iterable[Iterable[Any]]],
        *,
        timed_out: bool,
    ) -> None:
        groups, keys, frames = called
        if not groups:
            return
        kept = self._kept(connection)
        given = _Given()
        with user_code():
            for group, key, values in zip(groups, self._keys(keys), frames, strict=True):
                state = self._group_state(kept.get(group), moment, timed_out)
                given.frames += checked(function(key, values, state), self._node.output)
                self._note(given, group, state)
            for table in self._frames.table(given.frames, self._node.output):
                self._output.add(connection, table)
            changes = self._changes(given)
        self._state.change(connection, changes)

    def _keys(self, keys: pa.Table) -> Iterator[tuple[Any, ...]]:
        """Keys as PySpark gives them: NumPy's numbers, pandas' times."""
        if not self._rows.keys:
            return iter([()] * keys.num_rows)
        frame = self._frames.frame(keys, self._rows.key_schema)
        columns = [frame.iloc[:, i] for i in range(frame.shape[1])]
        return zip(*(c.to_numpy() if c.dtype.kind in "iufb" else list(c) for c in columns), strict=True)

    def _kept(self, connection: Connection) -> dict[int, Kept | None]:
        rows = self._state.load(connection)
        values = self._codec.values([rows.column(STATE)])
        return dict(zip(rows.column(GROUP).to_pylist(), [value[0] for value in values], strict=True))

    def _group_state(self, kept: Kept | None, moment: Moment, timed_out: bool) -> GroupState:
        return GroupState(
            optionalValue=None if kept is None else self._node.state.fromInternal(kept),
            batchProcessingTimeMs=moment.timestamp_ms,
            eventTimeWatermarkMs=_NONE if moment.eviction_ms is None else moment.eviction_ms,
            timeoutConf=self._node.timeout,
            hasTimedOut=timed_out,
            watermarkPresent=self._watermark,
            defined=kept is not None,
            updated=False,
            removed=False,
            timeoutTimestamp=_NONE,
            keyAsUnsafe=b"",
            valueSchema=self._node.state,
        )

    # ── state ───────────────────────────────────────────────────────────────────────────────────────────────

    def _note(self, given: _Given, group: int, state: GroupState) -> None:
        """Take what a call did to its state, if it did anything."""
        timeout = int(state._timeout_timestamp)
        if not (state._updated or state._removed or timeout != _NONE):
            return
        removed = state._removed and timeout == _NONE
        given.groups.append(group)
        given.states.append(self._codec.kept((tuple(state._value),)) if state.exists else (None,))
        given.timeouts.append(timeout)
        given.removed.append(removed)
        self._removed += removed
        self._updated += not removed

    def _changes(self, given: _Given) -> pa.Table:
        return pa.table(
            {
                GROUP: pa.array(given.groups, pa.int64()),
                STATE: self._codec.columns(given.states)[0],
                TIMEOUT: pa.array(given.timeouts, pa.int64()),
                REMOVED: pa.array(given.removed, pa.bool_()),
            }
        )

    def _due_rows(self) -> exp.Select:
        keys = [exp.column(column.name, quoted=True) for column in self._rows.columns()]
        variable = exp.Anonymous(this="getvariable", expressions=[exp.Literal.string(self._threshold)])
        passed = exp.LT(this=exp.column(TIMEOUT, quoted=True), expression=exp.cast(variable, "BIGINT"))
        return exp.select(*keys).from_(self._state.table.relation).where(_set(exp.column(TIMEOUT, quoted=True)), passed)


def _set(timeout: exp.Expression) -> exp.Expression:
    return exp.NEQ(this=timeout, expression=exp.Literal.number(_NONE))
