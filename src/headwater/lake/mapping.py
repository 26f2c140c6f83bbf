"""Column mapping: under which names, or field ids, the files of a Delta table hold its columns.

In the modes `name` and `id` a column has a physical name that never changes, so that it can be renamed and dropped
without writing files again. Files, partition values and statistics know the physical names; users see the logical.

Invariants: pure; without column mapping every name is its own physical name, whatever a field's metadata says.
Source: Delta's PROTOCOL.md, "Column Mapping". In mode `id` a nested field is found by its physical name, which Delta's
writers give it beside its id.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType
from sqlglot import exp

from headwater.errors import unsupported
from headwater.lake.actions import AddFile, Metadata
from headwater.types.duck import to_duck

Mode = Literal["none", "name", "id"]

MODE = "delta.columnMapping.mode"
ID, NAME = "delta.columnMapping.id", "delta.columnMapping.physicalName"
_INTERNAL = ("delta.columnMapping.", "delta.typeChanges", "parquet.field.")
_COMPUTED = ("CURRENT_DEFAULT", "EXISTS_DEFAULT", "delta.generationExpression", "delta.identity.")


def mode_of(metadata: Metadata) -> Mode:
    """How the table's files name its columns. Raises for a mode that is not known."""
    mode = metadata.configuration.get(MODE, "none").lower()
    if mode not in ("none", "name", "id"):
        raise unsupported(f"the Delta column mapping mode `{mode}`", "Read the table with Apache Spark.")
    return cast(Mode, mode)


def physical_name(field: StructField, mode: Mode) -> str:
    """The field's name in files, partition values and statistics."""
    name = field.name if mode == "none" else (field.metadata or {}).get(NAME, field.name)
    return str(name)


def file_key(field: StructField, mode: Mode) -> exp.Expr:
    """What finds a top-level column in a file: its name, or its field id."""
    found = (field.metadata or {}).get(ID) if mode == "id" else None
    return exp.Literal.string(physical_name(field, mode)) if found is None else exp.Literal.number(int(found))


def physical_type(kind: DataType, mode: Mode) -> DataType:
    """The type with the names that its fields have in files."""
    if mode == "none":
        return kind
    if isinstance(kind, StructType):
        fields = [(physical_name(f, mode), physical_type(f.dataType, mode)) for f in kind.fields]
        return StructType([StructField(name, inner) for name, inner in fields])
    if isinstance(kind, ArrayType):
        return ArrayType(physical_type(kind.elementType, mode))
    if isinstance(kind, MapType):
        return MapType(physical_type(kind.keyType, mode), physical_type(kind.valueType, mode))
    return kind


def renamed(value: exp.Expr, kind: DataType, mode: Mode) -> exp.Expr:
    """`value`, whose nested fields have their physical names, with the logical ones."""
    return _remapped(value, kind, kind, mode, False)


def as_stored(value: exp.Expr, kind: DataType, mode: Mode) -> exp.Expr:
    """The inverse of `renamed`: `value` with the names that its nested fields have in files."""
    return _remapped(value, kind, physical_type(kind, mode), mode, True)


def field_ids(fields: Sequence[StructField]) -> exp.Struct | None:
    """DuckDB's FIELD_IDS: each column of a file, by its physical name, with its id; None if no column has one."""
    entries = []
    for field in fields:
        inner = _inner_ids(field.dataType)
        number = (field.metadata or {}).get(ID)
        if number is not None:
            own = exp.Literal.number(int(number))
            tag = _entry("__duckdb_field_id", own)
            value = own if inner is None else exp.Struct(expressions=[tag, *inner.expressions])
            entries.append(_entry(physical_name(field, "name"), value))
    return exp.Struct(expressions=entries) if entries else None


def _inner_ids(kind: DataType) -> exp.Struct | None:
    if isinstance(kind, StructType):
        return field_ids(kind.fields)
    parts: list[tuple[str, DataType]] = []
    if isinstance(kind, ArrayType):
        parts = [("element", kind.elementType)]
    elif isinstance(kind, MapType):
        parts = [("key", kind.keyType), ("value", kind.valueType)]
    found = [(name, _inner_ids(part)) for name, part in parts]
    entries = [_entry(name, ids) for name, ids in found if ids is not None]
    return exp.Struct(expressions=entries) if entries else None


def _entry(name: str, value: exp.Expr) -> exp.PropertyEQ:
    return exp.PropertyEQ(this=exp.to_identifier(name, quoted=True), expression=value)


def _remapped(value: exp.Expr, kind: DataType, wanted: DataType, mode: Mode, to_files: bool) -> exp.Expr:
    if mode == "none" or not _differs(kind, mode):
        return value
    target = exp.Cast(this=exp.Null(), to=to_duck(wanted))
    parts = _source_of(kind, mode, to_files)
    return exp.Anonymous(this="remap_struct", expressions=[value, target, parts, exp.Null()])


def _differs(kind: DataType, mode: Mode) -> bool:
    if isinstance(kind, StructType):
        return any(physical_name(f, mode) != f.name or _differs(f.dataType, mode) for f in kind.fields)
    if isinstance(kind, ArrayType):
        return _differs(kind.elementType, mode)
    if isinstance(kind, MapType):
        return _differs(kind.keyType, mode) or _differs(kind.valueType, mode)
    return False


def _source_of(kind: DataType, mode: Mode, to_files: bool) -> exp.Struct:
    """For `remap_struct`: each part of the target with the part of the source it comes from."""
    parts: list[tuple[str, str, DataType]] = []
    if isinstance(kind, StructType):
        named = [(field.name, physical_name(field, mode), field.dataType) for field in kind.fields]
        parts = [(stored, name, inner) for name, stored, inner in named] if to_files else named
    elif isinstance(kind, ArrayType):
        parts = [("list", "list", kind.elementType)]
    elif isinstance(kind, MapType):
        parts = [("key", "key", kind.keyType), ("value", "value", kind.valueType)]
    entries = []
    for name, source, inner in parts:
        origin: exp.Expr = exp.Literal.string(source)
        if _differs(inner, mode):
            origin = exp.Tuple(expressions=[origin, _source_of(inner, mode, to_files)])
        entries.append(_entry(name, origin))
    return exp.Struct(expressions=entries)


def physical_partitions(metadata: Metadata) -> tuple[str, ...]:
    """The partition columns as partition values name them, in the table's order."""
    mode = mode_of(metadata)
    if mode == "none":
        return metadata.partition_columns
    fields = {field.name: field for field in metadata.schema.fields}
    return tuple(physical_name(fields[name], mode) for name in metadata.partition_columns)


def partition_of(metadata: Metadata, file: AddFile) -> tuple[str | None, ...]:
    """A file's partition values as text, in the order of the table's partition columns."""
    return tuple(file.partition_values.get(name) for name in physical_partitions(metadata))


def physical_path(schema: StructType, path: Sequence[str], mode: Mode) -> tuple[str, ...]:
    """A column, given by its names from the top, by its physical names; a name that is not there stays."""
    found: list[str] = []
    kind: DataType = schema
    for name in path:
        fields = kind.fields if isinstance(kind, StructType) else []
        field = next((one for one in fields if one.name.lower() == name.lower()), None)
        found.append(name if field is None else physical_name(field, mode))
        kind = schema if field is None else field.dataType
    return tuple(found)


def logical_path(schema: StructType, path: Sequence[str], mode: Mode) -> tuple[str, ...]:
    """The inverse of `physical_path`."""
    found: list[str] = []
    kind: DataType = schema
    for name in path:
        fields = kind.fields if isinstance(kind, StructType) else []
        field = next((one for one in fields if physical_name(one, mode) == name), None)
        found.append(name if field is None else field.name)
        kind = schema if field is None else field.dataType
    return tuple(found)


def user_schema(schema: StructType) -> StructType:
    """The columns as users see them: without what their metadata tells of files (ids, physical names, old types).

    A table made from such a column would else be read by names that its files do not have.
    """
    return cast(StructType, without(schema, _INTERNAL))


def read_schema(schema: StructType) -> StructType:
    """The columns as a query gives them: also without what makes their values, which another table has not."""
    fields = []
    for field in user_schema(schema).fields:
        metadata = {k: v for k, v in field.metadata.items() if not k.startswith(_COMPUTED)}
        fields.append(StructField(field.name, field.dataType, field.nullable, metadata))
    return StructType(fields)


def without(kind: DataType, keys: tuple[str, ...]) -> DataType:
    """The type without the metadata of its fields, at any depth, whose keys begin so."""
    if isinstance(kind, StructType):
        fields = []
        for field in kind.fields:
            metadata = {key: value for key, value in (field.metadata or {}).items() if not key.startswith(keys)}
            fields.append(StructField(field.name, without(field.dataType, keys), field.nullable, metadata))
        return StructType(fields)
    if isinstance(kind, ArrayType):
        return ArrayType(without(kind.elementType, keys), kind.containsNull)
    if isinstance(kind, MapType):
        return MapType(without(kind.keyType, keys), without(kind.valueType, keys), kind.valueContainsNull)
    return kind


def same_file_names(read: Metadata, found: Metadata, *, later: bool) -> bool:
    """Whether a reader that knows the columns by `read` finds them in the files of another version, `found`.

    `later`: a column that only `read` has was dropped since, which is no; before, it was just not there yet.
    """
    modes = mode_of(read), mode_of(found)
    return modes == ("none", "none") or _same_names(read.schema, found.schema, modes, later)


def _same_names(read: DataType, found: DataType, modes: tuple[Mode, Mode], later: bool) -> bool:
    if isinstance(read, StructType) and isinstance(found, StructType):
        others: dict[str, StructField] = {field.name: field for field in found.fields}
        return all(_same_field(field, others.get(field.name), modes, later) for field in read.fields)
    if isinstance(read, ArrayType) and isinstance(found, ArrayType):
        return _same_names(read.elementType, found.elementType, modes, later)
    if isinstance(read, MapType) and isinstance(found, MapType):
        keys = _same_names(read.keyType, found.keyType, modes, later)
        return keys and _same_names(read.valueType, found.valueType, modes, later)
    return True


def _same_field(field: StructField, other: StructField | None, modes: tuple[Mode, Mode], later: bool) -> bool:
    if other is None:
        return not later
    same = physical_name(field, modes[0]) == physical_name(other, modes[1])
    return same and _same_names(field.dataType, other.dataType, modes, later)
