"""How the schema of a stream grows: new fields, and with `addNewColumnsWithTypeWidening` wider types.

byte → short → int → long → decimal, float → double, decimals that grow. Any other change of a type is rescued.

Invariants: a schema only grows: columns stay in their order, new ones come last; a column of text files is widened only
where a value of the batch needs it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

from pyspark.sql.types import (
    ByteType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StructField,
    StructType,
)
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.io.formats import Format, formats
from headwater.io.formats.base import ScanRequest
from headwater.io.formats.scan import name, subquery
from headwater.io.formats.widening import wider
from headwater.io.storage import FileStatus
from headwater.sources.bad_records import TEXTUAL
from headwater.sources.base import scanned
from headwater.sources.cloud_files.options import CloudOptions
from headwater.sources.cloud_files.schema import typed_columns

_WHOLE = (ByteType, ShortType, IntegerType, LongType)


def widened(
    connection: Connection, files: Sequence[FileStatus], schema: StructType, options: CloudOptions
) -> list[StructField]:
    """The columns of `schema` that the values of `files` need wider."""
    if all(not _may_widen(field.dataType) for field in schema.fields):
        return []
    found = {field.name: field.dataType for field in typed_columns(connection, files, options).fields}
    wishes = [
        StructField(field.name, kind, True, field.metadata)
        for field in schema.fields
        if (kind := _wish(field.dataType, found.get(field.name))) is not None
    ]
    if not wishes or options.format not in TEXTUAL:
        return wishes
    return _needed(connection, files, StructType(wishes), (schema, options))


def _may_widen(kind: DataType) -> bool:
    return isinstance(kind, (*_WHOLE, FloatType, DecimalType))


def _wish(known: DataType, found: DataType | None) -> DataType | None:
    """The type that both fit, if it is wider than the known one and one that a column may become."""
    if found is None or not _may_widen(known):
        return None
    kind = wider(known, found)
    if kind is None or kind == known or (isinstance(kind, DoubleType) and not isinstance(known, FloatType)):
        return None
    return kind


def _needed(
    connection: Connection, files: Sequence[FileStatus], wishes: StructType, known: tuple[StructType, CloudOptions]
) -> list[StructField]:
    """Those of the wishes under which more values are read than under the types they have."""
    schema, options = known
    narrow = StructType([field for field in schema.fields if field.name in wishes.names])
    wide = StructType([next(wish for wish in wishes.fields if wish.name == field.name) for field in narrow.fields])
    counts = [
        _counts(connection, ScanRequest(tuple(files), one, options.reader, rescue="__rescued"), options)
        for one in (narrow, wide)
    ]
    return [field for field, few, many in zip(wide.fields, *counts, strict=True) if many > few]


def _counts(connection: Connection, request: ScanRequest, options: CloudOptions) -> Sequence[int]:
    """How many values of each column are not null."""
    found = scanned(cast(Format, formats.get(options.format)), replace(request, partition_schema=StructType()))
    counted = [exp.Count(this=name(field.name)) for field in request.schema.fields]
    for known, data in found.inputs.items():
        connection.register(known, data)
    try:
        row: Sequence[int] = connection.execute(
            sql_text(exp.select(*counted).from_(subquery(found.query, "rows_")))
        ).fetchall()[0]
    finally:
        for known in found.inputs:
            connection.unregister(known)
    return row
