"""The Interrupt and GetStatus calls: stop what runs, and tell what runs.

Invariant: an operation that has ended is not interrupted and not reported as interrupted.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.execute import Operation
from headwater.connect.proto import pb2
from headwater.connect.session import SessionHolder

_Request = pb2.InterruptRequest
_Status = pb2.GetStatusResponse.OperationStatus


def interrupt(holder: SessionHolder, request: Any) -> Any:
    """Interrupt the operations that the request means; their ids."""
    stopped = [
        operation.operation_id
        for operation in list(holder.operations.values())
        if _meant(operation, request) and operation.interrupt()
    ]
    return pb2.InterruptResponse(interrupted_ids=stopped)


def _meant(operation: Operation, request: Any) -> bool:
    if request.interrupt_type == _Request.INTERRUPT_TYPE_ALL:
        return True
    if request.interrupt_type == _Request.INTERRUPT_TYPE_TAG:
        return request.operation_tag in operation.tags
    return bool(operation.operation_id == request.operation_id)


def statuses(holder: SessionHolder, request: Any) -> Any:
    """The state of the operations asked for, or of all."""
    response = pb2.GetStatusResponse()
    if not request.HasField("operation_status"):
        return response
    wanted = list(request.operation_status.operation_ids) or list(holder.operations)
    for operation_id in wanted:
        operation = holder.operations.get(operation_id)
        name = operation.state if operation else "UNKNOWN"
        state = _Status.OperationState.Value(f"OPERATION_STATE_{name}")
        response.operation_statuses.append(_Status(operation_id=operation_id, state=state))
    return response
