"""Structs of which a data file has no field that the table still has: all were dropped, what is there now came later.

DuckDB takes no struct as another one that shares no field with it. Of such a struct one of the file's own fields is
asked for besides, so that it is still known which rows have the struct and which have null.

Invariant: a file is looked into only where the table has a struct that may be so.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from headwater.lake.actions import Metadata
from headwater.lake.footers import stored_schema
from headwater.lake.mapping import ID, mode_of, physical_name, physical_type

Asked = tuple[tuple[str, DataType], ...]
"""Columns, by the names that users see, with the types to ask of a file."""


def suspects(metadata: Metadata) -> tuple[StructField, ...]:
    """The columns with a struct that has lost its first field, so that files may hold nothing of it any more."""
    if mode_of(metadata) == "none":
        return ()
    fields = [field for field in metadata.schema.fields if field.name not in metadata.partition_columns]
    return tuple(field for field in fields if _lost_first(field))


def _lost_first(field: StructField) -> bool:
    """Ids are given in order: a struct's column, then its first field."""
    first = int((field.metadata or {}).get(ID, 0)) + 1
    structs = list(_structs(field.dataType))
    lost = any(min((int(one.metadata.get(ID, 0)) for one in part.fields), default=0) != first for part in structs)
    # Which id a map's second struct began with is not known.
    return lost or len(structs) > 1 or any(_lost_first(one) for part in structs for one in part.fields)


def _structs(kind: DataType) -> Iterator[StructType]:
    """The structs next to a column, through arrays and maps."""
    if isinstance(kind, StructType):
        yield kind
    elif isinstance(kind, ArrayType):
        yield from _structs(kind.elementType)
    elif isinstance(kind, MapType):
        yield from _structs(kind.keyType)
        yield from _structs(kind.valueType)


def asked_of(metadata: Metadata, columns: tuple[StructField, ...], path: str) -> Asked:
    """What to ask of the file at `path` in place of the table's types, for those of `columns` that need it."""
    stored = stored_schema(path) if columns else None
    if stored is None:
        return ()
    mode = mode_of(metadata)
    there = {field.name: field.dataType for field in stored.fields}
    found = []
    for field in columns:
        wanted = physical_type(field.dataType, mode)
        made = _with_leftover(wanted, there.get(physical_name(field, mode)))
        if made != wanted:
            found.append((field.name, made))
    return tuple(found)


def _with_leftover(wanted: DataType, stored: DataType | None) -> DataType:
    if isinstance(wanted, StructType) and isinstance(stored, StructType):
        there = {field.name: field.dataType for field in stored.fields}
        fields = [StructField(f.name, _with_leftover(f.dataType, there.get(f.name))) for f in wanted.fields]
        if any(field.name in there for field in fields):
            return StructType(fields)
        return StructType([*fields, *(StructField(f.name, f.dataType) for f in stored.fields[:1])])
    if isinstance(wanted, ArrayType) and isinstance(stored, ArrayType):
        return ArrayType(_with_leftover(wanted.elementType, stored.elementType))
    if isinstance(wanted, MapType) and isinstance(stored, MapType):
        key = _with_leftover(wanted.keyType, stored.keyType)
        return MapType(key, _with_leftover(wanted.valueType, stored.valueType))
    return wanted


def has_more(stored: DataType, wanted: DataType) -> bool:
    """Whether a file that has `stored` has a column or a field, at any depth, that is not in `wanted`."""
    if isinstance(stored, StructType) and isinstance(wanted, StructType):
        known = {field.name.lower(): field.dataType for field in wanted.fields}
        return any(
            field.name.lower() not in known or has_more(field.dataType, known[field.name.lower()])
            for field in stored.fields
        )
    if isinstance(stored, ArrayType) and isinstance(wanted, ArrayType):
        return has_more(stored.elementType, wanted.elementType)
    if isinstance(stored, MapType) and isinstance(wanted, MapType):
        return has_more(stored.keyType, wanted.keyType) or has_more(stored.valueType, wanted.valueType)
    return False
