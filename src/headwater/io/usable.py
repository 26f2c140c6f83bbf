"""Which of the listed files are read when the user wants missing or corrupt ones passed over.

`ignoreMissingFiles` and `ignoreCorruptFiles` are reader options; the settings `spark.sql.files.*` of the same names
are their defaults, as in Spark. To tell whether a file of Parquet, Avro or ORC is sound, all of it is read.

Invariants: without either wish every file is kept and none is opened; a file passed over is named in the log. A corrupt
file is passed over whole, where Spark would keep the rows before the damage.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pyarrow.parquet as pq

from headwater.io.formats.arrow_files import ArrowFiles
from headwater.io.formats.base import FormatOptions, formats
from headwater.io.routing import exists
from headwater.io.s3_files import opened, reading
from headwater.io.storage import FileStatus
from headwater.log import logger

_log = logger("io")
_CHUNK = 1 << 20


def ignores_missing(options: FormatOptions, settings: Mapping[str, str]) -> bool:
    """Whether files that have gone are passed over."""
    return _wish("ignoreMissingFiles", options, settings)


def usable(
    files: Sequence[FileStatus], file_format: str, options: FormatOptions, settings: Mapping[str, str]
) -> tuple[FileStatus, ...]:
    """The files to read, in order."""
    kept = list(files)
    if ignores_missing(options, settings):
        kept = [file for file in kept if _told(exists(file.path), file, "it has gone")]
    if _wish("ignoreCorruptFiles", options, settings):
        kept = [file for file in kept if _told(_sound(file.path, file_format), file, "it is corrupt")]
    return tuple(kept)


def _wish(name: str, options: FormatOptions, settings: Mapping[str, str]) -> bool:
    default = str(settings.get(f"spark.sql.files.{name}", "false")).lower() == "true"
    return options.flag(name, default)


def _told(keep: bool, file: FileStatus, reason: str) -> bool:
    if not keep:
        _log.warning("skipped the file %s: %s", file.uri or file.path, reason)
    return keep


def _sound(path: str, file_format: str) -> bool:
    """Whether the file can be read to its end. A file that has gone is not corrupt: the scan says so."""
    try:
        found = formats.get(file_format)
        if file_format == "parquet":
            _read_all(pq.ParquetFile(opened(path), page_checksum_verification=True).iter_batches())
        elif isinstance(found, ArrowFiles):
            file = FileStatus(path, -1, 0)
            stored = found.stored(file, FormatOptions())
            _read_all(found.batches(file, stored, stored.names, FormatOptions()))
        elif path.endswith(".gz"):
            with reading(path) as stream:
                while stream.read(_CHUNK):
                    pass
    except FileNotFoundError:
        return True
    except Exception:  # whatever stumbles over it
        return False
    return True


def _read_all(batches: Iterable[object]) -> None:
    for _ in batches:
        pass
