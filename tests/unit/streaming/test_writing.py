"""Log entries written at once, or beside the query at intervals."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from headwater.clock import ManualClock
from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.local import LocalStorage
from headwater.streaming.checkpoint import Checkpoint
from headwater.streaming.logs import CommitEntry, OffsetEntry
from headwater.streaming.protocol import Position
from headwater.streaming.writing import AsyncWriter, DirectWriter, LogWriter


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return Checkpoint(LocalStorage(), str(tmp_path / "ck"))


def run(writer: LogWriter, batch: int) -> None:
    writer.plan(batch, OffsetEntry((str(batch),)))
    writer.commit(batch, CommitEntry(batch))


def wait(writer: LogWriter, batch: int) -> None:
    deadline = time.monotonic() + 10
    while writer.settled < batch:
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_every_entry_is_there_when_it_was_waited_for(checkpoint: Checkpoint) -> None:
    writer = DirectWriter(checkpoint)
    for batch in range(3):
        writer.plan(batch, OffsetEntry((str(batch),)))
        writer.wait()
        assert checkpoint.offsets.ids()[-1] == batch
        writer.commit(batch, CommitEntry(batch), lambda: checkpoint.commits.get(0))
        writer.wait()
        assert (writer.settled, checkpoint.commits.ids()[-1]) == (batch, batch)
    assert not checkpoint.gaps


def test_offsets_that_another_run_has_written_are_told_before_the_batch_may_leave(checkpoint: Checkpoint) -> None:
    writer = DirectWriter(checkpoint)
    checkpoint.offsets.add(0, OffsetEntry(("0",)))
    writer.plan(0, OffsetEntry(("0",)))
    with pytest.raises(ConcurrentWriteError, match="CONCURRENT_STREAM_LOG_UPDATE"):
        writer.wait()
    writer.close()


def test_what_a_source_records_is_there_before_the_offsets_are(checkpoint: Checkpoint) -> None:
    writer = DirectWriter(checkpoint)
    seen: list[list[int]] = []
    for batch in range(2):
        writer.plan(batch, OffsetEntry((str(batch),)), lambda: seen.append(checkpoint.offsets.ids()))
    writer.wait()
    assert seen == [[], [0]]
    writer.close()


def test_a_run_that_lost_its_query_writes_nothing_more(checkpoint: Checkpoint) -> None:
    loser = DirectWriter(checkpoint)
    loser.plan(0, OffsetEntry(("0",)))
    loser.wait()
    checkpoint.commits.add(0, CommitEntry())  # another run has taken over, and was quicker
    recorded: list[int] = []
    loser.commit(0, CommitEntry())
    loser.plan(1, OffsetEntry(("1",)), lambda: recorded.append(1))
    with pytest.raises(ConcurrentWriteError, match="CONCURRENT_STREAM_LOG_UPDATE"):
        loser.wait()
    loser.close()
    assert (recorded, checkpoint.offsets.ids()) == ([], [0])


@pytest.mark.parametrize("kind", ["direct", "async"])
def test_a_state_that_cannot_be_made_durable_ends_the_run_before_its_batch_does(
    checkpoint: Checkpoint, kind: str
) -> None:
    writer: LogWriter = DirectWriter(checkpoint) if kind == "direct" else AsyncWriter(checkpoint, ManualClock(0), 0)

    def durable() -> None:
        raise OSError("no space left")

    def go_on() -> None:
        writer.plan(0, OffsetEntry(("0",)))
        writer.commit(0, CommitEntry(0), durable)
        for batch in range(1, 1000):
            time.sleep(0.002)
            writer.plan(batch, OffsetEntry((str(batch),)))
            writer.wait()

    with pytest.raises((OSError, SparkError), match="no space left"):
        go_on()
    writer.close()
    assert checkpoint.commits.ids() == []


def test_one_batch_in_each_interval_is_written(checkpoint: Checkpoint) -> None:
    clock = ManualClock(0)
    writer = AsyncWriter(checkpoint, clock, 1000)
    for batch in range(10):
        clock.advance(300)
        run(writer, batch)
    wait(writer, 8)
    assert checkpoint.offsets.ids(gaps=True) == checkpoint.commits.ids(gaps=True) == [0, 4, 8]
    assert checkpoint.gaps
    assert checkpoint.before(8) == 4
    writer.close()
    assert checkpoint.offsets.ids(gaps=True) == checkpoint.commits.ids(gaps=True) == [0, 4, 8, 9]
    assert checkpoint.position() == Position(10, False)


def test_with_interval_0_every_batch_is_written(checkpoint: Checkpoint) -> None:
    writer = AsyncWriter(checkpoint, ManualClock(0), 0)
    for batch in range(4):
        run(writer, batch)
    writer.close()
    assert checkpoint.commits.ids(gaps=True) == [0, 1, 2, 3]


def test_a_planned_batch_after_a_gap_runs_again_from_the_batch_before_it(checkpoint: Checkpoint) -> None:
    clock = ManualClock(0)
    writer = AsyncWriter(checkpoint, clock, 1000)
    for batch in range(4):
        run(writer, batch)
    clock.advance(5000)
    writer.plan(4, OffsetEntry(("4",)))
    wait(writer, 0)
    deadline = time.monotonic() + 10
    while checkpoint.offsets.ids(gaps=True) != [0, 4]:
        assert time.monotonic() < deadline
    assert checkpoint.position() == Position(4, True)
    assert checkpoint.before(4) == 0


def test_a_batch_that_ran_again_is_committed(checkpoint: Checkpoint) -> None:
    writer = AsyncWriter(checkpoint, ManualClock(0), 1000)
    writer.commit(7, CommitEntry())
    wait(writer, 7)
    assert checkpoint.commits.ids(gaps=True) == [7]


def test_a_failed_write_ends_the_query_at_its_next_step(checkpoint: Checkpoint) -> None:
    checkpoint.offsets.add(0, OffsetEntry(("x",)))
    writer = AsyncWriter(checkpoint, ManualClock(0), 0)
    writer.plan(0, OffsetEntry(("0",)))
    writer.close()
    with pytest.raises(SparkError, match=r"STREAMING_ASYNC_OPERATION_FAILED.*CONCURRENT_STREAM_LOG_UPDATE"):
        writer.commit(0, CommitEntry())
