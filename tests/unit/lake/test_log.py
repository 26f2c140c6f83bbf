"""Replaying the log: from the first commit, from checkpoints of other writers, and with files missing."""

from __future__ import annotations

import json
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


def test_summed_up_commits_stand_for_those_they_sum_up(tmp_path: Path) -> None:
    table = filled(tmp_path, 8)
    table.overwrite(connection(), numbers(1, 100), PAIRS)
    plain = log_of(table).load()
    log = tmp_path / "_delta_log"
    for first, last in ((1, 2), (1, 4), (3, 8), (5, 8), (6, 7)):
        found = [json.loads(line) for v in range(first, last + 1) for line in commit_lines(log, v)]
        gone = {action["remove"]["path"] for action in found if "remove" in action}
        txns = [action for action in found if "txn" in action][-1:]
        adds = [action for action in found if "add" in action and action["add"]["path"] not in gone]
        removes = [action for action in found if "remove" in action]
        text = "\n".join(map(json.dumps, [*adds, *removes, *txns]))
        (log / f"{first:020}.{last:020}.compacted.json").write_text(text)
    for version in (2, 3, 6):  # Needed no longer: 0, then 1 to 4, then 5 to 8.
        os.rename(log / f"{version:020}.json", log / f"hidden-{version}")
    found = log_of(table).load()
    assert (found.version, found.files, found.txns, found.timestamp_ms) == (
        8,
        plain.files,
        plain.txns,
        plain.timestamp_ms,
    )
    for version in (2, 3, 6):
        os.rename(log / f"hidden-{version}", log / f"{version:020}.json")
    assert [len(log_of(table).load(version).files) for version in range(9)] == [1, 2, 3, 4, 5, 6, 7, 8, 1]
    (log / f"{1:020}.{4:020}.compacted.json").write_text("{")
    assert log_of(table).load().files == plain.files


def commit_lines(log: Path, version: int) -> list[str]:
    return (log / f"{version:020}.json").read_text().splitlines()


def test_times_in_commits_count_from_the_version_that_has_them_on(tmp_path: Path) -> None:
    table = filled(tmp_path, 5)
    log = tmp_path / "_delta_log"
    for version, inside in ((0, 1), (2, 2000_000), (3, 3000_000), (4, 4000_000)):
        path = log / f"{version:020}.json"
        info, *rest = commit_lines(log, version)
        body = {"commitInfo": {"inCommitTimestamp": inside, **json.loads(info)["commitInfo"]}}
        path.write_text("\n".join([json.dumps(body), *rest]) + "\n")
    for version in range(5):
        os.utime(log / f"{version:020}.json", (100 + version, 100 + version))
    # Version 1 has none, so what version 0 carries is of a time before the feature was (last) on.
    expected = [(0, 100_000), (1, 101_000), (2, 2000_000), (3, 3000_000), (4, 4000_000)]
    assert log_of(table).times() == expected
    again = LakeTable.open(table.path)
    assert [commit.timestamp_ms for commit in again.history()] == [time for _, time in expected][::-1]
    assert [again.version_at(time) for time in (101_500, 2000_000, 3999_999)] == [1, 2, 3]
    assert again.snapshot().timestamp_ms == 4000_000


def test_a_log_is_current_until_another_takes_its_place(tmp_path: Path) -> None:
    table = filled(tmp_path, 2)
    log = log_of(table)
    state = log.load()
    assert (log.is_current(1), log.is_current(0), log.is_current(-1)) == (True, False, False)
    table.append(connection(), numbers(1, 2), PAIRS)
    assert log.is_current(1)
    log.advance(state)
    assert (log.is_current(1), log.is_current(2)) == (False, True)
    path = tmp_path / "_delta_log" / f"{2:020}.json"
    data = path.read_bytes()
    path.unlink()
    assert not log.is_current(2)
    path.write_bytes(data + b"\n")
    assert not log.is_current(2)
