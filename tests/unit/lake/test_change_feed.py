"""The change data feed: the rows each version changed, against what delta-rs reads of the same tables."""

from __future__ import annotations

import base64
import dataclasses
import os
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from headwater.duck import sql_text
from headwater.errors import AnalysisError, IllegalArgumentError, SparkError, UnsupportedError
from headwater.io.formats.base import FormatOptions
from headwater.lake import change_feed
from headwater.lake.actions import AddFile, Commit, parse_commit
from headwater.lake.table import LakeTable
from headwater.sources.delta import parse_time
from support.lake import connection

ON = {"delta.enableChangeDataFeed": "true"}


def people(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64()), "p": [f"p{number % 2}" for number in ids]})


@pytest.fixture(params=[None, ["p"]], ids=["plain", "partitioned"])
def path(tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Versions 0 inserts, 1 updates, 2 deletes, 3 overwrites."""
    path = str(tmp_path / "t")
    write_deltalake(path, people(1, 2, 3, 4), configuration=ON, partition_by=request.param)
    table = DeltaTable(path)
    table.update(predicate="id = 2", updates={"id": "20"})
    table.delete("id = 3")
    write_deltalake(path, people(7), mode="overwrite")
    return path


def span(table: LakeTable, **options: object) -> change_feed.Range:
    texts = FormatOptions({name: str(value) for name, value in options.items()})
    return change_feed.Range.parse(texts, table, lambda text: parse_time(text, "UTC"))


def changed(path: str, zone: str = "UTC", **options: object) -> list[dict[str, Any]]:
    table = LakeTable.open(path)
    made, schema = change_feed.read(table, span(table, **options))
    found = pa.table(connection(zone).execute(sql_text(made)).to_arrow_table())
    assert found.schema.names == schema.names
    return sorted(found.to_pylist(), key=lambda row: (row["_commit_version"], row["_change_type"], row["id"]))


def by_deltalake(path: str, first: int, last: int | None = None) -> list[dict[str, Any]]:
    rows = pa.table(DeltaTable(path).load_cdf(first, last).read_all()).to_pylist()
    return sorted(rows, key=lambda row: (row["_commit_version"], row["_change_type"], row["id"]))


def kinds(path: str, **options: object) -> list[tuple[int, str, int]]:
    return [(row["_commit_version"], row["_change_type"], row["id"]) for row in changed(path, **options)]


def test_every_version_tells_the_rows_it_changed(path: str) -> None:
    assert kinds(path, startingVersion=1) == [
        (1, "update_postimage", 20),
        (1, "update_preimage", 2),
        (2, "delete", 3),
        (3, "delete", 1),
        (3, "delete", 4),
        (3, "delete", 20),
        (3, "insert", 7),
    ]
    names = ["id", "p", "_change_type", "_commit_version"]
    theirs = [[row[name] for name in names] for row in by_deltalake(path, 0)]
    assert [[row[name] for name in names] for row in changed(path, startingVersion=0)] == theirs


def test_the_time_is_the_commits_whatever_the_sessions_zone(path: str) -> None:
    for version in range(4):
        os.utime(Path(path, "_delta_log", f"{version:020}.json"), (86_400 * version, 86_400 * version))
    for zone in ("UTC", "Asia/Tokyo"):
        found = {
            row["_commit_version"]: row["_commit_timestamp"].timestamp()
            for row in changed(path, zone, startingVersion=0)
        }
        assert found == {version: 86_400 * version for version in range(4)}
    assert {row[0] for row in kinds(path, startingTimestamp="1970-01-02", endingTimestamp="1970-01-03 12:00:00")} == {
        1,
        2,
    }
    assert kinds(path, startingTimestamp="1970-01-02 01:00:00", endingTimestamp="1970-01-02 02:00:00") == []
    with pytest.raises(IllegalArgumentError, match="DELTA_INVALID_CDC_RANGE"):
        kinds(path, startingTimestamp="1970-01-02 02:00:00", endingTimestamp="1970-01-02 01:00:00")


def test_a_range_ends_where_the_table_does(path: str) -> None:
    assert {row[0] for row in kinds(path, startingVersion=2, endingVersion=99)} == {2, 3}
    assert {row[0] for row in kinds(path, startingVersion=1, endingVersion=1)} == {1}


def test_many_versions_are_read_in_one_go(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    write_deltalake(path, people(0), configuration=ON)
    for number in range(1, 12):
        write_deltalake(path, people(number), mode="append")
        DeltaTable(path).update(predicate=f"id = {number - 1}", updates={"p": "'x'"})
    found = changed(path, startingVersion=0)
    assert len(found) == 12 + 2 * 11
    names = ["id", "p", "_change_type", "_commit_version"]
    theirs = [[row[name] for name in names] for row in by_deltalake(path, 0)]
    assert [[row[name] for name in names] for row in found] == theirs


@pytest.mark.parametrize(
    ("options", "condition"),
    [
        ({}, "DELTA_NO_START_FOR_CDC_READ"),
        ({"startingVersion": 4}, "DELTA_CDC_START_VERSION_AFTER_LATEST"),
        ({"startingVersion": 2, "endingVersion": 1}, "DELTA_INVALID_CDC_RANGE"),
        ({"startingVersion": "x"}, "DELTA_VERSION_INVALID"),
        ({"startingVersion": "-1"}, "DELTA_VERSION_INVALID"),
        ({"startingTimestamp": "2100-01-01"}, "DELTA_TIMESTAMP_GREATER_THAN_COMMIT"),
        ({"startingVersion": 0, "endingTimestamp": "2000-01-01"}, "DELTA_TIMESTAMP_EARLIER_THAN_COMMIT_RETENTION"),
    ],
)
def test_impossible_ranges_are_refused(path: str, options: dict[str, object], condition: str) -> None:
    with pytest.raises((AnalysisError, IllegalArgumentError), match=condition):
        kinds(path, **options)


def test_times_outside_the_table_can_be_let_in(path: str) -> None:
    table = LakeTable.open(path)
    late = FormatOptions({"startingTimestamp": "2100-01-01"})
    made = change_feed.Range.parse(late, table, lambda text: parse_time(text, "UTC"), lenient=True)
    assert list(made.versions(table.version)) == []
    ends = FormatOptions({"startingVersion": "3", "endingTimestamp": "2100-01-01"})
    made = change_feed.Range.parse(ends, table, lambda text: parse_time(text, "UTC"), lenient=True)
    assert list(made.versions(table.version)) == [3]


def test_versions_that_were_not_recorded_are_refused(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    write_deltalake(path, people(1))
    table = DeltaTable(path)
    table.alter.set_table_properties(ON)
    write_deltalake(path, people(2), mode="append")
    with pytest.raises(AnalysisError, match=r"(?s)DELTA_MISSING_CHANGE_DATA.*version \[0\]"):
        kinds(path, startingVersion=0)
    assert kinds(path, startingVersion=1) == [(2, "insert", 2)]
    DeltaTable(path).alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    with pytest.raises(AnalysisError, match=r"(?s)DELTA_MISSING_CHANGE_DATA.*version \[3\]"):
        kinds(path, startingVersion=2)


def test_older_versions_are_read_under_the_newest_columns_or_not_at_all(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    write_deltalake(path, people(1), configuration=ON)
    wider = people(2).append_column("extra", pa.array([5], pa.int64()))
    write_deltalake(path, wider, mode="append", schema_mode="merge")
    assert [row["extra"] for row in changed(path, startingVersion=0)] == [None, 5]
    other = pa.table({"id": ["x"]})
    write_deltalake(path, other, mode="overwrite", schema_mode="overwrite")
    with pytest.raises(UnsupportedError, match=r"(?s)DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_DATA_SCHEMA.*version 0"):
        kinds(path, startingVersion=0, endingVersion=0)
    with pytest.raises(UnsupportedError, match=r"(?s)DELTA_CHANGE_DATA_FEED_INCOMPATIBLE_SCHEMA_CHANGE.*version 1"):
        kinds(path, startingVersion=0)


def test_compaction_changes_no_row(tmp_path: Path) -> None:
    path = str(tmp_path / "t")
    write_deltalake(path, people(1), configuration=ON)
    write_deltalake(path, people(2), mode="append")
    DeltaTable(path).optimize.compact()
    assert kinds(path, startingVersion=2) == []


def test_a_merge_that_changed_nothing_tells_nothing() -> None:
    metrics = dict.fromkeys(("numTargetRowsInserted", "numTargetRowsUpdated", "numTargetRowsDeleted"), "0")
    info = {"operation": "MERGE", "operationMetrics": metrics}
    added = AddFile("f", {}, 1, 0)
    assert change_feed.changes_of(Commit(1, (added,), info=info)) == ()
    assert len(change_feed.changes_of(Commit(1, (added,)))) == 1


def test_the_files_of_a_version_are_in_the_logs_order() -> None:
    remove = b'{"remove":{"path":"old","deletionTimestamp":1,"dataChange":true,"partitionValues":{},"size":1}}\n'
    add = b'{"add":{"path":"new","partitionValues":{},"size":1,"modificationTime":1,"dataChange":true}}\n'
    for lines, paths in ((remove + add, ["old", "new"]), (add + remove, ["new", "old"])):
        assert [change.file.path for change in change_feed.changes_of(parse_commit(1, lines))] == paths
    bare = b'{"remove":{"path":"old","deletionTimestamp":1,"dataChange":true}}\n'
    with pytest.raises(SparkError, match="DELTA_REMOVE_FILE_CDC_MISSING_EXTENDED_METADATA"):
        change_feed.changes_of(parse_commit(1, bare))


def test_times_of_new_versions_rise_as_the_history_has_them(path: str) -> None:
    table = LakeTable.open(path)
    times = change_feed.Times(table)
    times.of(1)
    newest = Path(path, "_delta_log", f"{3:020}.json")
    assert {version: times.of(version) for version in (2, 3)} == dict(table.log.times()[2:])
    os.utime(newest, (0, 0))
    again = change_feed.Times(table)
    again.of(2)
    assert again.of(3) == again.of(2) + 1 == dict(table.log.times())[3]


_B85 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_Z85 = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def vector(*rows: int) -> dict[str, Any]:
    """A deletion vector of a few first rows, in the log itself."""
    bitmap = struct.pack(f"<IIHHI{len(rows)}H", 12346, 1, 0, len(rows) - 1, 16, *rows)
    data = struct.pack("<iqI", 1681511377, 1, 0) + bitmap
    text = base64.b85encode(data + bytes(-len(data) % 4)).translate(bytes.maketrans(_B85, _Z85)).decode()
    return {"storageType": "i", "pathOrInlineDv": text, "sizeInBytes": len(data), "cardinality": len(rows)}


@pytest.mark.parametrize(
    ("before", "after", "changed_rows"),
    [
        ((), (0, 2), [("delete", 1), ("delete", 3)]),
        ((0,), (0, 2), [("delete", 3)]),
        ((0, 2), (2, 3), [("delete", 4), ("insert", 1)]),
        ((0, 2), (), [("insert", 1), ("insert", 3)]),
    ],
)
def test_of_a_file_that_stays_the_rows_that_differ_are_told(
    tmp_path: Path, before: tuple[int, ...], after: tuple[int, ...], changed_rows: list[tuple[str, int]]
) -> None:
    path = str(tmp_path / "t")
    write_deltalake(path, people(1, 2, 3, 4), configuration=ON)
    table = LakeTable.open(path)
    (file,) = table.snapshot().files
    old, new = (dataclasses.replace(file, deletion_vector=vector(*rows) if rows else None) for rows in (before, after))
    changes = change_feed.changes_of(Commit(1, (new,), (old.removal(0),)))
    assert all(change.whole for change in changes), "a stream takes both sides in one batch"
    made = change_feed.query(path, table.metadata, changes, {1: 0})
    assert sorted((row[2], row[0]) for row in connection().execute(sql_text(made)).fetchall()) == changed_rows
