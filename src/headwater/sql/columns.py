"""Column definitions of CREATE TABLE and ALTER TABLE, as fields with Spark's and Delta's metadata.

Invariants: a clause that is read is in the field's metadata; expressions are kept as written; each clause comes once at
most, in any order.
"""

from __future__ import annotations

from typing import Any

from pyspark.sql.types import StructField

from headwater.errors import ParseError, unsupported
from headwater.sql.reader import Reader
from headwater.types.ddl import parse_type

DEFAULT, GENERATION, IDENTITY_START = "CURRENT_DEFAULT", "delta.generationExpression", "delta.identity.start"
_EXTRAS = (
    "NOT",
    "COMMENT",
    "DEFAULT",
    "GENERATED",
    "CHECK",
    "CONSTRAINT",
    "PRIMARY",
    "FOREIGN",
    "UNIQUE",
    "REFERENCES",
)
_ENDS = (*_EXTRAS, "FIRST", "AFTER", "POSITION", ",", ")")


def column(reader: Reader) -> tuple[tuple[str, ...], StructField]:
    """`name[.name …] [:] type [NOT NULL] [COMMENT 'text'] [DEFAULT …] [GENERATED …]`: the names and the field."""
    path = reader.names()
    reader.accept(":")
    kind = parse_type(reader.until(*_ENDS))
    nullable = True
    metadata: dict[str, Any] = {}
    while reader.peek() in _EXTRAS:
        if reader.accept("NOT", "NULL"):
            nullable = False
        else:
            metadata |= _clause(reader)
    return path, StructField(path[-1], kind, nullable, metadata)


def position(reader: Reader) -> str | None:
    """`FIRST`, `AFTER name`, or nothing."""
    if reader.accept("FIRST"):
        return "FIRST"
    return f"AFTER {reader.name()}" if reader.accept("AFTER") else None


def _clause(reader: Reader) -> dict[str, Any]:
    if reader.accept("COMMENT"):
        return {"comment": reader.string()}
    if reader.accept("DEFAULT"):
        return {DEFAULT: reader.until(*_ENDS)}
    if reader.accept("GENERATED"):
        return _generated(reader)
    raise unsupported(f"{reader.peek()} in a column definition", "Use ALTER TABLE … ADD CONSTRAINT … CHECK.")


def _generated(reader: Reader) -> dict[str, Any]:
    always = not reader.accept("BY", "DEFAULT")
    if always:
        reader.expect("ALWAYS")
    reader.expect("AS")
    if reader.accept("IDENTITY"):
        return _identity(reader, always)
    if not always:
        reader.fail()
    return {GENERATION: reader.enclosed().strip()}


def _identity(reader: Reader, always: bool) -> dict[str, Any]:
    """`[( [START WITH n] [INCREMENT BY n] )]`, in any order. Raises IDENTITY_COLUMNS_… as Spark does."""
    given: dict[str, int] = {}
    if reader.accept("("):
        while not reader.accept(")"):
            option = _option(reader)
            if option in given:
                raise ParseError(
                    "IDENTITY_COLUMNS_DUPLICATED_SEQUENCE_GENERATOR_OPTION", sequenceGeneratorOption=option
                )
            given[option] = _whole(reader)
    step = given.get("STEP", 1)
    if step == 0:
        raise ParseError("IDENTITY_COLUMNS_ILLEGAL_STEP")
    return {
        IDENTITY_START: given.get("START", 1),
        "delta.identity.step": step,
        "delta.identity.allowExplicitInsert": not always,
    }


def _option(reader: Reader) -> str:
    if reader.accept("START", "WITH") or reader.accept("START WITH"):
        return "START"
    if reader.accept("INCREMENT", "BY"):
        return "STEP"
    return reader.fail()


def _whole(reader: Reader) -> int:
    text = reader.constant()
    return int(text) if text.removeprefix("-").isdigit() else reader.fail()
