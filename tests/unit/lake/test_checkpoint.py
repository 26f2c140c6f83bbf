"""Checkpoints: written in the background, often enough, never in a commit's way."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from headwater.lake import checkpoint
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, rows

PAIRS = parse_schema("id bigint, name string")


def fill(table: LakeTable, batches: int) -> LakeTable:
    session = connection()
    for batch in range(batches):
        table.append(session, numbers(1, batch), PAIRS)
    checkpoint.wait(table.path)
    return table


def checkpoints(table: LakeTable) -> list[int]:
    return sorted(int(path.name[:20]) for path in Path(table.path, "_delta_log").glob("*.checkpoint.parquet"))


def test_a_stream_of_commits_leaves_a_short_log_that_readers_agree_on(tmp_path: Path) -> None:
    table = fill(LakeTable.at(str(tmp_path / "t")), 25)
    assert checkpoints(table)
    assert rows(LakeTable.open(table.path)) == by_deltalake(table.path)
    assert len(by_deltalake(table.path)) == 25


def test_the_tables_own_interval_is_kept(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), PAIRS, properties={"delta.checkpointInterval": "3"})
    fill(table, 2)
    assert checkpoints(table) == [2]


@pytest.mark.parametrize(("files", "expected"), [(0, 10), (500, 10), (5_000, 100), (100_000, 2_000)])
def test_the_distance_grows_with_the_table(files: int, expected: int) -> None:
    assert checkpoint.interval({}, files) == expected


def test_a_checkpoint_that_fails_does_not_fail_the_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_path: str, _version: int) -> None:
        raise OSError("no space")

    monkeypatch.setattr(checkpoint, "write", broken)
    table = fill(LakeTable.at(str(tmp_path / "t")), 12)
    assert checkpoints(table) == []
    assert DeltaTable(table.path).version() == 11


def test_temporary_files_of_killed_commits_are_swept_when_they_are_old(tmp_path: Path) -> None:
    import os

    table = fill(LakeTable.at(str(tmp_path / "t")), 1)
    log = Path(table.path, "_delta_log")
    for name, age in ((f".{1:020}.json.old.tmp", 7_200), (f".{1:020}.json.new.tmp", 0)):
        (log / name).write_text("x")
        then = (log / name).stat().st_mtime - age
        os.utime(log / name, (then, then))
    checkpoint.write(table.path, 0)
    assert [path.name for path in log.glob(".*")] == [f".{1:020}.json.new.tmp"]
