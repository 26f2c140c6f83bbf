"""Replaying the log: from the first commit, from checkpoints of other writers, and with files missing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headwater.errors import AnalysisError, SparkError
from headwater.io.local import LocalStorage
from headwater.lake.log import DeltaLog
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, numbers, query, rows

PAIRS = parse_schema("id bigint, name string")


def filled(path: Path, batches: int = 5) -> LakeTable:
    table = LakeTable.at(str(path))
    for batch in range(batches):
        table.append(connection(), numbers(1, batch), PAIRS, txn=("q", batch))
    return table


def log_of(table: LakeTable) -> DeltaLog:
    return DeltaLog(table.path, LocalStorage())


def test_a_checkpoint_and_the_commits_after_it_give_the_same_state_as_all_commits(tmp_path: Path) -> None:
    table = filled(tmp_path)
    plain = log_of(table).load()
    DeltaTable(table.path, version=3).create_checkpoint()
    found = log_of(table).load()
    assert found.checkpoint == 3
    assert (found.files, found.txns, found.metadata, found.protocol) == (
        plain.files,
        plain.txns,
        plain.metadata,
        plain.protocol,
    )


def test_old_versions_are_read_from_the_checkpoint_before_them(tmp_path: Path) -> None:
    table = filled(tmp_path)
    DeltaTable(table.path, version=1).create_checkpoint()
    DeltaTable(table.path, version=3).create_checkpoint()
    assert [log_of(table).load(version).checkpoint for version in (0, 1, 2, 3, 4)] == [-1, 1, 1, 3, 3]
    assert [len(log_of(table).load(version).files) for version in range(5)] == [1, 2, 3, 4, 5]


def test_commits_behind_the_checkpoint_may_be_gone(tmp_path: Path) -> None:
    table = filled(tmp_path)
    DeltaTable(table.path, version=3).create_checkpoint()
    for version in range(3):
        os.unlink(tmp_path / "_delta_log" / f"{version:020}.json")
    again = LakeTable.open(table.path)
    assert len(rows(again)) == 5
    assert again.transaction_version("q") == 4
    with pytest.raises(AnalysisError, match="DELTA_VERSION_NOT_FOUND"):
        again.snapshot(version=1)


def test_a_missing_first_commit_is_named(tmp_path: Path) -> None:
    table = filled(tmp_path)
    os.unlink(tmp_path / "_delta_log" / f"{0:020}.json")
    with pytest.raises(SparkError, match=r"DELTA_TRUNCATED_TRANSACTION_LOG.*0\.json"):
        LakeTable.open(table.path)


def test_a_damaged_checkpoint_is_passed_over(tmp_path: Path) -> None:
    table = filled(tmp_path)
    for version in (1, 3):
        DeltaTable(table.path, version=version).create_checkpoint()
    newest = tmp_path / "_delta_log" / f"{3:020}.checkpoint.parquet"
    whole = newest.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"x" * len(whole)):
        newest.write_bytes(damaged)
        found = log_of(table).load()
        assert (found.checkpoint, len(found.files), found.version) == (1, 5, 4)


def test_partition_values_come_through_a_checkpoint(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "p"))
    source = query("SELECT * FROM (VALUES (1, 'a b/%'), (2, NULL)) t(v, p)")
    table.append(connection(), source, parse_schema("v int, p string"), partition_by=("p",))
    DeltaTable(table.path).create_checkpoint()
    assert rows(LakeTable.open(table.path)) == [(1, "a b/%"), (2, None)]


def test_stray_files_in_the_log_folder_are_passed_over(tmp_path: Path) -> None:
    table = filled(tmp_path, 1)
    for name in (f".{1:020}.json.x.tmp", f"{1:020}.json#1", "notes.json", f"{1:020}.crc", "_last_checkpoint"):
        (tmp_path / "_delta_log" / name).write_text("rubbish")
    assert len(rows(LakeTable.open(table.path))) == 1


def test_times_rise_even_if_the_clock_went_back(tmp_path: Path) -> None:
    table = filled(tmp_path, 3)
    for version, second in ((0, 100), (1, 50), (2, 100)):
        os.utime(tmp_path / "_delta_log" / f"{version:020}.json", (second, second))
    assert log_of(table).times() == [(0, 100_000), (1, 100_001), (2, 100_002)]
