"""RESTORE: a Delta table is put back to an older version.

Invariant: exactly one of version and time is given, as a constant.
"""

from __future__ import annotations

from typing import NamedTuple

from headwater.plan.commands import Command, Restore
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement


class TimeTravel(NamedTuple):
    """A version or a time of a table; both None: its newest version."""

    version: int | None = None
    timestamp: str | None = None


@statement("RESTORE")
def restore(reader: Reader) -> Command:
    """RESTORE [TABLE] table [TO] VERSION | TIMESTAMP AS OF constant."""
    reader.accept("TABLE")
    table = reader.names()
    reader.accept("TO")
    when = time_travel(reader)
    if when == TimeTravel():
        reader.fail()
    return Restore(table, when.version, when.timestamp)


def time_travel(reader: Reader) -> TimeTravel:
    """[FOR] [SYSTEM_]VERSION | [SYSTEM_]TIMESTAMP|TIME AS OF constant, or nothing."""
    reader.accept("FOR")
    kind = reader.accept_any("VERSION", "SYSTEM_VERSION", "TIMESTAMP", "SYSTEM_TIME")
    if not kind:
        return TimeTravel()
    reader.expect("AS", "OF")
    text = reader.constant()
    if kind in ("TIMESTAMP", "SYSTEM_TIME"):
        return TimeTravel(timestamp=text)
    if not text.lstrip("-").isdigit():
        reader.fail()
    return TimeTravel(int(text))
