"""SHOW …, DESCRIBE …, EXPLAIN.

Invariant: `kind` of a `Show` is the statement's own words in lower case, with SCHEMAS for its synonyms.
"""

from __future__ import annotations

from headwater.errors import AnalysisError, ParseError, unsupported
from headwater.plan.commands import Command, Describe, Explain, Options, Show
from headwater.plan.relations import Relation
from headwater.sql.reader import Reader
from headwater.sql.statements.base import MISSING, statement, statements

_LISTS = {"TABLES": "tables", "VIEWS": "views", "SCHEMAS": "schemas", "DATABASES": "schemas", "NAMESPACES": "schemas"}
_MODES = ("EXTENDED", "FORMATTED", "CODEGEN", "COST", "LOGICAL")


@statement("SHOW")
def show(reader: Reader) -> Command:
    """SHOW TABLES | VIEWS | SCHEMAS | COLUMNS | TBLPROPERTIES | FUNCTIONS | CATALOGS | CREATE TABLE | PARTITIONS …

    … | TABLE EXTENDED [IN schema] LIKE pattern [PARTITION (…)].
    """
    word = reader.accept_any(*_LISTS)
    if word:
        return Show(_LISTS[word], *_place_and_pattern(reader))
    if reader.accept("CATALOGS"):
        return Show("catalogs", *_place_and_pattern(reader))
    if reader.accept("COLUMNS"):
        return _columns(reader)
    if reader.accept("TBLPROPERTIES"):
        return _properties(reader)
    if reader.accept("CREATE", "TABLE"):
        return Show("create table", reader.names())
    if reader.accept("PARTITIONS"):
        return Show("partitions", reader.names(), partition=_partition(reader))
    if reader.accept("TABLE", "EXTENDED"):
        name, pattern = _place_and_pattern(reader)
        return Show("table extended", name, pattern or reader.fail(), _partition(reader))
    if reader.accept("CURRENT"):
        reader.accept_any("SCHEMA", "NAMESPACE", "DATABASE") or reader.fail()
        return Show("current schema")
    return _functions(reader)


def _place_and_pattern(reader: Reader) -> tuple[tuple[str, ...], str | None]:
    name = reader.names() if reader.accept_any("FROM", "IN") else ()
    like = reader.accept("LIKE")
    return name, reader.string() if like or reader.at_string() else None


def _partition(reader: Reader) -> Options:
    """`PARTITION (a = 1, b = 'x')`."""
    return reader.listed(lambda: _value(reader)) if reader.accept("PARTITION") else ()


def _value(reader: Reader) -> tuple[str, str]:
    name = reader.name()
    reader.accept_any("=", "==") or reader.fail()
    return name, reader.constant()


def _columns(reader: Reader) -> Command:
    reader.accept_any("FROM", "IN") or reader.fail()
    name = reader.names()
    if reader.accept_any("FROM", "IN"):
        name = (*reader.names(), name[-1])
    return Show("columns", name)


def _properties(reader: Reader) -> Command:
    name = reader.names()
    if not reader.accept("("):
        return Show("tblproperties", name)
    key = reader.string() if reader.at_string() else ".".join(reader.names())
    reader.expect(")")
    return Show("tblproperties", name, key)


def _functions(reader: Reader) -> Command:
    which = reader.accept_any("USER", "SYSTEM", "ALL")
    if not reader.accept("FUNCTIONS"):
        raise unsupported(f"SHOW {which} {reader.peek()}".replace("  ", " "))
    kind = f"{which.lower()} functions" if which else "functions"
    name, pattern = _place_and_pattern(reader)
    if pattern is None and not reader.done():
        pattern = ".".join(reader.names())
    return Show(kind, name, pattern)


@statement("DESCRIBE", "DESC")
def describe(reader: Reader) -> Command:
    """DESCRIBE [TABLE | QUERY | FUNCTION | SCHEMA | HISTORY | DETAIL] [EXTENDED | FORMATTED] …

    A table's name may be followed by PARTITION (…) or a column.
    """
    if reader.accept("HISTORY"):
        return Describe("history", _delta(reader), limit=_limit(reader))
    if reader.accept("DETAIL"):
        return Describe("detail", _delta(reader))
    if reader.accept("FUNCTION"):
        extended = reader.accept("EXTENDED")
        return Describe(
            "function", (reader.string(),) if reader.at_string() else _function_name(reader), None, extended
        )
    if reader.accept_any("SCHEMA", "DATABASE", "NAMESPACE"):
        extended = reader.accept("EXTENDED")
        return Describe("schema", reader.names(), None, extended)
    if reader.accept("QUERY") or reader.peek() in ("SELECT", "WITH", "VALUES", "FROM"):
        return Describe("query", query=reader.query())
    return _table(reader)


def _delta(reader: Reader) -> tuple[str, ...]:
    """A table's name, or the path of a Delta table as a string."""
    return ("delta", reader.string()) if reader.at_string() else reader.names()


def _limit(reader: Reader) -> int | None:
    if not reader.accept("LIMIT"):
        return None
    text = reader.constant()
    return int(text) if text.isdigit() else reader.fail()


def _function_name(reader: Reader) -> tuple[str, ...]:
    if reader.peek() and not (reader.peek()[0].isalpha() or reader.peek()[0] == "_"):
        return (reader.rest(),)
    return reader.names()


def _table(reader: Reader) -> Command:
    if reader.peek(1):
        reader.accept("TABLE")
    extended = (
        reader.done() is False
        and bool(reader.peek(1) or reader.ahead(1))
        and bool(reader.accept_any("EXTENDED", "FORMATTED"))
    )
    name = reader.names()
    if reader.accept("AS", "JSON"):
        if not extended:
            raise ParseError("DESCRIBE_JSON_NOT_EXTENDED", tableName=".".join(name))
        raise unsupported("DESCRIBE … AS JSON", "Leave out AS JSON.")
    partition = _partition(reader)
    column = None if partition or reader.done() else _column(reader)
    return Describe("table", name, None, extended, partition=partition, column=column)


def _column(reader: Reader) -> str:
    parts = reader.names()
    if len(parts) > 1:
        raise AnalysisError("_LEGACY_ERROR_TEMP_1060", command="DESC TABLE COLUMN", column=".".join(parts))
    return parts[0]


@statement("EXPLAIN")
def explain(reader: Reader) -> Command:
    """EXPLAIN [EXTENDED | FORMATTED | CODEGEN | COST] statement."""
    mode = reader.accept_any(*_MODES).lower() or "simple"
    return Explain(_explained(reader), mode)


def _explained(reader: Reader) -> Relation | Command:
    if reader.at_query():
        return reader.query()
    word = reader.peek()
    family = statements.get(word)
    if family is None:
        if word in MISSING:
            raise unsupported(f"the SQL statement {word}", MISSING[word])
        reader.fail()
    reader.expect(word)
    return family(reader)
