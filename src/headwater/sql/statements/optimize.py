"""OPTIMIZE: small files of a Delta table are joined, and maybe sorted.

Invariant: clauses stand in Delta's order, each once.
"""

from __future__ import annotations

from headwater.plan.commands import Command, Optimize
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement


@statement("OPTIMIZE")
def optimize(reader: Reader) -> Command:
    """OPTIMIZE table | 'path' [FULL] [WHERE condition] [ZORDER BY (columns)]."""
    table = ("delta", reader.string()) if reader.at_string() else reader.names()
    full = reader.accept("FULL")
    condition = reader.expression() if reader.accept("WHERE") else None
    columns = _columns(reader) if reader.accept("ZORDER", "BY") else ()
    return Optimize(table, condition, columns, full)


def _columns(reader: Reader) -> tuple[str, ...]:
    """Columns, with or without parentheses around them, each as Spark prints it."""
    if reader.peek() == "(":
        return reader.listed(reader.quoted_names)
    found = [reader.quoted_names()]
    while reader.accept(","):
        found.append(reader.quoted_names())
    return tuple(found)
