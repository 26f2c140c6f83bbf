"""The rows of one state variable for the groups at hand, and what has become of them.

A cell has a group (its number in the batch), a key within the group (nothing for a value, the position in a list, the
user's key in a map) and the time it expires.

Invariants: cells are loaded when the first one is asked for; a cell that has expired is not seen; `taken` gives each
changed cell once, as it is at last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from headwater.udf.values import Kept


class Cell(NamedTuple):
    """A kept value and when it expires, in milliseconds; None: never."""

    value: Kept
    expires: int | None = None


Key = Any
"""Hashable: (), a position, or a frozen map key."""
Loaded = tuple[int, Key, Cell]
Change = tuple[int, Key, Cell, bool]
"""Group, key, the cell as it is or was at last, and whether it is gone."""


class Cells:
    """See the module.

    Args:
        now: the batch's time; cells that expire at or before it are gone.
    """

    def __init__(self, now: int) -> None:
        self._now = now
        self._load: Callable[[], Iterable[Loaded]] | None = None
        self._groups: dict[int, dict[Key, Cell]] = {}
        self._changed: dict[tuple[int, Key], Cell] = {}

    def begin(self, load: Callable[[], Iterable[Loaded]]) -> None:
        """Turn to other groups: `load` gives all their cells."""
        self._load = load
        self._groups = {}
        self._changed = {}

    def of(self, group: int) -> dict[Key, Cell]:
        """The cells of a group that have not expired; not to be changed."""
        if self._load is not None:
            load, self._load = self._load, None
            for number, key, cell in load():
                if cell.expires is None or cell.expires > self._now:
                    self._groups.setdefault(number, {})[key] = cell
        return self._groups.get(group) or {}

    def put(self, group: int, key: Key, cell: Cell) -> None:
        """Set a cell."""
        self.of(group)
        self._groups.setdefault(group, {})[key] = cell
        self._changed[group, key] = cell

    def remove(self, group: int, key: Key) -> bool:
        """Remove a cell; whether it was there."""
        if key not in self.of(group):
            return False
        self._changed[group, key] = self._groups[group].pop(key)
        return True

    def clear(self, group: int) -> int:
        """Remove all cells of a group; how many there were."""
        keys = list(self.of(group))
        for key in keys:
            self.remove(group, key)
        return len(keys)

    def all(self) -> Iterator[tuple[int, Key]]:
        """Group and key of every cell that is loaded."""
        for group, cells in self._groups.items():
            for key in cells:
                yield group, key

    def taken(self) -> Iterator[Change]:
        """What has changed since the last time."""
        changed, self._changed = self._changed, {}
        for (group, key), cell in changed.items():
            yield group, key, cell, key not in self._groups.get(group, {})
