"""The contract of a stateful operator: SQL over the batch and its state, and a version of the state per batch.

Invariants: an operator keeps no connection; `advance` reads the operator's input exactly once; state version v is the
state before batch v, so `restore(v)` then `advance` repeats batch v.
"""

from __future__ import annotations

from typing import Protocol

from headwater.duck import Connection
from headwater.streaming.progress import StateReport


class StatefulOperator(Protocol):
    """One stateful operator of a running query."""

    name: str
    """Spark's name of it: `stateStoreSave`, `dedupe`, …"""

    def prepare(self, connection: Connection) -> None:
        """Create the tables and views the operator works with; its inputs are bound to no rows."""
        ...

    def restore(self, connection: Connection, version: int) -> None:
        """Load the state before batch `version`. Raises STATE_STORE_DAMAGED naming the file."""
        ...

    def advance(self, connection: Connection, watermark_ms: int) -> None:
        """Step 4: take the batch in."""
        ...

    def commit(self, connection: Connection, version: int) -> StateReport:
        """Step 5: write state version `version` beside the one before; replaces what a crashed run left."""
        ...

    def purge(self, before: int) -> None:
        """Step 8: forget what is only needed to restore versions below `before`."""
        ...
