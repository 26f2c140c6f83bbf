"""Commits that meet other commits: what goes on, what gives up, and what a lost reply means."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.local import LocalStorage
from headwater.lake.table import LakeTable
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


def test_an_overwrite_also_replaces_what_came_meanwhile(tmp_path: Path, between: list[object]) -> None:
    first, second = pair(tmp_path)
    between.append(lambda: second.append(connection(), numbers(5, 10), PAIRS))
    first.overwrite(connection(), numbers(1, 99), PAIRS)
    assert by_deltalake(first.path) == [(99, "row 99")]


class Stubborn(LocalStorage):
    """Fails after (`late`) or instead of creating a commit."""

    def __init__(self, late: bool) -> None:
        super().__init__("none")
        self.late = late

    def create(self, path: str, data: bytes) -> None:
        if self.late:
            super().create(path, data)
        raise OSError(28, "No space left on device")


def test_a_commit_whose_reply_was_lost_counts_once(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"), Stubborn(late=True))
    assert table.append(connection(), numbers(1), PAIRS, txn=("q", 0)).committed
    assert not table.append(connection(), numbers(1), PAIRS, txn=("q", 0)).committed
    assert len(by_deltalake(table.path)) == 1


def test_a_commit_that_the_disk_refuses_names_the_log_and_leaves_nothing(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"), Stubborn(late=False))
    with pytest.raises(SparkError, match=r"TASK_WRITE_FAILED.*_delta_log.*No space left.*Free space"):
        table.append(connection(), numbers(1), PAIRS)
    assert list(Path(table.path).glob("*.parquet")) == []
