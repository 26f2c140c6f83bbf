"""VACUUM: files that a Delta table no longer needs are deleted.

Invariant: clauses stand in Delta's order, each once.
"""

from __future__ import annotations

from headwater.errors import unsupported
from headwater.plan.commands import Command, Vacuum
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement


@statement("VACUUM")
def vacuum(reader: Reader) -> Command:
    """VACUUM table | 'path' [FULL | LITE] [RETAIN n HOURS] [DRY RUN]."""
    table = ("delta", reader.string()) if reader.at_string() else reader.names()
    kind = reader.accept_any("FULL", "LITE")
    if reader.peek() == "USING":
        raise unsupported("VACUUM … USING INVENTORY", "Leave the inventory out: the table's folder is listed.")
    hours = None
    if reader.accept("RETAIN"):
        hours = _hours(reader)
        reader.expect("HOURS")
    return Vacuum(table, hours, reader.accept("DRY", "RUN"), kind == "LITE")


def _hours(reader: Reader) -> float:
    try:
        return float(reader.constant())
    except ValueError:
        reader.fail()
