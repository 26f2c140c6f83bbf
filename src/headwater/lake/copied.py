"""Which files COPY INTO has loaded into a Delta table, remembered beside its log. Format: docs/spec/copy_into.md.

Each load writes a list of its files, then commits them with two transaction counters of the table: how many loads there
were, and the list's mark. What the counters say is what counts: lists of loads that failed or lost a race are not on
the way back from them. Every so often a list repeats all the files before it, so that few have to be read.

Invariants: a file is in the table if and only if it is on a list that counts; of two loads at once one commits, and the
other has to look again; lists of a table that was replaced mean nothing for the new one.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from headwater.errors import SparkError
from headwater.io.storage import Storage

LOADS, LIST = "headwater.copyInto", "headwater.copyInto.list"
"""The counters: the number of loads, and the mark of the newest list."""
FOLDER = os.path.join("_delta_log", "_copy_into")
_WHOLE_EVERY = 16


class ListName(NamedTuple):
    """A list: which load it is of, and a random mark, so that no two loads ever write one list."""

    load: int
    mark: int


@dataclass(frozen=True)
class Loaded:
    """The files loaded up to a list; None before the first load."""

    newest: ListName | None = None
    paths: frozenset[str] = frozenset()

    def next_list(self) -> ListName:
        """A name for the next list."""
        return ListName(1 + (self.newest.load if self.newest else 0), secrets.randbelow(1 << 62))


class CopyLists:
    """The lists of one table.

    Args:
        table_path: the table's folder. table_id: of its metadata.
    """

    def __init__(self, storage: Storage, table_path: str, table_id: str) -> None:
        self._storage = storage
        self._folder = os.path.join(table_path, FOLDER)
        self._table_id = table_id

    def read(self, newest: ListName | None) -> Loaded:
        """What is loaded where the table's counters name that list.

        Raises FAILED_READ_FILE.FILE_NOT_EXIST for a list that is lost.
        """
        paths: set[str] = set()
        wanted = newest
        while wanted is not None:
            found = self._list(wanted)
            if found["table"] != self._table_id:
                break
            paths.update(found["files"])
            wanted = ListName(*found["previous"]) if found["previous"] else None
        return Loaded(newest, frozenset(paths))

    def add(self, before: Loaded, paths: Iterable[str]) -> ListName:
        """Write the list of a load that follows `before`; its name, which the load must commit."""
        name = before.next_list()
        whole = name.load % _WHOLE_EVERY == 0
        body = {
            "table": self._table_id,
            "previous": None if whole else before.newest,
            "files": sorted({*before.paths, *paths} if whole else set(paths)),
        }
        self._storage.create(self._path(name), json.dumps(body, ensure_ascii=False).encode())
        return name

    def remove(self, name: ListName) -> None:
        """Take away the list of a load that has not been committed."""
        with contextlib.suppress(OSError):
            self._storage.delete(self._path(name))

    def _path(self, name: ListName) -> str:
        return os.path.join(self._folder, f"load-{name.load}-{name.mark}.json")

    def _list(self, name: ListName) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads(self._storage.read(self._path(name)))
            return found
        except FileNotFoundError as cause:
            raise SparkError("FAILED_READ_FILE.FILE_NOT_EXIST", path=self._path(name)) from cause
