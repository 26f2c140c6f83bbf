"""Keeping a Delta log short: checkpoints, and the clean-up of log files they make superfluous.

delta-rs writes the checkpoint, in the background, so a stream's commits do not wait for it. The distance between
checkpoints grows with the table, so the work per commit stays the same however many files there are.

Invariants: a checkpoint changes no version; a failure to write one is logged and never fails a commit; at most one
runs per table and process.
"""

from __future__ import annotations

import contextlib
import os
import re
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from headwater.io.paths import is_remote
from headwater.io.s3 import delta_options
from headwater.lake.features import PROTECTION
from headwater.lake.files import flush
from headwater.lake.log import LogState
from headwater.log import logger

if TYPE_CHECKING:
    from deltalake import DeltaTable

_DEFAULT_INTERVAL = 10
_FILES_PER_COMMIT = 50
_STALE_SECONDS = 3600
_DELTA_RS_LEFTOVER = re.compile(r"\.json#\d+$")

_running: dict[str, threading.Thread] = {}
_lock = threading.Lock()


def due(state: LogState) -> bool:
    """Whether the table should have a checkpoint at this version."""
    if state.metadata is None:
        return False
    return state.version - state.checkpoint >= interval(state.metadata.configuration, len(state.files))


def interval(configuration: Mapping[str, str], files: int) -> int:
    """Commits between checkpoints: the table's own `delta.checkpointInterval`, else 10 or a fiftieth of its files."""
    asked = configuration.get("delta.checkpointInterval", "")
    return int(asked) if asked.isdigit() and int(asked) > 0 else max(_DEFAULT_INTERVAL, files // _FILES_PER_COMMIT)


def start(path: str, state: LogState) -> None:
    """Write a checkpoint of the state's version, unless one is being written or the process is ending."""
    with _lock:
        if path in _running:
            return
        # Not a daemon: a thread that the interpreter abandons inside delta-rs crashes the process on its way out.
        worker = threading.Thread(target=_run, args=(path, state.version), name="headwater-checkpoint", daemon=False)
        try:
            worker.start()
        except RuntimeError:
            return
        _running[path] = worker
    state.checkpoint = state.version


def wait(path: str) -> None:
    """Return when no checkpoint of the table is being written."""
    with _lock:
        worker = _running.get(path)
    if worker is not None:
        worker.join()


def _run(path: str, version: int) -> None:
    try:
        write(path, version)
    except Exception:
        logger("lake").exception("No checkpoint of version %d of %s could be written", version, path)
    finally:
        with _lock:
            _running.pop(path, None)


def write(path: str, version: int) -> None:
    """Write the checkpoint of `version` and clean up log files older than the table keeps."""
    from deltalake import DeltaTable

    table = DeltaTable(path, version=version, storage_options=delta_options(path))
    table.create_checkpoint()
    if not is_remote(path):
        _flush(os.path.join(path, "_delta_log"), version)
    if _may_clean(table):
        table.cleanup_metadata()
    if not is_remote(path):
        _sweep(os.path.join(path, "_delta_log"))


def _may_clean(table: DeltaTable) -> bool:
    """Whether old log files may go: never those of a table whose older versions need features that it has dropped."""
    wanted = table.metadata().configuration.get("delta.enableExpiredLogCleanup", "true").lower() == "true"
    return wanted and PROTECTION not in (table.protocol().writer_features or ())


def _flush(log: str, version: int) -> None:
    for name in (f"{version:020}.checkpoint.parquet", "_last_checkpoint", ""):
        with contextlib.suppress(FileNotFoundError):
            flush(os.path.join(log, name))


def _sweep(folder: str) -> None:
    """Delete what killed commits left behind: temporary files that no running commit can still need."""
    for entry in os.scandir(folder):
        old = (entry.name.startswith(".") and entry.name.endswith(".tmp")) or _DELTA_RS_LEFTOVER.search(entry.name)
        if old and time.time() - entry.stat().st_mtime > _STALE_SECONDS:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(entry.path)
