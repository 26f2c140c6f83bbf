"""CREATE TABLE … CLONE: a table that begins as another one is.

Invariant: a word that is neither SHALLOW nor DEEP means DEEP, as on Databricks.
"""

from __future__ import annotations

from dataclasses import replace

from headwater.plan.commands import CloneTable, Command
from headwater.sql.reader import Reader
from headwater.sql.statements.restore import time_travel


def clone(reader: Reader, begun: CloneTable) -> Command:
    """… [SHALLOW | DEEP] CLONE source [VERSION | TIMESTAMP AS OF constant] [TBLPROPERTIES (…)] [LOCATION 'path']."""
    kind = reader.accept_any("SHALLOW", "DEEP")
    reader.expect("CLONE")
    source = reader.names()
    when = time_travel(reader)
    made = replace(begun, source=source, shallow=kind == "SHALLOW", version=when.version, timestamp=when.timestamp)
    while not reader.done():
        if reader.accept("TBLPROPERTIES"):
            made = replace(made, properties=reader.properties())
        elif reader.accept("LOCATION"):
            made = replace(made, location=reader.string())
        else:
            reader.fail()
    return made
