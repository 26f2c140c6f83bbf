"""The contract of a stateful operator: what it is compiled from, what it does with a batch and with its state.

A streaming plan is cut at its stateful nodes. Each operator reads its compiled inputs (queries over the streams' views
and over other operators' outputs), and gives its rows as the temporary view `operator_<number>`.

Invariants: an operator keeps no connection; `advance` reads each input exactly once; state version v is the state
before batch v, so `restore(v)` then `advance` repeats batch v; SQL text is made once, per batch only variables change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from pyspark.sql.types import DataType, StructType, TimestampNTZType
from sqlglot import exp

from headwater import compile as compiler
from headwater.compile.context import Context
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection
from headwater.plan.relations import Relation
from headwater.sinks.base import OutputMode
from headwater.state.store import StateStore
from headwater.streaming import times
from headwater.streaming.progress import StateReport
from headwater.streaming.watermark import EventTimes


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Moment:
    """What one batch means to one operator; all times in milliseconds since 1970.

    Attributes:
        timestamp_ms: the batch's processing time, the same in a replay.
        late_ms: rows at or before it are late: the watermark of the batch before. None: no watermark comes here.
        eviction_ms: state at or before it is finished: the watermark of this batch.
        first: the table that has the rows of the operator's `first_query` already.
        ran: to be called right after each statement that reads an input, before any other statement: the engine then
            reads from DuckDB's profile how many rows the sources gave.
    """

    batch_id: int
    timestamp_ms: int
    late_ms: int | None = None
    eviction_ms: int | None = None
    ran: Callable[[], None] = _nothing
    first: exp.Table | None = None


@dataclass(frozen=True)
class Site:
    """Where a stateful node stands.

    Attributes:
        number: operator id, counted from the top of the plan as Spark does.
        mode: the query's output mode.
        context: for compiling the node's inputs.
        inputs: Arrow data that the compiled inputs name, collected by `compile`.
    """

    number: int
    mode: OutputMode
    context: Context
    inputs: dict[str, Any] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """The view of the operator's output rows."""
        return f"operator_{self.number}"

    @property
    def late(self) -> exp.Expression:
        """`Moment.late_ms` (TIMESTAMPTZ or NULL)."""
        return times.time(late_name(self.number))

    @property
    def evict(self) -> exp.Expression:
        """`Moment.eviction_ms` (TIMESTAMPTZ or NULL)."""
        return times.time(evict_name(self.number))

    def compile(self, relation: Relation) -> Resolved:
        """An input of the operator. Raises as `compile_relation`."""
        made = compiler.compile_cut(relation, self.context)
        self.inputs.update(made.inputs)
        return made


class StatefulOperator(Protocol):
    """One stateful operator of a running query."""

    name: str
    """Spark's name of it: `stateStoreSave`, `dedupe`, …"""

    def prepare(self, connection: Connection) -> None:
        """Create the tables and views the operator works with, its output too; the inputs are bound to no rows."""
        ...

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """Load the state before batch `version`, written as `ids` (one per store; () before the first commit).

        Raises STATE_STORE_DAMAGED naming the file, STATE_STORE_OPERATOR_MISMATCH.
        """
        ...

    def advance(self, connection: Connection, moment: Moment) -> None:
        """Step 4: take the batch in; the output view then holds what goes on."""
        ...

    def commit(self, connection: Connection, version: int) -> StateReport:
        """Steps 5 and 6: state version `version` is being written beside the one before, as the report tells."""
        ...

    def purge(self, before: int) -> None:
        """Step 8: forget what is only needed to restore versions below `before`."""
        ...

    def output_watermark(self, input_ms: int) -> int | None:
        """The watermark that holds for the output rows when `input_ms` holds for the input rows."""
        ...

    def due(self, moment: Moment, next_ms: int | None) -> bool:
        """Whether a batch without data has work here: the watermark moved to `next_ms`, or time has passed."""
        ...


class TellsEventTimes(Protocol):
    """An operator that reads a watermark's rows where they are kept in no table."""

    event_times: EventTimes | None
    """Of the rows of this batch."""


@runtime_checkable
class BeginsWithQuery(Protocol):
    """An operator that reads its input with one query, whose rows may be there before the batch is planned."""

    @property
    def first_query(self) -> exp.Query:
        """It depends neither on the state nor on the batch's times, unless the input does."""
        ...


class OperatorPlan(Protocol):
    """A compiled operator whose state has no place yet.

    Attributes:
        result: its output: a query over the view `site.output`, attributes as Spark has them.
    """

    @property
    def result(self) -> Resolved:
        """See the class."""
        ...

    def opened(self, stores: Callable[[str], StateStore]) -> StatefulOperator:
        """The operator with its state: `stores("")` is the default store, `stores(name)` a named one."""
        ...


Build = Callable[[Any, Site], OperatorPlan]
Applies = Callable[[Any, Callable[[Relation], bool], OutputMode], bool]


@dataclass(frozen=True)
class Kind:
    """How nodes of one class become operators; `applies(node, streams, mode)` where not every such node is stateful."""

    build: Build
    applies: Applies


kinds: dict[type[Relation], Kind] = {}
"""Stateful operators by the plan node they run."""


def _reads_stream(node: Relation, streams: Callable[[Relation], bool], mode: OutputMode) -> bool:
    del mode
    return streams(node)


def stateful(node: type[Relation], applies: Applies = _reads_stream) -> Callable[[Build], Build]:
    """Decorator: nodes of this class over a stream are run by the operator that the function builds."""

    def enter(build: Build) -> Build:
        kinds[node] = Kind(build, applies)
        return build

    return enter


def watermarked(attributes: Sequence[Attribute]) -> Attribute | None:
    """The first column that carries a watermark, or None."""
    return next((a for a in attributes if DELAY in a.metadata), None)


def late_name(number: int) -> str:
    """The name among the batch's times of an operator's `Moment.late_ms`."""
    return f"late_{number}"


def evict_name(number: int) -> str:
    """The name among the batch's times of an operator's `Moment.eviction_ms`."""
    return f"evict_{number}"


def at_or_before(column: exp.Expression, kind: DataType, limit: exp.Expression) -> exp.Expression:
    """Whether the event time of a column is at or before a watermark (TIMESTAMPTZ); NULL if either is.

    The column is compared as it is, so that DuckDB can skip row groups; a window counts by its end.
    """
    time: exp.Expression = column
    if isinstance(kind, StructType):
        kind = kind["end"].dataType
        time = exp.Dot(this=column, expression=exp.to_identifier("end", quoted=True))
    if isinstance(kind, TimestampNTZType):
        limit = exp.Anonymous(this="timezone", expressions=[exp.Literal.string("UTC"), limit])
    return exp.LTE(this=time, expression=limit)
