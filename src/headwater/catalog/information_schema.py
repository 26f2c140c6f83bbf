"""The views of `information_schema`: what the catalog holds, as rows.

The columns are those of Databricks that a catalog without users and grants can fill (no owners, no privileges); their
meaning is Databricks' ("INFORMATION_SCHEMA" in its SQL reference).

Invariants: read-only, and read anew with every query; a table whose files or view whose tables are gone is listed
without columns, and never makes the list fail.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa
from pyspark.sql.types import (
    ByteType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from headwater.catalog.metastore import Metastore
from headwater.catalog.model import CATALOG, INFORMATION_SCHEMA, Table
from headwater.errors import SparkError
from headwater.io.paths import as_uri
from headwater.plan.relations import LocalData, Relation, SubqueryAlias
from headwater.types.arrow import arrow_schema

Described = tuple[StructType, Sequence[str]]
"""Columns and partition columns."""
Describe = Callable[[Table], Described]

Row = tuple[Any, ...]


def _schema(text: str) -> StructType:
    kinds: dict[str, DataType] = {"": StringType(), "int": IntegerType(), "long": LongType(), "time": TimestampType()}
    fields = []
    for word in text.split():
        name, _, kind = word.partition(":")
        fields.append(StructField(name.rstrip("?"), kinds[kind], name.endswith("?")))
    return StructType(fields)


VIEWS = {
    "schemata": _schema("catalog_name schema_name comment?"),
    "tables": _schema(
        "table_catalog table_schema table_name table_type is_insertable_into commit_action comment? created?:time "
        "data_source_format? storage_path?"
    ),
    "views": _schema(
        "table_catalog table_schema table_name view_definition check_option is_updatable is_insertable_into "
        "is_materialized"
    ),
    "columns": _schema(
        "table_catalog table_schema table_name column_name ordinal_position:int column_default? is_nullable "
        "full_data_type data_type character_maximum_length?:long character_octet_length?:long "
        "numeric_precision?:int numeric_precision_radix?:int numeric_scale?:int datetime_precision?:int "
        "is_identity identity_start? identity_increment? is_updatable partition_ordinal_position?:int comment?"
    ),
}
"""The columns of each view; `?` marks those that may be null."""


def view(name: str, metastore: Metastore, describe: Describe) -> Relation | None:
    """The rows of a view; None for a name that is none."""
    schema = VIEWS.get(name)
    if schema is None:
        return None
    shape = arrow_schema(schema, "UTC")
    columns = list(zip(*_ROWS[name](metastore, describe), strict=True)) or [()] * len(shape)
    arrays = [pa.array(column, field.type) for column, field in zip(columns, shape, strict=True)]
    return SubqueryAlias(LocalData(pa.Table.from_arrays(arrays, schema=shape), schema), name)


def _all(metastore: Metastore) -> Iterator[Table]:
    for database in metastore.databases():
        yield from metastore.tables(database.name)
    yield from tables()


def tables() -> list[Table]:
    """The views of this schema themselves."""
    return [Table(INFORMATION_SCHEMA, name, "VIEW", schema=VIEWS[name]) for name in sorted(VIEWS)]


def _schemata(metastore: Metastore, _: Describe) -> Iterator[Row]:
    for database in metastore.databases():
        yield (CATALOG, database.name, database.comment)
    yield (CATALOG, INFORMATION_SCHEMA, None)


def _tables(metastore: Metastore, _: Describe) -> Iterator[Row]:
    for table in _all(metastore):
        yield (
            *table.full_name,
            table.kind,
            "NO" if table.is_view else "YES",
            "PRESERVE",
            table.comment,
            table.created_ms * 1000 or None,
            table.provider.upper() or None,
            as_uri(table.location) if table.location else None,
        )


def _views(metastore: Metastore, _: Describe) -> Iterator[Row]:
    for table in _all(metastore):
        if table.is_view:
            yield (*table.full_name, table.view_text or "", "NONE", "NO", "NO", "NO")


def _columns(metastore: Metastore, describe: Describe) -> Iterator[Row]:
    for table in _all(metastore):
        try:
            schema, partitions = (table.schema, ()) if table.database == INFORMATION_SCHEMA else describe(table)
        except SparkError:
            continue
        places = {name.lower(): place for place, name in enumerate(partitions, 1)}
        for position, field in enumerate(schema.fields if schema else (), 1):
            yield (*table.full_name, *_column(field, position, table), places.get(field.name.lower()), _comment(field))


def _column(field: StructField, position: int, table: Table) -> Row:
    known = field.metadata or {}
    identity = known.get("delta.identity.start")
    return (
        field.name,
        position,
        known.get("CURRENT_DEFAULT"),
        "YES" if field.nullable else "NO",
        field.dataType.simpleString(),
        field.dataType.simpleString().partition("(")[0].partition("<")[0].upper(),
        None,
        None,
        *_numbers(field.dataType),
        "NO" if identity is None else "YES",
        None if identity is None else str(identity),
        None if identity is None else str(known.get("delta.identity.step", 1)),
        "NO" if table.is_view else "YES",
    )


_BITS: dict[type[DataType], int] = {ByteType: 8, ShortType: 16, IntegerType: 32, LongType: 64}
_FLOATS: dict[type[DataType], int] = {FloatType: 32, DoubleType: 64}


def _numbers(kind: DataType) -> Row:
    """Precision, radix and scale of a number; precision of a time."""
    if isinstance(kind, DecimalType):
        return (kind.precision, 10, kind.scale, None)
    if type(kind) in _BITS:
        return (_BITS[type(kind)], 2, 0, None)
    if type(kind) in _FLOATS:
        return (_FLOATS[type(kind)], 2, None, None)
    if isinstance(kind, TimestampType | TimestampNTZType):
        return (None, None, None, 3)
    return (None, None, None, 0 if isinstance(kind, DateType) else None)


def _comment(field: StructField) -> str | None:
    found = (field.metadata or {}).get("comment")
    return None if found is None else str(found)


_ROWS: dict[str, Callable[[Metastore, Describe], Iterable[Row]]] = {
    "columns": _columns,
    "schemata": _schemata,
    "tables": _tables,
    "views": _views,
}
