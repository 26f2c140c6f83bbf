"""What a queue of files remembers of one folder, and of the objects below one root of a bucket.

Invariants: a file that was handed out or waits stays known, whatever becomes of it, unless it is too old to count.
"""

from __future__ import annotations

import os
import time
from typing import Literal

Incremental = Literal["true", "false", "auto"]
FULL_EVERY = 8
"""With `auto`, after seven incremental listings one is full, as in Databricks."""
_SETTLED_NS = 2_000_000_000


class Folder:
    """What is known of one folder: files handed out or waiting, with their times; other names; folders below it."""

    def __init__(self) -> None:
        self.origin = ("", "")
        self.known: dict[str, int] = {}
        self.other: set[str] = set()
        self.children: list[str] = []
        self._modified = -1
        self._listed = 0

    def changed(self, path: str) -> bool:
        """Whether it has to be listed. A change within the clock's grain of a listing could hide, so a folder that
        changed lately is listed again."""
        now = time.time_ns()
        try:
            modified = os.stat(path).st_mtime_ns
        except (FileNotFoundError, NotADirectoryError):
            self.gone()
            return False
        if modified == self._modified and self._listed - modified > _SETTLED_NS:
            return False
        self._modified, self._listed = modified, now
        return True

    def gone(self) -> None:
        """It is not there any more; its files stay known."""
        self.other.clear()
        self.children.clear()
        self._modified = -1

    def tidy(self, path: str, oldest_ms: int | None) -> None:
        """Forget names that are not there any more; of files only those that are too old to count again."""
        try:
            names = set(os.listdir(path))
        except (FileNotFoundError, NotADirectoryError):
            names = set()
        self.other &= names
        self.children = [child for child in self.children if child.rpartition("/")[2] in names]
        if oldest_ms is not None:
            for name in [name for name, ms in self.known.items() if ms < oldest_ms and name not in names]:
                del self.known[name]


class Bucket:
    """How far the objects below one root are known, and whether new ones come in order.

    Args:
        last: the greatest path known.
    """

    def __init__(self, last: str) -> None:
        self._last = self._known = last
        self._in_order = False
        self._late = self._news = False
        self._since_full = 0

    def after(self, incremental: Incremental, due: bool) -> str | None:
        """Which objects to list: those after this path; None for all, as when a full listing is `due`."""
        self._known, self._late, self._news = self._last, False, False
        if incremental == "false" or not self._last or due:
            return None
        ready = self._in_order and self._since_full < FULL_EVERY - 1
        return self._last if incremental == "true" or ready else None

    def found(self, path: str) -> None:
        """An object that was not known."""
        self._news = True
        self._late = self._late or path < self._known
        self._last = max(self._last, path)

    def listed(self, after: str | None) -> None:
        """A listing is complete."""
        self._since_full = 0 if after is None else self._since_full + 1
        if after is None and self._known and self._news:
            self._in_order = not self._late
