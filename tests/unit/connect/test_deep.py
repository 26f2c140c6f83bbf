"""The pool of deep threads."""

from __future__ import annotations

import threading
import time

import pytest

from headwater.connect.deep import DeepPool


def test_deep_recursion_survives() -> None:
    def fall(depth: int) -> int:
        return depth if depth == 0 else max([fall(depth - 1)])

    pool = DeepPool(1)
    assert pool.submit(fall, 15_000).result() == 0
    pool.shutdown()


def test_the_pool_grows_to_its_limit_and_reuses_idle_threads() -> None:
    pool = DeepPool(2)
    names = {pool.submit(lambda: threading.current_thread().name).result() for _ in range(3)}
    assert len(names) <= 2
    gate = threading.Event()
    waiting = [pool.submit(gate.wait) for _ in range(3)]
    time.sleep(0.05)
    assert sum(future.running() for future in waiting) == 2
    gate.set()
    assert all(future.result(5) for future in waiting)
    pool.shutdown()


def test_a_failure_is_the_callers() -> None:
    pool = DeepPool(1)
    with pytest.raises(ZeroDivisionError):
        pool.submit(lambda: 1 // 0).result()
    pool.shutdown()
