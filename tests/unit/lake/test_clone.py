"""SHALLOW CLONE of a Delta table's folder."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.local import LocalStorage
from headwater.lake.actions import DomainMetadata, Protocol
from headwater.lake.clone import Cloned, clone
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation
from headwater.lake.vacuum import Vacuum, find
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, query, rows

SCHEMA = parse_schema("id bigint, p string")


def at(folder: Path, name: str) -> LakeTable:
    return LakeTable.at(str(folder / name), LocalStorage("none"))


@pytest.fixture
def source(tmp_path: Path) -> LakeTable:
    """Names that must be encoded; version 0 has three rows, version 1 six."""
    made = at(tmp_path, "so ur%20ce é")
    for _ in range(2):
        rows_ = query("SELECT i AS id, 'p ' || i AS p FROM range(3) r(i)")
        made.append(connection(), rows_, SCHEMA, partition_by=("p",), properties={"k": "v", "own": "1"})
    return made


def test_a_clone_refers_to_the_sources_files(source: LakeTable, tmp_path: Path) -> None:
    target = at(tmp_path, "clone")
    size = sum(file.size for file in source.snapshot().files)
    assert clone(target, source, None, "spark_catalog.default.s", {"own": "2"}) == Cloned(size, 6)
    assert rows(target) == rows(source) == by_deltalake(target.path)
    assert target.partition_by == ("p",)
    assert target.metadata.configuration == {"k": "v", "own": "2"}
    assert target.metadata.id != source.metadata.id
    assert all(file.path.startswith("file:/") and " " not in file.path for file in target.snapshot().files)
    assert os.listdir(target.path) == ["_delta_log"]
    (told,) = target.history()
    assert told.info["operation"] == "CLONE"
    assert told.info["operationParameters"] == {"source": "spark_catalog.default.s", "sourceVersion": 1}
    assert told.info["operationMetrics"] == {
        "removedFilesSize": "0", "numRemovedFiles": "0", "sourceTableSize": str(size), "numCopiedFiles": "0",
        "copiedFilesSize": "0", "sourceNumOfFiles": "6",
    }  # fmt: skip
    assert (told.info["isolationLevel"], told.info["isBlindAppend"]) == ("Serializable", False)


def test_a_clone_of_an_older_version_and_of_a_clone(source: LakeTable, tmp_path: Path) -> None:
    first, second = at(tmp_path, "a"), at(tmp_path, "b")
    clone(first, source, 0, "s")
    clone(second, first, None, "a")
    assert rows(second) == rows(source.snapshot(0))
    with pytest.raises(SparkError) as caught:
        clone(at(tmp_path, "c"), source, 7, "s")
    assert caught.value.condition == "DELTA_VERSION_NOT_FOUND"


def test_what_the_clone_changes_is_its_own(source: LakeTable, tmp_path: Path) -> None:
    target = at(tmp_path, "clone")
    clone(target, source, None, "s")
    before = rows(source)
    target.overwrite(connection(), numbers(1), SCHEMA)
    assert find(target, Vacuum(0, checked=False)).files == {}
    assert rows(source) == before
    assert len(rows(target)) == 1


def test_only_an_empty_table_becomes_a_clone(source: LakeTable, tmp_path: Path) -> None:
    full, empty = at(tmp_path, "full"), at(tmp_path, "empty")
    for table in (full, empty):
        table.append(connection(), numbers(1), SCHEMA)
    with pytest.raises(SparkError) as caught:
        clone(full, source, None, "s")
    assert caught.value.condition == "DELTA_UNSUPPORTED_NON_EMPTY_CLONE"
    empty.overwrite(connection(), numbers(0), SCHEMA)
    kept = empty.metadata.id
    clone(empty, source, None, "s")
    assert rows(empty) == rows(source)
    assert empty.metadata.id == kept


def test_a_lost_race_deletes_nothing(source: LakeTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, other = at(tmp_path, "clone"), at(tmp_path, "clone")
    monkeypatch.setattr("headwater.lake.clone.crash_point", lambda _: other.append(connection(), numbers(1), SCHEMA))
    before = rows(source)
    with pytest.raises(ConcurrentWriteError):
        clone(target, source, None, "s")
    assert rows(source) == before
    assert len(rows(other)) == 1


def test_domains_and_vectors_come_along_and_row_ids_do_not(source: LakeTable, tmp_path: Path) -> None:
    live = next(iter(source.newest().files.values()))
    vector = {"storageType": "u", "pathOrInlineDv": "^-aqEH.-t@S}K{vb[*k^", "sizeInBytes": 3, "cardinality": 1}
    marked = replace(live, deletion_vector=vector, other={"baseRowId": 5, "tags": {"a": "b"}})
    domains = (DomainMetadata("delta.clustering", "{}"), DomainMetadata("delta.rowTracking", "{}"))
    source.commit(Draft(Operation(), source.version, (marked,), (live,), domains=domains, made=()))
    target = at(tmp_path, "clone")
    clone(target, source, None, "s")
    (found,) = (file for file in target.newest().files.values() if file.deletion_vector is not None)
    assert found.other == {"tags": {"a": "b"}}
    assert found.deletion_vector is not None
    assert found.deletion_vector["storageType"] == "p"
    name = "/deletion_vector_d2c639aa-8816-431a-aaf6-d3fe2512ff61.bin"
    assert found.deletion_vector["pathOrInlineDv"] == "file:" + found.path.split("file:")[1].split("/p=")[0] + name
    assert target.newest().domains == {"delta.clustering": "{}"}


def test_the_protocol_is_the_sources_with_what_properties_ask_for(source: LakeTable, tmp_path: Path) -> None:
    target = at(tmp_path, "clone")
    clone(target, source, None, "s", {"delta.enableDeletionVectors": "true"})
    assert target.newest().protocol == Protocol(
        3, 7, ("deletionVectors",), ("appendOnly", "deletionVectors", "invariants")
    )
