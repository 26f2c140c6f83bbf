"""RESTORE of a Delta table's folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from pyspark.sql.types import LongType, StructField, StructType

from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.local import LocalStorage
from headwater.lake.actions import DomainMetadata, Protocol
from headwater.lake.log import LogState
from headwater.lake.restore import Restored, merged, restore
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, query, rows

SCHEMA = parse_schema("id bigint, name string")


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    """Version 0: rows 0 to 9; 1: 10 to 19 as well; 2: only 20 to 29; 3: a column more."""
    made = LakeTable.at(str(tmp_path / "t"), LocalStorage("none"))
    made.append(connection(), numbers(10), SCHEMA)
    made.append(connection(), numbers(10, 10), SCHEMA)
    made.overwrite(connection(), numbers(10, 20), SCHEMA)
    wider = query("SELECT 30 AS id, 'x' AS name, 1.5::double AS more")
    made.append(connection(), wider, parse_schema("id bigint, name string, more double"), merge_schema=True)
    return made


def ids(table: LakeTable) -> list[int]:
    return sorted(row[0] for row in rows(table))


def test_files_and_schema_come_back_and_history_tells(table: LakeTable) -> None:
    sizes = {path: file.size for path, file in table.newest().files.items()}
    then = [file.size for file in table.snapshot(1).files]
    done = restore(table, 1)
    assert done == Restored(sum(then), 2, 2, 2, sum(sizes.values()), sum(then))
    assert ids(table) == list(range(20))
    assert table.schema == SCHEMA
    assert rows(table) == by_deltalake(table.path)
    (told,) = table.history(1)
    assert told.info["operation"] == "RESTORE"
    assert told.info["operationParameters"] == {"version": 1, "timestamp": None}
    assert told.info["operationMetrics"] == {name: str(count) for name, count in done.metrics.items()}
    assert (told.info["isolationLevel"], told.info["isBlindAppend"]) == ("Serializable", False)
    assert all(file.data_change for file in (*told.adds, *told.removes))
    assert len(rows(table.snapshot(3))) == 11, "the versions in between stay"


def test_a_restore_can_be_undone(table: LakeTable) -> None:
    before = rows(table)
    restore(table, 0)
    restore(table, 3, "2026-01-01 00:00:00.0")
    assert rows(table) == before
    assert table.history(1)[0].info["operationParameters"] == {"version": None, "timestamp": "2026-01-01 00:00:00.0"}


def test_the_newest_version_is_restored_by_a_commit_that_changes_nothing(table: LakeTable) -> None:
    before = rows(table)
    done = restore(table, 3)
    assert (done.added, done.removed) == (0, 0)
    assert rows(table) == before
    assert table.version == 4
    assert table.history(1)[0].metadata is None


@pytest.mark.parametrize("version", [-1, 4, 99])
def test_a_version_that_is_not_there_is_refused(table: LakeTable, version: int) -> None:
    with pytest.raises(SparkError, match=r"Available versions: \[0, 3\]") as caught:
        restore(table, version)
    assert caught.value.condition == "DELTA_CANNOT_RESTORE_TABLE_VERSION"


def test_files_that_are_gone_are_named_before_anything_changes(table: LakeTable) -> None:
    gone = table.snapshot(0).files[0]
    os.unlink(os.path.join(table.path, gone.path))
    with pytest.raises(SparkError, match="Not all files from version 0 are available") as caught:
        restore(table, 0)
    assert gone.path in str(caught.value)
    assert table.refresh() == 3
    assert restore(table, 0, ignore_missing=True).added == 1


def test_a_lost_race_deletes_nothing(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    other = LakeTable.open(table.path, LocalStorage("none"))

    def race(point: str) -> None:
        if point == "lake.restore_ready":
            other.append(connection(), numbers(1, 99), SCHEMA)

    monkeypatch.setattr("headwater.lake.restore.crash_point", race)
    before = sorted(os.listdir(table.path))
    with pytest.raises(ConcurrentWriteError) as caught:
        restore(table, 1)
    assert caught.value.condition == "DELTA_CONCURRENT_WRITE"
    assert set(before) <= set(os.listdir(table.path))
    assert ids(other) == [*range(20, 31), 99]
    assert len(rows(other.snapshot(1))) == 20


def test_domains_come_back_and_new_ones_go(table: LakeTable) -> None:
    def put(*domains: DomainMetadata) -> int:
        return table.commit(Draft(Operation(), table.version, domains=domains)).version

    first = put(DomainMetadata("a", "1"), DomainMetadata("b", "1"))
    put(DomainMetadata("a", "2"), DomainMetadata("c", "1"))
    restore(table, first)
    assert table.newest().domains == {"a": "1", "b": "1"}


def test_rows_that_a_vector_deletes_are_another_file(table: LakeTable) -> None:
    (live,) = (file for file in table.newest().files.values() if file.rows == 10)
    vector = {"storageType": "i", "pathOrInlineDv": "wi5b=000010000siXQKl0rr91000f55c8Xg0@@D72lkbi5=-{L", "offset": 0}
    marked = replace(live, deletion_vector={**vector, "sizeInBytes": 40, "cardinality": 6})
    table.commit(Draft(Operation(), table.version, (marked,), (live,), made=()))
    done = restore(table, 3)
    assert (done.added, done.removed) == (1, 1)
    assert table.newest().files[live.path].deletion_vector is None


def test_identity_columns_go_on_from_their_highest_value(table: LakeTable) -> None:
    def marked(value: int) -> StructType:
        facts = {"delta.identity.start": 1, "delta.identity.step": 1, "delta.identity.highWaterMark": value}
        return StructType([StructField("id", LongType(), True, facts)])

    from headwater.lake.restore import _with_high_water

    old, new = (replace(table.metadata, schema_text=marked(value).json()) for value in (5, 9))
    assert _with_high_water(old, new) == marked(9).json()
    assert _with_high_water(new, old) == marked(9).json()


@pytest.mark.parametrize(
    ("one", "other", "both"),
    [
        (Protocol(1, 2), Protocol(1, 2), Protocol(1, 2)),
        (Protocol(1, 2), Protocol(1, 4), Protocol(1, 4)),
        (Protocol(1, 4), Protocol(1, 2), Protocol(1, 4)),
        (
            Protocol(1, 2),
            Protocol(3, 7, ("timestampNtz",), ("timestampNtz",)),
            Protocol(3, 7, ("timestampNtz",), ("appendOnly", "invariants", "timestampNtz")),
        ),
        (
            Protocol(3, 7, ("timestampNtz",), ("appendOnly", "timestampNtz")),
            Protocol(1, 2),
            Protocol(3, 7, ("timestampNtz",), ("appendOnly", "invariants", "timestampNtz")),
        ),
    ],
)
def test_the_protocol_allows_what_either_allows(one: Protocol, other: Protocol, both: Protocol) -> None:
    assert merged(LogState(protocol=one), LogState(protocol=other)) == both
