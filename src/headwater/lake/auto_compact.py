"""Auto-compaction: after a write, small files that have piled up in a partition are joined, as a commit of its own.

It runs where the write ran, so a stream that writes faster than its files can be joined waits for them instead of
drowning in small ones.

Invariants: off unless the session or the table says so; what it cannot do is logged and never fails the write, which
is committed already; somebody else's commit comes first.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from headwater.duck import Connection, DuckError
from headwater.errors import IllegalArgumentError, SparkError
from headwater.lake.actions import AddFile
from headwater.lake.file_sizes import Limits, Lookup, size_bytes
from headwater.lake.optimize import Optimize, Report, optimize, small_files
from headwater.lake.table import LakeTable
from headwater.log import logger

PROPERTY = "delta.autoOptimize.autoCompact"
_PREFIX = "spark.databricks.delta.autoCompact."
_LARGE = 128 << 20
_LEAST_FILES = 50


@dataclass(frozen=True)
class Rule:
    """When files are joined. `least_files`: so many small ones in a partition."""

    limits: Limits = field(default_factory=lambda: Limits(_LARGE // 2, _LARGE))
    least_files: int = _LEAST_FILES

    def due(self, files: Sequence[AddFile]) -> bool:
        """Whether a partition has enough small files."""
        return len(files) >= self.least_files and bool(small_files(files, self.limits, self.least_files))


def rule_of(settings: Lookup, properties: Mapping[str, str]) -> Rule | None:
    """The rule for a table, or None if its files are left alone. Raises DELTA_ILLEGAL_OPTION.

    The session's `spark.databricks.delta.autoCompact.enabled` comes before the table's property.
    """
    asked = settings(_PREFIX + "enabled")
    key, value = (PROPERTY, properties.get(PROPERTY, "false")) if asked is None else (_PREFIX + "enabled", asked)
    if value.lower() not in ("true", "false", "auto", "legacy"):
        raise IllegalArgumentError("DELTA_ILLEGAL_OPTION", name=key, input=value, explain="must be true or false")
    if value.lower() == "false":
        return None
    large = _size(settings, "maxFileSize", _LARGE)
    small = _size(settings, "minFileSize", large // 2)
    least = settings(_PREFIX + "minNumFiles") or str(_LEAST_FILES)
    if not least.isdigit() or int(least) < 2:
        explain = "must be an integer greater than 1"
        raise IllegalArgumentError("DELTA_ILLEGAL_OPTION", name=_PREFIX + "minNumFiles", input=least, explain=explain)
    return Rule(Limits(small, large), int(least))


def _size(settings: Lookup, name: str, otherwise: int) -> int:
    value = settings(_PREFIX + name)
    return otherwise if value is None else max(1, size_bytes(_PREFIX + name, value))


def compact(table: LakeTable, connection: Connection, rule: Rule) -> Report | None:
    """Join the table's small files if it is time; None if it was not, or did not work out."""
    if not rule.due(table.snapshot().files):
        return None
    try:
        return optimize(table, connection, Optimize(auto=True, limits=rule.limits, least_files=rule.least_files))
    except (SparkError, DuckError, OSError):
        logger("lake").warning("The small files of %s were not joined", table.path, exc_info=True)
        return None
