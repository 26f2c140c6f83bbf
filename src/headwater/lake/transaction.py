"""One write to a Delta table: from the version it has read to the version it has made.

A write prepares its actions against the version it read, then takes the next free version number. If another
writer took it first, the commits in between are looked at (`conflicts`): a write that they do not touch goes on to the
next number as it is, one that they contradict fails with Delta's error.

Invariants: the (application, version) counter is checked against exactly the version that the commit follows, so
of any number of writers of one batch one adds its rows; whatever the storage says of an attempt, the log is read
again before anything else is tried (`outcome`); files of a write that was not committed are taken away, but never those
of one that may have been.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headwater.clock import Clock
from headwater.crash import crash_point
from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.routing import remove
from headwater.lake.actions import (
    AddFile,
    ChangeFile,
    Commit,
    DomainMetadata,
    Metadata,
    Protocol,
    RemoveFile,
    Txn,
    decode_path,
)
from headwater.lake.conflicts import NOTHING, AlreadyCommittedError, Definition, Reads, follow, level_of
from headwater.lake.features import check_writable
from headwater.lake.log import DeltaLog, LogState
from headwater.lake.outcome import UNREADABLE, Outcome, outcome

ENGINE = "Headwater/0.1.0"

_TRIES = 5
"""How often one version is tried while nobody knows what became of the tries before."""
_PATIENCE = 3
"""So many lost races are followed at once; then writers wait a little, each for another time."""
_LONGEST_S = 0.1


@dataclass(frozen=True)
class WriteResult:
    """What a write did.

    Attributes:
        version: the version it made; if the batch was already there, the version seen.
        committed: False if the (application, version) was already in the table and nothing was added.
        rows, files, bytes: what was added.
    """

    version: int
    committed: bool
    rows: int = 0
    files: int = 0
    bytes: int = 0


@dataclass(frozen=True)
class Operation:
    """How history names a write: `WRITE` with its parameters (as the log has them), and the user's own words.

    Attributes:
        isolation: the isolation level that history tells; None: the table's, or that of upkeep.
        bare: history tells the draft's metrics alone, without counts of files and bytes.
    """

    name: str = "WRITE"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    user_metadata: str | None = None
    isolation: str | None = None
    bare: bool = False


@dataclass(frozen=True)
class Draft:
    """A write that is ready but for its version number.

    Attributes:
        read_version: the version it was prepared on.
        removes: the files that leave; None: a write that only adds.
        reads: what it has read of the table: others may not change that meanwhile.
        alone: any commit since `read_version` is a conflict, whatever it does (Delta's large commits).
        txn, counters: (application, version); that of `txn` must be new.
        metadata, protocol: what to commit if the write makes or changes the table.
        data_change: False if rows only move between files; such a write goes on as long as its files are there.
        changes: files of the change data feed. domains: metadata of features.
        made: the files that this write has made, which go if it fails; None: all it adds.
        metrics: what history tells besides files and bytes. tags: what the commit says of itself to other writers.
    """

    operation: Operation
    read_version: int
    adds: tuple[AddFile, ...] = ()
    removes: tuple[AddFile, ...] | None = None
    reads: Reads = NOTHING
    alone: bool = False
    txn: tuple[str, int] | None = None
    counters: tuple[tuple[str, int], ...] = ()
    metadata: Metadata | None = None
    protocol: Protocol | None = None
    metrics: Mapping[str, int] = field(default_factory=dict)
    data_change: bool = True
    changes: tuple[ChangeFile, ...] = ()
    domains: tuple[DomainMetadata, ...] = ()
    made: tuple[AddFile | ChangeFile, ...] | None = None
    tags: Mapping[str, str] = field(default_factory=dict)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def rows(self) -> int:
        """Rows in the added files."""
        return sum(file.rows or 0 for file in self.adds)

    @property
    def discarded(self) -> tuple[AddFile | ChangeFile, ...]:
        """The files to take away if it cannot be committed."""
        return (*self.adds, *self.changes) if self.made is None else self.made

    @property
    def blind(self) -> bool:
        """Whether it does not depend on what is in the table (Delta's blind append)."""
        return not self.alone and not self.removes and not self.reads.anything


def commit(log: DeltaLog, state: LogState, draft: Draft, clock: Clock) -> WriteResult:
    """Commit `draft`; `state`, of `read_version` or later, moves to the version made.

    Raises ConcurrentWriteError if another writer's commit contradicts it, and TASK_WRITE_FAILED naming the log if
    the storage refuses.
    """
    try:
        if state.version != draft.read_version:
            draft = _rebased(log, state, draft, tuple(log.commits(draft.read_version + 1, state.version)))
        losses = 0
        while True:
            made = _attempt(log, state, draft, clock)
            if made is not None:
                return made
            losses += 1
            _wait(losses, clock)
            draft = _rebased(log, state, draft, log.advance(state))
    except AlreadyCommittedError:
        discard(log.table_path, draft.discarded)
        return WriteResult(state.version, False)
    except ConcurrentWriteError:
        discard(log.table_path, draft.discarded)
        raise


def pause_s(losses: int, chance: float) -> float:
    """How long a writer waits who has lost `losses` races in a row: seconds; `chance` is from [0, 1)."""
    if losses < _PATIENCE:
        return 0.0
    return min(_LONGEST_S, 0.001 * 2.0 ** min(losses - _PATIENCE, 10)) * chance


def _wait(losses: int, clock: Clock) -> None:
    seconds = pause_s(losses, random.random())
    if seconds:
        clock.wait(threading.Event(), seconds)


def seen(state: LogState, txn: tuple[str, int] | None) -> bool:
    """Whether the table already holds this (application, version)."""
    return txn is not None and state.txns.get(txn[0], -1) >= txn[1]


def discard(table_path: str, files: Iterable[AddFile | ChangeFile]) -> None:
    """Delete data files that no version names."""
    for file in files:
        with contextlib.suppress(OSError):
            remove(os.path.join(table_path, decode_path(file.path)))


def _attempt(log: DeltaLog, state: LogState, draft: Draft, clock: Clock) -> WriteResult | None:
    """The result if the next version could be taken, None if another writer has it."""
    if seen(state, draft.txn):
        raise AlreadyCommittedError
    attempt = _build(state, draft, clock.now_ms())
    if not _created(log, attempt, draft):
        return None
    crash_point("lake.committed")
    state.apply(attempt)
    return WriteResult(state.version, True, draft.rows, len(draft.adds), sum(file.size for file in draft.adds))


def _created(log: DeltaLog, attempt: Commit, draft: Draft) -> bool:
    """Whether the version is ours now; False if somebody else has it. Raises TASK_WRITE_FAILED."""
    for left in reversed(range(_TRIES)):
        cause: OSError | None = None
        try:
            if log.write(attempt):
                return True
        except OSError as error:
            cause = error
        found = _outcome(log, attempt.version, draft, cause, left)
        if found is not Outcome.AGAIN:
            return _judged(log, draft, found, cause)
    raise AssertionError("the last try has an outcome")


def _outcome(log: DeltaLog, version: int, draft: Draft, cause: OSError | None, left: int) -> Outcome:
    try:
        there = log.commit(version)
    except (OSError, ValueError):
        return outcome(UNREADABLE, draft.id, cause, left)
    return outcome(there, draft.id, cause, left)


def _judged(log: DeltaLog, draft: Draft, found: Outcome, cause: OSError | None) -> bool:
    if found in (Outcome.MINE, Outcome.TAKEN):
        return found is Outcome.MINE
    if found is Outcome.REFUSED:
        discard(log.table_path, draft.discarded)
        raise SparkError("TASK_WRITE_FAILED", path=log.folder, reason=str(cause)) from cause
    raise SparkError("DELTA_COMMIT_STATE_UNKNOWN", path=log.folder, reason=str(cause)) from cause


def _build(state: LogState, draft: Draft, now_ms: int) -> Commit:
    removed = tuple(file.removal(now_ms, draft.data_change) for file in draft.removes or ())
    counters = draft.counters if draft.txn is None else (draft.txn, *draft.counters)
    txns = tuple(Txn(app_id, version, now_ms) for app_id, version in counters)
    info = _info(state, draft, removed, now_ms)
    protocol = draft.protocol if draft.protocol != state.protocol else None
    # Readers take the file's own time for a version's time, which is not known before it is written.
    return Commit(
        state.version + 1,
        draft.adds,
        removed,
        txns,
        draft.metadata,
        protocol,
        info,
        now_ms,
        draft.changes,
        draft.domains,
    )


def _info(state: LogState, draft: Draft, removed: Sequence[RemoveFile], now_ms: int) -> dict[str, Any]:
    operation = draft.operation
    info: dict[str, Any] = {
        "timestamp": now_ms,
        "operation": operation.name,
        "operationParameters": dict(operation.parameters),
        "readVersion": state.version,
        "isolationLevel": operation.isolation or _level(state, draft),
        "isBlindAppend": draft.blind,
        "operationMetrics": _metrics(draft, removed),
        "engineInfo": ENGINE,
        "txnId": draft.id,
    }
    if state.version < 0:
        del info["readVersion"]
    if draft.tags:
        info["tags"] = dict(draft.tags)
    if operation.user_metadata is not None:
        info["userMetadata"] = operation.user_metadata
    return info


def _metrics(draft: Draft, removed: Sequence[RemoveFile]) -> dict[str, str]:
    if draft.operation.bare:
        return {name: str(value) for name, value in draft.metrics.items()}
    files = "numFiles" if draft.operation.name == "WRITE" else "numAddedFiles"
    size = sum(file.size for file in draft.adds)
    metrics = {files: len(draft.adds), "numOutputRows": draft.rows, "numOutputBytes": size}
    if draft.removes is not None:
        metrics["numRemovedFiles"] = len(removed)
    return {name: str(value) for name, value in {**metrics, **draft.metrics}.items()}


def _level(state: LogState, draft: Draft) -> str:
    metadata = draft.metadata or state.metadata
    return (
        level_of(metadata.configuration if metadata is not None else {}) if draft.data_change else "SnapshotIsolation"
    )


def _rebased(log: DeltaLog, state: LogState, draft: Draft, winners: Sequence[Commit]) -> Draft:
    """The draft for the state's version. Raises if `winners`, the commits since it was prepared, contradict it."""
    read = _definition_read(log, state, draft, winners)
    for winner in winners:
        try:
            draft, read = follow(winner, draft, read, log.table_path)
        except ConcurrentWriteError:
            if draft.alone or draft.data_change or not _stands(state, draft):
                raise
        if winner.protocol is not None and state.protocol is not None and state.metadata is not None:
            check_writable(state.protocol, state.metadata, log.table_path)
    return replace(draft, read_version=state.version)


def _definition_read(log: DeltaLog, state: LogState, draft: Draft, winners: Sequence[Commit]) -> Definition:
    """The definition at the draft's version; the log is read for it only where a winner has changed it."""
    if all(winner.metadata is None and winner.protocol is None for winner in winners):
        return Definition(state.metadata, state.protocol)
    if draft.read_version < 0:
        return Definition(None, None)
    before = log.load(draft.read_version)
    return Definition(before.metadata, before.protocol)


def _stands(state: LogState, draft: Draft) -> bool:
    """Whether a write that only moves rows can still be done: its files are there, with the rows they had."""
    for file in draft.removes or ():
        live = state.files.get(file.path)
        if live is None or live.deletion_vector != file.deletion_vector:
            return False
    return True
