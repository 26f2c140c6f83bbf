"""Log actions: what is read is written again unchanged."""

from __future__ import annotations

import json

from headwater.lake.actions import (
    AddFile,
    ChangeFile,
    Commit,
    DomainMetadata,
    Metadata,
    Protocol,
    Txn,
    decode_path,
    encode_path,
    parse_commit,
)


def test_a_commit_survives_writing_and_reading() -> None:
    add = AddFile("p=%20/x.parquet", {"p": " ", "q": None}, 7, 8, False, '{"numRecords":3}')
    metadata = Metadata("id", '{"type":"struct","fields":[]}', ("p", "q"), {"a": "b"}, "n", "d", 9)
    protocol = Protocol(3, 7, ("timestampNtz",), ("timestampNtz", "appendOnly"))
    txns = (Txn("q", 3, 4),)
    commit = Commit(5, (add,), (add.removal(6),), txns, metadata, protocol, {"operation": "ü"}, 77)
    assert parse_commit(5, commit.lines(), 77) == commit


def test_unknown_actions_and_blank_lines_are_passed_over() -> None:
    assert parse_commit(1, b'{"sidecar":{"path":"x"}}\n\n{"news":{}}\n') == Commit(1)


def test_what_a_file_carries_beside_its_rows_is_kept() -> None:
    vector = {"storageType": "u", "pathOrInlineDv": "ab", "offset": 1, "sizeInBytes": 36, "cardinality": 2}
    line = {"path": "x", "partitionValues": {}, "size": 1, "modificationTime": 2, "dataChange": True}
    add = {"add": {**line, "deletionVector": vector, "tags": {"ZCUBE_ID": "z"}, "baseRowId": 7}}
    (found,) = parse_commit(1, json.dumps(add).encode()).adds
    assert found.action() == add
    removed = found.removal(9, data_change=False).action()["remove"]
    assert (removed["deletionVector"], removed["baseRowId"], removed["dataChange"]) == (vector, 7, False)


def test_change_files_and_domains_are_read_as_they_are_written() -> None:
    changes = (ChangeFile("_change_data/x.parquet", {"p": None}, 3),)
    domains = (DomainMetadata("delta.clustering", '{"clusteringColumns":[["a"]]}'),)
    commit = Commit(5, changes=changes, domains=domains, info={"operation": "WRITE"})
    assert parse_commit(5, commit.lines()) == commit


def test_an_in_commit_timestamp_wins_over_the_files_time() -> None:
    line = json.dumps({"commitInfo": {"inCommitTimestamp": 5}}).encode()
    assert parse_commit(1, line, 99).timestamp_ms == 5


def test_only_commits_that_bring_or_take_rows_change_data() -> None:
    moved = AddFile("x", {}, 1, 1, data_change=False)
    assert not Commit(1, (moved,)).changes_data
    assert Commit(1, (), (moved.removal(1),)).changes_data


def test_paths_are_percent_encoded_in_the_log() -> None:
    for path in ("a b/é=%:/x.parquet", "p=a%20b/y", "plain", "q?#[x]"):
        assert decode_path(encode_path(path)) == path
    assert encode_path("p=a%20b/x y") == "p=a%2520b/x%20y"
