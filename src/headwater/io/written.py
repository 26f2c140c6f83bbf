"""The files that a file sink has committed to a folder, from its log `_spark_metadata`.

Invariant: a folder with such a log holds exactly the files the log lists; what else lies there is left over from
a batch that did not finish.
"""

from __future__ import annotations

from collections.abc import Iterable

from headwater.io.compact_log import CompactLog, Line
from headwater.io.listing import is_glob
from headwater.io.mounts import Mounts, decode_uri
from headwater.io.storage import FileStatus, Storage

LOG_FOLDER = "_spark_metadata"


def written_files(storage: Storage, mounts: Mounts, path: str) -> tuple[FileStatus, ...] | None:
    """The committed files of the folder `path`, or None if no file sink wrote it."""
    if is_glob(path):
        return None
    folder = f"{mounts.local(path)}/{LOG_FOLDER}"
    if not storage.exists(folder):
        return None
    return tuple(_statuses(CompactLog(storage, folder, from_any=True).lines(), mounts))


def _statuses(lines: Iterable[Line], mounts: Mounts) -> Iterable[FileStatus]:
    for line in lines:
        uri = decode_uri(line["path"])
        if line.get("action", "add") == "add" and not line.get("isDir", False):
            yield FileStatus(mounts.local(uri), int(line["size"]), int(line["modificationTime"]), uri)
