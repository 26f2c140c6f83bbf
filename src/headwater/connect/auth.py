"""The door: a call without the server's bearer token is refused before anything of it is read.

Invariant: tokens are compared in constant time and never logged.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from typing import Any

import grpc


class TokenInterceptor(grpc.ServerInterceptor):  # type: ignore[misc]
    """Refuses calls whose `authorization` is not `Bearer <token>` with UNAUTHENTICATED."""

    def __init__(self, token: str) -> None:
        self._expected = f"Bearer {token}".encode()
        self._refusal = grpc.unary_unary_rpc_method_handler(_refuse)
        self._stream_refusal = grpc.unary_stream_rpc_method_handler(_refuse)

    def intercept_service(self, continuation: Callable[[Any], Any], details: Any) -> Any:
        """The real handler, or one that refuses."""
        if self._knows(details.invocation_metadata):
            return continuation(details)
        handler = continuation(details)
        streams = handler is not None and handler.response_streaming
        return self._stream_refusal if streams else self._refusal

    def _knows(self, metadata: Any) -> bool:
        given = next((value for key, value in metadata if key.lower() == "authorization"), "")
        return hmac.compare_digest(given.encode(), self._expected)


def _refuse(_request: Any, context: Any) -> None:
    context.abort(
        grpc.StatusCode.UNAUTHENTICATED,
        "The token is missing or wrong. Connect with the URL that the server printed (sc://localhost:<port>/;token=…).",
    )
