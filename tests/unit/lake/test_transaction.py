"""Commits that meet other commits or a storage that fails: what goes on, what gives up, what a lost reply means."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.local import LocalStorage
from headwater.lake.table import LakeTable
from headwater.lake.transaction import pause_s
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, query, unnamed_files

PAIRS = parse_schema("id bigint, name string")
WIDER = parse_schema("id bigint, name string, extra int")
WIDE_ROW = query("SELECT 9::BIGINT AS id, 'x' AS name, 1 AS extra")


@pytest.fixture
def between(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Actions put here run, once each, after a write's data is there and before its commit."""
    actions: list[object] = []

    def at(name: str) -> None:
        if name == "lake.data_written" and actions:
            actions.pop()()  # type: ignore[operator]

    monkeypatch.setattr("headwater.lake.table.crash_point", at)
    return actions


def pair(path: Path) -> tuple[LakeTable, LakeTable]:
    first = LakeTable.at(str(path / "t"))
    first.append(connection(), numbers(1), PAIRS, txn=("q", 0))
    return first, LakeTable.open(first.path)


def test_an_append_goes_on_after_another_append(tmp_path: Path, between: list[object]) -> None:
    first, second = pair(tmp_path)
    between.append(lambda: second.append(connection(), numbers(1, 1), PAIRS))
    assert first.append(connection(), numbers(1, 2), PAIRS).version == 2
    assert len(by_deltalake(first.path)) == 3


def test_the_same_batch_by_another_writer_is_seen_at_the_commit(tmp_path: Path, between: list[object]) -> None:
    first, second = pair(tmp_path)
    between.append(lambda: second.append(connection(), numbers(1, 1), PAIRS, txn=("q", 1)))
    assert not first.append(connection(), numbers(1, 1), PAIRS, txn=("q", 1)).committed
    assert (len(by_deltalake(first.path)), unnamed_files(first.path)) == (2, [])


def test_an_earlier_batch_of_the_same_query_is_a_second_run_of_it(tmp_path: Path, between: list[object]) -> None:
    first, second = pair(tmp_path)
    between.append(lambda: second.append(connection(), numbers(1, 1), PAIRS, txn=("q", 1)))
    with pytest.raises(ConcurrentWriteError, match=r"DELTA_CONCURRENT_TRANSACTION.*same streaming query"):
        first.append(connection(), numbers(1, 2), PAIRS, txn=("q", 2))
    assert (len(by_deltalake(first.path)), unnamed_files(first.path)) == (2, [])


def test_a_schema_changed_meanwhile_is_a_conflict_and_the_retry_succeeds(tmp_path: Path, between: list[object]) -> None:
    first, second = pair(tmp_path)
    between.append(lambda: second.append(connection(), WIDE_ROW, WIDER, merge_schema=True))
    with pytest.raises(ConcurrentWriteError, match=r"DELTA_METADATA_CHANGED(.|\n)*version 1"):
        first.append(connection(), numbers(1, 5), PAIRS)
    assert unnamed_files(first.path) == []
    assert first.append(connection(), numbers(1, 5), PAIRS).committed


def test_two_writers_that_make_the_same_table_or_column_both_get_in(tmp_path: Path, between: list[object]) -> None:
    path = str(tmp_path / "new")
    first, second = LakeTable.at(path), LakeTable.at(path)
    between.append(lambda: second.append(connection(), numbers(1), PAIRS))
    first.append(connection(), numbers(1, 1), PAIRS)
    between.append(lambda: second.append(connection(), WIDE_ROW, WIDER, merge_schema=True))
    first.append(connection(), WIDE_ROW, WIDER, merge_schema=True)
    assert len(by_deltalake(path)) == 4


def test_rows_that_come_while_a_table_is_overwritten_stay_as_if_they_had_come_after(
    tmp_path: Path, between: list[object]
) -> None:
    first, second = pair(tmp_path)
    between.append(lambda: second.append(connection(), numbers(1, 10), PAIRS))
    first.overwrite(connection(), numbers(1, 99), PAIRS)
    assert by_deltalake(first.path) == [(10, "row 10"), (99, "row 99")]


def test_two_overwrites_are_a_conflict(tmp_path: Path, between: list[object]) -> None:
    first, second = pair(tmp_path)
    between.append(lambda: second.overwrite(connection(), numbers(1, 10), PAIRS))
    with pytest.raises(ConcurrentWriteError, match=r"DELTA_CONCURRENT_APPEND.*concurrent WRITE.*retry"):
        first.overwrite(connection(), numbers(1, 99), PAIRS)
    assert (by_deltalake(first.path), unnamed_files(first.path)) == (
        [(10, "row 10")],
        [str(tmp_path / "t" / file.path) for file in first.snapshot(0).files],
    )


class Flaky(LocalStorage):
    """Reports an error, or that the name is taken, for creating a commit; `late`: after it has done so.

    Args:
        times: how often. readable: whether the log can be read meanwhile.
    """

    def __init__(self, error: OSError, *, late: bool, times: int = 1, readable: bool = True) -> None:
        super().__init__("none")
        self.error, self.late, self.times, self.readable = error, late, times, readable
        self.failed = 0

    def create(self, path: str, data: bytes) -> None:
        if self.failed == self.times:
            super().create(path, data)
            return
        self.failed += 1
        if self.late and not self.exists(path):
            super().create(path, data)
        raise self.error

    def read(self, path: str) -> bytes:
        if self.failed > 0 and not self.readable and path.endswith(".json"):
            raise ConnectionError("no answer")
        return super().read(path)


NO_ANSWER = ConnectionError("the reply was lost")
FULL = OSError(28, "No space left on device")
TAKEN = FileExistsError(17, "File exists")


@pytest.mark.parametrize("error", [NO_ANSWER, TimeoutError("timed out"), OSError("503 SlowDown"), FULL, TAKEN])
def test_a_commit_whose_reply_was_lost_counts_once(tmp_path: Path, error: OSError) -> None:
    table = LakeTable.at(str(tmp_path / "t"), Flaky(error, late=True))
    assert table.append(connection(), numbers(1), PAIRS, txn=("q", 0)).committed
    assert not table.append(connection(), numbers(1), PAIRS, txn=("q", 0)).committed
    assert table.append(connection(), numbers(1, 1), PAIRS).version == 1
    assert (len(by_deltalake(table.path)), unnamed_files(table.path)) == (2, [])


@pytest.mark.parametrize("error", [NO_ANSWER, TimeoutError("timed out"), OSError("503 SlowDown")])
def test_a_commit_that_never_arrived_is_tried_again(tmp_path: Path, error: OSError) -> None:
    table = LakeTable.at(str(tmp_path / "t"), Flaky(error, late=False, times=4))
    assert table.append(connection(), numbers(1), PAIRS).committed
    assert len(by_deltalake(table.path)) == 1


def test_files_of_a_commit_that_may_have_been_made_are_kept(tmp_path: Path) -> None:
    storage = Flaky(NO_ANSWER, late=True, times=99, readable=False)
    table = LakeTable.at(str(tmp_path / "t"), storage)
    with pytest.raises(SparkError, match=r"DELTA_COMMIT_STATE_UNKNOWN.*_delta_log.*reply was lost.*DESCRIBE HISTORY"):
        table.append(connection(), numbers(1), PAIRS, txn=("q", 0))
    assert by_deltalake(table.path) == [(0, "row 0")]
    again = LakeTable.at(table.path)
    assert not again.append(connection(), numbers(1), PAIRS, txn=("q", 0)).committed


def test_a_commit_that_the_disk_refuses_names_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"), Flaky(FULL, late=False))
    with pytest.raises(SparkError, match=r"TASK_WRITE_FAILED.*_delta_log.*No space left.*Free space"):
        table.append(connection(), numbers(1), PAIRS)
    assert list(Path(table.path).glob("*.parquet")) == []


def test_a_version_that_somebody_else_has_is_not_taken_for_ours(tmp_path: Path, between: list[object]) -> None:
    storage = Flaky(TAKEN, late=False, times=0)
    first = LakeTable.at(str(tmp_path / "t"), storage)
    first.append(connection(), numbers(1), PAIRS)
    second = LakeTable.open(first.path)
    between.append(lambda: second.append(connection(), numbers(1, 1), PAIRS))
    assert first.append(connection(), numbers(1, 2), PAIRS).version == 2
    assert len(by_deltalake(first.path)) == 3


def test_a_writer_that_loses_often_waits_a_little_longer_each_time_and_never_long() -> None:
    assert [pause_s(losses, 0.5) for losses in (1, 2)] == [0.0, 0.0]
    waits = [pause_s(losses, 0.999) for losses in range(3, 30)]
    assert waits == sorted(waits)
    assert 0 < waits[0] < waits[3] < waits[-1] < 0.1
    assert pause_s(10_000, 0.999) < 0.1
