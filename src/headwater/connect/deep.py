"""The pool of threads that serve calls: deep enough for plans of a thousand nested relations (`threads`).

The protobuf parser and the plan walkers recurse; on the usual 8 MB stack a hostile plan would end the process.

Invariants: every thread that parses or walks a client's plan is a deep one; all are daemons, so that a call that
waits (a listener, `awaitTermination`) does not keep a finished program alive.
"""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from headwater.threads import start_deep_thread

RECURSION_LIMIT = 40_000


class DeepPool(Executor):
    """A pool of at most `workers` deep threads, started as they are needed and kept."""

    def __init__(self, workers: int) -> None:
        sys.setrecursionlimit(max(sys.getrecursionlimit(), RECURSION_LIMIT))
        self._workers = workers
        self._tasks: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unfinished = 0
        self._change = threading.Lock()

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """As in Executor."""
        future: Future[Any] = Future()
        with self._change:
            self._unfinished += 1
            self._tasks.put(lambda: self._do(future, fn, args, kwargs))
            if self._unfinished > len(self._threads) and len(self._threads) < self._workers:
                self._threads.append(start_deep_thread(self._work, f"headwater-rpc-{len(self._threads)}"))
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002
        """Let the threads end when their tasks are done; wait for idle ones, not for those stuck in a call."""
        with self._change:
            for _ in self._threads:
                self._tasks.put(None)
        if wait:
            for thread in self._threads:
                thread.join(0.1)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()
            del task  # it holds the call, and through it the whole server

    def _do(self, future: Future[Any], fn: Callable[..., Any], args: Any, kwargs: Any) -> None:
        try:
            if future.set_running_or_notify_cancel():
                future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # the future carries it, as in any executor
            future.set_exception(error)
        finally:
            with self._change:
                self._unfinished -= 1
