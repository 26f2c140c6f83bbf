"""COPY INTO: files that were not loaded before become rows of a Delta table (Databricks).

Invariants: clauses after FILEFORMAT may come in any order, each once; credentials are refused, not ignored.
"""

from __future__ import annotations

from dataclasses import replace

from headwater.errors import unsupported
from headwater.plan.commands import Command
from headwater.plan.copying import ALL_ROWS, CopyInto
from headwater.plan.relations import ReadTable, Relation
from headwater.sql.reader import Reader
from headwater.sql.statements.base import statement


@statement("COPY")
def copy_into(reader: Reader) -> Command:
    """COPY INTO table [BY POSITION | (columns)] FROM source FILEFORMAT = format [VALIDATE …] [FILES | PATTERN = …] …"""
    reader.expect("INTO")
    table = reader.names()
    by_position = reader.accept("BY", "POSITION")
    columns = reader.name_list() if reader.peek() == "(" else ()
    reader.expect("FROM")
    path, query = _source(reader)
    reader.expect("FILEFORMAT", "=")
    made = CopyInto(table, path, reader.name().lower(), query, columns, by_position)
    seen: set[str] = set()
    while not reader.done():
        word = reader.accept_any(*_CLAUSES)
        if not word or word in seen or (word in _CHOICES and seen & _CHOICES):
            reader.fail()
        seen.add(word)
        made = _CLAUSES[word](reader, made)
    return made


def _source(reader: Reader) -> tuple[str, Relation | None]:
    """`'path' [WITH (…)]`, or a SELECT from one in parentheses."""
    if reader.at_string():
        path = reader.string()
        if reader.peek() == "WITH":
            raise unsupported("COPY INTO … WITH (CREDENTIAL …)", "Give the server the settings of the storage.")
        return path, None
    if not reader.accept("("):
        raise unsupported("COPY INTO from anything but a path", "Write the path as a string.")
    query = reader.query()
    reader.expect(")")
    reads = [node for node in query.walk() if isinstance(node, ReadTable)]
    if len(reads) != 1 or len(reads[0].parts) != 1 or reads[0].options:
        raise unsupported("COPY INTO of a query over anything but one path", "SELECT … FROM 'path'.")
    return reads[0].parts[0], query


def _validate(reader: Reader, made: CopyInto) -> CopyInto:
    if reader.accept("ALL") or reader.done() or reader.peek() in _CLAUSES:
        return replace(made, validate=ALL_ROWS)
    count = reader.constant()
    if not count.isdigit():
        reader.fail()
    reader.expect("ROWS")
    return replace(made, validate=int(count))


def _files(reader: Reader, made: CopyInto) -> CopyInto:
    reader.expect("=")
    return replace(made, files=reader.listed(reader.string))


def _pattern(reader: Reader, made: CopyInto) -> CopyInto:
    reader.expect("=")
    return replace(made, pattern=reader.string())


def _format_options(reader: Reader, made: CopyInto) -> CopyInto:
    return replace(made, format_options=reader.properties())


def _copy_options(reader: Reader, made: CopyInto) -> CopyInto:
    return replace(made, copy_options=reader.properties())


_CLAUSES = {
    "VALIDATE": _validate,
    "FILES": _files,
    "PATTERN": _pattern,
    "FORMAT_OPTIONS": _format_options,
    "COPY_OPTIONS": _copy_options,
}
_CHOICES = {"FILES", "PATTERN"}
