"""Tests of streaming queries, step by step and without sleeping, on an engine inside the test's process.

    def test_counts(headwater_session, run_stream):
        events = MemoryStream(headwater_session, "word STRING")
        counts = events.to_df().groupBy("word").count()
        run_stream(counts, [Add(events, ["a", "b"]), Check([("a", 1), ("b", 1)])], output_mode="update")

Installing Headwater gives pytest the fixtures `headwater_session`, `memory_stream` and `run_stream`.
"""

from __future__ import annotations

from headwater.testing.memory_stream import MemoryStream
from headwater.testing.run import StreamTestError, Target, run_stream
from headwater.testing.sessions import session
from headwater.testing.steps import (
    Add,
    AdvanceClock,
    Check,
    CheckLast,
    CheckNew,
    Crash,
    ExpectFailure,
    Restart,
    Step,
    Stop,
)

__all__ = [
    "Add",
    "AdvanceClock",
    "Check",
    "CheckLast",
    "CheckNew",
    "Crash",
    "ExpectFailure",
    "MemoryStream",
    "Restart",
    "Step",
    "Stop",
    "StreamTestError",
    "Target",
    "run_stream",
    "session",
]
