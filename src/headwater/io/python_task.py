"""PySpark's `TaskContext` for users' writers: one task at a time, for PySpark keeps it per process.

Invariants: outside `running` there is no task; no two tasks of a process share their attempt id, which users make file
names of.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

_one_task = threading.RLock()
_attempts = count()


@contextmanager
def running(batch_id: int | None = None) -> Iterator[None]:
    """Let `TaskContext.get()` of the user's code know partition 0, and the batch if there is one."""
    from pyspark.taskcontext import TaskContext

    with _one_task:
        task = TaskContext._getOrCreate()
        task._partitionId = 0
        task._attemptNumber = 0
        task._taskAttemptId = next(_attempts)
        task._localProperties = {} if batch_id is None else {"streaming.sql.batchId": str(batch_id)}
        try:
            yield
        finally:
            TaskContext._taskContext = None
