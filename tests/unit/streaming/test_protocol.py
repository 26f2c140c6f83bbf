"""The decision table of a micro-batch engine, whole."""

from __future__ import annotations

from itertools import product

import pytest

from headwater.streaming.protocol import (
    Action,
    Facts,
    LogConflictError,
    LogFacts,
    Position,
    must_ask_sources,
    next_instruction,
    resume,
)

KINDS = ("default", "processing_time", "once", "available_now", "continuous", "real_time")


@pytest.mark.parametrize(
    ("planned", "committed", "position"),
    [
        (None, None, Position(0, False)),
        (0, None, Position(0, True)),
        (0, 0, Position(1, False)),
        (7, 6, Position(7, True)),
        (7, 7, Position(8, False)),
    ],
)
def test_a_start_resumes_behind_the_last_commit(planned: int | None, committed: int | None, position: Position) -> None:
    assert resume(LogFacts(planned, committed)) == position


@pytest.mark.parametrize(
    ("planned", "committed", "log", "missing"),
    [(None, 0, "offsets", 0), (3, 5, "offsets", 5), (5, 3, "commits", 4), (2, None, "commits", 0)],
)
def test_contradicting_logs_name_the_missing_entry(
    planned: int | None, committed: int | None, log: str, missing: int
) -> None:
    with pytest.raises(LogConflictError) as caught:
        resume(LogFacts(planned, committed))
    assert (caught.value.log, caught.value.missing) == (log, missing)


def expected(facts: Facts) -> Action:
    """The table, written another way than the code."""
    if facts.stopping:
        return Action.STOP
    bounded = facts.trigger in ("once", "available_now")
    if facts.trigger == "once" and facts.finished:
        return Action.STOP
    if facts.position.planned:
        return Action.REPLAY
    work = [(facts.new_data, Action.RUN), (facts.state_due, Action.RUN_WITHOUT_DATA)]
    return next((action for yes, action in work if yes), Action.STOP if bounded else Action.WAIT)


def test_every_combination_of_facts_has_its_action() -> None:
    flags = (False, True)
    for kind, planned, finished, new, due, stop in product(KINDS, flags, (0, 1, 5), flags, flags, flags):
        facts = Facts(Position(4, planned), kind, finished, new, due, stop)  # type: ignore[arg-type]

        instruction = next_instruction(facts)

        assert instruction.action is expected(facts), facts
        assert instruction.batch_id == 4


def test_sources_are_asked_only_when_it_matters() -> None:
    assert must_ask_sources(Facts(Position(0, False), "default"))
    assert not must_ask_sources(Facts(Position(0, True), "default"))
    assert not must_ask_sources(Facts(Position(0, False), "default", stopping=True))
    assert not must_ask_sources(Facts(Position(0, False), "once", finished=1))
    assert not must_ask_sources(Facts(Position(0, False), "default", new_data=False))
