"""USE, SET, RESET, CACHE, UNCACHE, CLEAR CACHE, REFRESH.

Invariant: a setting's value is everything after the `=`, as written.
"""

from __future__ import annotations

import re

from headwater.errors import ParseError, unsupported
from headwater.plan.commands import CacheTable, Command, CreateView, ResetConf, SetConf, Use
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement

_ASSIGNMENT = re.compile(r"\s*(`[^`]+`|[^=\s;`]+)\s*(?:=(.*))?\Z", re.DOTALL)
_TIME_ZONE = "spark.sql.session.timeZone"


@statement("USE")
def use(reader: Reader) -> Command:
    """USE [CATALOG | SCHEMA | DATABASE | NAMESPACE] name."""
    if reader.peek() == "CATALOG" and reader.ahead(1):
        reader.expect("CATALOG")
        return Use(_name_or_string(reader), "catalog")
    if reader.ahead(1) and reader.peek(1) != ".":
        reader.accept_any("SCHEMA", "DATABASE", "NAMESPACE")
    return Use(_name_or_string(reader))


def _name_or_string(reader: Reader) -> tuple[str, ...]:
    return (reader.string(),) if reader.at_string() else reader.names()


@statement("SET")
def set_(reader: Reader) -> Command:
    """SET; SET -v; SET key; SET key = value; SET TIME ZONE …; SET CATALOG name."""
    if reader.accept("CATALOG"):
        return Use(_name_or_string(reader), "catalog")
    if reader.accept("TIME", "ZONE"):
        return SetConf(_TIME_ZONE, _zone(reader))
    if reader.peek() in ("VAR", "VARIABLE", "ROLE") and reader.peek(1) != "=":
        raise unsupported(f"SET {reader.peek()}", "Use a named parameter of spark.sql.")
    text = reader.rest()
    if text in ("", "-v"):
        return SetConf()
    match = _ASSIGNMENT.match(text)
    if match is None:
        raise ParseError("INVALID_SET_SYNTAX")
    key = match[1].strip("`")
    return SetConf(key, None if match[2] is None else _value(match[2].strip()))


def _value(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] == "`" else text


def _zone(reader: Reader) -> str:
    if reader.accept("LOCAL"):
        raise unsupported("SET TIME ZONE LOCAL", "Name the time zone.")
    return reader.string()


@statement("RESET")
def reset(reader: Reader) -> Command:
    """RESET; RESET key."""
    return ResetConf(reader.rest().strip("`") or None)


@statement("CACHE")
def cache(reader: Reader) -> Command:
    """CACHE [LAZY] TABLE name [OPTIONS …] [[AS] query]; with a query it names a temporary view."""
    reader.accept("LAZY")
    reader.expect("TABLE")
    name = reader.names()
    if reader.accept("OPTIONS"):
        reader.properties()
    reader.accept("AS")
    return CacheTable("cache", name) if reader.done() else CreateView(reader.query(), name, "temporary")


@statement("UNCACHE")
def uncache(reader: Reader) -> Command:
    """UNCACHE TABLE [IF EXISTS] name."""
    reader.expect("TABLE")
    reader.exists()
    return CacheTable("uncache", reader.names())


@statement("CLEAR")
def clear(reader: Reader) -> Command:
    """CLEAR CACHE."""
    reader.expect("CACHE")
    return CacheTable("clear")


@statement("REFRESH")
def refresh(reader: Reader) -> Command:
    """REFRESH [TABLE] name; REFRESH path."""
    if reader.peek() in ("STREAMING", "MATERIALIZED", "FUNCTION"):
        raise unsupported(f"REFRESH {reader.peek()}")
    if reader.ahead(1):
        reader.accept("TABLE")
    return CacheTable("refresh", (reader.string(),) if reader.at_string() else reader.names())
