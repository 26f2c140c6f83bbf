"""How many threads a query's batches get: one while they are small, all of the machine's otherwise.

What two threads have to agree on takes longer than ten thousand rows; and batches read ahead, states merged and logs
flushed beside each other keep the cores busy anyway.

Invariant: a batch is judged by the one before, rows and state; the first one is not known to be small.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from headwater.duck import Database

_SMALL = 50_000
"""Rows of a batch, or of a state that it may have to look through."""


class Parallelism:
    """The threads of one query's batches.

    Args:
        database: where they run.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._small = False

    @contextmanager
    def batch(self) -> Iterator[None]:
        """Around a batch."""
        if self._small:
            self._database.narrow()
            yield
        else:
            with self._database.wide():
                yield

    def saw(self, rows: int, state_rows: int) -> None:
        """How large the batch was."""
        self._small = max(rows, state_rows) <= _SMALL
