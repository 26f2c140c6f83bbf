"""Observed metrics (`df.observe`): what the named aggregates of a plan come to.

Invariant: asking for an observation twice computes it once.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pyarrow as pa

from headwater.compile.relations.observe import check_names
from headwater.plan.relations import Aggregate, CollectMetrics, Relation

if TYPE_CHECKING:
    from headwater.sessions.session import Session


class Observation:
    """One `observe(name, …)` of a plan.

    Attributes:
        name: as given by the user.
        plan_id: the client's number of the observing DataFrame, or None.
    """

    def __init__(self, node: CollectMetrics, session: Session) -> None:
        self.name = node.name
        self.plan_id = node.plan_id
        self._plan = Aggregate(node.input, "groupby", (), node.metrics)
        self._session = session
        self._lock = threading.Lock()
        self._values: pa.Table | None = None

    def values(self) -> pa.Table:
        """The metrics as one row, a column each."""
        with self._lock:
            if self._values is None:
                self._values = self._session.execute(self._plan).table()
            return self._values


def observations(plan: Relation, session: Session) -> tuple[Observation, ...]:
    """The observations of a plan, outermost first. Raises DUPLICATED_METRICS_NAME."""
    check_names(plan)
    return tuple(Observation(node, session) for node in plan.walk() if isinstance(node, CollectMetrics))
