"""The versions of one state: a changelog per batch, a snapshot now and then, all Parquet.

Version v is the state before batch v, so version 0 is empty and batch N writes version N+1 beside version N. Every file
carries the id of the run that wrote it and a changelog the id of the version before it, so a version is found by going
back along those ids from the one that the commit log names: what a delayed writer of an older run leaves is never read.
Layout and duties of readers and writers are specified in `docs/spec/state.md`.

Invariants: a version is restored from the newest snapshot of its line at or below it and every changelog after that
one; files appear whole or not at all; nothing that a retained version needs is deleted.
"""

from __future__ import annotations

import json
import re
import secrets
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import NamedTuple, TypeVar

import pyarrow as pa

from headwater.crash import crash_point
from headwater.errors import RuntimeSparkError
from headwater.io.checksum import delete_checked, matches, replace_checked
from headwater.io.storage import Storage
from headwater.state.encoding import decode, decode_batches, encode

FORMAT_VERSION = 1
REMOVED = "_removed"
"""A changelog's last column: true where the key is gone."""
EMPTY = "0"
"""The id of a version without rows: 0, or the one before a state began."""

_NAME = re.compile(r"^(\d+)\.([0-9a-f]+)\.(?:snapshot|([0-9a-f]+)\.changelog)\.parquet$")
_SNAPSHOT_AFTER = 10
_SNAPSHOT_AT_LATEST = 100
_READERS = 4
_BATCHES = 16

Version = tuple[int, str]
"""A version's number and its id."""
T = TypeVar("T")


class Saved(NamedTuple):
    """What makes up a version: the rows of a snapshot, then the changes after it, oldest first."""

    snapshot: Iterator[pa.Table]
    changelogs: Iterator[pa.Table]


class StateFiles:
    """The files in one state's folder, by what their names say.

    Attributes:
        changelogs: the id of the version before, by version.
        snapshots: the versions that have one.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self.changelogs: dict[Version, str] = {}
        self.snapshots: set[Version] = set()
        for name in names:
            self._add(_NAME.match(name))

    def _add(self, found: re.Match[str] | None) -> None:
        if found is None:
            return
        version = (int(found[1]), found[2])
        if found[3] is None:
            self.snapshots.add(version)
        else:
            self.changelogs[version] = found[3]

    def line(self, version: Version) -> dict[int, str]:
        """The ids of `version` and of the versions it came from, as far back as there are changelogs."""
        number, version_id = version
        ids = {number: version_id}
        while (number, version_id) in self.changelogs:
            version_id = self.changelogs[(number, version_id)]
            number -= 1
            ids[number] = version_id
        return ids

    def base(self, line: dict[int, str], at_most: int) -> int:
        """The newest version of the line, at or below a number, that has a snapshot or is empty; else 0."""
        empty = (number for number, version_id in line.items() if version_id == EMPTY)
        found = (number for number, version_id in self.snapshots if line.get(number, version_id) == version_id)
        return max((number for number in (*empty, *found) if number <= at_most), default=0)


class StateStore:
    """The files of one state.

    Args:
        storage: where the checkpoint lies.
        folder: `<checkpoint>/state/<operator>`, or a folder in it if the operator has several states.
        run: the id that everything written here carries; default: a new one.
        schema_check: whether keys and values of other types than those noted are refused.
    """

    def __init__(self, storage: Storage, folder: str, run: str | None = None, *, schema_check: bool = True) -> None:
        self.storage = storage
        self.schema_check = schema_check
        self.folder = folder
        self.run = run or secrets.token_hex(8)
        self._line: dict[int, str] = {0: EMPTY}
        self._changed: dict[int, int] = {}
        self._snapshots: set[int] = set()
        self._closing: list[Callable[[], None]] = []

    def close(self) -> None:
        """Free what was opened for this state."""
        while self._closing:
            self._closing.pop()()

    def on_close(self, action: Callable[[], None]) -> None:
        """Have `action` done when the store is closed."""
        self._closing.append(action)

    # ── who the state belongs to ────────────────────────────────────────────────────────────────────────────

    def check_operator(self, operator: dict[str, object]) -> str | None:
        """Note the operator at the first start; later say how the noted one differs, or None."""
        now = {"version": FORMAT_VERSION, **operator}
        noted = self.noted_operator()
        if not noted:
            self.storage.replace(self._operator, json.dumps(now, indent=1, ensure_ascii=False).encode())
            return None
        for key, value in now.items():
            if noted.get(key) != value:
                return f"the {key} was {json.dumps(noted.get(key))} and is now {json.dumps(value)}"
        return None

    def noted_operator(self) -> dict[str, object]:
        """What `check_operator` has noted; nothing before the first start."""
        try:
            noted: dict[str, object] = json.loads(self.storage.read(self._operator))
        except FileNotFoundError:
            return {}
        return noted

    @property
    def _operator(self) -> str:
        return f"{self.folder}/operator.json"

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    def changelog(self, version: int, rows: pa.Table) -> Callable[[], int]:
        """Give what changed since the version before its place in the line, under the id `run`.

        Returns:
            What writes it, in any thread, and gives the file's size in bytes.
        """
        path = self._changelog((version, self.run), self._line[version - 1])
        self._line[version] = self.run
        self._changed[version] = rows.num_rows

        def write() -> int:
            data = encode(rows.schema, rows.to_batches())
            replace_checked(self.storage, path, data)
            return len(data)

        return write

    def write_snapshot(self, version: Version, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> None:
        """Write all rows of a version; safe in a thread of its own, and whoever writes: its id tells its rows."""
        data = encode(schema, batches)
        crash_point("state.snapshot")
        replace_checked(self.storage, self._snapshot(version), data)
        crash_point("state.snapshot_written")
        self._snapshots.add(version[0])

    def snapshot_due(self, total_rows: int) -> bool:
        """Whether a snapshot is worth its cost: it is written about as often as the state turns over."""
        last = max(self._snapshots, default=0)
        since = [count for version, count in self._changed.items() if version > last]
        return len(since) >= _SNAPSHOT_AT_LATEST or (len(since) >= _SNAPSHOT_AFTER and sum(since) * 2 >= total_rows)

    def purge(self, before: int) -> None:
        """Delete what no version ≥ `before` needs, and what lost; repeating it does no harm."""
        files = StateFiles(self.storage.list(self.folder))
        base = files.base(self._line, before)
        for version in files.snapshots:
            if version[0] < base or self._lost(version, before):
                delete_checked(self.storage, self._snapshot(version))
        for version, previous in files.changelogs.items():
            if version[0] <= base or self._lost(version, before):
                delete_checked(self.storage, self._changelog(version, previous))
        self._line = {number: version_id for number, version_id in self._line.items() if number >= base}
        self._changed = {number: count for number, count in self._changed.items() if number > base}

    def _lost(self, version: Version, before: int) -> bool:
        """Whether a version that is committed for long was committed with another id."""
        number, version_id = version
        return number <= before and self._line.get(number, version_id) != version_id

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, version: int, version_id: str | None) -> Saved:
        """What makes up a version. Without an id it is empty: version 0, or a state that begins here.

        Raises STATE_STORE_DAMAGED naming a missing or broken file, here or while the rows are taken.
        """
        self._changed = {}
        files = StateFiles(self.storage.list(self.folder))
        self._line = files.line((version, version_id or EMPTY))
        begun = [number for number, _ in files.changelogs if number <= version]
        if version_id is None and begun:
            raise _damaged(version, self.folder, "the commit log does not say what it was written as")
        base = files.base(self._line, version)
        steps = [(number, self._link(number, version)) for number in range(base + 1, version + 1)]
        self._snapshots = {base}
        return Saved(self._rows(base, version), self._tables(steps, version))

    def knows(self, version: int, version_id: str) -> bool:
        """Whether a version was written here."""
        files = StateFiles(self.storage.list(self.folder))
        return (version, version_id) in files.changelogs or (version, version_id) in files.snapshots

    def read_changelog(self, version: int, version_id: str) -> pa.Table:
        """What the batch before a version changed. Raises STATE_STORE_DAMAGED."""
        self._line = StateFiles(self.storage.list(self.folder)).line((version, version_id))
        return self._whole(self._link(version, version), version, decode)

    def _link(self, number: int, version: int) -> str:
        """The path of a changelog of the line."""
        if number - 1 not in self._line:
            last = min(self._line)
            path = f"{self.folder}/{last}.{self._line[last]}.*.changelog.parquet"
            raise _damaged(version, path, "the file is missing")
        return self._changelog((number, self._line[number]), self._line[number - 1])

    def _rows(self, base: int, version: int) -> Iterator[pa.Table]:
        """The rows of a snapshot, some at a time."""
        if self._line[base] == EMPTY:
            return
        path = self._snapshot((base, self._line[base]))
        schema, batches = self._whole(path, version, decode_batches)
        try:
            for several in iter(lambda: list(islice(batches, _BATCHES)), []):
                yield pa.Table.from_batches(several, schema)
        except (pa.ArrowException, OSError) as cause:
            raise _damaged(version, path, f"it cannot be decoded ({cause})") from cause

    def _tables(self, steps: Sequence[tuple[int, str]], version: int) -> Iterator[pa.Table]:
        """Changelogs, read and decoded a few at a time, given in order."""
        waiting: deque[tuple[int, Future[pa.Table]]] = deque()
        with ThreadPoolExecutor(_READERS, "state-restore") as pool:
            for number, path in steps:
                waiting.append((number, pool.submit(self._whole, path, version, decode)))
                if len(waiting) > 2 * _READERS:
                    yield self._taken(*waiting.popleft())
            while waiting:
                yield self._taken(*waiting.popleft())

    def _taken(self, number: int, reading: Future[pa.Table]) -> pa.Table:
        rows = reading.result()
        self._changed[number] = rows.num_rows
        return rows

    def _whole(self, path: str, version: int, decoded: Callable[[bytes], T]) -> T:
        try:
            data = self.storage.read(path)
        except FileNotFoundError as cause:
            raise _damaged(version, path, "the file is missing") from cause
        if not matches(self.storage, path, data):
            raise _damaged(version, path, "its checksum does not match")
        try:
            return decoded(data)
        except (pa.ArrowException, OSError) as cause:
            raise _damaged(version, path, f"it is not a whole Parquet file ({cause})") from cause

    def _snapshot(self, version: Version) -> str:
        return f"{self.folder}/{version[0]}.{version[1]}.snapshot.parquet"

    def _changelog(self, version: Version, previous: str) -> str:
        return f"{self.folder}/{version[0]}.{version[1]}.{previous}.changelog.parquet"


def _damaged(version: int, path: str, reason: str) -> RuntimeSparkError:
    return RuntimeSparkError("STATE_STORE_DAMAGED", version=version, path=path, reason=reason)
