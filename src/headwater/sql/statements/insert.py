"""INSERT INTO and INSERT OVERWRITE, into tables and directories.

Invariant: a parenthesis after the table name is a column list unless a query starts in it.
"""

from __future__ import annotations

from headwater.errors import unsupported
from headwater.plan.commands import Command, Insert, Write
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement


@statement("INSERT")
def insert(reader: Reader) -> Command:
    """INSERT INTO | OVERWRITE [TABLE] name [(columns) | BY NAME] query; INSERT OVERWRITE DIRECTORY 'path' USING …"""
    word = reader.accept_any("INTO", "OVERWRITE") or reader.fail()
    overwrite = word == "OVERWRITE"
    local = reader.accept("LOCAL")
    if reader.accept("DIRECTORY"):
        return _directory(reader)
    if local:
        reader.fail()
    reader.accept("TABLE")
    name = reader.names()
    if reader.peek() in ("PARTITION", "REPLACE", "WITH") and reader.peek(1) in ("(", "WHERE", "USING", "SCHEMA"):
        raise unsupported(
            f"INSERT … {reader.peek()} {reader.peek(1)}", "Use df.write with partitionBy or replaceWhere."
        )
    by_name = reader.accept("BY", "NAME")
    columns: tuple[str, ...] = ()
    if reader.peek() == "(" and reader.peek(1) not in ("SELECT", "WITH", "VALUES", "FROM", "TABLE", "("):
        columns = reader.name_list()
    return Insert(name, reader.query(), columns, overwrite, by_name)


def _directory(reader: Reader) -> Command:
    path = reader.string() if reader.at_string() else None
    if not reader.accept("USING"):
        raise unsupported("INSERT OVERWRITE DIRECTORY without USING")
    provider = ".".join(reader.names()).lower()
    options = reader.properties() if reader.accept("OPTIONS") else ()
    if path is None:
        path = next((value for key, value in options if key.lower() == "path"), None)
    others = tuple((key, value) for key, value in options if key.lower() != "path")
    return Write(reader.query(), provider, "overwrite", path=path, options=others)
