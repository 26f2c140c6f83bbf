"""Whether a write may follow a commit that another writer has made since the write read the table: Delta's rules.

A write says what it has read: the files it has looked at, and which others it would have looked at had they been there
(by the partition columns of its conditions, as in Delta). A commit contradicts it by adding a file of the latter kind,
by taking away one of the former, or by changing the definition that the rows were made for.

| level | files that others have added contradict a write that should have read them |
|---|---|
| `WriteSerializable` | unless they are of a commit that has read nothing (a blind append) |
| `Serializable` | always |
| `SnapshotIsolation` | never: the write only moves rows between files |

Invariants: pure but for the predicates it is given; a write that has read nothing is contradicted by a change of the
definition alone. Source: Delta's `ConflictChecker` and `OptimisticTransaction`; recorded from Delta 4.3 in
`tests/data/delta_conflicts`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from headwater.errors import ConcurrentWriteError, IllegalArgumentError
from headwater.lake.actions import AddFile, Commit, Metadata, Protocol

if TYPE_CHECKING:
    from headwater.lake.transaction import Draft

Level = Literal["Serializable", "WriteSerializable", "SnapshotIsolation"]

PROPERTY = "delta.isolationLevel"
DEFAULT: Level = "WriteSerializable"
"""As on Databricks."""
_CHOICES: dict[str, Level] = {"serializable": "Serializable", "writeserializable": "WriteSerializable"}
MARK = "delta.identity.highWaterMark"
"""What the field of an identity column calls the last number that was given."""
MARKS_ONLY = "delta.identity.schemaUpdate"
"""The tag of a commit that changes nothing of the definition but marks."""
_OWN_WAYS = ("delta.rowTracking",)
"""Domains whose conflicts are no conflicts of writes."""
_HARMLESS = ("delta.enableDeletionVectors", "delta.columnMapping.mode", "delta.columnMapping.maxColumnId")
"""Properties that may be set while rows are written: the rows are as good with them."""
_MAPPING = "delta.columnMapping."

Predicate = Callable[[Sequence[AddFile]], AddFile | None]
"""The first of some files that a write should have read; None: it need not read any of them."""


@dataclass(frozen=True)
class Reads:
    """What a write has read of the table. `predicate` None: nothing was asked of it."""

    files: frozenset[str] = frozenset()
    predicate: Predicate | None = None

    @property
    def anything(self) -> bool:
        """Whether the write depends on what is in the table."""
        return self.predicate is not None or bool(self.files)


NOTHING = Reads()


def reads(files: Iterable[AddFile], predicate: Predicate) -> Reads:
    """What a write has read that has looked at `files` and asked for those of `predicate`."""
    return Reads(frozenset(file.path for file in files), predicate)


def whole(files: Iterable[AddFile]) -> Reads:
    """What a write has read that has asked for all files."""
    return reads(files, lambda added: next(iter(added), None))


@dataclass(frozen=True)
class Definition:
    """A table's definition at a version; None and None before the first."""

    metadata: Metadata | None
    protocol: Protocol | None


class AlreadyCommittedError(Exception):
    """The table already holds this (application, version)."""


def level_of(properties: Mapping[str, str]) -> Level:
    """The isolation level of writes to a table. Raises an error that names the choices for another."""
    value = properties.get(PROPERTY, DEFAULT)
    if value.lower() not in _CHOICES:
        message = f"{PROPERTY} must be Serializable or WriteSerializable, not {value}."
        raise IllegalArgumentError("_LEGACY_ERROR_TEMP_3102", msg=message)
    return _CHOICES[value.lower()]


def follow(winner: Commit, draft: Draft, read: Definition, table: str) -> tuple[Draft, Definition]:
    """The write as it can follow `winner`, and the definition that it follows then.

    Args:
        read: the definition that the draft was made for.
        table: its name in errors.

    Raises AlreadyCommittedError if the winner holds the draft's batch, else Delta's conflict errors.
    """
    _check_batch(winner, draft)
    if draft.alone:
        raise conflict("DELTA_CONCURRENT_WRITE", winner)
    draft = _with_protocol(winner, draft, read)
    draft = _with_metadata(winner, draft, read)
    _check_domains(winner, draft)
    if draft.txn is not None and any(txn.app_id == draft.txn[0] for txn in winner.txns):
        raise conflict("DELTA_CONCURRENT_TRANSACTION", winner)
    _check_files(winner, draft, read, table)
    return draft, Definition(winner.metadata or read.metadata, winner.protocol or read.protocol)


def conflict(condition: str, winner: Commit, **parameters: str) -> ConcurrentWriteError:
    """The error of a write that lost to `winner`."""
    operation = str(winner.info.get("operation", "unknown operation"))
    return ConcurrentWriteError(condition, version=winner.version, operation=operation, **parameters)


def _check_batch(winner: Commit, draft: Draft) -> None:
    for txn in winner.txns:
        if draft.txn is not None and txn.app_id == draft.txn[0] and txn.version >= draft.txn[1]:
            raise AlreadyCommittedError


# ── the definition ──────────────────────────────────────────────────────────────────────────────────────────


def _with_protocol(winner: Commit, draft: Draft, read: Definition) -> Draft:
    unchanged = draft.protocol is None or draft.protocol == read.protocol
    if winner.protocol is None:
        return draft
    if not unchanged and not _same_definition(winner, draft):
        raise conflict("DELTA_PROTOCOL_CHANGED", winner)
    if read.protocol is not None and not _features(read.protocol) <= _features(winner.protocol):
        raise conflict("DELTA_PROTOCOL_CHANGED", winner)
    return replace(draft, protocol=None)


def _features(protocol: Protocol) -> set[str]:
    return {*protocol.reader_features, *protocol.writer_features}


def _with_metadata(winner: Commit, draft: Draft, read: Definition) -> Draft:
    if winner.metadata is None:
        return draft
    if draft.metadata is not None:
        if not _same_definition(winner, draft):
            raise conflict("DELTA_METADATA_CHANGED", winner)
        return replace(draft, metadata=None, protocol=None)
    tags = winner.info.get("tags") or {}
    only_identity = str(tags.get(MARKS_ONLY, "")).lower() == "true"
    if not only_identity and not (read.metadata is not None and _harmless(read.metadata, winner.metadata)):
        raise conflict("DELTA_METADATA_CHANGED", winner)
    return draft


def _same_definition(winner: Commit, draft: Draft) -> bool:
    """Whether the other writer has made the very table, or columns, that this write was about to make for its rows."""
    wanted, made = draft.metadata, winner.metadata
    if wanted is None or made is None or draft.reads.anything or not (draft.adds or draft.txn):
        return False
    if MARK in wanted.schema_text:  # both may have given the same numbers
        return False
    if winner.protocol is not None and draft.protocol not in (None, winner.protocol):
        return False
    return replace(wanted, id=made.id, created_time=made.created_time) == made


def _harmless(old: Metadata, new: Metadata) -> bool:
    """Whether rows that were written for the old definition fit the new one."""
    changed = {key for key, value in new.configuration.items() if old.configuration.get(key) != value}
    if not old.configuration.keys() <= new.configuration.keys() or not changed.issubset(_HARMLESS):
        return False
    vectors, mapping = (new.configuration.get(key, "").lower() for key in _HARMLESS[:2])
    if _HARMLESS[0] in changed and vectors != "true":
        return False
    if _HARMLESS[1] in changed and (mapping != "name" or old.configuration.get(_HARMLESS[1], "none") != "none"):
        return False
    if old.schema_text != new.schema_text and not (_HARMLESS[1] in changed and _plain(old) == _plain(new)):
        return False
    kept = replace(new, configuration=old.configuration, schema_text=old.schema_text)
    return kept == old


def _plain(metadata: Metadata) -> list[tuple[object, ...]]:
    """The top-level columns without what column mapping says of them."""
    found: list[tuple[object, ...]] = []
    for field in metadata.schema.fields:
        facts = {key: value for key, value in (field.metadata or {}).items() if not key.startswith(_MAPPING)}
        found.append((field.name, field.dataType, field.nullable, facts))
    return found


def _check_domains(winner: Commit, draft: Draft) -> None:
    ours = {domain.domain for domain in draft.domains} - {*_OWN_WAYS}
    for domain in winner.domains:
        if domain.domain in ours:
            raise conflict("DELTA_CONCURRENT_TRANSACTION", winner)


# ── the files ───────────────────────────────────────────────────────────────────────────────────────────────


def _check_files(winner: Commit, draft: Draft, read: Definition, table: str) -> None:
    unread = _should_have_read(winner, draft, read)
    if unread is not None:
        raise _of_file("DELTA_CONCURRENT_APPEND", winner, unread.partition_values, table)
    for file in winner.removes:
        if file.path in draft.reads.files:
            raise _of_file("DELTA_CONCURRENT_DELETE_READ", winner, file.partition_values, table)
    leaving = {file.path for file in draft.removes or ()}
    for file in winner.removes:
        if file.path in leaving:
            raise _of_file("DELTA_CONCURRENT_DELETE_DELETE", winner, file.partition_values, table)


def _should_have_read(winner: Commit, draft: Draft, read: Definition) -> AddFile | None:
    predicate = draft.reads.predicate
    level = level_of(read.metadata.configuration if read.metadata is not None else {})
    if predicate is None or not draft.data_change or not winner.adds:
        return None
    blind = bool(winner.info.get("isBlindAppend", False))
    if blind and level == "WriteSerializable" and draft.metadata is None:
        return None
    return predicate(winner.adds)


def _of_file(
    condition: str, winner: Commit, values: Mapping[str, str | None] | None, table: str
) -> ConcurrentWriteError:
    if not values:
        return conflict(f"{condition}.WITHOUT_HINT", winner, tableName=table)
    named = ", ".join(f"{name}={value}" for name, value in values.items())
    return conflict(f"{condition}.WITH_PARTITION_HINT", winner, tableName=table, partitionValues=f"[{named}]")
