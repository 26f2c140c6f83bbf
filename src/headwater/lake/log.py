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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from headwater.errors import AnalysisError, SparkError
from headwater.io.storage import Storage
from headwater.lake import checkpoint_reader
from headwater.lake.actions import AddFile, Commit, DomainMetadata, Metadata, Protocol, parse_commit
from headwater.lake.checkpoint_reader import Checkpoint
from headwater.lake.features import check_readable
from headwater.log import logger

_COMMIT = re.compile(r"^(\d{20})\.json$")
_COMMIT_LENGTH = len(f"{0:020}.json")
_COMPACTED = re.compile(r"^(\d{20})\.(\d{20})\.compacted\.json$")


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
        self._newest: tuple[int, object] = (-1, None)

    @property
    def storage(self) -> Storage:
        """Where it lies."""
        return self._storage

    def exists(self) -> bool:
        """Whether there is at least one version."""
        names = self._storage.list(self.folder)
        return any(_COMMIT.match(name) or checkpoint_reader.is_checkpoint(name) for name in names)

    def load(self, version: int | None = None) -> LogState:
        """The state at `version`, default the newest.

        Without a log the state's version is -1. Raises DELTA_VERSION_NOT_FOUND if the log does not reach `version`.
        """
        names = self._storage.list(self.folder)
        state = self._from_checkpoint(names, version)
        self._apply_compacted(names, state, version)
        self.advance(state, version)
        if version is not None and state.version != version:
            first, last = self.versions()
            raise AnalysisError("DELTA_VERSION_NOT_FOUND", userVersion=version, earliest=first, latest=last)
        if state.version < _last_commit(names) and version is None:
            first = state.version + 1
            raise SparkError("DELTA_TRUNCATED_TRANSACTION_LOG", path=self._commit_path(first), version=first)
        return state

    def advance(self, state: LogState, version: int | None = None) -> list[Commit]:
        """Apply the commits after `state`, up to `version`; returns them."""
        commits = []
        while version is None or state.version < version:
            commit = self.commit(state.version + 1)
            if commit is None:
                break
            self._apply(state, commit)
            commits.append(commit)
        self._remember(state.version)
        return commits

    def is_current(self, version: int) -> bool:
        """Whether the log is still the one of which `version` was the newest when it was last read or written here.

        A table that was dropped and made again in the same folder has another log.
        """
        return version >= 0 and self._newest == (version, self._identity(version)) and self._newest[1] is not None

    def _apply(self, state: LogState, commit: Commit) -> None:
        if commit.protocol is not None:
            check_readable(commit.protocol, self.table_path)
        state.apply(commit)

    def _remember(self, version: int) -> None:
        if version != self._newest[0]:
            self._newest = version, self._identity(version)

    def _identity(self, version: int) -> object:
        """What tells one file of a commit from another that came later in its place; None if it is not there."""
        return self._storage.identity(self._commit_path(version))

    def commit(self, version: int) -> Commit | None:
        """The commit that made `version`, or None if its file is not there."""
        try:
            data, modified_ms = self._storage.fetch(self._commit_path(version))
        except (FileNotFoundError, NotADirectoryError):
            return None
        return parse_commit(version, data, modified_ms)

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
        self._remember(commit.version)
        return True

    def times(self) -> list[tuple[int, int]]:
        """Each version whose commit file is there, with its time in milliseconds; times rise, as Delta reads them.

        It is the time in the commit since the table has `inCommitTimestamp`, before that the file's own.
        """
        times: list[tuple[int, int]] = []
        modified = self._storage.times(self.folder)
        first, last = _ends(modified)
        inside = self._in_commit_times(first, last)
        for version in range(first, last + 1):
            found = inside.get(version) or modified.get(f"{version:020}.json", 0)
            times.append((version, max(found, times[-1][1] + 1 if times else 0)))
        return times

    def _in_commit_times(self, first: int, last: int) -> dict[int, int]:
        """The times that the newest commits carry, back to the first that carries none."""
        found: dict[int, int] = {}
        for version in range(last, first - 1, -1):
            commit = self.commit(version)
            moment = commit.info.get("inCommitTimestamp") if commit is not None else None
            if not isinstance(moment, int):
                break
            found[version] = moment
        return found

    def versions(self) -> tuple[int, int]:
        """The first and last version whose commit file is there; (-1, -1) without any."""
        return _ends(self._storage.list(self.folder))

    def _commit_path(self, version: int) -> str:
        return os.path.join(self.folder, f"{version:020}.json")

    def _from_checkpoint(self, names: list[str], version: int | None) -> LogState:
        for checkpoint in checkpoint_reader.find(names, version):
            state = self._try_checkpoint(checkpoint)
            if state is not None:
                return state
        return LogState()

    def _try_checkpoint(self, checkpoint: Checkpoint) -> LogState | None:
        """The checkpoint's state; None if it is damaged: the commits say the same, only slower."""
        import pyarrow as pa

        try:
            return self._read_checkpoint(checkpoint)
        except (pa.ArrowException, OSError, ValueError, KeyError):
            names = ", ".join(checkpoint.names)
            logger("lake").warning("Checkpoint %s of %s cannot be read and is passed over", names, self.table_path)
            return None

    def _read_checkpoint(self, checkpoint: Checkpoint) -> LogState:
        found = checkpoint_reader.read(self.folder, checkpoint, self._storage)
        state = LogState(checkpoint.version, found.protocol, found.metadata, checkpoint=checkpoint.version)
        state.files = {file.path: file for file in found.files}
        state.txns = {txn.app_id: txn.version for txn in found.txns}
        for domain in found.domains:
            state.set_domain(domain)
        if state.protocol is not None:
            check_readable(state.protocol, self.table_path)
        commit = self.commit(state.version)
        state.timestamp_ms = commit.timestamp_ms if commit is not None else 0
        return state

    def _apply_compacted(self, names: list[str], state: LogState, version: int | None) -> None:
        """Take several commits at once where one file sums them up; each time the one that reaches furthest."""
        furthest: dict[int, int] = {}
        for name in names:
            match = _COMPACTED.match(name) if name.endswith(".compacted.json") else None
            if match and (version is None or int(match[2]) <= version):
                furthest[int(match[1])] = max(int(match[2]), furthest.get(int(match[1]), -1))
        for first in sorted(furthest):
            if first > state.version:
                self.advance(state, first - 1)
                if state.version == first - 1:
                    self._apply_sum(state, first, furthest[first])

    def _apply_sum(self, state: LogState, first: int, last: int) -> None:
        try:
            data = self._storage.read(os.path.join(self.folder, f"{first:020}.{last:020}.compacted.json"))
            commit = parse_commit(last, data)
        except (OSError, ValueError, KeyError):
            return
        made = self.commit(last)
        self._apply(state, replace(commit, timestamp_ms=made.timestamp_ms if made is not None else 0))


def _last_commit(names: list[str]) -> int:
    """The newest version that has a commit file; -1 without any."""
    commits = (name for name in names if len(name) == _COMMIT_LENGTH and name.endswith(".json"))
    newest = max((name for name in commits if name[:20].isdigit()), default="")
    return int(newest[:20]) if newest else -1


def _ends(names: Iterable[str]) -> tuple[int, int]:
    """The first and last version that has a commit file; (-1, -1) without any."""
    found = sorted(int(match[1]) for match in map(_COMMIT.match, names) if match)
    return (found[0], found[-1]) if found else (-1, -1)
