"""What a micro-batch engine does next, decided from observed facts alone.

Invariants: pure; a batch that was planned and not committed is always run again before anything else; a stop
request wins over everything; the answer is one of five instructions.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Literal

TriggerKind = Literal["default", "processing_time", "once", "available_now", "continuous", "real_time"]


class Action(Enum):
    """The five instructions."""

    REPLAY = "replay"
    """Run the planned batch again, with the offsets that were logged."""
    RUN = "run"
    """Plan and run a batch with new data."""
    RUN_WITHOUT_DATA = "run without data"
    """Plan and run a batch that only moves state."""
    WAIT = "wait"
    """Nothing to do until something changes."""
    STOP = "stop"
    """The query is over."""


@dataclass(frozen=True)
class Instruction:
    """An action and the batch it is about."""

    action: Action
    batch_id: int


@dataclass(frozen=True)
class LogFacts:
    """The newest ids of both logs; None: the log is empty."""

    planned: int | None
    committed: int | None
    gaps: bool = False
    """Whether batches may be missing because only some were written."""


class LogConflictError(ValueError):
    """The logs contradict each other; `missing` is the id whose entry is not there, in `log`."""

    def __init__(self, log: Literal["offsets", "commits"], missing: int) -> None:
        super().__init__(f"{log}/{missing} is missing")
        self.log = log
        self.missing = missing


@dataclass(frozen=True)
class Position:
    """Where a query stands: the next batch, and whether it was planned before."""

    batch_id: int
    planned: bool


def resume(logs: LogFacts) -> Position:
    """Where a starting query stands. Raises LogConflictError."""
    planned = -1 if logs.planned is None else logs.planned
    committed = -1 if logs.committed is None else logs.committed
    if committed > planned:
        raise LogConflictError("offsets", committed)
    if planned > committed + 1 and not logs.gaps:
        raise LogConflictError("commits", committed + 1)
    return Position(planned + 1, False) if planned == committed else Position(planned, True)


@dataclass(frozen=True)
class Facts:
    """What is known before a batch.

    Attributes:
        position: the next batch.
        trigger: kind of trigger.
        finished: batches this run has finished.
        new_data: whether any source has rows beyond its last offset; None: not asked yet.
        state_due: whether state can move without data (the watermark has moved).
        stopping: whether a stop was asked for.
    """

    position: Position
    trigger: TriggerKind
    finished: int = 0
    new_data: bool | None = None
    state_due: bool = False
    stopping: bool = False


def next_instruction(facts: Facts) -> Instruction:
    """The next instruction for these facts."""
    return Instruction(_action(facts), facts.position.batch_id)


def must_ask_sources(facts: Facts) -> bool:
    """Whether the decision depends on what the sources have."""
    return facts.new_data is None and _settled(facts) is None


def _settled(facts: Facts) -> Action | None:
    if facts.stopping:
        return Action.STOP
    if facts.trigger == "once" and facts.finished > 0:
        return Action.STOP
    return Action.REPLAY if facts.position.planned else None


def _action(facts: Facts) -> Action:
    settled = _settled(facts)
    if settled is not None:
        return settled
    if facts.new_data:
        return Action.RUN
    if facts.state_due:
        return Action.RUN_WITHOUT_DATA
    return Action.STOP if facts.trigger in ("once", "available_now") else Action.WAIT
