"""The versioned state of one stateful operator: a changelog per batch, a snapshot now and then, all Parquet.

Version v is the state before batch v, so version 0 is empty and batch N writes version N+1 beside version N. Layout and
duties of readers and writers are specified in `docs/spec/state.md`.

Invariants: a version is restored from the newest snapshot at or below it and every changelog after that one; files
appear whole or not at all; writing a version again replaces it; nothing needed for a retained version is deleted.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq

from headwater.errors import RuntimeSparkError
from headwater.io.checksum import delete_checked, matches, replace_checked
from headwater.io.storage import Storage

Kind = Literal["snapshot", "changelog"]
FORMAT_VERSION = 1
REMOVED = "_removed"
"""The changelog's last column: true where the key is gone."""

_NAME = re.compile(r"^(\d+)\.(snapshot|changelog)\.parquet$")
_SNAPSHOT_AFTER = 10
_SNAPSHOT_AT_LATEST = 100


@dataclass(frozen=True)
class Change:
    """One file of a restore: rows that replace those of the same key, after the rows of the files before."""

    kind: Kind
    rows: pa.Table


class StateStore:
    """The files of one operator.

    Args:
        storage: where the checkpoint lies.
        folder: `<checkpoint>/state/<operator>`.
    """

    def __init__(self, storage: Storage, folder: str) -> None:
        self._storage = storage
        self.folder = folder
        self._files: dict[Kind, set[int]] = {"snapshot": set(), "changelog": set()}
        for name in storage.list(folder):
            found = _NAME.match(name)
            if found:
                self._files["snapshot" if found[2] == "snapshot" else "changelog"].add(int(found[1]))
        self._changed_rows = 0

    # ── who the state belongs to ────────────────────────────────────────────────────────────────────────────

    def check_operator(self, operator: dict[str, object]) -> str | None:
        """Note the operator at the first start; later say how the noted one differs, or None."""
        path = f"{self.folder}/operator.json"
        now = {"version": FORMAT_VERSION, **operator}
        try:
            noted = json.loads(self._storage.read(path))
        except FileNotFoundError:
            self._storage.replace(path, json.dumps(now, indent=1, ensure_ascii=False).encode())
            return None
        for key, value in now.items():
            if noted.get(key) != value:
                return f"the {key} was {json.dumps(noted.get(key))} and is now {json.dumps(value)}"
        return None

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    def write(self, kind: Kind, version: int, rows: pa.Table) -> int:
        """Write one file of `version`, replacing what is there; its size in bytes."""
        sink = io.BytesIO()
        pq.write_table(rows, sink, compression="zstd", store_schema=True)
        data = sink.getvalue()
        replace_checked(self._storage, self._path(kind, version), data)
        self._files[kind].add(version)
        self._changed_rows = 0 if kind == "snapshot" else self._changed_rows + rows.num_rows
        return len(data)

    def snapshot_due(self, version: int, total_rows: int) -> bool:
        """Whether a snapshot is worth its cost: it is written about as often as the state turns over."""
        last = max((v for v in self._files["snapshot"] if v < version), default=0)
        since = version - last
        return since >= _SNAPSHOT_AT_LATEST or (since >= _SNAPSHOT_AFTER and self._changed_rows * 2 >= total_rows)

    def purge(self, before: int) -> None:
        """Delete what no version ≥ `before` needs; repeating it does no harm."""
        base = max((v for v in self._files["snapshot"] if v <= before), default=0)
        self._drop("snapshot", {v for v in self._files["snapshot"] if v < base})
        self._drop("changelog", {v for v in self._files["changelog"] if v <= base})

    def _drop(self, kind: Kind, versions: set[int]) -> None:
        for version in versions:
            delete_checked(self._storage, self._path(kind, version))
        self._files[kind] -= versions

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def load(self, version: int) -> Iterator[Change]:
        """The files that make up `version`, in order. Raises STATE_STORE_DAMAGED naming a missing or broken one."""
        base = max((v for v in self._files["snapshot"] if v <= version), default=0)
        if base:
            yield Change("snapshot", self._read("snapshot", base, version))
        self._changed_rows = 0
        for step in range(base + 1, version + 1):
            change = Change("changelog", self._read("changelog", step, version))
            self._changed_rows += change.rows.num_rows
            yield change

    def _read(self, kind: Kind, at: int, version: int) -> pa.Table:
        path = self._path(kind, at)
        try:
            data = self._storage.read(path)
        except FileNotFoundError as cause:
            raise _damaged(version, path, "the file is missing") from cause
        if not matches(self._storage, path, data):
            raise _damaged(version, path, "its checksum does not match")
        try:
            return pq.read_table(io.BytesIO(data))
        except (pa.ArrowException, OSError) as cause:
            raise _damaged(version, path, f"it is not a whole Parquet file ({cause})") from cause

    def _path(self, kind: Kind, version: int) -> str:
        return f"{self.folder}/{version}.{kind}.parquet"


def _damaged(version: int, path: str, reason: str) -> RuntimeSparkError:
    return RuntimeSparkError("STATE_STORE_DAMAGED", version=version, path=path, reason=reason)
