"""Whether rows of one schema may be written to a table of another, and what the table's schema becomes.

Invariants: a table's existing columns keep their order and never lose values (types are never narrowed);
names are compared without case, as Spark does.
"""

from __future__ import annotations

from collections.abc import Iterator

from pyspark.sql.types import (
    ArrayType,
    ByteType,
    CalendarIntervalType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    TimeType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)

from headwater.errors import AnalysisError, unsupported
from headwater.lake.widening import widens

CHAR_VARCHAR = "__CHAR_VARCHAR_TYPE_STRING"
"""Where a text column's metadata remembers that it is a CHAR or VARCHAR, and of what length."""
FORBIDDEN = " ,;{}()\n\t="
_INTEGERS: tuple[type[DataType], ...] = (ByteType, ShortType, IntegerType, LongType)
_DIGITS = {ByteType: 3, ShortType: 5, IntegerType: 10, LongType: 20}


def check_storable(schema: StructType, *, mapped: bool = False) -> None:
    """Raise if Delta cannot hold a column: unknown type, forbidden name, names that differ only by case.

    `mapped`: the table has other names in its files, so that a column may have any.
    """
    _check_names(schema.fields, "" if mapped else FORBIDDEN)
    for path, kind in _types(schema, ()):
        if isinstance(kind, NullType):
            raise AnalysisError("DELTA_NULL_SCHEMA_IN_STREAMING_WRITE", column=".".join(path))
        if isinstance(kind, CalendarIntervalType | DayTimeIntervalType | YearMonthIntervalType | TimeType):
            listed = f"[{'.'.join(path)}: {kind.simpleString()}]"
            raise AnalysisError("DELTA_UNSUPPORTED_DATA_TYPES", dataTypeList=listed)
        if isinstance(kind, VariantType):
            raise unsupported("a variant column in a Delta table", "Keep it as a JSON string: to_json(column).")


def _check_names(fields: list[StructField], forbidden: str) -> None:
    seen: set[str] = set()
    for field in fields:
        if any(char in field.name for char in forbidden):
            raise AnalysisError("DELTA_INVALID_CHARACTERS_IN_COLUMN_NAMES", invalidColumnNames=field.name)
        if field.name.lower() in seen:
            raise AnalysisError(
                "DELTA_DUPLICATE_COLUMNS_FOUND", coltype="in the data to save", duplicateCols=field.name
            )
        seen.add(field.name.lower())
        for inner in _structs(field.dataType):
            _check_names(inner.fields, forbidden)


def _structs(kind: DataType) -> Iterator[StructType]:
    if isinstance(kind, StructType):
        yield kind
    elif isinstance(kind, ArrayType):
        yield from _structs(kind.elementType)
    elif isinstance(kind, MapType):
        yield from _structs(kind.keyType)
        yield from _structs(kind.valueType)


def _types(kind: DataType, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], DataType]]:
    if isinstance(kind, StructType):
        for field in kind.fields:
            yield from _types(field.dataType, (*path, field.name))
    elif isinstance(kind, ArrayType):
        yield from _types(kind.elementType, (*path, "element"))
    elif isinstance(kind, MapType):
        yield from _types(kind.keyType, (*path, "key"))
        yield from _types(kind.valueType, (*path, "value"))
    else:
        yield path, kind


def check_partitioning(schema: StructType, partition_by: tuple[str, ...]) -> tuple[str, ...]:
    """The partition columns as the schema spells them. Raises if one is missing, nested, or all columns are taken."""
    names = {field.name.lower(): field for field in schema.fields}
    for name in partition_by:
        field = names.get(name.lower())
        if field is None:
            listed = ", ".join(field.name for field in schema.fields)
            raise AnalysisError("DELTA_PARTITION_COLUMN_NOT_FOUND", columnName=name, schemaMap=listed)
        if isinstance(field.dataType, StructType | ArrayType | MapType):
            raise AnalysisError(
                "DELTA_INVALID_PARTITION_COLUMN_TYPE", name=name, dataType=field.dataType.simpleString()
            )
    if partition_by and len(partition_by) == len(schema.fields):
        raise AnalysisError("DELTA_CANNOT_USE_ALL_COLUMNS_FOR_PARTITION")
    return tuple(names[name.lower()].name for name in partition_by)


def stored(schema: StructType) -> StructType:
    """The schema as Delta keeps it: `char(n)` and `varchar(n)` are strings that remember what they were."""
    return StructType([_stored_field(field) for field in schema.fields])


def _stored_field(field: StructField) -> StructField:
    if not isinstance(field.dataType, CharType | VarcharType):
        return field
    metadata = {**(field.metadata or {}), CHAR_VARCHAR: field.dataType.simpleString()}
    return StructField(field.name, StringType(), field.nullable, metadata)


def as_nullable(schema: StructType) -> StructType:
    """The schema with every column, element and value nullable: what a DataFrame's write gives a new table."""
    return StructType([StructField(f.name, _nullable(f.dataType), True, f.metadata) for f in schema.fields])


def _nullable(kind: DataType) -> DataType:
    if isinstance(kind, StructType):
        return StructType([StructField(f.name, _nullable(f.dataType), True, f.metadata) for f in kind.fields])
    if isinstance(kind, ArrayType):
        return ArrayType(_nullable(kind.elementType), True)
    if isinstance(kind, MapType):
        return MapType(_nullable(kind.keyType), _nullable(kind.valueType), True)
    return kind


def merge(table: StructType, data: StructType, *, grow: bool, widen: bool = False) -> StructType:
    """The table's schema after writing `data` to it.

    With `grow`, columns that only `data` has are added at the end (nullable); without it they raise Delta's schema
    mismatch, which tells of `mergeSchema`. Types that do not fit raise DELTA_FAILED_TO_MERGE_FIELDS; with `widen`, a
    column becomes as wide as `data` has it.
    """
    merged = _merge_structs(table, stored(data), (), widen)
    if not grow and merged != table:
        raise AnalysisError("DELTA_METADATA_MISMATCH", tableSchema=table.treeString(), dataSchema=data.treeString())
    return merged


def _merge_structs(table: StructType, data: StructType, path: tuple[str, ...], widen: bool) -> StructType:
    incoming = {field.name.lower(): field for field in data.fields}
    fields = []
    for field in table.fields:
        other = incoming.pop(field.name.lower(), None)
        kind = field.dataType
        if other is not None:
            kind = _merge_types(kind, other.dataType, (*path, field.name), widen)
        fields.append(StructField(field.name, kind, field.nullable, field.metadata))
    added = [field for field in data.fields if field.name.lower() in incoming]
    return StructType(fields + [StructField(f.name, _nullable(f.dataType), True, f.metadata) for f in added])


def _merge_types(table: DataType, data: DataType, path: tuple[str, ...], widen: bool) -> DataType:
    if isinstance(table, StructType) and isinstance(data, StructType):
        return _merge_structs(table, data, path, widen)
    if isinstance(table, ArrayType) and isinstance(data, ArrayType):
        return ArrayType(_merge_types(table.elementType, data.elementType, path, widen), table.containsNull)
    if isinstance(table, MapType) and isinstance(data, MapType):
        key = _merge_types(table.keyType, data.keyType, path, widen)
        value = _merge_types(table.valueType, data.valueType, path, widen)
        return MapType(key, value, table.valueContainsNull)
    if fits(data, table):
        return table
    if widen and widens(table, data):
        return data
    name = ".".join(path)
    reason = f"Failed to merge incompatible data types {table.simpleString()} and {data.simpleString()}."
    raise AnalysisError("DELTA_FAILED_TO_MERGE_FIELDS", currentField=name, updateField=name, reason=reason)


def fits(data: DataType, table: DataType) -> bool:
    """Whether every value of `data` is also a value of `table`."""
    if type(data) is type(table) and not isinstance(data, DecimalType):
        return True
    if isinstance(data, NullType):
        return True
    if isinstance(table, DecimalType):
        return _fits_decimal(data, table)
    if type(data) in _INTEGERS and type(table) in _INTEGERS:
        return _INTEGERS.index(type(data)) <= _INTEGERS.index(type(table))
    if isinstance(table, DoubleType):
        return isinstance(data, FloatType | ByteType | ShortType | IntegerType)
    if isinstance(data, StringType) and isinstance(table, StringType):
        return True
    return isinstance(data, DateType) and isinstance(table, TimestampType | TimestampNTZType)


def _fits_decimal(data: DataType, table: DecimalType) -> bool:
    whole = table.precision - table.scale
    if isinstance(data, DecimalType):
        return bool(data.scale <= table.scale and data.precision - data.scale <= whole)
    return type(data) in _DIGITS and _DIGITS[type(data)] <= whole
