"""How large the data files of a Delta table become: what options, settings and table properties ask for.

Names are Delta's and Spark's: `maxRecordsPerFile`, `optimizeWrite`, `delta.autoOptimize.optimizeWrite`,
`delta.targetFileSize`, `spark.databricks.delta.optimize.maxFileSize`.

Invariants: pure; a value that is no number, size or truth is an error, never passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from headwater.errors import IllegalArgumentError

Lookup = Callable[[str], str | None]
"""A setting's value by its key; None if it is not set."""

OPTIMIZE_WRITE = "delta.autoOptimize.optimizeWrite"
TARGET_SIZE = "delta.targetFileSize"
_BIN_SIZE = "spark.databricks.delta.optimizeWrite.binSize"
_GIGABYTE = 1 << 30
_OPTIMIZED_BYTES = 512 << 20
_UNITS = {"": 0, "b": 0, "k": 10, "kb": 10, "m": 20, "mb": 20, "g": 30, "gb": 30, "t": 40, "tb": 40}
_SIZE = re.compile(r"\s*(\d+)\s*([a-z]*)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Sizes:
    """Where a write begins a new file.

    Attributes:
        records: the most rows of a file; None: any number.
        bytes: a file that has grown to about this size is ended; None: at no size.
        in_order: the rows come sorted and belong to one partition, so each file takes the next rows.
    """

    records: int | None = None
    bytes: int | None = None
    in_order: bool = False


def of_write(options: Mapping[str, str], settings: Lookup, properties: Mapping[str, str]) -> Sizes:
    """The sizes for a write.

    Args:
        options: the writer's, by lower-case name. settings: the session's. properties: the table's.

    A write makes one file per partition already, so all that optimised writes change is where a file ends. Raises
    for values that cannot be read.
    """
    asked = options.get("maxrecordsperfile") or settings("spark.sql.files.maxRecordsPerFile") or "0"
    records = _number("maxRecordsPerFile", asked)
    return Sizes(records if records > 0 else None, _write_bytes(options, settings, properties))


def _write_bytes(options: Mapping[str, str], settings: Lookup, properties: Mapping[str, str]) -> int | None:
    optimized = is_on(
        ("optimizeWrite", options.get("optimizewrite")),
        ("spark.databricks.delta.optimizeWrite.enabled", settings("spark.databricks.delta.optimizeWrite.enabled")),
        (OPTIMIZE_WRITE, properties.get(OPTIMIZE_WRITE)),
    )
    target = properties.get(TARGET_SIZE)
    if target is not None:
        return size_bytes(TARGET_SIZE, target)
    if not optimized:
        return None
    asked = settings(_BIN_SIZE)
    return _OPTIMIZED_BYTES if asked is None else size_bytes(_BIN_SIZE, asked)


@dataclass(frozen=True)
class Limits:
    """Which files OPTIMIZE looks at.

    Attributes:
        small: files smaller than this many bytes are joined. large: what they are joined to, at most about.
    """

    small: int = _GIGABYTE
    large: int = _GIGABYTE


def of_optimize(settings: Lookup, properties: Mapping[str, str]) -> Limits:
    """The limits for OPTIMIZE: the settings `spark.databricks.delta.optimize.*`, else the table's target size."""
    target = properties.get(TARGET_SIZE)
    usual = _GIGABYTE if target is None else size_bytes(TARGET_SIZE, target)
    found = {}
    for name in ("minFileSize", "maxFileSize"):
        key = f"spark.databricks.delta.optimize.{name}"
        value = settings(key)
        found[name] = usual if value is None else size_bytes(key, value)
    return Limits(found["minFileSize"], max(1, found["maxFileSize"]))


def is_on(*values: tuple[str, str | None]) -> bool:
    """The truth that the first value which is there tells; False if none is. Raises if it is none."""
    for key, value in values:
        if value is not None:
            if value.lower() not in ("true", "false"):
                raise _illegal(key, value, "must be true or false")
            return value.lower() == "true"
    return False


def size_bytes(key: str, text: str) -> int:
    """A size such as `1024`, `64mb`, `1g`, in bytes. Raises for anything else."""
    match = _SIZE.fullmatch(text)
    if match is None or match[2].lower() not in _UNITS:
        raise _illegal(key, text, "must be a size such as 1073741824, 512mb or 1g")
    return int(match[1]) << _UNITS[match[2].lower()]


def _number(key: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _illegal(key, text, "must be an integer") from None


def _illegal(key: str, text: str, explain: str) -> IllegalArgumentError:
    return IllegalArgumentError("DELTA_ILLEGAL_OPTION", name=key, input=text, explain=explain)
