"""Type widening: which types a Delta column may change to without its files being written again, and the record of it.

Files keep the type they were written with; readers cast. So only changes are allowed that no value is lost by.

Invariants: pure; each change is told in the metadata of the nearest column (`delta.typeChanges`), in the order they
were made; what an older change says is never touched.
Source: Delta's PROTOCOL.md, "Type Widening", and genuine Delta.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    AtomicType,
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from headwater.errors import AnalysisError
from headwater.lake.actions import Metadata
from headwater.types.ddl import type_sql

SETTING = "delta.enableTypeWidening"
CHANGES = "delta.typeChanges"
_INTEGERS: tuple[type[DataType], ...] = (ByteType, ShortType, IntegerType, LongType)
_NUMBERS = (*_INTEGERS, FloatType, DoubleType)
_DIGITS: dict[type[DataType], int] = {ByteType: 10, ShortType: 10, IntegerType: 10, LongType: 20}
"""How many digits a decimal must have before its point to take a whole number."""


def enabled(metadata: Metadata) -> bool:
    """Whether the table's columns may become wider."""
    return metadata.configuration.get(SETTING, "false").lower() == "true"


def widens(old: DataType, new: DataType) -> bool:
    """Whether a column that is no struct, array or map may go from `old` to `new`.

    A write that may change the schema makes the same changes on its own.
    """
    if type(old) in _INTEGERS and type(new) in _INTEGERS:
        return _INTEGERS.index(type(old)) < _INTEGERS.index(type(new))
    if isinstance(new, DecimalType):
        return _fits_decimal(old, new)
    if isinstance(new, DoubleType):
        return isinstance(old, ByteType | ShortType | IntegerType | FloatType)
    return isinstance(old, DateType) and isinstance(new, TimestampNTZType)


def narrower(stored: DataType, wanted: DataType) -> bool:
    """Whether a file that has `stored` holds anything, at any depth, in a type from before it became wider."""
    if isinstance(stored, StructType) and isinstance(wanted, StructType):
        there = {field.name: field.dataType for field in stored.fields}
        return any(field.name in there and narrower(there[field.name], field.dataType) for field in wanted.fields)
    if isinstance(stored, ArrayType) and isinstance(wanted, ArrayType):
        return narrower(stored.elementType, wanted.elementType)
    if isinstance(stored, MapType) and isinstance(wanted, MapType):
        return narrower(stored.keyType, wanted.keyType) or narrower(stored.valueType, wanted.valueType)
    return widens(stored, wanted)


def _fits_decimal(old: DataType, new: DecimalType) -> bool:
    whole = int(new.precision - new.scale)
    if isinstance(old, DecimalType):
        return old != new and whole >= int(old.precision - old.scale) and int(new.scale) >= int(old.scale)
    return type(old) in _DIGITS and whole >= _DIGITS[type(old)]


def type_at(kind: DataType, path: Sequence[str]) -> DataType | None:
    """The type that a path leads to, through structs by name, arrays and maps by part; None if there is none."""
    if not path:
        return kind
    if isinstance(kind, StructType):
        found = [field.dataType for field in kind.fields if field.name.lower() == path[0].lower()]
        return type_at(found[0], path[1:]) if found else None
    parts = _parts(kind)
    return type_at(parts[path[0].lower()], path[1:]) if path[0].lower() in parts else None


def _parts(kind: DataType) -> dict[str, DataType]:
    if isinstance(kind, ArrayType):
        return {"element": kind.elementType}
    return {"key": kind.keyType, "value": kind.valueType} if isinstance(kind, MapType) else {}


@dataclass(frozen=True)
class Widening:
    """Whether a table's columns may become wider, and its name in messages."""

    enabled: bool = False
    table: str = "the table"


NO_WIDENING = Widening()


def retyped(schema: StructType, path: Sequence[str], new: DataType, widening: Widening) -> tuple[StructType, DataType]:
    """The schema with a column, or a part of an array or map, of another type; and that type.

    Raises UNRESOLVED_COLUMN, CANNOT_UPDATE_FIELD for what has parts of its own, NOT_SUPPORTED_CHANGE_COLUMN for a
    narrower type and DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP for any other that the table does not allow.
    """
    old = type_at(schema, path)
    if old is None:
        proposal = ", ".join(f"`{field.name}`" for field in schema.fields)
        wanted = ".".join(f"`{part}`" for part in path)
        raise AnalysisError("UNRESOLVED_COLUMN.WITH_SUGGESTION", objectName=wanted, proposal=proposal)
    if old == new:
        return schema, old
    _check(path, old, new, widening)
    made = _with_type(schema, path, new)
    assert isinstance(made, StructType)
    return recorded(schema, made), new


def _check(path: Sequence[str], old: DataType, new: DataType, widening: Widening) -> None:
    table = widening.table
    quoted = ".".join(f"`{part}`" for part in path)
    for nested, part in ((StructType, "STRUCT"), (ArrayType, "ARRAY"), (MapType, "MAP")):
        if isinstance(old, nested):
            raise AnalysisError(f"CANNOT_UPDATE_FIELD.{part}_TYPE", table=table, fieldName=quoted)
    if not _upcasts(old, new):
        types = {"originType": f'"{type_sql(old)}"', "newType": f'"{type_sql(new)}"'}
        raise AnalysisError("NOT_SUPPORTED_CHANGE_COLUMN", table=table, originName=quoted, newName=quoted, **types)
    if not (widening.enabled and widens(old, new)):
        raise AnalysisError(
            "DELTA_UNSUPPORTED_ALTER_TABLE_CHANGE_COL_OP",
            fieldPath=".".join(path),
            oldField=type_sql(old),
            newField=type_sql(new),
        )


def _upcasts(old: DataType, new: DataType) -> bool:
    """Spark's rule of a cast that loses nothing but digits of a fraction."""
    if isinstance(new, StringType):
        return isinstance(old, AtomicType)
    if type(old) in _NUMBERS and type(new) in _NUMBERS:
        return _NUMBERS.index(type(old)) <= _NUMBERS.index(type(new))
    days = isinstance(old, DateType) and isinstance(new, TimestampType | TimestampNTZType)
    return days or widens(old, new)


def _with_type(kind: DataType, path: Sequence[str], new: DataType) -> DataType:
    if not path:
        return new
    if isinstance(kind, StructType):
        fields = []
        for field in kind.fields:
            here = field.name.lower() == path[0].lower()
            inner = _with_type(field.dataType, path[1:], new) if here else field.dataType
            fields.append(StructField(field.name, inner, field.nullable, field.metadata))
        return StructType(fields)
    part = path[0].lower()
    if isinstance(kind, ArrayType):
        return ArrayType(_with_type(kind.elementType, path[1:], new), kind.containsNull)
    assert isinstance(kind, MapType)
    if part == "key":
        return MapType(_with_type(kind.keyType, path[1:], new), kind.valueType, kind.valueContainsNull)
    return MapType(kind.keyType, _with_type(kind.valueType, path[1:], new), kind.valueContainsNull)


def recorded(old: StructType, new: StructType) -> StructType:
    """`new` with a record of the types that are wider than in `old`; columns are the same if their names are."""
    others = {field.name.lower(): field for field in old.fields}
    return StructType([_recorded_field(others.get(field.name.lower()), field) for field in new.fields])


def _recorded_field(old: StructField | None, new: StructField) -> StructField:
    if old is None:
        return new
    facts = dict(new.metadata or {})
    changes = list(_changes(old.dataType, new.dataType, ()))
    if changes:
        facts[CHANGES] = [*facts.get(CHANGES, ()), *changes]
    return StructField(new.name, _inside(old.dataType, new.dataType), new.nullable, facts)


def _inside(old: DataType, new: DataType) -> DataType:
    """The type with the record of what changed in the structs inside it."""
    if isinstance(old, StructType) and isinstance(new, StructType):
        return recorded(old, new)
    if isinstance(old, ArrayType) and isinstance(new, ArrayType):
        return ArrayType(_inside(old.elementType, new.elementType), new.containsNull)
    if isinstance(old, MapType) and isinstance(new, MapType):
        key = _inside(old.keyType, new.keyType)
        return MapType(key, _inside(old.valueType, new.valueType), new.valueContainsNull)
    return new


def _changes(old: DataType, new: DataType, path: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    """What changed in a column, down to the next struct; `path` leads through arrays and maps."""
    if isinstance(old, ArrayType) and isinstance(new, ArrayType):
        yield from _changes(old.elementType, new.elementType, (*path, "element"))
    elif isinstance(old, MapType) and isinstance(new, MapType):
        yield from _changes(old.keyType, new.keyType, (*path, "key"))
        yield from _changes(old.valueType, new.valueType, (*path, "value"))
    elif old != new and widens(old, new):
        change = {"toType": _type_name(new), "fromType": _type_name(old)}
        yield change | ({"fieldPath": ".".join(path)} if path else {})


def _type_name(kind: DataType) -> str:
    """Spark's name of a type in schema JSON."""
    return str(kind.jsonValue())


def told(kind: DataType, way: tuple[str, ...] = ()) -> Iterator[dict[str, Any]]:
    """The columns and fields, at any depth, that say that they became wider, by their whole names."""
    if isinstance(kind, StructType):
        for field in kind.fields:
            path = (*way, field.name)
            if CHANGES in (field.metadata or {}):
                yield {**field.jsonValue(), "name": ".".join(path)}
            yield from told(field.dataType, path)
    for name, part in _parts(kind).items():
        yield from told(part, (*way, name))
