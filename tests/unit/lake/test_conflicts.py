"""Which commit contradicts which write, rule by rule; pairs of whole operations are in `faults/test_conflict_pairs`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from headwater.errors import ConcurrentWriteError, IllegalArgumentError
from headwater.lake.actions import AddFile, Commit, DomainMetadata, Metadata, Protocol, RemoveFile, Txn
from headwater.lake.conflicts import AlreadyCommittedError, Definition, Level, follow, level_of, reads, whole
from headwater.lake.transaction import Draft, Operation
from headwater.types.ddl import parse_schema

SCHEMA = parse_schema("id bigint, p string")
METADATA = Metadata("table", SCHEMA.json(), ("p",))
PROTOCOL = Protocol(1, 2)
READ = Definition(METADATA, PROTOCOL)
APPEND = Draft(Operation(), 4)


def file(path: str, partition: str | None = "a") -> AddFile:
    return AddFile(path, {"p": partition}, 1, 0)


def gone(path: str, partition: str | None = "a") -> RemoveFile:
    return file(path, partition).removal(0)


def winner(*adds: AddFile, removes: tuple[RemoveFile, ...] = (), blind: bool = False, **others: Any) -> Commit:
    info = {"operation": "UPDATE", "isBlindAppend": blind, **others.pop("info", {})}
    return Commit(5, adds, removes, info=info, **others)


def of_partition(name: str, *looked_at: AddFile) -> Draft:
    """A change of rows that has asked for one partition."""
    found = reads(looked_at, lambda added: next((one for one in added if one.partition_values["p"] == name), None))
    return Draft(Operation("DELETE"), 4, (file("new"),), looked_at, found)


def definition(level: Level | None = None, **properties: str) -> Definition:
    configuration = {**({} if level is None else {"delta.isolationLevel": level}), **properties}
    return Definition(replace(METADATA, configuration=configuration), PROTOCOL)


def loses(commit: Commit, draft: Draft, read: Definition = READ) -> str | None:
    """The condition that the draft fails with, if it does; its text says which commit won."""
    error = None
    try:
        follow(commit, draft, read, "/t")
    except ConcurrentWriteError as caught:
        error = caught
    assert error is None or ("version 5" in str(error) and str(commit.info["operation"]) in str(error))
    return error and error.condition


APPENDED = "DELTA_CONCURRENT_APPEND.WITH_PARTITION_HINT"


def test_a_file_of_a_partition_that_was_read_is_a_conflict_and_named() -> None:
    draft = of_partition("a", file("one"))
    assert loses(winner(file("two")), draft) == APPENDED
    assert loses(winner(file("two", "b")), draft) is None
    assert loses(winner(file("two", None)), draft) is None
    with pytest.raises(ConcurrentWriteError, match=r"table /t, committed at version 5.*partition \[p=a\].*retry"):
        follow(winner(file("two")), draft, READ, "/t")


@pytest.mark.parametrize(
    ("level", "blind", "lost"),
    [
        (None, True, None),
        ("WriteSerializable", True, None),
        ("WriteSerializable", False, APPENDED),
        ("Serializable", True, APPENDED),
        ("Serializable", False, APPENDED),
    ],
)
def test_blind_appends_are_conflicts_of_serializable_tables_alone(
    level: Level | None, blind: bool, lost: str | None
) -> None:
    commit = winner(file("two"), blind=blind)
    assert loses(commit, of_partition("a", file("one")), definition(level)) == lost


def test_whoever_checks_rows_for_a_new_definition_conflicts_with_blind_appends_too() -> None:
    draft = Draft(Operation("ADD CONSTRAINT"), 4, reads=whole(()), metadata=METADATA)
    assert loses(winner(file("two"), blind=True), draft) == APPENDED
    assert loses(winner(file("two"), blind=True), replace(draft, reads=Draft(Operation(), 4).reads)) is None


def test_files_taken_away_that_were_read_are_a_conflict_whatever_the_level() -> None:
    draft = of_partition("a", file("one"), file("two"))
    assert loses(winner(removes=(gone("two"),)), draft) == "DELTA_CONCURRENT_DELETE_READ.WITH_PARTITION_HINT"
    assert loses(winner(removes=(gone("other"),)), draft) is None
    bare = replace(gone("two"), partition_values=None)
    assert loses(winner(removes=(bare,)), draft) == "DELTA_CONCURRENT_DELETE_READ.WITHOUT_HINT"


def test_a_file_that_both_take_away_without_reading_it() -> None:
    draft = Draft(Operation("DELETE"), 4, removes=(file("one"),))
    assert loses(winner(removes=(gone("one"),)), draft) == "DELTA_CONCURRENT_DELETE_DELETE.WITH_PARTITION_HINT"


def test_who_has_read_nothing_loses_to_no_files() -> None:
    commit = winner(file("two"), removes=(gone("one"),))
    assert loses(commit, APPEND, definition("Serializable")) is None


def test_moving_rows_between_files_conflicts_with_those_that_take_its_files_and_with_no_others() -> None:
    joined = Draft(Operation("OPTIMIZE"), 4, (file("new"),), (file("one"),), whole((file("one"),)), data_change=False)
    assert loses(winner(file("two")), joined, definition("Serializable")) is None
    assert loses(winner(removes=(gone("one"),)), joined) == "DELTA_CONCURRENT_DELETE_READ.WITH_PARTITION_HINT"


def test_a_large_commit_follows_nothing() -> None:
    alone = Draft(Operation("RESTORE"), 4, alone=True)
    assert loses(winner(info={"operation": "VACUUM START"}), alone) == "DELTA_CONCURRENT_WRITE"


# ── batches ─────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_same_batch_is_there_and_another_of_the_same_application_is_a_second_run() -> None:
    draft = replace(APPEND, txn=("q", 7))
    for version in (7, 8):
        with pytest.raises(AlreadyCommittedError):
            follow(winner(txns=(Txn("q", version),)), draft, READ, "/t")
    assert loses(winner(txns=(Txn("q", 6),)), draft) == "DELTA_CONCURRENT_TRANSACTION"
    assert loses(winner(txns=(Txn("r", 7),)), draft) is None
    assert loses(winner(txns=(Txn("q", 7),)), APPEND) is None


def test_metadata_of_one_domain_by_two_writers() -> None:
    ours = replace(APPEND, domains=(DomainMetadata("delta.clustering", "{}"),))
    assert loses(winner(domains=(DomainMetadata("delta.clustering", "{}"),)), ours) == "DELTA_CONCURRENT_TRANSACTION"
    assert loses(winner(domains=(DomainMetadata("app", "{}"),)), ours) is None
    tracked = replace(APPEND, domains=(DomainMetadata("delta.rowTracking", "{}"),))
    assert loses(winner(domains=(DomainMetadata("delta.rowTracking", "{}"),)), tracked) is None


# ── the definition ──────────────────────────────────────────────────────────────────────────────────────────


def changed(properties: Mapping[str, str] | None = None, **fields: Any) -> Commit:
    info = {"operation": "SET TBLPROPERTIES"}
    made = replace(METADATA, configuration=properties or {}, **fields)
    return winner(metadata=made, info=info)


@pytest.mark.parametrize(
    ("commit", "lost"),
    [
        (changed({"purpose": "test"}), True),
        (changed(schema_text=parse_schema("id bigint, p string, n int").json()), True),
        (changed(description="other"), True),
        (changed({"delta.enableDeletionVectors": "true"}), False),
        (changed({"delta.enableDeletionVectors": "false"}), True),
        (changed({"delta.enableDeletionVectors": "true", "purpose": "test"}), True),
        (changed({"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "2"}), False),
        (changed({"delta.columnMapping.mode": "id"}), True),
        (changed(), False),
    ],
)
def test_which_changes_of_the_definition_rows_can_follow(commit: Commit, lost: bool) -> None:
    assert loses(commit, APPEND) == ("DELTA_METADATA_CHANGED" if lost else None)
    assert loses(commit, replace(APPEND, metadata=METADATA, reads=whole(()))) == "DELTA_METADATA_CHANGED"


def test_names_that_column_mapping_gives_to_columns_are_no_other_columns() -> None:
    schema = json.loads(SCHEMA.json())
    for number, field in enumerate(schema["fields"], 1):
        field["metadata"] = {"delta.columnMapping.id": number, "delta.columnMapping.physicalName": field["name"]}
    properties = {"delta.columnMapping.mode": "name", "delta.columnMapping.maxColumnId": "2"}
    assert loses(changed(properties, schema_text=json.dumps(schema)), APPEND) is None
    schema["fields"][0]["nullable"] = False
    assert loses(changed(properties, schema_text=json.dumps(schema)), APPEND) == "DELTA_METADATA_CHANGED"


def test_a_property_that_is_taken_away_is_a_change() -> None:
    assert loses(changed(), APPEND, definition(purpose="test")) == "DELTA_METADATA_CHANGED"


def test_the_next_value_of_an_identity_column_is_no_change_of_the_definition() -> None:
    tagged = changed({"purpose": "any"})
    tagged = replace(tagged, info={**tagged.info, "tags": {"delta.identity.schemaUpdate": "true"}})
    assert loses(tagged, APPEND) is None
    assert loses(tagged, replace(APPEND, metadata=METADATA)) == "DELTA_METADATA_CHANGED"


def test_the_same_new_table_or_columns_by_two_writers_are_made_once() -> None:
    ours = replace(METADATA, id="other", created_time=1)
    draft = Draft(Operation(), -1, (file("new"),), metadata=ours, protocol=PROTOCOL)
    commit = winner(file("one"), metadata=METADATA, protocol=PROTOCOL)
    made, read = follow(commit, draft, Definition(None, None), "/t")
    assert (made.metadata, made.protocol, read) == (None, None, READ)
    for other in (replace(ours, configuration={"a": "b"}), replace(ours, partition_columns=())):
        assert loses(commit, replace(draft, metadata=other), Definition(None, None)) == "DELTA_PROTOCOL_CHANGED"


def test_protocols() -> None:
    vectors = Protocol(3, 7, ("deletionVectors",), ("deletionVectors",))
    raised = winner(protocol=vectors, info={"operation": "ADD FEATURE"})
    made, read = follow(raised, replace(APPEND, protocol=PROTOCOL), READ, "/t")
    assert (made.protocol, read.protocol) == (None, vectors)
    assert loses(raised, replace(APPEND, protocol=Protocol(1, 4))) == "DELTA_PROTOCOL_CHANGED"
    dropped = winner(protocol=Protocol(3, 7), info={"operation": "DROP FEATURE"})
    assert loses(dropped, APPEND, Definition(METADATA, vectors)) == "DELTA_PROTOCOL_CHANGED"


def test_isolation_levels() -> None:
    assert level_of({}) == "WriteSerializable"
    assert level_of({"delta.isolationLevel": "serializable"}) == "Serializable"
    with pytest.raises(IllegalArgumentError, match="must be Serializable or WriteSerializable, not SnapshotIsolation"):
        level_of({"delta.isolationLevel": "SnapshotIsolation"})
