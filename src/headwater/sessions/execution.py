"""One running query: Arrow batches out of DuckDB as they come, in the Connect client's Arrow types.

Invariants: rows are never held beyond the batch in hand; each execution has a connection of its own, closed when
the batches end, fail, or the execution is closed; after `cancel` no further batch is given.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.compile.resolved import Resolved
from headwater.duck import Connection, Database, DuckError, sql_text
from headwater.errors import SparkError
from headwater.sessions.translate import canceled, translate
from headwater.types.arrow import arrow_schema, conform

if TYPE_CHECKING:
    from headwater.sessions.observing import Observation

BATCH_ROWS = 65_536


class Execution:
    """A resolved relation about to run.

    Args:
        database: where to run it.
        resolved: the compiled relation.
        time_zone: the session's.
        observations: the plan's `observe` nodes; ask them for their values after the batches.
    """

    def __init__(
        self, database: Database, resolved: Resolved, time_zone: str, observations: Sequence[Observation] = ()
    ) -> None:
        self.schema: StructType = resolved.schema
        self.observations = observations
        self._resolved = resolved
        self._time_zone = time_zone
        self._database = database
        self._connection: Connection | None = None
        self._lock = threading.Lock()
        self._canceled = False

    @property
    def arrow_schema(self) -> pa.Schema:
        """The schema of the batches."""
        return arrow_schema(self.schema, self._time_zone)

    def batches(self, rows: int = BATCH_ROWS) -> Iterator[pa.RecordBatch]:
        """The result in batches of at most `rows` rows; once. Raises Spark's errors."""
        try:
            for batch in self._open().sql(sql_text(self._resolved.query)).to_arrow_reader(rows):
                self._check()
                yield conform(batch if self.schema.fields else batch.select([]), self.schema, self._time_zone)
            self._check()
        except (DuckError, pa.ArrowException, OSError) as error:
            raise self._explain(error) from error
        finally:
            self.close()

    def table(self) -> pa.Table:
        """The whole result."""
        return pa.Table.from_batches(list(self.batches()), schema=self.arrow_schema)

    def cancel(self) -> None:
        """Stop the query from another thread; the batches end with OPERATION_CANCELED."""
        with self._lock:
            self._canceled = True
            if self._connection is not None:
                self._connection.interrupt()

    def close(self) -> None:
        """Free the connection; nothing happens the second time."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
            self._database.done()

    def _open(self) -> Connection:
        with self._lock:
            if self._canceled:
                raise canceled()
            self._database.widen()
            connection = self._connection = self._database.connect(self._time_zone)
        for name, data in self._resolved.inputs.items():
            connection.register(name, data)
        return connection

    def _check(self) -> None:
        if self._canceled:
            raise canceled()

    def _explain(self, error: Exception) -> SparkError:
        return canceled() if self._canceled else translate(error)
