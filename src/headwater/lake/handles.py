"""Handles on Delta tables that statements share, so that each of them does not read the log from its beginning.

Invariants: a handle is given out at the newest version; a table that was dropped and made again in its folder gets a
new handle. Who needs a version that nobody else moves (a stream) opens a handle of its own.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from weakref import WeakKeyDictionary

from headwater.clock import Clock
from headwater.io.paths import absolute
from headwater.io.storage import Storage
from headwater.lake.table import LakeTable

_MOST = 64

_kept: WeakKeyDictionary[Storage, OrderedDict[str, LakeTable]] = WeakKeyDictionary()
_lock = threading.Lock()


def shared(path: str, storage: Storage, clock: Clock) -> LakeTable:
    """As `LakeTable.at`: a handle on `path`, whether or not a table is there.

    Each storage keeps the handles of the tables that were used last.
    """
    key = absolute(path)
    with _lock:
        table = _kept.setdefault(storage, OrderedDict()).get(key)
    if table is not None and table.clock is clock and table.log.is_current(table.version):
        table.refresh()
    else:
        table = LakeTable.at(path, storage, clock)
    with _lock:
        tables = _kept.setdefault(storage, OrderedDict())
        tables[key] = table
        tables.move_to_end(key)
        if len(tables) > _MOST:
            tables.popitem(last=False)
    return table
