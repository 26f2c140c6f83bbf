"""The `foreachBatch` sink: each batch is handed to the user's function as a DataFrame.

The batch is computed once into a DuckDB table, so that several actions of the function see the same rows. Who calls
the function is the server (`Runtime.services["foreach_batch"]`), because a DataFrame is a thing of its clients.

Invariants: the batch counts as done only when the function has returned; the table is gone afterwards, whatever
happened; a replayed batch comes with the same batch id, so that the function can be idempotent.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import sql_text
from headwater.errors import unsupported
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks

SERVICE = "foreach_batch"


@dataclass(frozen=True)
class KeptRows:
    """A batch kept in a DuckDB table: `columns` are its column names, `schema` Spark's names and types of them."""

    table: str
    columns: tuple[str, ...]
    schema: StructType


class BatchFunction(Protocol):
    """The user's function, ready to be called."""

    def __call__(self, rows: KeptRows, batch_id: int) -> None:
        """Call it with a DataFrame of `rows`. Raises FOREACH_BATCH_USER_FUNCTION_ERROR."""
        ...

    def close(self) -> None:
        """Free the session that it works on."""
        ...


BatchFunctionOpener = Callable[[Any, Any], BatchFunction]
"""From the pickled function (`plan.commands.PythonFunction`) and the session that started the query."""


class ForeachBatchSink:
    """One running query's function."""

    description = "ForeachBatchSink"

    def __init__(self, function: BatchFunction) -> None:
        self._function = function

    def add_batch(self, batch: Batch) -> SinkResult:
        """Compute the batch, call the function, drop the batch."""
        table = f"foreach_batch_{uuid.uuid4().hex}"
        batch.connection.execute(sql_text(exp.Create(this=exp.to_table(table), kind="TABLE", expression=batch.query)))
        batch.ran()
        try:
            self._function(KeptRows(table, tuple(batch.query.named_selects), batch.schema), batch.batch_id)
        finally:
            batch.connection.execute(sql_text(exp.Drop(tables=[exp.to_table(table)], kind="TABLE", exists=True)))
        return SinkResult()

    def stop(self) -> None:
        """Free the function's session."""
        self._function.close()


class ForeachBatchProvider:
    """`writeStream.foreachBatch(function)`."""

    output_modes: tuple[OutputMode, ...] = ("append", "update", "complete")

    def open(self, request: SinkRequest, context: SinkContext) -> ForeachBatchSink:
        """Raises UNSUPPORTED_FEATURE where no server can call the function."""
        opener: BatchFunctionOpener | None = context.session.runtime.services.get(SERVICE)
        if opener is None:
            raise unsupported(
                "foreachBatch without a Spark Connect server", "Start the query through headwater.session()."
            )
        return ForeachBatchSink(opener(request.function, context.session))


sinks.register("foreachBatch")(ForeachBatchProvider())
