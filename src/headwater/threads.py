"""Threads with a stack deep enough for plans of a thousand nested relations.

Python knows one stack size for all threads that start. It is changed here only, under one lock: two that changed it at
once would leave it changed for good.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

STACK_BYTES = 64 * 1024 * 1024

_lock = threading.Lock()


def start_deep_thread(target: Callable[[], None], name: str) -> threading.Thread:
    """Run `target` on a daemon thread with a deep stack."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    with _lock:
        before = threading.stack_size(STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
    return thread
