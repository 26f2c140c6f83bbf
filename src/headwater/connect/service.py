"""The servicer: each call of the protocol, handed to the module that answers it.

Invariant: every failure leaves as a rich status (`errors`), whatever raised it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from headwater.connect import execute, interrupt
from headwater.connect.analyze import analyze
from headwater.connect.commands.base import decoder_for, run_protocol_command
from headwater.connect.config import config
from headwater.connect.errors import abort, details
from headwater.connect.execute import Operation
from headwater.connect.plans import decompress
from headwater.connect.proto import SparkConnectServiceServicer, pb2
from headwater.connect.session import SessionHolder, SessionRegistry, key_of


class Service(SparkConnectServiceServicer):  # type: ignore[misc]
    """Spark Connect over the sessions of one server."""

    def __init__(self, sessions: SessionRegistry) -> None:
        self._sessions = sessions

    def ExecutePlan(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """Start an operation and stream its responses."""
        holder = None
        try:
            holder = self._sessions.of(request)
            operation = execute.new_operation(holder, request)
            operation.start(lambda running: _run_plan(running, request.plan))
            yield from execute.stream(operation, None, context)
        except Exception as error:
            abort(context, error, holder.errors if holder else None)

    def ReattachExecute(self, request: Any, context: Any) -> Iterator[Any]:  # noqa: N802
        """Stream the responses after the last one that the client has seen."""
        holder = None
        try:
            holder = self._sessions.known(request)
            operation = execute.find_operation(holder, request.operation_id)
            yield from execute.stream(operation, request.last_response_id or None, context)
        except Exception as error:
            abort(context, error, holder.errors if holder else None)

    def ReleaseExecute(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Forget responses or a whole operation."""
        return self._answer(self._sessions.known, execute.release, request, context)

    def AnalyzePlan(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Say something about a plan."""
        return self._answer(self._sessions.of, analyze, request, context)

    def Config(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Read or change settings."""
        return self._answer(self._sessions.of, config, request, context)

    def AddArtifacts(self, request_iterator: Iterator[Any], context: Any) -> Any:  # noqa: N802
        """Store files and blobs."""
        first = next(request_iterator, None)
        if first is None:
            return pb2.AddArtifactsResponse()

        def add(holder: SessionHolder, request: Any) -> Any:
            summaries = holder.artifacts.add(_chain(request, request_iterator))
            return pb2.AddArtifactsResponse(artifacts=summaries)

        return self._answer(self._sessions.of, add, first, context)

    def ArtifactStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Which artifacts are here."""

        def status(holder: SessionHolder, asked: Any) -> Any:
            response = pb2.ArtifactStatusesResponse()
            for name in asked.names:
                response.statuses[name].exists = holder.artifacts.exists(name)
            return response

        return self._answer(self._sessions.of, status, request, context)

    def Interrupt(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Stop operations."""
        return self._answer(self._sessions.of, interrupt.interrupt, request, context)

    def GetStatus(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The state of operations."""
        return self._answer(self._sessions.of, interrupt.statuses, request, context)

    def FetchErrorDetails(self, request: Any, context: Any) -> Any:  # noqa: N802
        """The whole of an error that a status only summed up."""

        def fetch(holder: SessionHolder, asked: Any) -> Any:
            error = holder.errors.take(asked.error_id)
            if error is None:
                return pb2.FetchErrorDetailsResponse()
            return pb2.FetchErrorDetailsResponse(root_error_idx=0, errors=details(error))

        return self._answer(self._sessions.known, fetch, request, context)

    def ReleaseSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """Close a session."""
        try:
            holder = self._sessions.release(key_of(request), forget=request.allow_reconnect)
        except Exception as error:
            abort(context, error, None)
        response = pb2.ReleaseSessionResponse(session_id=request.session_id)
        return holder.stamp(response) if holder else response

    def CloneSession(self, request: Any, context: Any) -> Any:  # noqa: N802
        """A new session that starts as a copy."""

        def clone(holder: SessionHolder, asked: Any) -> Any:
            copy = self._sessions.clone_of(holder, asked.new_session_id)
            return pb2.CloneSessionResponse(
                new_session_id=copy.session_id, new_server_side_session_id=copy.server_side_id
            )

        return self._answer(self._sessions.known, clone, request, context)

    def _answer(
        self,
        find: Callable[[Any], SessionHolder],
        answer: Callable[[SessionHolder, Any], Any],
        request: Any,
        context: Any,
    ) -> Any:
        holder = None
        try:
            holder = find(request)
            return holder.stamp(answer(holder, request))
        except Exception as error:
            abort(context, error, holder.errors if holder else None)


def _run_plan(operation: Operation, plan: Any) -> None:
    holder = operation.holder
    plan = decompress(plan)
    decoder = decoder_for(holder.session, holder.artifacts)
    if plan.WhichOneof("op_type") == "command":
        run_protocol_command(operation, decoder, plan.command)
    else:
        execute.send_relation(operation, decoder.relation(plan.root))


def _chain(first: Any, rest: Iterator[Any]) -> Iterator[Any]:
    yield first
    yield from rest
