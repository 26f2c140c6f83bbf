"""In the place of an operator that Spark refuses only when it plans a batch: the query starts, its first batch fails.

Invariant: it never gives a row, nor writes any state.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from headwater.compile.resolved import Resolved
from headwater.duck import Connection
from headwater.errors import AnalysisError
from headwater.state.store import StateStore
from headwater.streaming.operators.base import Moment, Site
from headwater.streaming.progress import StateReport
from headwater.streaming.statements import column, create, run

IN_A_BATCH = frozenset({
    "MULTIPLE_EVENT_TIME_COLUMNS", "UNSUPPORTED_STREAMING_OPERATOR_WITHOUT_WATERMARK", "_LEGACY_ERROR_TEMP_1181",
})  # fmt: skip
"""The conditions that Spark's operators raise themselves, when they are made for a batch."""


@dataclass(frozen=True)
class RefusedPlan:
    """An operator that will not run.

    Attributes:
        rows: the node over its inputs, compiled as if the batch were all there is.
        error: what the batch fails with.
    """

    site: Site
    rows: Resolved
    error: AnalysisError

    @property
    def reads(self) -> tuple[exp.Query, ...]:
        """The query over its inputs."""
        return (self.rows.query,)

    @property
    def result(self) -> Resolved:
        """See `OperatorPlan`."""
        columns = [column(a.sql) for a in (*self.rows.attributes, *self.rows.hidden)]
        return replace(self.rows, query=exp.select(*columns).from_(self.site.output), streaming=True)

    def opened(self, stores: Callable[[str], StateStore]) -> Refused:
        """See `OperatorPlan`."""
        del stores
        return Refused(self)


class Refused:
    """See the module."""

    name = "refused"

    def __init__(self, plan: RefusedPlan) -> None:
        self._plan = plan

    def prepare(self, connection: Connection) -> None:
        """See `StatefulOperator`."""
        run(connection, create(self._plan.site.output, self._plan.rows.query, "VIEW"))

    def restore(self, connection: Connection, version: int, ids: Sequence[str]) -> None:
        """See `StatefulOperator`: there is no state."""

    def advance(self, connection: Connection, moment: Moment) -> None:
        """See `StatefulOperator`. Raises what Spark raises."""
        del connection, moment
        raise self._plan.error

    def commit(self, connection: Connection, version: int) -> StateReport:
        """See `StatefulOperator`: no batch comes so far."""
        del connection, version
        raise self._plan.error

    def purge(self, before: int) -> None:
        """See `StatefulOperator`: there is no state."""

    def output_watermark(self, input_ms: int) -> int | None:
        """See `StatefulOperator`."""
        return input_ms

    def due(self, moment: Moment, next_ms: int | None) -> bool:
        """See `StatefulOperator`."""
        del moment, next_ms
        return False
