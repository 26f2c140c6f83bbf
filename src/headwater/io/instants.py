"""Instants in data files of older writers: Parquet's INT96, which is still what Spark writes by default.

INT96 does not say that it counts from midnight in UTC, so DuckDB takes it for a time without a zone and would read it
in the session's. Files that hold it are read as such times, which are then placed in UTC.

Invariants: a file is looked into once: a table's data file never changes, another counts as changed by its size and
time; a file that cannot be opened is left to the reader to tell of.
"""

from __future__ import annotations

from functools import lru_cache

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType, TimestampNTZType, TimestampType
from sqlglot import exp

from headwater.io.s3_files import opened
from headwater.io.storage import FileStatus


def has_instants(kind: DataType) -> bool:
    """Whether there is a `timestamp` anywhere in the type."""
    if isinstance(kind, StructType):
        return any(has_instants(field.dataType) for field in kind.fields)
    if isinstance(kind, ArrayType):
        return has_instants(kind.elementType)
    if isinstance(kind, MapType):
        return has_instants(kind.keyType) or has_instants(kind.valueType)
    return isinstance(kind, TimestampType)


@lru_cache(maxsize=1 << 16)
def holds_int96(path: str) -> bool:
    """Whether the Parquet file at `path`, which never changes, has an INT96 column."""
    return bool(_int96_columns(path))


@lru_cache(maxsize=1 << 16)
def int96_columns(file: FileStatus) -> frozenset[str]:
    """The top-level columns of a Parquet file that hold INT96."""
    return _int96_columns(file.path)


def _int96_columns(path: str) -> frozenset[str]:
    # Loaded on use: most tables have no column that could be one.
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        schema = pq.read_metadata(opened(path)).schema
    except (OSError, pa.ArrowException):
        return frozenset()
    columns = (schema.column(index) for index in range(len(schema)))
    paths = [column.path for column in columns if column.physical_type == "INT96"]
    if not paths:
        return frozenset()
    names = schema.to_arrow_schema().names
    return frozenset(name for name in names if any(one == name or one.startswith(name + ".") for one in paths))


def with_zone(kind: DataType) -> DataType:
    """The type of which `without_zone` was read."""
    if isinstance(kind, StructType):
        fields = [StructField(f.name, with_zone(f.dataType), f.nullable, f.metadata) for f in kind.fields]
        return StructType(fields)
    if isinstance(kind, ArrayType):
        return ArrayType(with_zone(kind.elementType), kind.containsNull)
    if isinstance(kind, MapType):
        return MapType(with_zone(kind.keyType), with_zone(kind.valueType), kind.valueContainsNull)
    return TimestampType() if isinstance(kind, TimestampNTZType) else kind


def without_zone(kind: DataType) -> DataType:
    """The type as DuckDB reads it from INT96."""
    if isinstance(kind, StructType):
        return StructType([StructField(field.name, without_zone(field.dataType)) for field in kind.fields])
    if isinstance(kind, ArrayType):
        return ArrayType(without_zone(kind.elementType))
    if isinstance(kind, MapType):
        return MapType(without_zone(kind.keyType), without_zone(kind.valueType))
    return TimestampNTZType() if isinstance(kind, TimestampType) else kind


def in_utc(value: exp.Expr, kind: DataType) -> exp.Expr:
    """`value`, which is of the type `without_zone(kind)`, with its times placed in UTC."""
    if not has_instants(kind):
        return value
    if isinstance(kind, StructType):
        fields = [
            exp.PropertyEQ(
                this=exp.to_identifier(field.name, quoted=True),
                expression=in_utc(exp.Dot(this=value.copy(), expression=_name(field.name)), field.dataType),
            )
            for field in kind.fields
        ]
        is_null = exp.Is(this=value, expression=exp.Null())
        return exp.Case(default=exp.Struct(expressions=fields)).when(is_null, exp.Null())
    if isinstance(kind, ArrayType):
        return _each(value, in_utc(exp.column("x_"), kind.elementType))
    if isinstance(kind, MapType):
        parts = {"key": kind.keyType, "value": kind.valueType}
        entry = [
            exp.PropertyEQ(
                this=exp.to_identifier(name),
                expression=in_utc(exp.Dot(this=exp.column("x_"), expression=_name(name)), part),
            )
            for name, part in parts.items()
        ]
        entries = exp.Anonymous(this="map_entries", expressions=[value])
        return exp.Anonymous(this="map_from_entries", expressions=[_each(entries, exp.Struct(expressions=entry))])
    return exp.Anonymous(this="timezone", expressions=[exp.Literal.string("UTC"), value])


def _name(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def _each(values: exp.Expr, made: exp.Expr) -> exp.Expr:
    each = exp.Lambda(this=made, expressions=[exp.to_identifier("x_")], colon=True)
    return exp.Anonymous(this="list_transform", expressions=[values, each])
