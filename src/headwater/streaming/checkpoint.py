"""Where a query's checkpoint lies, and the check that it is this query's.

Invariants: the place follows Spark's rules (option, then setting plus name, then a temporary folder for sinks that
keep nothing, else an error); a checkpoint of a query with other sources, another sink or other state is refused before
any data is touched.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from headwater.errors import AnalysisError, RuntimeSparkError
from headwater.io.checksum import create_checked, damaged
from headwater.io.storage import Storage
from headwater.plan.commands import StartStream
from headwater.settings import Settings
from headwater.state.metadata import OperatorMetadata, check_operators
from headwater.streaming.logs import (
    BatchLog,
    CommitEntry,
    OffsetEntry,
    commit_log,
    compact,
    offset_log,
    query_id,
)
from headwater.streaming.protocol import LogConflictError, LogFacts, Position, resume

OPTION = "checkpointlocation"
_GAPS = "async_progress"
SETTING = "spark.sql.streaming.checkpointLocation"
TEMPORARY_SINKS = frozenset({"memory", "console", "noop", "foreach", "foreachbatch"})


@dataclass(frozen=True)
class Location:
    """A checkpoint's folder; `temporary`: it is deleted when the query stops without an error."""

    path: str
    temporary: bool = False


def locate(command: StartStream, sink: str, settings: Settings, mounts: Any) -> Location:
    """The checkpoint of a query. Raises CHECKPOINT_LOCATION_MISSING if none can be derived."""
    given = {key.lower(): value for key, value in command.options}.get(OPTION)
    if given:
        return Location(mounts.local(given))
    base = settings.lookup(SETTING)
    if base:
        return Location(mounts.local(base.rstrip("/") + "/" + (command.query_name or str(uuid.uuid4()))))
    if sink.lower() in TEMPORARY_SINKS:
        return Location(tempfile.mkdtemp(prefix="temporary-"), temporary=True)
    raise AnalysisError("CHECKPOINT_LOCATION_MISSING")


class Checkpoint:
    """An opened checkpoint: the query's id and its logs.

    Args:
        storage: where it lies.
        path: its folder.
    """

    def __init__(self, storage: Storage, path: str) -> None:
        self.storage = storage
        self.path = path
        self.query_id = query_id(storage, path)
        self.offsets: BatchLog[OffsetEntry] = offset_log(storage, path)
        self.commits: BatchLog[CommitEntry] = commit_log(storage, path)

    def source_path(self, index: int) -> str:
        """The folder of a source's own log."""
        return f"{self.path}/sources/{index}"

    def state_path(self, operator: int) -> str:
        """The folder of a stateful operator's state."""
        return f"{self.path}/state/{operator}"

    @property
    def gaps(self) -> bool:
        """Whether batches may be missing in the logs: a run with asynchronous progress tracking wrote only some."""
        return self.storage.exists(f"{self.path}/{_GAPS}")

    def allow_gaps(self) -> None:
        """Note that runs from now on write only some of their batches."""
        if not self.gaps:
            with suppress(FileExistsError):
                self.storage.create(f"{self.path}/{_GAPS}", b"")

    def before(self, batch_id: int) -> int | None:
        """The newest batch in the offset log before `batch_id`."""
        if not self.gaps:
            return batch_id - 1 if batch_id > 0 else None
        return max((known for known in self.offsets.ids(gaps=True) if known < batch_id), default=None)

    def position(self) -> Position:
        """Where the query stands. Raises INCOMPLETE_STREAM_LOG naming a missing entry."""
        gaps = self.gaps
        planned, committed = self.offsets.ids(gaps=gaps), self.commits.ids(gaps=gaps)
        facts = LogFacts(planned[-1] if planned else None, committed[-1] if committed else None, gaps)
        try:
            return resume(facts)
        except LogConflictError as conflict:
            folder = f"{self.path}/{conflict.log}/{conflict.missing}"
            raise damaged(folder, "the file is missing", "Restore it from a copy, or use a new checkpoint.") from None

    def purge(self, before: int, known: int) -> None:
        """Delete the log entries `known` ≤ id < `before`; repeating it does no harm."""
        for log in (self.offsets, self.commits):
            log.purge(before, known)

    def check_sources(self, entry: OffsetEntry, sources: int) -> None:
        """Raises STREAMING_CHECKPOINT_MISMATCH if the logged batch had another number of sources."""
        if len(entry.offsets) != sources:
            raise mismatch(
                self.path,
                f"There are [{len(entry.offsets)}] sources in the checkpoint offsets and now there are [{sources}] "
                "sources requested by the query",
            )

    def check_operators(self, names: Mapping[int, str]) -> None:
        """Compare the stateful operators, Spark's names by id, with those that wrote here, or note them.

        Raises STREAMING_STATEFUL_OPERATOR_NOT_MATCH_IN_STATE_METADATA or …_MISSING_STATE_DIRECTORY.
        """
        operators = [OperatorMetadata(number, name) for number, name in sorted(names.items())]
        begun = any(name.isdecimal() for name in self.storage.list(self.commits.folder))
        check_operators(self.storage, self.path, operators, begun)

    def check_identity(self, identity: dict[str, Any]) -> None:
        """Compare with what the first start noted (`headwater.json`), or note it.

        Raises STREAMING_CHECKPOINT_MISMATCH. A checkpoint that Spark began has no note: nothing is compared.
        """
        path = f"{self.path}/headwater.json"
        try:
            noted = json.loads(self.storage.read(path))
        except FileNotFoundError:
            if not self.offsets.ids():
                self._note(path, identity)
            return
        except ValueError as cause:
            raise damaged(path, "it is not JSON", "Delete it: it is written again.") from cause
        for key, now in identity.items():
            if noted.get(key, now) != now:
                raise mismatch(self.path, f"Its {key} was {compact(noted[key])} and is now {compact(now)}")

    def _note(self, path: str, identity: dict[str, Any]) -> None:
        try:
            create_checked(self.storage, path, compact(identity).encode())
        except FileExistsError:
            self.check_identity(identity)


def mismatch(path: str, reason: str) -> RuntimeSparkError:
    """The error for a checkpoint of another query."""
    return RuntimeSparkError("STREAMING_CHECKPOINT_MISMATCH", path=path, reason=reason)
