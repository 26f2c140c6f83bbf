"""ALTER TABLE: one change of a table's definition.

The kinds of change and their arguments:

    add columns         columns: (names, field, position) each       alter column     column, comment?, nullable?,
    rename column       column, name                                                  position?, type?
    set default         column, expression (None: drop)              sync identity    column
    drop columns        columns                                      add constraint   name, expression
    set properties      properties                                   drop constraint  name, if_exists
    unset properties    keys                                         rename           name
    set location        location                                     cluster by       columns (empty: none)
    drop feature        feature, truncate

Invariant: a change that is not here is refused by its words.
"""

from __future__ import annotations

from typing import NoReturn

from headwater.errors import unsupported
from headwater.plan.commands import AlterTable, Command
from headwater.sql.columns import column, position
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement
from headwater.types.ddl import parse_type


@statement("ALTER")
def alter(reader: Reader) -> Command:
    """ALTER TABLE name ADD | ALTER | CHANGE | RENAME | DROP | SET | UNSET …"""
    if not reader.accept("TABLE"):
        raise unsupported(f"ALTER {reader.peek()}", "Create it again.")
    table = reader.names()
    word = reader.accept_any(*_KINDS)
    if not word:
        _refuse(reader, "")
    change, arguments = _KINDS[word](reader)
    return AlterTable(table, change, tuple(arguments.items()))


_Change = tuple[str, dict[str, object]]


def _add(reader: Reader) -> _Change:
    if reader.accept("CONSTRAINT"):
        name = reader.name()
        if not reader.accept("CHECK"):
            _refuse(reader, "ADD CONSTRAINT …")
        return "add constraint", {"name": name, "expression": reader.enclosed().strip()}
    if not reader.accept_any("COLUMNS", "COLUMN"):
        _refuse(reader, "ADD")
    if reader.peek() == "(":
        return "add columns", {"columns": reader.listed(lambda: _new_column(reader))}
    columns = [_new_column(reader)]
    while reader.accept(","):
        columns.append(_new_column(reader))
    return "add columns", {"columns": tuple(columns)}


def _new_column(reader: Reader) -> tuple[object, ...]:
    return (*column(reader), position(reader))


def _cluster(reader: Reader) -> _Change:
    if reader.accept("AUTO"):
        raise unsupported("CLUSTER BY AUTO", "Name the columns.")
    return "cluster by", {"columns": () if reader.accept("NONE") else reader.listed(reader.quoted_names)}


def _alter(reader: Reader) -> _Change:
    reader.accept("COLUMN")
    path = reader.names()
    found: dict[str, object] = {"column": path}
    if reader.accept("TYPE"):
        return "alter column", {**found, "type": parse_type(reader.until())}
    if reader.accept("COMMENT"):
        return "alter column", {**found, "comment": reader.string()}
    if reader.accept("SET", "NOT", "NULL"):
        return "alter column", {**found, "nullable": False}
    if reader.accept("DROP", "NOT", "NULL"):
        return "alter column", {**found, "nullable": True}
    if reader.accept("SET", "DEFAULT"):
        return "set default", {**found, "expression": reader.rest()}
    if reader.accept("DROP", "DEFAULT"):
        return "set default", {**found, "expression": None}
    if reader.accept("SYNC", "IDENTITY"):
        return "sync identity", found
    where = position(reader)
    if where is None:
        _refuse(reader, "ALTER COLUMN …")
    return "alter column", {**found, "position": where}


def _change(reader: Reader) -> _Change:
    """Hive's form: CHANGE COLUMN name name type [COMMENT 'text'] [FIRST | AFTER name]; or as ALTER COLUMN."""
    reader.accept("COLUMN")
    if reader.peek(1) in ("TYPE", "COMMENT", "SET", "DROP", "FIRST", "AFTER", "."):
        return _alter(reader)
    old = reader.names()
    _, field = column(reader)
    if field.name.lower() != old[-1].lower():
        return "rename column", {"column": old, "name": field.name}
    found: dict[str, object] = {"column": old, "type": field.dataType}
    if "comment" in field.metadata:
        found["comment"] = field.metadata["comment"]
    where = position(reader)
    return "alter column", found if where is None else {**found, "position": where}


def _rename(reader: Reader) -> _Change:
    if reader.accept("TO"):
        return "rename", {"name": reader.names()}
    if not reader.accept("COLUMN"):
        _refuse(reader, "RENAME")
    path = reader.names()
    reader.expect("TO")
    return "rename column", {"column": path, "name": reader.name()}


def _drop(reader: Reader) -> _Change:
    if reader.accept("FEATURE"):
        feature = reader.string() if reader.at_string() else reader.name()
        return "drop feature", {"feature": feature, "truncate": reader.accept("TRUNCATE", "HISTORY")}
    if reader.accept("CONSTRAINT"):
        if_exists = reader.exists()
        return "drop constraint", {"name": reader.name(), "if_exists": if_exists}
    if not reader.accept_any("COLUMNS", "COLUMN"):
        _refuse(reader, "DROP")
    if_exists = reader.exists()
    columns = reader.listed(reader.names) if reader.peek() == "(" else (reader.names(),)
    return "drop columns", {"columns": columns, "if_exists": if_exists}


def _set(reader: Reader) -> _Change:
    if reader.accept("TBLPROPERTIES"):
        return "set properties", {"properties": reader.properties()}
    if reader.accept("LOCATION"):
        return "set location", {"location": reader.string()}
    return _refuse(reader, "SET")


def _unset(reader: Reader) -> _Change:
    if not reader.accept("TBLPROPERTIES"):
        _refuse(reader, "UNSET")
    reader.exists()
    return "unset properties", {"keys": reader.listed(lambda: _key(reader))}


def _key(reader: Reader) -> str:
    return reader.string() if reader.at_string() else ".".join(reader.names())


def _refuse(reader: Reader, before: str) -> NoReturn:
    if reader.done():
        reader.fail()
    raise unsupported(" ".join(filter(None, ("ALTER TABLE …", before, reader.peek()))))


_KINDS = {
    "ADD": _add,
    "ALTER": _alter,
    "CLUSTER BY": _cluster,
    "CHANGE": _change,
    "RENAME": _rename,
    "DROP": _drop,
    "SET": _set,
    "UNSET": _unset,
}
