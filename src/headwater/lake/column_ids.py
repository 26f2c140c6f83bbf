"""Ids and physical names for the columns of a table that maps them: given once, kept for the column's life.

A new column gets the next id and a name of its own, so that files never confuse it with an older one of its name. A
table that is switched to mapping takes the names it has, because its files have them.

Invariants: an id is never given twice (`delta.columnMapping.maxColumnId` only rises), a column that has an id and a
physical name keeps both; a table without mapping is left as it is.
Source: Delta's PROTOCOL.md, "Column Mapping".
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import replace

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from headwater.errors import UnsupportedError, unsupported
from headwater.lake.actions import Metadata
from headwater.lake.mapping import ID, MODE, NAME, mode_of

MAX_ID = "delta.columnMapping.maxColumnId"


def assigned(new: Metadata, old: Metadata | None = None, *, overwrites: bool = False) -> Metadata:
    """`new` with an id and a physical name on every column, if it maps its columns.

    Args:
        old: the definition that it takes the place of; None for a table that is new or made anew.
        overwrites: all rows go, and a column that has the name and type of an old one takes its identity.

    Raises DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE.
    """
    mode = mode_of(new)
    if old is not None:
        check_mode_change(old, new)
    if mode == "none":
        return new
    upgrade = old is not None and mode_of(old) == "none"
    known = old.schema if old is not None and overwrites and not upgrade else StructType()
    giver = _Giver(max(_highest(new), 0 if old is None else _highest(old)), upgrade)
    schema = giver.struct(new.schema, known)
    configuration = {**new.configuration, MAX_ID: str(giver.last)}
    return replace(new, schema_text=schema.json(), configuration=configuration)


def check_mode_change(old: Metadata, new: Metadata) -> None:
    """Raise unless the mode stays, or a table without mapping goes to `name`."""
    before, after = mode_of(old), mode_of(new)
    if before == after or (before, after) == ("none", "name"):
        return
    if after == "none" and before == "name":
        raise unsupported(
            "taking column mapping off a table with another change", f"Set the property `{MODE}` to none by itself."
        )
    raise UnsupportedError("DELTA_UNSUPPORTED_COLUMN_MAPPING_MODE_CHANGE", oldMode=before, newMode=after)


def _highest(metadata: Metadata) -> int:
    return max([int(metadata.configuration.get(MAX_ID, "0")), *_ids(metadata.schema)])


def _ids(kind: DataType) -> Iterator[int]:
    if isinstance(kind, StructType):
        for field in kind.fields:
            if ID in (field.metadata or {}):
                yield int(field.metadata[ID])
            yield from _ids(field.dataType)
    elif isinstance(kind, ArrayType):
        yield from _ids(kind.elementType)
    elif isinstance(kind, MapType):
        yield from _ids(kind.keyType)
        yield from _ids(kind.valueType)


class _Giver:
    """Gives ids in the order of the schema, a struct's column before its fields. `last`: the highest id so far."""

    def __init__(self, last: int, own_names: bool) -> None:
        self.last = last
        self._own_names = own_names

    def struct(self, new: StructType, known: DataType | None) -> StructType:
        """The struct with ids; `known`: the struct whose fields may be taken over."""
        others = {field.name.lower(): field for field in known.fields} if isinstance(known, StructType) else {}
        return StructType([self._field(field, others.get(field.name.lower())) for field in new.fields])

    def _field(self, field: StructField, other: StructField | None) -> StructField:
        facts = dict(field.metadata or {})
        taken = other.metadata if other is not None and _same_type(other.dataType, field.dataType) else {}
        if ID not in facts:
            facts[ID] = taken.get(ID) or self._next()
        if NAME not in facts:
            facts[NAME] = taken.get(NAME) or (field.name if self._own_names else f"col-{uuid.uuid4()}")
        inner = self._type(field.dataType, None if other is None else other.dataType)
        return StructField(field.name, inner, field.nullable, facts)

    def _type(self, kind: DataType, known: DataType | None) -> DataType:
        if isinstance(kind, StructType):
            return self.struct(kind, known)
        if isinstance(kind, ArrayType):
            element = known.elementType if isinstance(known, ArrayType) else None
            return ArrayType(self._type(kind.elementType, element), kind.containsNull)
        if isinstance(kind, MapType):
            keys, values = (known.keyType, known.valueType) if isinstance(known, MapType) else (None, None)
            made = self._type(kind.keyType, keys)
            return MapType(made, self._type(kind.valueType, values), kind.valueContainsNull)
        return kind

    def _next(self) -> int:
        self.last += 1
        return self.last


def _same_type(one: DataType, other: DataType) -> bool:
    """Whether two types are the same but for what may be null."""
    return str(one.simpleString()) == str(other.simpleString())
