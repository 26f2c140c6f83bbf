"""The steps of a stream's test.

Invariant: a step says what happens, `run` makes it happen; a step's text is what the story of a failed test shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from headwater.testing.memory_stream import MemoryStream
    from headwater.testing.run import StreamRun

POINTS = tuple(f"step{number}" for number in range(1, 9))
"""Where a query can crash: after each of the eight steps of a batch (`streaming/engine.py`)."""


class Step:
    """Base of all steps."""

    def run(self, stream: StreamRun) -> None:
        """Make it happen. Raises AssertionError if what is checked is not so."""
        raise NotImplementedError


@dataclass(frozen=True)
class Add(Step):
    """Rows arrive. The query takes them when a later step lets it run."""

    stream: MemoryStream
    rows: Sequence[Any]

    def run(self, stream: StreamRun) -> None:  # noqa: ARG002
        """Add the rows."""
        self.stream.add(self.rows)


@dataclass(frozen=True)
class Check(Step):
    """Once all data is processed, the output holds exactly these rows, in any order."""

    rows: Sequence[Any]

    def run(self, stream: StreamRun) -> None:
        """Process everything and compare the whole output."""
        stream.settle()
        stream.compare(self.rows, stream.output())


@dataclass(frozen=True)
class CheckNew(Step):
    """Once all data is processed, what came out since the last check is exactly these rows, in any order."""

    rows: Sequence[Any]

    def run(self, stream: StreamRun) -> None:
        """Process everything and compare the batches since the last check."""
        stream.settle()
        stream.compare(self.rows, stream.new_output())


@dataclass(frozen=True)
class CheckLast(Step):
    """Once all data is processed, the newest batch is exactly these rows, in any order."""

    rows: Sequence[Any]

    def run(self, stream: StreamRun) -> None:
        """Process everything and compare the newest batch."""
        stream.settle()
        stream.compare(self.rows, stream.last_output())


@dataclass(frozen=True)
class Stop(Step):
    """The query is stopped, as `query.stop()` does."""

    def run(self, stream: StreamRun) -> None:
        """Stop and wait."""
        stream.stop()


@dataclass(frozen=True)
class Restart(Step):
    """The query is stopped if it runs, and started again from its checkpoint."""

    def run(self, stream: StreamRun) -> None:
        """Stop and start."""
        stream.stop()
        stream.start()


@dataclass(frozen=True)
class AdvanceClock(Step):
    """Time passes, and what is due happens."""

    milliseconds: int

    def run(self, stream: StreamRun) -> None:
        """Move the clock and let the query act on it."""
        stream.clock.advance(self.milliseconds)
        stream.settle()


@dataclass(frozen=True)
class Crash(Step):
    """The next batch dies at a point, as if the process had been killed there; then the query is started again.

    `at`: `step3` (the batch is planned), `step5` (state is computed), `step6` (the sink has the batch), `step7` (the
    batch is committed), … Nothing that the batch had begun is finished, undone or closed.
    """

    at: str

    def run(self, stream: StreamRun) -> None:
        """Let the next batch run to the point, leave it there, start anew."""
        stream.crash(self.at)
        stream.start()


@dataclass(frozen=True)
class ExpectFailure(Step):
    """The query fails, and its message has this text in it: a condition, or a part of the user's own error."""

    condition: str

    def run(self, stream: StreamRun) -> None:
        """Process until it fails."""
        stream.expect_failure(self.condition)
