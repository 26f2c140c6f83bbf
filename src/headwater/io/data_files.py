"""Names of written data files and partition folders, as Spark names them.

Invariant: what is escaped here, `io.partitions` reads back.
"""

from __future__ import annotations

import os
from urllib.parse import unquote

from headwater.io.formats.base import FormatOptions

EXTENSIONS = {"parquet": ".parquet", "csv": ".csv", "json": ".json", "text": ".txt"}
_SUFFIXES = {"gzip": ".gz", "zstd": ".zst", "snappy": ".snappy", "lz4": ".lz4", "uncompressed": "", "none": ""}
_ESCAPED = frozenset("\"#%'*/:=?\\\x7f{[]^") | {chr(code) for code in range(1, 32)}


def extension(name: str, options: FormatOptions) -> str:
    """What file names end with: `.snappy.parquet`, `.json`, `.csv.gz`."""
    codec = options.text("compression", options.text("codec", "snappy" if name == "parquet" else "none")).lower()
    codec = codec.rpartition(".")[2]
    mark = _SUFFIXES.get(codec, f".{codec}")
    return mark + EXTENSIONS[name] if name == "parquet" else EXTENSIONS[name] + mark


def escape(value: str) -> str:
    """A partition value as Spark names its folder."""
    return "".join(f"%{ord(c):02X}" if c in _ESCAPED else c for c in value)


def spark_folder(relative: str) -> str:
    """A partition folder as DuckDB names it, renamed as Spark would: DuckDB escapes more; both read either form."""
    if relative == ".":
        return ""
    parts = (part.partition("=") for part in relative.split(os.sep))
    return os.path.join(*(f"{escape(unquote(name))}={escape(unquote(value))}" for name, _, value in parts))
