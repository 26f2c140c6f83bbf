"""Listeners that a setting names: Python classes of this process, one object of each per session.

Invariant: a class that cannot be loaded or made fails the session's start, as in Spark; a listener that fails later
disturbs nobody.
"""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from typing import Any

from pyspark.sql.streaming.listener import (
    QueryIdleEvent,
    QueryProgressEvent,
    QueryStartedEvent,
    QueryTerminatedEvent,
    StreamingQueryListener,
)

from headwater.errors import SparkError
from headwater.streaming.query import StreamEvent

_EVENTS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "started": (QueryStartedEvent.fromJson, "onQueryStarted"),
    "progress": (QueryProgressEvent.fromJson, "onQueryProgress"),
    "idle": (QueryIdleEvent.fromJson, "onQueryIdle"),
    "terminated": (QueryTerminatedEvent.fromJson, "onQueryTerminated"),
}


def named_listeners(text: str | None) -> list[Callable[[StreamEvent], None]]:
    """One new listener for each class in `text` (`package.module.Class, …`). Raises _LEGACY_ERROR_TEMP_2132."""
    return [_told(_made(name.strip())) for name in (text or "").split(",") if name.strip()]


def _made(name: str) -> StreamingQueryListener:
    module, _, attribute = name.rpartition(".")
    try:
        made = getattr(importlib.import_module(module), attribute)()
    except Exception as cause:
        raise SparkError("_LEGACY_ERROR_TEMP_2132", name=name, reason=str(cause)) from cause
    if not isinstance(made, StreamingQueryListener):
        raise SparkError("_LEGACY_ERROR_TEMP_2132", name=name, reason="it is no StreamingQueryListener")
    return made


def _told(listener: StreamingQueryListener) -> Callable[[StreamEvent], None]:
    def tell(event: StreamEvent) -> None:
        build, method = _EVENTS[event.kind]
        getattr(listener, method)(build(json.loads(event.json)))

    return tell
