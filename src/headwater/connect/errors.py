"""Errors on the wire: any exception as the gRPC status from which the client raises the right PySpark class.

The status carries an ErrorInfo (classes, condition, SQLSTATE, parameters, error id); what does not fit into gRPC's
trailers waits in the session's `ErrorStore` for FetchErrorDetails.

Invariant: an exception that Headwater does not know becomes INTERNAL_ERROR; nothing escapes as a bare gRPC error.
"""

from __future__ import annotations

import json
import threading
import traceback
import uuid
from collections import OrderedDict
from typing import Any

import grpc
from grpc_status import rpc_status

from headwater import log
from headwater.connect.proto import AnyMessage, ErrorInfo, Status, pb2
from headwater.duck import DuckError
from headwater.errors import QueryContext, SparkError
from headwater.sessions.translate import translate

_MESSAGE_LIMIT = 2048
_PARAMETERS_LIMIT = 1024
_KEPT = 100

_log = log.logger("connect")

Details = pb2.FetchErrorDetailsResponse


class ErrorStore:
    """The last errors of one session by id, until the client fetches them."""

    def __init__(self) -> None:
        self._errors: OrderedDict[str, SparkError] = OrderedDict()
        self._lock = threading.Lock()

    def keep(self, error: SparkError) -> str:
        """Store `error`; the oldest beyond 100 are forgotten."""
        error_id = str(uuid.uuid4())
        with self._lock:
            self._errors[error_id] = error
            while len(self._errors) > _KEPT:
                self._errors.popitem(last=False)
        return error_id

    def take(self, error_id: str) -> SparkError | None:
        """The error, once."""
        with self._lock:
            return self._errors.pop(error_id, None)


def as_spark_error(error: BaseException) -> SparkError:
    """`error` in Spark's terms."""
    if isinstance(error, SparkError):
        return error
    if isinstance(error, DuckError):
        return _caused(translate(error), error)
    if isinstance(error, RecursionError):
        return _caused(SparkError("CONNECT_INVALID_PLAN.CANNOT_PARSE", errorMsg="it is nested too deeply"), error)
    _log.error("internal error", exc_info=error)
    text = f"{type(error).__name__}: {error}"
    return _caused(SparkError("INTERNAL_ERROR", message=text), error)


def _caused(error: SparkError, cause: BaseException) -> SparkError:
    if error.__cause__ is None and error is not cause:
        error.__cause__ = cause
    return error


def abort(context: grpc.ServicerContext, error: BaseException, store: ErrorStore | None) -> None:
    """End the call with `error`."""
    context.abort_with_status(rpc_status.to_status(status(as_spark_error(error), store)))


def status(error: SparkError, store: ErrorStore | None) -> Status:
    """The rich gRPC status of `error`; with a store, its details can be fetched later."""
    metadata = {"classes": json.dumps(error.java_classes)}
    if error.named:
        metadata |= {"errorClass": error.condition, "sqlState": error.sql_state}
    parameters = json.dumps(error.parameters)
    if error.named and len(parameters) <= _PARAMETERS_LIMIT:
        metadata["messageParameters"] = parameters
    if store is not None:
        metadata["errorId"] = store.keep(error)
    info = ErrorInfo(reason=error.java_classes[0], domain="org.apache.spark", metadata=metadata)
    packed = AnyMessage()
    packed.Pack(info)
    return Status(code=grpc.StatusCode.INTERNAL.value[0], message=_abbreviate(str(error)), details=[packed])


def _abbreviate(text: str) -> str:
    return text if len(text) <= _MESSAGE_LIMIT else text[: _MESSAGE_LIMIT - 3] + "..."


def details(error: SparkError) -> list[Any]:
    """`error` and its causes as FetchErrorDetails describes them, root first."""
    chain: list[BaseException] = [error]
    while chain[-1].__cause__ is not None and len(chain) < 5:
        chain.append(chain[-1].__cause__)
    messages = [_details_of(item) for item in chain]
    for index, message in enumerate(messages[:-1]):
        message.cause_idx = index + 1
    return messages


def _details_of(error: BaseException) -> Any:
    message = Details.Error(message=str(error), stack_trace=_stack(error))
    if isinstance(error, SparkError):
        message.error_type_hierarchy.extend(error.java_classes)
    if isinstance(error, SparkError) and error.named:
        message.spark_throwable.error_class = error.condition
        message.spark_throwable.sql_state = error.sql_state
        message.spark_throwable.message_parameters.update(error.parameters)
        message.spark_throwable.query_contexts.extend(_context(item) for item in error.contexts)
    elif not isinstance(error, SparkError):
        message.error_type_hierarchy.append(f"{type(error).__module__}.{type(error).__qualname__}")
    return message


def _context(context: QueryContext) -> Any:
    return Details.QueryContext(
        context_type=Details.QueryContext.SQL,
        object_type=context.object_type,
        object_name=context.object_name,
        start_index=context.start,
        stop_index=context.stop,
        fragment=context.fragment,
        summary=context.summary,
    )


def _stack(error: BaseException) -> list[Any]:
    return [
        Details.StackTraceElement(
            declaring_class="", method_name=frame.name, file_name=frame.filename, line_number=frame.lineno or 0
        )
        for frame in reversed(traceback.extract_tb(error.__traceback__))
    ]
