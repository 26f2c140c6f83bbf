"""Work beside the batches: one thread at a time for one state, on a reader of its own.

Invariants: a second piece of work is refused while the first runs; a failure is logged and never reaches a batch;
after `stop` nothing runs any more.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from headwater.duck import Connection
from headwater.log import logger

LOG = logger(__name__)
_GRACE_SECONDS = 5


class Background:
    """See the module."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._reader: Connection | None = None

    @property
    def running(self) -> bool:
        """Whether something runs."""
        return self._thread is not None and self._thread.is_alive()

    def start(self, what: str, reader: Connection, work: Callable[[Connection], None]) -> None:
        """Do `work` with a reader, which is closed afterwards; nothing may be running."""
        self._reader = reader
        self._thread = threading.Thread(target=self._run, args=(what, reader, work), name=what, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        """Until nothing runs."""
        if self._thread is not None:
            self._thread.join()

    def stop(self) -> None:
        """Let what runs come to its end for some seconds, then give it up."""
        if self._thread is not None:
            self._thread.join(_GRACE_SECONDS)
        if self.running and self._reader is not None:
            self._reader.interrupt()
        self.wait()

    def _run(self, what: str, reader: Connection, work: Callable[[Connection], None]) -> None:
        try:
            work(reader)
        except Exception:  # whatever it is, it is tried again after a later batch
            LOG.warning("%s failed and is tried again", what, exc_info=True)
        finally:
            reader.close()
