"""When triggers fire."""

from __future__ import annotations

import threading

import pytest

from headwater.clock import ManualClock, SystemClock
from headwater.plan.commands import Trigger
from headwater.streaming.trigger import TriggerClock, next_time_ms


@pytest.mark.parametrize(("now", "due"), [(0, 1000), (1, 1000), (999, 1000), (1000, 2000), (5400, 6000)])
def test_processing_time_fires_on_multiples_of_its_interval(now: int, due: int) -> None:
    assert next_time_ms(Trigger("processing_time", 1000), now) == due


@pytest.mark.parametrize("kind", ["default", "once", "available_now", "continuous", "real_time"])
def test_other_triggers_fire_at_once(kind: str) -> None:
    assert next_time_ms(Trigger(kind, 1000), 1234) == 1234  # type: ignore[arg-type]


class _Clock(ManualClock):
    def __init__(self, now: int) -> None:
        super().__init__(now)
        self.waits: list[float] = []

    def wait(self, _: threading.Event, seconds: float) -> None:
        self.waits.append(seconds)


def test_an_idle_default_trigger_polls() -> None:
    clock = _Clock(0)
    trigger = TriggerClock(Trigger(), clock, 10)

    trigger.pause(0, idle=True)
    trigger.pause(0, idle=False)

    assert clock.waits == [0.01]


def test_processing_time_waits_for_its_next_multiple_and_skips_missed_ones() -> None:
    clock = _Clock(2300)
    trigger = TriggerClock(Trigger("processing_time", 1000), clock, 10)

    trigger.pause(2200, idle=False)
    trigger.pause(100, idle=False)

    assert clock.waits == [0.7]


def test_a_wake_ends_the_wait() -> None:
    trigger = TriggerClock(Trigger("processing_time", 3_600_000), SystemClock(), 10)
    trigger.wake.set()

    trigger.pause(SystemClock().now_ms(), idle=True)

    assert not trigger.wake.is_set()
