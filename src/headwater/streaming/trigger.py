"""When the next trigger of a query fires.

Invariants: the first trigger fires at once; `processingTime` fires on multiples of its interval since the epoch, as
Spark's does, and skips the ones it missed; a stop request ends every wait.

`continuous` and `realTime` run as micro-batches without a pause, and say so: the rows and the guarantees are the same,
the latency is that of a small batch.
"""

from __future__ import annotations

import threading

from headwater.clock import Clock
from headwater.log import logger
from headwater.plan.commands import Trigger

_log = logger("streaming")
_AS_BATCHES = {"continuous": "continuous processing", "real_time": "real-time mode"}


def next_time_ms(trigger: Trigger, now_ms: int) -> int:
    """When the trigger after one that fired at `now_ms` fires."""
    if trigger.kind != "processing_time" or trigger.interval_ms <= 0:
        return now_ms
    return now_ms // trigger.interval_ms * trigger.interval_ms + trigger.interval_ms


class TriggerClock:
    """Waits between triggers.

    Args:
        trigger: what the user asked for.
        clock: the engine's clock.
        polling_ms: pause between looks for new data when there was none.
    """

    def __init__(self, trigger: Trigger, clock: Clock, polling_ms: int) -> None:
        self._trigger = trigger
        self._clock = clock
        self._polling_ms = polling_ms
        self.wake = threading.Event()
        if trigger.kind in _AS_BATCHES:
            _log.warning("%s runs as micro-batches without a pause", _AS_BATCHES[trigger.kind])

    @property
    def interval_ms(self) -> int:
        """The interval of `processingTime`; 0: as fast as possible."""
        return self._trigger.interval_ms if self._trigger.kind == "processing_time" else 0

    @property
    def waiting(self) -> str:
        """What a query's status says between triggers."""
        if self.interval_ms:
            return "Waiting for next trigger"
        mode = _AS_BATCHES.get(self._trigger.kind)
        return f"Waiting for data to arrive ({mode} as micro-batches)" if mode else "Waiting for data to arrive"

    def pause(self, fired_ms: int, idle: bool) -> None:
        """Wait for the trigger after the one that fired at `fired_ms`; `idle`: that one found no work."""
        now = self._clock.now_ms()
        due = next_time_ms(self._trigger, fired_ms) - now
        if 0 < self.interval_ms < now - fired_ms:
            _log.warning(
                "Current batch is falling behind. The trigger interval is %d milliseconds, but spent %d milliseconds",
                self.interval_ms,
                now - fired_ms,
            )
        if self.interval_ms == 0:
            due = self._polling_ms if idle else 0
        if due > 0:
            self._clock.wait(self.wake, due / 1000)
        self.wake.clear()
