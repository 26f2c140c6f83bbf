"""Commands of streaming queries: start, ask, wait, stop; the manager; the listener bus.

Invariants: a query can be asked after it has ended; waiting ends when the operation is interrupted; one listener bus
per session, whose stream ends when the client removes it or the session closes.
"""

from __future__ import annotations

import json
import queue
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from headwater.connect.commands.base import Call, handler
from headwater.connect.decode.streams import start_stream
from headwater.connect.proto import pb2
from headwater.errors import AnalysisError, SparkError, unsupported

if TYPE_CHECKING:
    from headwater.streaming.query import StreamEvent, StreamingQuery

_POLL_SECONDS = 0.25
_KEPT_QUERIES = 1000
_Result = pb2.StreamingQueryCommandResult
_ManagerResult = pb2.StreamingQueryManagerCommandResult
_EVENTS = {
    "progress": pb2.StreamingQueryEventType.QUERY_PROGRESS_EVENT,
    "idle": pb2.StreamingQueryEventType.QUERY_IDLE_EVENT,
    "terminated": pb2.StreamingQueryEventType.QUERY_TERMINATED_EVENT,
}


@handler("write_stream_operation_start")
def start(call: Call, message: Any) -> None:
    """`writeStream.start`."""
    from headwater.streaming.start import start_query

    started = start_query(start_stream(call.decoder, message), call.session)
    _remember(call, started)
    result = pb2.WriteStreamOperationStartResult(query_id=_id(started), name=started.name or "")
    result.query_started_event_json = json.dumps(
        {
            "id": started.id,
            "runId": started.run_id,
            "name": started.name,
            "timestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z",
            "jobTags": sorted(call.operation.tags),
        }
    )
    call.answer(write_stream_operation_start_result=result)


def _remember(call: Call, started: StreamingQuery) -> None:
    known = call.holder.queries
    known[started.run_id] = started
    ended = [run_id for run_id, each in known.items() if not each.is_active]
    for run_id in ended[: max(len(known) - _KEPT_QUERIES, 0)]:
        del known[run_id]


def _id(query: StreamingQuery) -> Any:
    return pb2.StreamingQueryInstanceId(id=query.id, run_id=query.run_id)


# ── one query ───────────────────────────────────────────────────────────────────────────────────────────────


@handler("streaming_query_command")
def query_command(call: Call, message: Any) -> None:
    """`query.status`, `.lastProgress`, `.stop()`, …"""
    query_ = call.holder.queries.get(message.query_id.run_id) or call.session.streams.get(message.query_id.id)
    if query_ is None:
        raise AnalysisError("STREAMING_QUERY_NOT_FOUND", id=message.query_id.id, runId=message.query_id.run_id)
    kind = message.WhichOneof("command")
    answer = _QUERY_COMMANDS.get(kind)
    if answer is None:
        raise unsupported(f"the streaming query command `{kind}`")
    parts = answer(call, query_, message)
    call.answer(streaming_query_command_result=_Result(query_id=_id(query_), **parts))


def _status(_: Call, query_: StreamingQuery, __: Any) -> dict[str, Any]:
    status = query_.status()
    return {
        "status": _Result.StatusResult(
            status_message=status.message,
            is_data_available=status.is_data_available,
            is_trigger_active=status.is_trigger_active,
            is_active=query_.is_active,
        )
    }


def _last_progress(_: Call, query_: StreamingQuery, __: Any) -> dict[str, Any]:
    last = query_.last_progress
    return {"recent_progress": _Result.RecentProgressResult(recent_progress_json=[last] if last else [])}


def _recent_progress(_: Call, query_: StreamingQuery, __: Any) -> dict[str, Any]:
    return {"recent_progress": _Result.RecentProgressResult(recent_progress_json=query_.recent_progress)}


def _stop(_: Call, query_: StreamingQuery, __: Any) -> dict[str, Any]:
    query_.stop()
    return {}


def _process_all_available(call: Call, query_: StreamingQuery, _: Any) -> dict[str, Any]:
    call.operation.on_cancel(lambda: call.operation.responses.end(SparkError("OPERATION_CANCELED")))
    query_.process_all_available()
    return {}


def _explain(_: Call, query_: StreamingQuery, message: Any) -> dict[str, Any]:
    return {"explain": _Result.ExplainResult(result=query_.explain(message.explain.extended))}


def _exception(_: Call, query_: StreamingQuery, __: Any) -> dict[str, Any]:
    error = query_.exception()
    if error is None:
        return {"exception": _Result.ExceptionResult()}
    text = f"org.apache.spark.sql.streaming.StreamingQueryException: {error}"
    details = getattr(error, "details", "")
    if details:
        text = f"{text}\n{details}"
    return {"exception": _Result.ExceptionResult(exception_message=text, error_class=error.condition)}


def _await_termination(call: Call, query_: StreamingQuery, message: Any) -> dict[str, Any]:
    ended = _await(call, query_.await_termination, message.await_termination)
    return {"await_termination": _Result.AwaitTerminationResult(terminated=ended)}


def _await(call: Call, wait: Callable[[float], bool], message: Any) -> bool:
    """Wait in short steps, so that an interrupt is seen. The steps end at once when the query does."""
    left = message.timeout_ms / 1000 if message.HasField("timeout_ms") else float("inf")
    while left > 0:
        call.operation.check()
        step = min(left, _POLL_SECONDS)
        if wait(step):
            return True
        left -= step
    return False


_QUERY_COMMANDS: dict[str | None, Callable[[Call, StreamingQuery, Any], dict[str, Any]]] = {
    "status": _status,
    "last_progress": _last_progress,
    "recent_progress": _recent_progress,
    "stop": _stop,
    "process_all_available": _process_all_available,
    "explain": _explain,
    "exception": _exception,
    "await_termination": _await_termination,
}


# ── the manager ─────────────────────────────────────────────────────────────────────────────────────────────


@handler("streaming_query_manager_command")
def manager_command(call: Call, message: Any) -> None:
    """`spark.streams…`."""
    kind = message.WhichOneof("command")
    answer = _MANAGER_COMMANDS.get(kind)
    if answer is None:
        raise unsupported(f"the streaming manager command `{kind}`", "Add listeners with spark.streams.addListener.")
    call.answer(streaming_query_manager_command_result=_ManagerResult(**answer(call, message)))


def _instance(query_: StreamingQuery) -> Any:
    return _ManagerResult.StreamingQueryInstance(id=_id(query_), name=query_.name)


def _active(call: Call, _: Any) -> dict[str, Any]:
    queries = [_instance(each) for each in call.session.streams.active()]
    return {"active": _ManagerResult.ActiveResult(active_queries=queries)}


def _get(call: Call, message: Any) -> dict[str, Any]:
    found = call.session.streams.get(message.get_query)
    return {"query": _instance(found)} if found is not None else {}


def _await_any(call: Call, message: Any) -> dict[str, Any]:
    ended = _await(call, call.session.streams.await_any_termination, message.await_any_termination)
    return {"await_any_termination": _ManagerResult.AwaitAnyTerminationResult(terminated=ended)}


def _reset_terminated(call: Call, _: Any) -> dict[str, Any]:
    call.session.streams.reset_terminated()
    return {"reset_terminated": True}


_MANAGER_COMMANDS: dict[str | None, Callable[[Call, Any], dict[str, Any]]] = {
    "active": _active,
    "get_query": _get,
    "await_any_termination": _await_any,
    "reset_terminated": _reset_terminated,
}


# ── the listener bus ────────────────────────────────────────────────────────────────────────────────────────


@handler("streaming_query_listener_bus_command")
def listener_bus(call: Call, message: Any) -> None:
    """`spark.streams.addListener`: a response stream that lasts until the client's last listener is removed."""
    if message.WhichOneof("command") == "remove_listener_bus_listener":
        for stop in list(call.holder.listeners):
            stop()
        return
    _send_events(call)


def _send_events(call: Call) -> None:
    events: queue.SimpleQueue[StreamEvent | None] = queue.SimpleQueue()

    def stop() -> None:
        events.put(None)

    call.holder.listeners.append(stop)
    call.operation.on_cancel(stop)
    call.session.streams.add_listener(events.put)
    try:
        added = pb2.StreamingQueryListenerEventsResult(listener_bus_listener_added=True)
        call.answer(streaming_query_listener_events_result=added)
        while (event := events.get()) is not None:
            if event.kind in _EVENTS:
                call.answer(streaming_query_listener_events_result=_event(event))
    finally:
        call.session.streams.remove_listener(events.put)
        call.holder.listeners.remove(stop)


def _event(event: StreamEvent) -> Any:
    item = pb2.StreamingQueryListenerEvent(event_json=event.json, event_type=_EVENTS[event.kind])
    return pb2.StreamingQueryListenerEventsResult(events=[item])
