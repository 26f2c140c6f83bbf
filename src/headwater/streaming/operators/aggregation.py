"""What the operators of aggregations share: keys and measures of a compiled aggregation, its outputs, its counters.

Invariants: columns of the state are named by position, so that users' names may change between runs; ROLLUP's totals
are told from NULLs by the grouping id, which is a key of the state.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

from pyspark.sql.types import LongType
from sqlglot import exp

from headwater.compile.relations.aggregate import AggregatePieces
from headwater.compile.relations.groups import Key
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import DuckError, sql_text
from headwater.errors import RuntimeSparkError, unsupported
from headwater.state.store import StateStore
from headwater.state.table import StateColumn, StateTable, Written
from headwater.streaming.analysis import event_time
from headwater.streaming.operators.base import Site
from headwater.streaming.operators.measures import Measure
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, named
from headwater.types.duck import to_duck


@dataclass(frozen=True)
class Aggregation:
    """A compiled aggregation without state."""

    site: Site
    pieces: AggregatePieces

    @cached_property
    def measures(self) -> list[Measure]:
        """What is kept of each aggregate call."""
        kept = [state for state in self.pieces.states if not _is_grouping(state.call)]
        return [Measure(f"measure_{index}", state.call, state.type) for index, state in enumerate(kept)]

    @cached_property
    def keys(self) -> dict[str, Key]:
        """The key columns of the state and what they are of the input; the grouping ids of ROLLUP are keys too."""
        keys = {f"key_{index}": key for index, key in enumerate(self.pieces.keys)}
        return {**keys, **{f"grouping_{index}": key for index, key in enumerate(self._grouping_ids())}}

    def _grouping_ids(self) -> list[Key]:
        if self.pieces.sets is None:
            return []
        calls = [state.call for state in self.pieces.states if _is_grouping(state.call)]
        every = exp.Anonymous(this="grouping_id", expressions=[key.sql.copy() for key in self.pieces.keys])
        shown = Attribute("spark_grouping_id", LongType(), False, "")
        return [Key(shown, exp.cast(call.copy(), "BIGINT")) for call in (every, *calls)]

    @cached_property
    def event(self) -> tuple[str, Attribute] | None:
        """The key that is the event time: its name in the state, and the column."""
        attributes = [key.attribute for key in self.pieces.keys]
        found = event_time(attributes)
        return None if found is None else (f"key_{attributes.index(found)}", found)

    @property
    def key_columns(self) -> list[StateColumn]:
        """The keys as columns of the state."""
        return [StateColumn(name, key.attribute.type, key.attribute.name) for name, key in self.keys.items()]

    @property
    def measure_columns(self) -> list[StateColumn]:
        """The measures as columns of the state, named as users see the calls."""
        return [replace(measure.column, label=self._shown(measure.call)) for measure in self.measures]

    @property
    def measure_names(self) -> list[str]:
        """The measures' columns of the state."""
        return [measure.name for measure in self.measures]

    @property
    def reads(self) -> tuple[exp.Query, ...]:
        """All queries over its inputs."""
        return (self.pieces.child.query,)

    # ── queries ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def result(self) -> Resolved:
        """See `OperatorPlan`: the outputs over the operator's groups."""
        items = self.pieces.outputs
        outputs = [named(cast(exp.Expression, item.sql).copy(), item.attribute.sql) for item in items]
        query = exp.select(*outputs).from_(self._groups().subquery("grouped"))
        if self.pieces.having is not None:
            query = query.where(self.pieces.having.copy())
        return Resolved(query, tuple(item.attribute for item in items), streaming=True)

    def _groups(self) -> exp.Select:
        """The operator's rows under the names that the outputs use."""
        keys = [named(column(f"key_{i}"), key.attribute.sql) for i, key in enumerate(self.pieces.keys)]
        measures, ids = iter(self.measures), itertools.count(1)
        states = [
            named(column(f"grouping_{next(ids)}" if _is_grouping(state.call) else next(measures).name), state.name)
            for state in self.pieces.states
        ]
        return exp.select(*keys, *states).from_(self.site.output)

    def finals(self) -> list[exp.Expr]:
        """The values of the measures' states."""
        return [named(measure.final(column(measure.name)), measure.name) for measure in self.measures]

    def alone(self, aggregated: exp.Select) -> exp.Query:
        """The same columns over no input: what gives the state's types to who reads it elsewhere."""
        child = self.pieces.child
        nothing = [
            named(exp.cast(exp.null(), to_duck(each.type)), each.sql) for each in (*child.attributes, *child.hidden)
        ]
        return aggregated.from_(exp.select(*nothing or [exp.null()]).subquery("input")).limit(0)

    # ── over runs ───────────────────────────────────────────────────────────────────────────────────────────

    def check(self, operator: str, store: StateStore) -> None:
        """Raises STATE_STORE_OPERATOR_MISMATCH if the state is another aggregation's."""
        described: dict[str, object] = {
            "operator": operator,
            "keys": [self._shown(key.sql) for key in self.keys.values()],
            "aggregates": [self._shown(measure.call) for measure in self.measures],
        }
        difference = store.check_operator(described)
        if difference is not None:
            raise RuntimeSparkError("STATE_STORE_OPERATOR_MISMATCH", path=store.folder, reason=difference)

    def _shown(self, tree: exp.Expression) -> str:
        names = {attribute.sql: attribute.name for attribute in self.pieces.child.attributes}
        shown = tree.copy()
        for found in shown.find_all(exp.Column):
            found.set("this", exp.to_identifier(names.get(found.name, found.name)))
            found.set("table", None)
        return sql_text(shown)

    @contextmanager
    def exporting(self) -> Iterator[None]:
        """Tells the user when DuckDB cannot keep an aggregate."""
        try:
            yield
        except DuckError as error:
            if "export state" not in str(error).lower():
                raise
            calls = ", ".join(sql_text(measure.call) for measure in self.measures)
            raise unsupported(f"one of the aggregates {calls} on a stream", "Aggregate in foreachBatch.") from error


@dataclass(frozen=True)
class Counters:
    """What a batch did to the state."""

    updated: int = 0
    removed: int = 0
    dropped: int = 0
    updates_ms: int = 0
    removals_ms: int = 0

    def report(self, operator: str, state: StateTable, written: Written) -> StateReport:
        """The batch's report."""
        return StateReport(
            operator,
            state.rows,
            self.updated,
            self.removed,
            self.updates_ms,
            self.removals_ms,
            state.memory_bytes,
            self.dropped,
            written=(written,),
        )


def since(begin: float) -> int:
    """Milliseconds since a moment of `time.perf_counter`."""
    return int((time.perf_counter() - begin) * 1000)


def _is_grouping(call: exp.Expression) -> bool:
    return isinstance(call, exp.Anonymous) and call.this in ("grouping", "grouping_id")
