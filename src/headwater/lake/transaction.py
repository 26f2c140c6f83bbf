"""One write to a Delta table: from the version it has read to the version it has made.

A write prepares its actions against the version it read, then takes the next free version number. If another
writer took it first, the commits in between are looked at: a write that they do not touch goes on to the next
number, one that they contradict fails with Delta's error.

Invariants: the (application, version) counter is checked against exactly the version that the commit follows, so
of any number of writers of one batch one adds its rows; after an error of the storage the log is read again
before anything else is tried; files of a write that was not committed are taken away.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from headwater.clock import Clock
from headwater.crash import crash_point
from headwater.errors import ConcurrentWriteError, SparkError
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
from headwater.lake.log import DeltaLog, LogState

ENGINE = "Headwater/0.1.0"


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
        isolation: the isolation level that history tells; upkeep that changes no rows has another than writes.
        bare: history tells the draft's metrics alone, without counts of files and bytes.
    """

    name: str = "WRITE"
    parameters: Mapping[str, Any] = field(default_factory=dict)
    user_metadata: str | None = None
    isolation: str = "WriteSerializable"
    bare: bool = False


@dataclass(frozen=True)
class Draft:
    """A write that is ready but for its version number.

    Attributes:
        read_version: the version it was prepared on.
        removes: which of the live files leave, asked again for each version the write is tried on.
        read_rows: the added rows depend on rows of the table, so nobody else may change those meanwhile; rows that
            a blind append adds may come before or after this write, so they are no conflict.
        metadata, protocol: what to commit if the write makes or changes the table.
        data_change: False if rows only move between files.
        changes: files of the change data feed. domains: metadata of features.
        made: the files that this write has made, which go if it fails; None: all it adds.
        metrics: what history tells besides files and bytes.
    """

    operation: Operation
    read_version: int
    adds: tuple[AddFile, ...] = ()
    removes: Callable[[LogState], Iterable[AddFile]] | None = None
    read_rows: bool = False
    txn: tuple[str, int] | None = None
    metadata: Metadata | None = None
    protocol: Protocol | None = None
    metrics: Mapping[str, int] = field(default_factory=dict)
    data_change: bool = True
    changes: tuple[ChangeFile, ...] = ()
    domains: tuple[DomainMetadata, ...] = ()
    made: tuple[AddFile | ChangeFile, ...] | None = None
    id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def rows(self) -> int:
        """Rows in the added files."""
        return sum(file.rows or 0 for file in self.adds)

    @property
    def discarded(self) -> tuple[AddFile | ChangeFile, ...]:
        """The files to take away if it cannot be committed."""
        return (*self.adds, *self.changes) if self.made is None else self.made


class AlreadyCommittedError(Exception):
    """The table already holds this (application, version)."""


def commit(log: DeltaLog, state: LogState, draft: Draft, clock: Clock) -> WriteResult:
    """Commit `draft`, which was prepared on `state`; `state` moves to the version made.

    Raises ConcurrentWriteError if another writer's commit contradicts it, and TASK_WRITE_FAILED naming the log if
    the storage refuses.
    """
    try:
        while True:
            if state.version != draft.read_version:
                draft = _rebased(log, state, draft)
            made = _attempt(log, state, draft, clock)
            if made is not None:
                return made
            log.advance(state)
    except AlreadyCommittedError:
        discard(log.table_path, draft.discarded)
        return WriteResult(state.version, False)
    except ConcurrentWriteError:
        discard(log.table_path, draft.discarded)
        raise


def seen(state: LogState, txn: tuple[str, int] | None) -> bool:
    """Whether the table already holds this (application, version)."""
    return txn is not None and state.txns.get(txn[0], -1) >= txn[1]


def discard(table_path: str, files: Iterable[AddFile | ChangeFile]) -> None:
    """Delete data files that no version names."""
    for file in files:
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(table_path, decode_path(file.path)))


def _attempt(log: DeltaLog, state: LogState, draft: Draft, clock: Clock) -> WriteResult | None:
    """The result if the next version could be taken, None if another writer has it."""
    if seen(state, draft.txn):
        raise AlreadyCommittedError
    attempt = _build(state, draft, clock.now_ms())
    try:
        if not log.write(attempt):
            return None
    except OSError as cause:
        if not _landed(log, attempt.version, draft):
            discard(log.table_path, draft.discarded)
            raise SparkError("TASK_WRITE_FAILED", path=log.folder, reason=str(cause)) from cause
    crash_point("lake.committed")
    state.apply(attempt)
    return WriteResult(state.version, True, draft.rows, len(draft.adds), sum(file.size for file in draft.adds))


def _landed(log: DeltaLog, version: int, draft: Draft) -> bool:
    """Whether the commit is there although the storage reported an error."""
    found = log.commit(version)
    return found is not None and found.info.get("txnId") == draft.id


def _build(state: LogState, draft: Draft, now_ms: int) -> Commit:
    leaving = draft.removes(state) if draft.removes else ()
    removed = tuple(file.removal(now_ms, draft.data_change) for file in leaving)
    txns = (Txn(*draft.txn, now_ms),) if draft.txn else ()
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
        "isolationLevel": operation.isolation,
        "isBlindAppend": draft.removes is None and not draft.read_rows,
        "operationMetrics": _metrics(draft, removed),
        "engineInfo": ENGINE,
        "txnId": draft.id,
    }
    if state.version < 0:
        del info["readVersion"]
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


def _rebased(log: DeltaLog, state: LogState, draft: Draft) -> Draft:
    """The draft for the state's version. Raises if the commits since it was prepared contradict it."""
    for winner in log.commits(draft.read_version + 1, state.version):
        _check_conflict(winner, draft)
        if winner.metadata is not None or winner.protocol is not None:
            draft = _accept_metadata(state, winner, draft)
    return replace(draft, read_version=state.version)


def _check_conflict(winner: Commit, draft: Draft) -> None:
    for txn in winner.txns:
        if draft.txn is not None and txn.app_id == draft.txn[0]:
            if txn.version >= draft.txn[1]:
                raise AlreadyCommittedError
            raise _conflict("DELTA_CONCURRENT_TRANSACTION", winner)
    if not draft.read_rows:
        return
    if any(file.data_change for file in winner.adds) and not winner.info.get("isBlindAppend", False):
        raise _conflict("DELTA_CONCURRENT_APPEND", winner)
    if winner.removes:
        raise _conflict("DELTA_CONCURRENT_DELETE_READ", winner)


def _accept_metadata(state: LogState, winner: Commit, draft: Draft) -> Draft:
    """Go on if the other writer made the very table this write was about to make; else raise."""
    wanted, found = draft.metadata, state.metadata
    if wanted is None or found is None:
        raise _conflict("DELTA_METADATA_CHANGED", winner)
    if (wanted.schema_text, wanted.partition_columns) != (found.schema_text, found.partition_columns):
        raise _conflict("DELTA_METADATA_CHANGED", winner)
    return replace(draft, metadata=None, protocol=None)


def _conflict(condition: str, winner: Commit) -> ConcurrentWriteError:
    return ConcurrentWriteError(condition, version=winner.version, operation=winner.info.get("operation", "unknown"))
