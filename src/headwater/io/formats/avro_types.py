"""Avro's schemas as Spark's types, by Spark's rules (its SchemaConverters), and values as Arrow takes them.

Invariants: `null` in a union makes the field nullable; int with long is bigint, float with double is double, any other
union a struct of `member0`, `member1`, … of which one is not null; a type that contains itself is refused.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any, cast
from uuid import UUID

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
)

from headwater.errors import unsupported

Schema = str | Mapping[str, Any] | Sequence[Any]
Convert = Callable[[Any], Any]

_PLAIN: dict[str, DataType] = {
    "null": NullType(),
    "boolean": BooleanType(),
    "int": IntegerType(),
    "long": LongType(),
    "float": FloatType(),
    "double": DoubleType(),
    "bytes": BinaryType(),
    "fixed": BinaryType(),
    "string": StringType(),
    "enum": StringType(),
}
_LOGICAL: dict[tuple[str, str], DataType] = {
    ("int", "date"): DateType(),
    ("long", "timestamp-millis"): TimestampType(),
    ("long", "timestamp-micros"): TimestampType(),
    ("long", "local-timestamp-millis"): TimestampNTZType(),
    ("long", "local-timestamp-micros"): TimestampNTZType(),
}


def spark_type(schema: Schema, inside: tuple[str, ...] = ()) -> DataType:
    """The Spark type. Raises UNSUPPORTED_FEATURE for a recursive record."""
    if isinstance(schema, str):
        return _PLAIN[schema]
    if isinstance(schema, list):
        return _union(schema, inside)
    node = cast(Mapping[str, Any], schema)
    kind = node["type"]
    if kind in ("record", "error"):
        if node["name"] in inside:
            raise unsupported(f"the Avro record {node['name']} that contains itself", "Store it as a string.")
        within = (*inside, node["name"])
        return StructType([_field(one, within) for one in node["fields"]])
    if kind == "array":
        return ArrayType(spark_type(node["items"], inside), nullable(node["items"]))
    if kind == "map":
        return MapType(StringType(), spark_type(node["values"], inside), nullable(node["values"]))
    if node.get("logicalType") == "decimal":
        return DecimalType(node["precision"], node.get("scale", 0))
    if not isinstance(kind, str):
        return spark_type(kind, inside)
    return _LOGICAL.get((kind, node.get("logicalType", "")), _PLAIN[kind])


def nullable(schema: Schema) -> bool:
    """Whether a value may be null."""
    return schema == "null" or (isinstance(schema, list) and "null" in schema)


def converter(schema: Schema) -> Convert | None:
    """What makes of a value that fastavro read one that Arrow takes as the Spark type; None: it is one already."""
    if isinstance(schema, str):
        return None
    if isinstance(schema, list):
        return _union_converter(schema)
    node = cast(Mapping[str, Any], schema)
    kind = node["type"]
    if kind in ("record", "error"):
        return _record_converter({one["name"]: converter(one["type"]) for one in node["fields"]})
    if kind in ("array", "map"):
        inner = converter(node["items" if kind == "array" else "values"])
        return _each(inner, kind == "array")
    if node.get("logicalType") == "uuid":
        return lambda value: None if value is None else str(value)
    return None if isinstance(kind, str) else converter(kind)


def resolved(schema: Schema, named: dict[str, Any] | None = None) -> Schema:
    """The schema with each reference to a named type replaced by its definition (a recursive one stays)."""
    known = {} if named is None else named
    if isinstance(schema, str):
        return cast(Schema, known.get(schema, schema))
    if isinstance(schema, list):
        return [resolved(one, known) for one in schema]
    node = dict(cast(Mapping[str, Any], schema))
    if "name" in node:
        known[node["name"]] = node
    for key in ("items", "values"):
        if key in node:
            node[key] = resolved(node[key], known)
    if "fields" in node:
        node["fields"] = [{**one, "type": resolved(one["type"], known)} for one in node["fields"]]
        known[node["name"]] = node
    return node


def _field(one: Mapping[str, Any], inside: tuple[str, ...]) -> StructField:
    return StructField(one["name"], spark_type(one["type"], inside), nullable(one["type"]))


def _members(union: Sequence[Schema]) -> list[Schema]:
    return [one for one in union if one != "null"]


def _union(union: Sequence[Schema], inside: tuple[str, ...]) -> DataType:
    members = _members(union)
    if len(members) < 2:
        return spark_type(members[0], inside) if members else NullType()
    wide = _wide(members)
    if wide is not None:
        return wide
    fields = [StructField(f"member{at}", spark_type(one, inside), True) for at, one in enumerate(members)]
    return StructType(fields)


def _wide(members: Sequence[Schema]) -> DataType | None:
    kinds = sorted(one if isinstance(one, str) else json.dumps(one, default=str) for one in members)
    return {("int", "long"): LongType(), ("double", "float"): DoubleType()}.get(cast(Any, tuple(kinds)))


def _union_converter(union: Sequence[Schema]) -> Convert | None:
    members = _members(union)
    if len(members) < 2:
        return _unnamed(converter(members[0])) if members else None
    if _wide(members) is not None:
        return None
    convert = [converter(one) for one in members]
    place: dict[object, int] = {}
    for at, one in enumerate(members):
        if place.setdefault(_tag(one), at) != at:
            raise unsupported(f"the Avro union {json.dumps(union, default=str)}", "Its members cannot be told apart.")

    def choose(value: Any) -> Any:
        if value is None:
            return None
        tag, inner = value if isinstance(value, tuple) else (type(value), value)
        one = convert[place[tag]]
        return {f"member{place[tag]}": inner if one is None else one(inner)}

    return choose


def _unnamed(inner: Convert | None) -> Convert:
    """fastavro gives values of named types in unions together with the type's name."""

    def convert(value: Any) -> Any:
        plain = value[1] if isinstance(value, tuple) else value
        return plain if inner is None else inner(plain)

    return convert


_CLASSES: dict[type[DataType], type] = {
    BooleanType: bool, IntegerType: int, LongType: int, FloatType: float, DoubleType: float, StringType: str,
    BinaryType: bytes, DateType: date, TimestampType: datetime, TimestampNTZType: datetime, DecimalType: Decimal,
    ArrayType: list, MapType: dict,
}  # fmt: skip


def _tag(schema: Schema) -> object:
    """How a union's member is told from the others: by the name of its type, else by the class of its values."""
    if isinstance(schema, Mapping):
        if "name" in schema:
            return schema["name"]
        if schema.get("logicalType") == "uuid":
            return UUID
    return _CLASSES[type(spark_type(schema))]


def _record_converter(fields: Mapping[str, Convert | None]) -> Convert | None:
    changing = {name: convert for name, convert in fields.items() if convert is not None}
    if not changing:
        return None

    def convert_record(value: Any) -> Any:
        if value is None:
            return None
        return {**value, **{name: convert(value.get(name)) for name, convert in changing.items()}}

    return convert_record


def _each(inner: Convert | None, is_array: bool) -> Convert | None:
    if inner is None:
        return None
    if is_array:
        return lambda value: None if value is None else [inner(one) for one in value]
    return lambda value: None if value is None else {key: inner(one) for key, one in value.items()}
