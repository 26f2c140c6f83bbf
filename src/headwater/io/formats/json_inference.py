"""The schema of JSON files as Spark infers it.

Invariants: columns are sorted by name; integers are bigint, fractions double, types that do not agree string; a
record that is no object adds the corrupt-record column (PERMISSIVE) or raises (FAILFAST).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DecimalType,
    DoubleType,
    LongType,
    StringType,
    StructField,
    StructType,
)
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import RuntimeSparkError, unsupported
from headwater.io.formats.base import FormatOptions
from headwater.io.formats.json_careful import records
from headwater.io.formats.scan import LINE, call, name, subquery
from headwater.io.storage import FileStatus

_SCALARS: dict[str, DataType] = {
    "UBIGINT": LongType(),
    "BIGINT": LongType(),
    "HUGEINT": DecimalType(38, 0),
    "UHUGEINT": DecimalType(38, 0),
    "DOUBLE": DoubleType(),
    "BOOLEAN": BooleanType(),
}


def infer(connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> StructType:
    """See `Format.infer`."""
    if options.flag("prefersDecimal") or options.flag("inferTimestamp"):
        raise unsupported("prefersDecimal and inferTimestamp in JSON schema inference", "Give the schema.")
    structure, objects, all_records = _structure(connection, files, options)
    fields = _struct(structure, options.flag("primitivesAsString")).fields
    if objects < all_records:
        fields = _with_corrupt(fields, options)
    return StructType(sorted(fields, key=lambda field: field.name))


def _structure(connection: Connection, files: Sequence[FileStatus], options: FormatOptions) -> tuple[Any, int, int]:
    """The merged structure of all objects, how many there are, and how many records."""
    valid = exp.Case(ifs=[exp.If(this=call("json_valid", name(LINE)), true=exp.cast(name(LINE), "JSON"))])
    value = exp.Case(ifs=[exp.If(this=call("starts_with", name(LINE), "{"), true=valid)])
    rows = exp.select(exp.alias_(value, "value")).from_(subquery(records(files, options), "records"))
    query = exp.select(
        call("json_group_structure", exp.column("value")),
        exp.Count(this=exp.column("value")),
        exp.Count(this=exp.Star()),
    ).from_(subquery(rows, "parsed"))
    found = connection.execute(sql_text(query)).fetchall()[0]
    return (json.loads(found[0]) if found[0] and found[1] else {}), found[1], found[2]


def _with_corrupt(fields: list[StructField], options: FormatOptions) -> list[StructField]:
    mode = options.text("mode", "PERMISSIVE").upper()
    if mode == "FAILFAST":
        raise RuntimeSparkError(
            "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION", badRecord="a record met in inference", failFastMode=mode
        )
    column = options.text("columnNameOfCorruptRecord", "_corrupt_record")
    if mode == "DROPMALFORMED" or any(field.name == column for field in fields):
        return fields
    return [*fields, StructField(column, StringType(), True)]


def _struct(structure: Any, all_text: bool) -> StructType:
    if not isinstance(structure, dict):
        return StructType()
    fields = [StructField(key, _type(value, all_text), True) for key, value in structure.items()]
    return StructType(sorted(fields, key=lambda field: field.name))


def _type(structure: Any, all_text: bool) -> DataType:
    if isinstance(structure, dict):
        return _struct(structure, all_text) if structure else StringType()
    if isinstance(structure, list):
        return ArrayType(_type(structure[0], all_text) if structure else StringType(), True)
    return StringType() if all_text else _SCALARS.get(structure, StringType())
