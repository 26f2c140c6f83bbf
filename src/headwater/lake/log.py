"""The Delta log of one table: which files make up a version, found by replaying checkpoint and commits.

The state is held in memory and moved forward commit by commit, so the cost of a refresh does not grow with the
table. Commits are numbered JSON files that are created without overwriting: of two writers one wins the number.

Invariants: a `LogState` is a whole version, never part of one; versions read are contiguous (a gap is an error
that names the missing file).
"""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from headwater.errors import AnalysisError, SparkError
from headwater.io.storage import Storage
from headwater.lake.actions import (
    AddFile,
    Commit,
    DomainMetadata,
    Metadata,
    Protocol,
    parse_add,
    parse_commit,
    parse_domain,
    parse_metadata,
    parse_protocol,
)
from headwater.lake.features import check_readable
from headwater.log import logger

_CHECKPOINTED = ("add", "txn", "metaData", "protocol", "domainMetadata")
_COMMIT = re.compile(r"^(\d{20})\.json$")
_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint\.(?:(\d{10})\.(\d{10})\.)?parquet$")
_V2_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint\.[0-9a-f-]{36}\.(?:json|parquet)$")


@dataclass
class LogState:
    """A table at one version; `version` -1 is a table that is not there yet.

    Attributes:
        files: live data files by path. txns: last version of each application. domains: metadata of features.
        checkpoint: version of the newest checkpoint seen, or -1.
    """

    version: int = -1
    protocol: Protocol | None = None
    metadata: Metadata | None = None
    files: dict[str, AddFile] = field(default_factory=dict)
    txns: dict[str, int] = field(default_factory=dict)
    domains: dict[str, str] = field(default_factory=dict)
    timestamp_ms: int = 0
    checkpoint: int = -1

    def apply(self, commit: Commit) -> None:
        """Move to the next version."""
        self.protocol = commit.protocol or self.protocol
        self.metadata = commit.metadata or self.metadata
        for gone in commit.removes:
            self.files.pop(gone.path, None)
        for file in commit.adds:
            self.files[file.path] = file
        for txn in commit.txns:
            self.txns[txn.app_id] = txn.version
        for domain in commit.domains:
            self.set_domain(domain)
        self.version = commit.version
        self.timestamp_ms = max(commit.timestamp_ms, self.timestamp_ms + 1)

    def set_domain(self, domain: DomainMetadata) -> None:
        """Take a feature's metadata in."""
        if domain.removed:
            self.domains.pop(domain.domain, None)
        else:
            self.domains[domain.domain] = domain.configuration

    def copy(self) -> LogState:
        """An independent copy."""
        twin = copy.copy(self)
        twin.files, twin.txns, twin.domains = dict(self.files), dict(self.txns), dict(self.domains)
        return twin


class DeltaLog:
    """The folder `<table>/_delta_log`."""

    def __init__(self, table_path: str, storage: Storage) -> None:
        self.table_path = table_path
        self.folder = os.path.join(table_path, "_delta_log")
        self._storage = storage

    def exists(self) -> bool:
        """Whether there is at least one version."""
        return any(_COMMIT.match(name) or _CHECKPOINT.match(name) for name in self._storage.list(self.folder))

    def load(self, version: int | None = None) -> LogState:
        """The state at `version`, default the newest.

        Without a log the state's version is -1. Raises DELTA_VERSION_NOT_FOUND if the log does not reach `version`.
        """
        names = self._storage.list(self.folder)
        state = self._from_checkpoint(names, version)
        self.advance(state, version)
        if version is not None and state.version != version:
            first, last = self.versions()
            raise AnalysisError("DELTA_VERSION_NOT_FOUND", userVersion=version, earliest=first, latest=last)
        if state.version < 0 and any(_COMMIT.match(name) for name in names):
            raise SparkError("DELTA_TRUNCATED_TRANSACTION_LOG", path=self._commit_path(0), version=0)
        return state

    def advance(self, state: LogState, version: int | None = None) -> list[Commit]:
        """Apply the commits after `state`, up to `version`; returns them."""
        commits = []
        while version is None or state.version < version:
            commit = self.commit(state.version + 1)
            if commit is None:
                break
            if commit.protocol is not None:
                check_readable(commit.protocol, self.table_path)
            state.apply(commit)
            commits.append(commit)
        return commits

    def commit(self, version: int) -> Commit | None:
        """The commit that made `version`, or None if its file is not there."""
        path = self._commit_path(version)
        try:
            data = self._storage.read(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return parse_commit(version, data, _modified_ms(path))

    def commits(self, first: int, last: int) -> Iterator[Commit]:
        """The commits `first` to `last`, both included. Raises if one has been cleaned away."""
        for version in range(first, last + 1):
            commit = self.commit(version)
            if commit is None:
                raise SparkError("DELTA_TRUNCATED_TRANSACTION_LOG", path=self._commit_path(version), version=version)
            yield commit

    def write(self, commit: Commit) -> bool:
        """Create the commit's file; False if the version is taken."""
        try:
            self._storage.create(self._commit_path(commit.version), commit.lines())
        except FileExistsError:
            return False
        return True

    def times(self) -> list[tuple[int, int]]:
        """Each version whose commit file is there, with its time in milliseconds; times rise, as Delta reads them."""
        times: list[tuple[int, int]] = []
        first, last = self.versions()
        for version in range(first, last + 1):
            found = self._commit_ms(version)
            times.append((version, max(found, times[-1][1] + 1 if times else 0)))
        return times

    def _commit_ms(self, version: int) -> int:
        return _modified_ms(self._commit_path(version))

    def versions(self) -> tuple[int, int]:
        """The first and last version whose commit file is there; (-1, -1) without any."""
        found = sorted(int(match[1]) for match in map(_COMMIT.match, self._storage.list(self.folder)) if match)
        return (found[0], found[-1]) if found else (-1, -1)

    def _commit_path(self, version: int) -> str:
        return os.path.join(self.folder, f"{version:020}.json")

    def _from_checkpoint(self, names: list[str], version: int | None) -> LogState:
        wanted = version if version is not None else 1 << 62
        found: dict[int, list[tuple[str, int]]] = {}
        for name in names:
            match = _CHECKPOINT.match(name)
            if match and int(match[1]) <= wanted:
                found.setdefault(int(match[1]), []).append((name, int(match[3] or 1)))
        for number in sorted(found, reverse=True):
            parts = sorted(name for name, total in found[number] if total == found[number][0][1])
            if len(parts) >= found[number][0][1]:
                state = self._try_checkpoint(number, parts)
                if state is not None:
                    return state
        self._refuse_v2(names)
        return LogState()

    def _refuse_v2(self, names: list[str]) -> None:
        if any(_V2_CHECKPOINT.match(name) for name in names) and f"{0:020}.json" not in names:
            check_readable(Protocol(3, 7, ("v2Checkpoint",), ("v2Checkpoint",)), self.table_path)

    def _try_checkpoint(self, version: int, parts: list[str]) -> LogState | None:
        """The checkpoint's state; None if it is damaged: the commits say the same, only slower."""
        import pyarrow as pa

        try:
            return self._read_checkpoint(version, parts)
        except (pa.ArrowException, OSError):
            logger("lake").warning("Checkpoint %d of %s cannot be read and is passed over", version, self.table_path)
            return None

    def _read_checkpoint(self, version: int, parts: list[str]) -> LogState:
        state = LogState(version, checkpoint=version)
        for part in parts:
            for row in _checkpoint_rows(os.path.join(self.folder, part)):
                _apply_row(state, row)
        if state.protocol is not None:
            check_readable(state.protocol, self.table_path)
        commit = self.commit(version)
        state.timestamp_ms = commit.timestamp_ms if commit is not None else 0
        return state


def _checkpoint_rows(path: str) -> Iterator[dict[str, Any]]:
    # Loaded on use: tables young enough to have no checkpoint do not pay for it.
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path)
    names = set(file.schema_arrow.names)
    columns = [name for name in _CHECKPOINTED if name in names]
    for batch in file.iter_batches(columns=columns):
        yield from batch.to_pylist()


def _apply_row(state: LogState, row: dict[str, Any]) -> None:
    if row.get("add"):
        body = {**row["add"], "partitionValues": dict(row["add"].get("partitionValues") or ())}
        state.files[body["path"]] = parse_add(body)
    if row.get("txn"):
        state.txns[row["txn"]["appId"]] = row["txn"]["version"]
    if row.get("metaData"):
        state.metadata = parse_metadata({**row["metaData"], "configuration": _pairs(row["metaData"])})
    if row.get("protocol"):
        state.protocol = parse_protocol(row["protocol"])
    if row.get("domainMetadata"):
        state.set_domain(parse_domain(row["domainMetadata"]))


def _pairs(body: dict[str, Any]) -> dict[str, str]:
    return dict(body.get("configuration") or ())


def _modified_ms(path: str) -> int:
    try:
        return os.stat(path).st_mtime_ns // 1_000_000
    except OSError:
        return 0
