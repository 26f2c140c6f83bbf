"""DROP TABLE, VIEW, SCHEMA; TRUNCATE TABLE.

Invariant: TRUNCATE is an overwrite with no rows, so it goes through the table's log like any write.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql.types import BooleanType

from headwater.errors import unsupported
from headwater.plan.commands import Command, DropObject, Insert
from headwater.plan.expressions import Literal
from headwater.plan.relations import Filter, ReadTable
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement

_KINDS: dict[str, Any] = {
    "TABLE": "table",
    "VIEW": "view",
    "SCHEMA": "schema",
    "DATABASE": "schema",
    "NAMESPACE": "schema",
}


@statement("DROP")
def drop(reader: Reader) -> Command:
    """DROP TABLE | VIEW | SCHEMA [IF EXISTS] name [PURGE | CASCADE | RESTRICT]."""
    word = reader.accept_any(*_KINDS)
    if not word:
        raise unsupported(f"DROP {reader.peek()}")
    if_exists = reader.exists()
    name = reader.names()
    cascade = reader.accept_any("CASCADE", "RESTRICT", "PURGE") == "CASCADE"
    return DropObject(_KINDS[word], name, if_exists, cascade)


@statement("TRUNCATE")
def truncate(reader: Reader) -> Command:
    """TRUNCATE TABLE name."""
    reader.expect("TABLE")
    name = reader.names()
    if reader.peek() == "PARTITION":
        raise unsupported("TRUNCATE TABLE … PARTITION", "Overwrite with the option replaceWhere.")
    return Insert(name, Filter(ReadTable(name), Literal(False, BooleanType())), overwrite=True)
