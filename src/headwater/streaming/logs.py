"""A checkpoint's logs in Apache Spark's own text: `metadata`, `offsets/<n>`, `commits/<n>`.

Each entry is created once, whole, never overwritten: an entry that is there already was written by another run
(CONCURRENT_STREAM_LOG_UPDATE). Hadoop's `.NAME.crc` side file is written after its entry, verified when it is there,
and never required. The text is specified in `docs/spec/checkpoint.md`.

Invariants: only names made of digits are batches; ids are contiguous; what `add` wrote, `get` returns.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Generic, Protocol, TypeVar

from headwater.errors import ConcurrentWriteError, RuntimeSparkError
from headwater.io.checksum import create_checked, damaged, delete_checked, read_checked
from headwater.io.storage import Storage

VERSION = "v1"
WITH_STATE = "v2"
"""The version of commit entries that name the state's files."""

PINNED = {
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider"
    ),
    "spark.sql.dropDuplicates.deterministicKeyOrder.enabled": "true",
    "spark.sql.streaming.stateStore.rocksdb.mergeOperatorVersion": "2",
    "spark.sql.streaming.stateStore.rocksdb.formatVersion": "5",
    "spark.sql.streaming.queryEvolution.enableSourceEvolution": "false",
    "spark.sql.streaming.stateStore.encodingFormat": "unsaferow",
    "spark.sql.streaming.statefulOperator.useStrictDistribution": "true",
    "spark.sql.streaming.flatMapGroupsWithState.stateFormatVersion": "2",
    "spark.sql.streaming.multipleWatermarkPolicy": "min",
    "spark.sql.streaming.stateStore.rowChecksum.enabled": "false",
    "spark.sql.streaming.statefulOperator.alwaysNullableOutput.enabled": "true",
    "spark.sql.streaming.aggregation.stateFormatVersion": "2",
    "spark.sql.function.protobufExtensions.enabled": "false",
    "spark.sql.shuffle.partitions": "200",
    "spark.sql.streaming.join.stateFormatVersion": "2",
    "spark.sql.streaming.stateStore.compression.codec": "lz4",
    "spark.sql.optimizer.pruneFiltersCanPruneStreamingSubplan": "false",
}
"""Settings that Spark fixes at a query's first start, with Spark's defaults, in Spark's order."""


@dataclass(frozen=True)
class OffsetEntry:
    """One planned batch.

    Attributes:
        offsets: each source's end offset as JSON text, None where a source has given nothing yet.
        watermark_ms: the batch's watermark.
        timestamp_ms: the batch's `current_timestamp`.
        conf: settings pinned for the life of the checkpoint.
    """

    offsets: tuple[str | None, ...]
    watermark_ms: int = 0
    timestamp_ms: int = 0
    conf: Mapping[str, str] = field(default_factory=dict)

    def text(self) -> str:
        """Spark's `OffsetSeqLog` v1 text."""
        head = {"batchWatermarkMs": self.watermark_ms, "batchTimestampMs": self.timestamp_ms, "conf": dict(self.conf)}
        return "\n".join((VERSION, compact(head), *(offset or "-" for offset in self.offsets)))

    @staticmethod
    def parse(lines: list[str]) -> OffsetEntry:
        """The entry of the lines after the version. Raises ValueError."""
        head = json.loads(lines[0]) if lines[0] else {}
        offsets = tuple(None if line == "-" else _checked(line) for line in lines[1:])
        if not offsets:
            msg = "no source offset"
            raise ValueError(msg)
        return OffsetEntry(
            offsets,
            int(head.get("batchWatermarkMs", 0)),
            int(head.get("batchTimestampMs", 0)),
            {str(key): str(value) for key, value in head.get("conf", {}).items()},
        )


@dataclass(frozen=True)
class CommitEntry:
    """One finished batch.

    Attributes:
        next_watermark_ms: the watermark of the next batch.
        state_ids: per stateful operator, what the state after the batch is written as, an id per store.
    """

    next_watermark_ms: int = 0
    state_ids: Mapping[int, tuple[str, ...]] = field(default_factory=dict)

    def text(self) -> str:
        """Spark's `CommitLog` text: v1, with state v2, whose ids stand per operator, partition and store."""
        entry: dict[str, object] = {"nextBatchWatermarkMs": self.next_watermark_ms}
        if not self.state_ids:
            return f"{VERSION}\n{compact(entry)}"
        entry["stateUniqueIds"] = {str(number): [list(ids)] for number, ids in sorted(self.state_ids.items())}
        return f"{WITH_STATE}\n{compact(entry)}"

    @staticmethod
    def parse(lines: list[str]) -> CommitEntry:
        """The entry of the lines after the version. Raises ValueError."""
        entry = json.loads(lines[0] or "{}")
        ids = {int(number): tuple(per[0]) for number, per in (entry.get("stateUniqueIds") or {}).items()}
        return CommitEntry(int(entry.get("nextBatchWatermarkMs", 0)), ids)


class Entry(Protocol):
    """What a log holds."""

    def text(self) -> str:
        """The file's text."""
        ...


E = TypeVar("E", bound=Entry)


class BatchLog(Generic[E]):
    """A folder of entries named by batch id.

    Args:
        storage: where the checkpoint lies.
        folder: the log's folder in it.
        parse: from the lines after the version line to an entry.
        versions: the version lines it understands.
    """

    def __init__(
        self, storage: Storage, folder: str, parse: Callable[[list[str]], E], versions: Sequence[str] = (VERSION,)
    ) -> None:
        self._storage = storage
        self._parse = parse
        self._versions = versions
        self.folder = folder

    def add(self, batch_id: int, entry: E) -> None:
        """Write batch `batch_id`. Raises CONCURRENT_STREAM_LOG_UPDATE if it is there already."""
        try:
            create_checked(self._storage, f"{self.folder}/{batch_id}", entry.text().encode())
        except FileExistsError as cause:
            raise ConcurrentWriteError("CONCURRENT_STREAM_LOG_UPDATE", batchId=batch_id, path=self.folder) from cause

    def get(self, batch_id: int) -> E | None:
        """The entry of a batch, or None. Raises INCOMPLETE_STREAM_LOG if its file is damaged."""
        path = f"{self.folder}/{batch_id}"
        try:
            data = read_checked(self._storage, path)
        except FileNotFoundError:
            return None
        return self._decode(path, data)

    def ids(self, *, gaps: bool = False) -> list[int]:
        """All batch ids, ascending. Raises INCOMPLETE_STREAM_LOG naming the first missing file of a gap.

        With `gaps` there may be some: not every batch was written.
        """
        found = sorted(int(name) for name in self._storage.list(self.folder) if name.isdecimal())
        if gaps:
            return found
        for before, after in pairwise(found):
            if after != before + 1:
                raise damaged(f"{self.folder}/{before + 1}", "the file is missing", "Restore it from a copy.")
        return found

    def purge(self, before: int, known: int) -> None:
        """Delete entries `known` ≤ id < `before`; repeating it does no harm."""
        for batch_id in range(known, before):
            delete_checked(self._storage, f"{self.folder}/{batch_id}")

    def _decode(self, path: str, data: bytes) -> E:
        remedy = f"If batch {path.rpartition('/')[2]} is the newest, delete this file: the batch is planned again."
        lines = data.decode("utf-8", "replace").split("\n")
        if not lines[0]:
            raise damaged(path, "the file is empty", remedy)
        if lines[0] not in self._versions:
            known = " or ".join(f"`{version}`" for version in self._versions)
            raise damaged(path, f"the first line is `{lines[0][:20]}`, not {known}", "Use the version that wrote it.")
        try:
            return self._parse(lines[1:])
        except (ValueError, IndexError) as cause:
            raise damaged(path, "the file is cut off", remedy) from cause


def offset_log(storage: Storage, checkpoint: str) -> BatchLog[OffsetEntry]:
    """The log of planned batches."""
    return BatchLog(storage, f"{checkpoint}/offsets", OffsetEntry.parse)


def commit_log(storage: Storage, checkpoint: str) -> BatchLog[CommitEntry]:
    """The log of finished batches."""
    return BatchLog(storage, f"{checkpoint}/commits", CommitEntry.parse, (VERSION, WITH_STATE))


def query_id(storage: Storage, checkpoint: str) -> str:
    """The query id kept in the checkpoint; a new checkpoint gets a new one.

    Raises STREAMING_CHECKPOINT_MISSING_METADATA_FILE if logs are there but the id is not.
    """
    path = f"{checkpoint}/metadata"
    if not storage.exists(path):
        if any(name.isdecimal() for log in ("offsets", "commits") for name in storage.list(f"{checkpoint}/{log}")):
            raise RuntimeSparkError("STREAMING_CHECKPOINT_MISSING_METADATA_FILE", checkpointLocation=checkpoint)
        with suppress(FileExistsError):  # another run was quicker: its id is the query's
            create_checked(storage, path, compact({"id": str(uuid.uuid4())}).encode())
    data = read_checked(storage, path)
    try:
        return str(uuid.UUID(json.loads(data)["id"]))
    except (ValueError, KeyError, TypeError) as cause:
        raise damaged(path, "it holds no query id", "Restore it from a copy, or use a new checkpoint.") from cause


def compact(value: object) -> str:
    """JSON as Spark writes it: no blanks, any character as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def _checked(line: str) -> str:
    json.loads(line)
    return line
