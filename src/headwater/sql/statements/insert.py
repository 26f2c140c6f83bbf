"""INSERT INTO and INSERT OVERWRITE, into tables and directories.

Invariant: a parenthesis after the table name is a column list unless a query starts in it.
"""

from __future__ import annotations

from typing import Any

from headwater.errors import unsupported
from headwater.plan.commands import Command, Insert, Write
from headwater.plan.expressions import Expression
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement

_AFTER_NAME = ("PARTITION", "BY", "REPLACE")


@statement("INSERT")
def insert(reader: Reader) -> Command:
    """INSERT [WITH SCHEMA EVOLUTION] INTO | OVERWRITE [TABLE] name [[AS] alias] [PARTITION (…)] [(columns) | BY NAME] …

    … [REPLACE WHERE | USING | ON …] query. Also INSERT OVERWRITE DIRECTORY 'path' USING …
    """
    evolve = reader.accept("WITH", "SCHEMA", "EVOLUTION")
    word = reader.accept_any("INTO", "OVERWRITE") or reader.fail()
    overwrite = word == "OVERWRITE"
    local = reader.accept("LOCAL")
    if not evolve and reader.accept("DIRECTORY"):
        return _directory(reader)
    if local:
        reader.fail()
    reader.accept("TABLE")
    name, alias = reader.names(), _alias(reader)
    partition = () if alias else _partition(reader)
    columns, by_name = _matching(reader)
    replaced: dict[str, Any] = {}
    if not overwrite and not partition and reader.accept("REPLACE"):
        replaced = _replaced(reader)
    if alias and "replace_on" not in replaced:
        reader.fail()
    if "replace_on" in replaced:
        replaced["alias"] = alias
        query = reader.table() if reader.peek() == "(" else reader.query()
    else:
        query = reader.query()
    return Insert(name, query, columns, overwrite, by_name, partition, evolve=evolve, **replaced)


def _alias(reader: Reader) -> str | None:
    """The name that the condition of REPLACE ON uses for the table."""
    if reader.accept("AS"):
        return reader.name()
    return None if reader.at_query() or reader.peek() in _AFTER_NAME else reader.name()


def _partition(reader: Reader) -> tuple[tuple[str, Expression | None], ...]:
    """`PARTITION (a = 1, b)`."""
    if not reader.accept("PARTITION"):
        return ()
    found = reader.listed(lambda: _value(reader))
    if reader.exists(negated=True):
        raise unsupported("INSERT OVERWRITE … IF NOT EXISTS", "Ask for the partition first.")
    return found


def _value(reader: Reader) -> tuple[str, Expression | None]:
    name = reader.name()
    return name, reader.expression() if reader.accept_any("=", "==") else None


def _matching(reader: Reader) -> tuple[tuple[str, ...], bool]:
    """The column list, or BY NAME."""
    if reader.accept("BY", "NAME"):
        return (), True
    if reader.peek() == "(" and reader.peek(1) not in ("SELECT", "WITH", "VALUES", "FROM", "TABLE", "("):
        return reader.name_list(), False
    return (), False


def _replaced(reader: Reader) -> dict[str, Any]:
    if reader.accept("WHERE"):
        return {"replace_where": reader.expression()}
    if reader.accept("USING"):
        return {"replace_using": reader.name_list()}
    reader.expect("ON")
    return {"replace_on": reader.condition_before_query()}


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
