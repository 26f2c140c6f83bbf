"""Deep threads, and the stack size of all others."""

from __future__ import annotations

import sys
import threading
import time

from headwater.threads import start_deep_thread


def test_deep_recursion_survives() -> None:
    found: list[int] = []

    def fall(depth: int) -> int:
        return depth if depth == 0 else max([fall(depth - 1)])

    sys.setrecursionlimit(max(sys.getrecursionlimit(), 40_000))
    start_deep_thread(lambda: found.append(fall(15_000)), "deep").join()
    assert found == [0]


def test_many_that_start_at_once_leave_other_threads_their_stack_size() -> None:
    def start() -> None:
        for _ in range(50):
            start_deep_thread(lambda: None, "deep").join()

    starting = [threading.Thread(target=start) for _ in range(4)]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join()
    deadline = time.monotonic() + 10
    while threading.stack_size() != 0:  # another test's query may be starting
        assert time.monotonic() < deadline
        time.sleep(0.001)
