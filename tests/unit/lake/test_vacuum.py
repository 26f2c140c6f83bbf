"""VACUUM of a Delta table's folder: what goes, what stays."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from headwater.clock import ManualClock
from headwater.errors import SparkError
from headwater.io.local import LocalStorage
from headwater.lake import vacuum
from headwater.lake.actions import AddFile
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation
from headwater.lake.vacuum import HOUR_MS, Vacuum, find, retention_ms
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, query, rows, unnamed_files

SCHEMA = parse_schema("id bigint, name string")
DAY_MS = 24 * HOUR_MS
NOW = Vacuum(0, checked=False)


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    """Three versions, each with other rows; the clock is far ahead of the files."""
    made = LakeTable.at(str(tmp_path / "t"), LocalStorage("none"), clock())
    for start in (0, 10, 20):
        made.overwrite(connection(), numbers(10, start), SCHEMA)
    later(made)
    return made


def clock(start_ms: int = 4_000_000_000_000) -> ManualClock:
    return ManualClock(start_ms)


def later(table: LakeTable) -> None:
    assert isinstance(table.clock, ManualClock)
    table.clock.advance(1000)


def run(table: LakeTable, asked: Vacuum = NOW) -> vacuum.Waste:
    return vacuum.vacuum(table, asked, LocalStorage("none"))


def put(table: LakeTable, name: str, *, young: bool = False) -> str:
    path = os.path.join(table.path, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    Path(path).write_text("xyz")
    if young:
        os.utime(path, (4_000_000_009, 4_000_000_009))
    return path


def age(table: LakeTable, days: float) -> None:
    """The newest commit file is made that old."""
    path = os.path.join(table.log.folder, f"{table.version:020}.json")
    moment = table.clock.now_ms() / 1000 - days * 86400
    os.utime(path, (moment, moment))


def test_what_no_version_needs_goes_and_history_tells(table: LakeTable) -> None:
    before = unnamed_files(table.path)
    assert len(before) == 2
    waste = run(table)
    assert sorted(waste.files) == before
    assert unnamed_files(table.path) == []
    assert rows(table) == by_deltalake(table.path)
    end, start = table.history(2)
    assert start.info["operation"] == "VACUUM START"
    assert start.info["operationParameters"] == {
        "retentionCheckEnabled": False, "specifiedRetentionMillis": 0, "defaultRetentionMillis": 7 * DAY_MS
    }  # fmt: skip
    size = sum(waste.files.values())
    assert start.info["operationMetrics"] == {"numFilesToDelete": "2", "sizeOfDataToDelete": str(size)}
    assert start.info["isolationLevel"] == "SnapshotIsolation"
    assert end.info["operation"] == "VACUUM END"
    assert end.info["operationParameters"] == {"status": "COMPLETED"}
    assert end.info["operationMetrics"] == {"numDeletedFiles": "2", "numVacuumedDirectories": "1"}


def test_a_file_that_goes_while_the_folder_is_listed_is_passed_over(
    table: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its writer has taken it away, because it could not commit."""
    scandir, given_up = os.scandir, Path(table.path, "given-up.parquet")
    given_up.write_bytes(b"x")

    def scan_and_lose(folder: str) -> list[os.DirEntry[str]]:
        entries = list(scandir(folder))
        given_up.unlink(missing_ok=True)
        return entries

    monkeypatch.setattr(os, "scandir", scan_and_lose)
    assert len(find(table, NOW).files) == 2


def test_what_a_version_within_the_retention_needs_stays(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"), LocalStorage("none"), clock())
    for start, days in ((0, 9.0), (10, 8.0), (20, 5.0), (30, 1.0)):
        table.overwrite(connection(), numbers(10, start), SCHEMA)
        age(table, days)
    run(table, Vacuum())
    # Version 0 was replaced 8 days ago, version 1 five days ago: a reader of a week ago still had version 1.
    assert [row[0] for row in rows(table.snapshot(1))] == list(range(10, 20))
    assert [row[0] for row in rows(table.snapshot(2))] == list(range(20, 30))
    assert len(unnamed_files(table.path)) == 2


def test_a_checkpoint_tells_what_cleaned_commits_removed(table: LakeTable) -> None:
    from deltalake import DeltaTable

    other = DeltaTable(table.path)
    other.create_checkpoint()
    for version in range(3):
        os.unlink(os.path.join(table.log.folder, f"{version:020}.json"))
    fresh = LakeTable.at(table.path, LocalStorage("none"), clock(4_000_000_001_000))
    assert find(fresh, Vacuum(1000, checked=False)).files == {}
    assert len(find(fresh, NOW).files) == 2


def test_young_hidden_and_foreign_files_stay(table: LakeTable, tmp_path: Path) -> None:
    outside = put(table, "../outside.parquet")
    os.symlink(tmp_path, os.path.join(table.path, "link"))
    stay = [put(table, "young.parquet", young=True), put(table, "_tmp/x"), put(table, ".x/y"), put(table, "_x")]
    go = [put(table, "old.parquet"), put(table, "_change_data/c"), put(table, "sub/old"), put(table, "_delta_index/i")]
    run(table)
    assert all(map(os.path.exists, (*stay, outside)))
    assert not any(map(os.path.exists, go))
    assert os.path.exists(tmp_path / "t" / "_delta_log")


def test_empty_folders_go_and_those_emptied_go_next_time(table: LakeTable) -> None:
    put(table, "a/b/file")
    os.makedirs(os.path.join(table.path, "empty/inner"))
    waste = run(table)
    assert waste.folder_count == 5
    assert waste.folders == (os.path.realpath(os.path.join(table.path, "empty/inner")),)
    run(table)
    assert not os.path.exists(os.path.join(table.path, "a/b"))
    run(table)
    run(table)
    assert [name for name in os.listdir(table.path) if os.path.isdir(os.path.join(table.path, name))] == ["_delta_log"]


def test_partition_folders_that_look_hidden_are_not(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"), LocalStorage("none"), clock())
    rows_ = query("SELECT i AS id, 'a' AS _p FROM range(3) r(i)")
    for _ in range(2):
        table.overwrite(connection(), rows_, parse_schema("id bigint, _p string"), partition_by=("_p",))
    later(table)
    assert len(run(table).files) == 1
    assert len(rows(table)) == 3


def test_a_retention_below_the_tables_is_refused(table: LakeTable) -> None:
    for asked, condition in (
        (Vacuum(167 * HOUR_MS), "DELTA_VACUUM_RETENTION_PERIOD_TOO_SHORT"),
        (Vacuum(-1, checked=False), "DELTA_VACUUM_RETENTION_PERIOD_NEGATIVE"),
    ):
        with pytest.raises(SparkError) as caught:
            run(table, asked)
        assert caught.value.condition == condition
    assert len(unnamed_files(table.path)) == 2
    assert table.refresh() == 2
    run(table, Vacuum(168 * HOUR_MS))


@pytest.mark.parametrize(
    ("text", "hours"),
    [("interval 1 week", 168), ("INTERVAL 2 DAYS", 48), ("interval 1 day 12 hours", 36), ("90 minutes", 1.5)],
)
def test_the_tables_retention_is_an_interval(table: LakeTable, text: str, hours: float) -> None:
    metadata = replace(table.metadata, configuration={vacuum.RETENTION: text})
    assert retention_ms(metadata) == hours * HOUR_MS


@pytest.mark.parametrize("text", ["interval", "interval 1 month", "soon", "interval 1 day or so", ""])
def test_a_retention_that_is_no_interval_deletes_nothing(table: LakeTable, text: str) -> None:
    with pytest.raises(SparkError, match="deletedFileRetentionDuration"):
        retention_ms(replace(table.metadata, configuration={vacuum.RETENTION: text}))


def test_lite_deletes_what_the_log_names_and_remembers_where_it_was(table: LakeTable) -> None:
    orphan = put(table, "orphan.parquet")
    lite = replace(NOW, lite=True)
    assert len(find(table, lite).files) == 2
    run(table, lite)
    assert unnamed_files(table.path) == [os.path.realpath(orphan)]
    info = json.loads(Path(table.log.folder, "_last_vacuum_info").read_text())
    assert info == {"latestCommitVersionOutsideOfRetentionWindow": 2}
    table.overwrite(connection(), numbers(10, 30), SCHEMA)
    later(table)
    os.unlink(os.path.join(table.log.folder, f"{0:020}.json"))
    assert len(run(table, lite).files) == 1


def test_lite_is_refused_when_commits_since_the_last_vacuum_are_gone(table: LakeTable) -> None:
    from deltalake import DeltaTable

    DeltaTable(table.path).create_checkpoint()
    os.unlink(os.path.join(table.log.folder, f"{0:020}.json"))
    with pytest.raises(SparkError) as caught:
        run(table, replace(NOW, lite=True))
    assert caught.value.condition == "DELTA_CANNOT_VACUUM_LITE"


def test_files_of_other_tables_and_absolute_names_of_own_files(table: LakeTable, tmp_path: Path) -> None:
    (live,) = table.newest().files.values()
    own = os.path.join(table.path, live.path)
    foreign = str(tmp_path / "foreign.parquet")
    Path(foreign).write_bytes(Path(own).read_bytes())
    adds = tuple(AddFile(f"file://{path}", {}, live.size, 0, stats=live.stats) for path in (own, foreign))
    table.commit(Draft(Operation("CLONE"), table.version, adds, (live,), made=()))
    run(table)
    assert os.path.exists(own)
    assert os.path.exists(foreign)
    assert len(rows(table)) == 20


def test_a_deletion_vectors_file_stays_as_long_as_its_data_file(table: LakeTable) -> None:
    (live,) = table.newest().files.values()
    # The example of Delta's protocol: prefix `ab`, then the UUID in Z85.
    vector = {"storageType": "u", "pathOrInlineDv": "ab^-aqEH.-t@S}K{vb[*k^", "sizeInBytes": 3, "cardinality": 1}
    name = "ab/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"
    kept = put(table, name)
    table.commit(Draft(Operation(), table.version, (replace(live, deletion_vector=vector),), (live,), made=()))
    assert kept not in find(table, NOW).files
    table.commit(Draft(Operation(), table.version, removes=table.snapshot().files))
    later(table)
    assert os.path.realpath(kept) in find(table, NOW).files
    assert os.path.realpath(kept) in find(table, replace(NOW, lite=True)).files


def test_a_file_that_cannot_be_deleted_is_told(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_path: str) -> None:
        raise PermissionError("no")

    monkeypatch.setattr("headwater.lake.vacuum.os.unlink", refuse)
    with pytest.raises(PermissionError):
        run(table)
    assert table.history(1)[0].info["operationParameters"] == {"status": "FAILED"}


def test_without_logging_history_stays(table: LakeTable) -> None:
    run(table, replace(NOW, logged=False))
    assert table.refresh() == 2
    assert unnamed_files(table.path) == []
