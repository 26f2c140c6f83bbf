"""ExecutePlan: one operation, one thread; its responses go through `reattach.Responses` to the client.

Invariants: an operation ends exactly once, with its last response, its error, or OPERATION_CANCELED; result rows
are sent as they come, never collected; every relation sends its schema and at least one (maybe empty) batch.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pyarrow as pa
from pyspark.sql.types import StructType

from headwater.connect.errors import as_spark_error
from headwater.connect.proto import pb2, type_to_proto
from headwater.connect.reattach import AbandonedError, Responses
from headwater.connect.session import SessionHolder, is_uuid
from headwater.errors import SparkError
from headwater.threads import start_deep_thread

CHUNK_BYTES = 4 * 1024 * 1024
ABANDONED_SECONDS = 300.0
_CANCEL_SECONDS = 0.1

_Response = pb2.ExecutePlanResponse


class Operation:
    """One execution asked for by a client."""

    def __init__(self, holder: SessionHolder, request: Any) -> None:
        self.holder = holder
        self.operation_id = request.operation_id or str(uuid.uuid4())
        self.tags = frozenset(request.tags)
        self.reattachable = any(
            option.HasField("reattach_options") and option.reattach_options.reattachable
            for option in request.request_options
        )
        self.chunking = any(
            option.HasField("result_chunking_options") and option.result_chunking_options.allow_arrow_batch_chunking
            for option in request.request_options
        )
        self.responses = Responses(replay=self.reattachable)
        self.state = "RUNNING"
        self._canceled = False
        self._on_cancel: list[Callable[[], None]] = []

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.state in ("RUNNING", "TERMINATING")

    def start(self, work: Callable[[Operation], None]) -> None:
        """Do `work` on a thread of its own."""
        start_deep_thread(lambda: self._run(work), f"headwater-operation-{self.operation_id[:8]}")

    def send(self, **parts: Any) -> None:
        """Queue one response; waits while the client is far behind."""
        response = self.holder.stamp(_Response(operation_id=self.operation_id, **parts))
        self.responses.put(response)

    def on_cancel(self, cancel: Callable[[], None]) -> None:
        """Call `cancel`, from another thread and maybe several times, if the operation is interrupted."""
        self._on_cancel.append(cancel)

    def interrupt(self) -> bool:
        """Stop it; whether there was something to stop."""
        if self.state != "RUNNING":
            return False
        self._canceled = True
        self.state = "TERMINATING"
        start_deep_thread(self._keep_canceling, f"headwater-interrupt-{self.operation_id[:8]}")
        return True

    def _keep_canceling(self) -> None:
        """Cancel until it has ended: DuckDB forgets an interrupt that comes just before its query begins."""
        while True:
            for cancel in list(self._on_cancel):
                cancel()
            if self.responses.wait(_CANCEL_SECONDS):
                return

    def check(self) -> None:
        """Raises OPERATION_CANCELED if it was interrupted."""
        if self._canceled:
            raise SparkError("OPERATION_CANCELED")

    def _run(self, work: Callable[[Operation], None]) -> None:
        try:
            work(self)
            self.check()
            if self.reattachable:
                self.send(result_complete=_Response.ResultComplete())
            self.state = "SUCCEEDED"
            self.responses.end()
        except AbandonedError:
            self.state = "CANCELLED"
            self.responses.end()
        except BaseException as error:  # the client must hear of everything, or it waits for ever
            self.state = "CANCELLED" if self._canceled else "FAILED"
            self.responses.end(SparkError("OPERATION_CANCELED") if self._canceled else as_spark_error(error))


def new_operation(holder: SessionHolder, request: Any) -> Operation:
    """Register the operation of a request. Raises INVALID_HANDLE.FORMAT, .OPERATION_ALREADY_EXISTS."""
    if request.operation_id and not is_uuid(request.operation_id):
        raise SparkError("INVALID_HANDLE.FORMAT", handle=request.operation_id)
    operation = Operation(holder, request)
    if holder.operations.setdefault(operation.operation_id, operation) is not operation:
        raise SparkError("INVALID_HANDLE.OPERATION_ALREADY_EXISTS", handle=operation.operation_id)
    return operation


def stream(operation: Operation, after: str | None, context: Any) -> Iterator[Any]:
    """The operation's responses for one gRPC call; ends with the call or with the operation."""
    responses = operation.responses
    reader = responses.attach()

    def gone() -> None:
        responses.detach(reader)
        if not operation.reattachable:
            operation.interrupt()
            responses.release(None)

    if not context.add_callback(gone):
        gone()
        return
    yield from responses.read(reader, after)
    if not operation.reattachable:
        operation.holder.operations.pop(operation.operation_id, None)


def find_operation(holder: SessionHolder, operation_id: str) -> Operation:
    """Raises INVALID_HANDLE.OPERATION_NOT_FOUND."""
    operation = holder.operations.get(operation_id)
    if operation is None:
        raise SparkError("INVALID_HANDLE.OPERATION_NOT_FOUND", handle=operation_id)
    return operation


def release(holder: SessionHolder, request: Any) -> Any:
    """ReleaseExecute: forget responses up to an id, or the whole operation."""
    response = pb2.ReleaseExecuteResponse()
    operation = holder.operations.get(request.operation_id)
    if operation is None:
        return response
    response.operation_id = operation.operation_id
    if request.WhichOneof("release") == "release_until":
        operation.responses.release(request.release_until.response_id)
    else:
        operation.interrupt()
        operation.responses.release(None)
        holder.operations.pop(operation.operation_id, None)
    return response


def release_abandoned(holder: SessionHolder, seconds: float = ABANDONED_SECONDS) -> None:
    """Drop operations whose client has not come back for `seconds`."""
    for operation in list(holder.operations.values()):
        since = operation.responses.detached_at
        if since is not None and time.monotonic() - since > seconds:
            operation.interrupt()
            operation.responses.release(None)
            holder.operations.pop(operation.operation_id, None)


# ── rows ────────────────────────────────────────────────────────────────────────────────────────────────────


def send_relation(operation: Operation, relation: Any) -> None:
    """Run a relation and send its schema, rows and observed metrics."""
    execution = operation.holder.session.execute(relation)
    operation.on_cancel(execution.cancel)
    rows = Rows(operation, execution.schema)
    try:
        for batch in execution.batches():
            rows.send(batch)
        if rows.count == 0:
            rows.send(_empty(execution.arrow_schema))
        send_metrics(operation, execution.observations)
    finally:
        execution.close()


def _empty(schema: pa.Schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array([], kind) for kind in schema.types], schema=schema)


class Rows:
    """Result rows on their way out; the schema travels with the first of them."""

    def __init__(self, operation: Operation, schema: StructType) -> None:
        self.count = 0
        self._operation = operation
        self._head = {"schema": type_to_proto(schema)}

    def send(self, batch: pa.RecordBatch) -> None:
        """Send a batch in messages of about `CHUNK_BYTES`."""
        step = max(1, batch.num_rows * CHUNK_BYTES // max(batch.nbytes, 1))
        for start in range(0, max(batch.num_rows, 1), step):
            piece = batch.slice(start, step)
            self._send_piece(piece)
            self.count += piece.num_rows

    def _send_piece(self, piece: pa.RecordBatch) -> None:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, piece.schema) as writer:
            writer.write_batch(piece)
        data = sink.getvalue()
        if len(data) <= 2 * CHUNK_BYTES or not self._operation.chunking:
            self._send_data(data, row_count=piece.num_rows)
            return
        count = -(-len(data) // CHUNK_BYTES)
        for index in range(count):
            start = index * CHUNK_BYTES
            part = data.slice(start, min(CHUNK_BYTES, len(data) - start))
            self._send_data(part, row_count=piece.num_rows, chunk_index=index, num_chunks_in_batch=count)

    def _send_data(self, data: pa.Buffer, **counts: int) -> None:
        batch = _Response.ArrowBatch(data=data.to_pybytes(), start_offset=self.count, **counts)
        self._operation.send(arrow_batch=batch, **self._head)
        self._head = {}


def send_metrics(operation: Operation, observations: Iterable[Any]) -> None:
    """Send what `observe` saw."""
    from headwater.connect.literals import literal_to_proto

    for observation in observations:
        table = observation.values()
        row = table.to_pylist()[0]
        values = [literal_to_proto(row[item.name], item.type) for item in table.schema]
        observed = _Response.ObservedMetrics(name=observation.name, keys=table.schema.names, values=values)
        if observation.plan_id is not None:
            observed.plan_id = observation.plan_id
        operation.send(observed_metrics=[observed])
