"""DuckDB's form of Spark's types, and back from the text that DESCRIBE shows.

Invariants: `from_duck(duck_name(t))` is `t` up to what DuckDB does not keep (nullability, char lengths, interval
units, void, variant); unsigned and huge integers come back as decimals wide enough to hold them.
"""

from __future__ import annotations

import re
from functools import lru_cache

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
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
    UserDefinedType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)
from sqlglot import exp

from headwater.errors import unsupported

_NAMES: dict[type[DataType], str] = {
    StringType: "VARCHAR",
    CharType: "VARCHAR",
    VarcharType: "VARCHAR",
    BinaryType: "BLOB",
    BooleanType: "BOOLEAN",
    ByteType: "TINYINT",
    ShortType: "SMALLINT",
    IntegerType: "INTEGER",
    LongType: "BIGINT",
    FloatType: "FLOAT",
    DoubleType: "DOUBLE",
    DateType: "DATE",
    TimestampType: "TIMESTAMP WITH TIME ZONE",
    TimestampNTZType: "TIMESTAMP",
    TimeType: "TIME",
    DayTimeIntervalType: "INTERVAL",
    YearMonthIntervalType: "INTERVAL",
    CalendarIntervalType: "INTERVAL",
    NullType: "INTEGER",
    VariantType: "JSON",
}
_BACK: dict[str, DataType] = {
    "VARCHAR": StringType(),
    "TEXT": StringType(),
    "STRING": StringType(),
    "CHAR": StringType(),
    "JSON": StringType(),
    "UUID": StringType(),
    "BLOB": BinaryType(),
    "BYTEA": BinaryType(),
    "BINARY": BinaryType(),
    "BIT": StringType(),
    "BOOLEAN": BooleanType(),
    "TINYINT": ByteType(),
    "SMALLINT": ShortType(),
    "INTEGER": IntegerType(),
    "INT": IntegerType(),
    "BIGINT": LongType(),
    "UTINYINT": ShortType(),
    "USMALLINT": IntegerType(),
    "UINTEGER": LongType(),
    "UBIGINT": DecimalType(20, 0),
    "HUGEINT": DecimalType(38, 0),
    "UHUGEINT": DecimalType(38, 0),
    "BIGNUM": DecimalType(38, 0),
    "FLOAT": FloatType(),
    "DOUBLE": DoubleType(),
    "DECIMAL": DecimalType(18, 3),
    "DATE": DateType(),
    "TIMESTAMP": TimestampNTZType(),
    "TIMESTAMP_S": TimestampNTZType(),
    "TIMESTAMP_MS": TimestampNTZType(),
    "TIMESTAMP_NS": TimestampNTZType(),
    "TIMESTAMP WITH TIME ZONE": TimestampType(),
    "TIMESTAMPTZ": TimestampType(),
    "TIME": TimeType(6),
    "INTERVAL": DayTimeIntervalType(),
    "NULL": NullType(),
    '"NULL"': NullType(),
}
_WORD = re.compile(r"\s*([A-Za-z_]\w*|\"NULL\")")
_NAME = re.compile(r"\s*(?:\"((?:[^\"]|\"\")*)\"|([^\s,()\"]+))")


def duck_name(data_type: DataType) -> str:
    """The DuckDB type text of a Spark type. Raises UnsupportedError for a type DuckDB cannot hold."""
    if isinstance(data_type, UserDefinedType):
        return duck_name(data_type.sqlType())
    if isinstance(data_type, DecimalType):
        return f"DECIMAL({data_type.precision},{data_type.scale})"
    if isinstance(data_type, ArrayType):
        return f"{duck_name(data_type.elementType)}[]"
    if isinstance(data_type, MapType):
        return f"MAP({duck_name(data_type.keyType)}, {duck_name(data_type.valueType)})"
    if isinstance(data_type, StructType):
        return f"STRUCT({', '.join(f'{_quote(f.name)} {duck_name(f.dataType)}' for f in data_type.fields)})"
    name = _NAMES.get(type(data_type))
    if name is None:
        raise unsupported(f"the type {data_type.simpleString()}")
    return name


@lru_cache(maxsize=4096)
def _tree(name: str) -> exp.DataType:
    return exp.DataType.build(name, dialect="duckdb")


def to_duck(data_type: DataType) -> exp.DataType:
    """The sqlglot type of a Spark type. Raises UnsupportedError for a type DuckDB cannot hold."""
    return _tree(duck_name(data_type)).copy()


def from_duck(text: str) -> DataType:
    """The Spark type of DuckDB's type text. Raises UnsupportedError for a type Spark does not have."""
    result, end = _parse(text, 0)
    if text[end:].strip():
        raise unsupported(f"DuckDB's type {text}")
    return result


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _parse(text: str, at: int) -> tuple[DataType, int]:
    match = _WORD.match(text, at)
    if match is None:
        raise unsupported(f"DuckDB's type {text}")
    word, at = match[1].upper(), match.end()
    if word == "TIMESTAMP" and text[at : at + 15].upper() == " WITH TIME ZONE":
        word, at = "TIMESTAMPTZ", at + 15
    if text[at : at + 1] == "(":
        base, at = _parameters(word, text, at + 1)
    else:
        found = _BACK.get(word)
        if found is None:
            raise unsupported(f"DuckDB's type {text}")
        base = found
    while text[at : at + 1] == "[":
        base, at = ArrayType(base, True), text.index("]", at) + 1
    return base, at


def _parameters(word: str, text: str, at: int) -> tuple[DataType, int]:
    if word == "DECIMAL":
        end = text.index(")", at)
        return DecimalType(*(int(part) for part in text[at:end].split(","))), end + 1
    if word == "MAP":
        key, at = _parse(text, at)
        value, at = _parse(text, text.index(",", at) + 1)
        return MapType(key, value, True), at + 1
    if word == "STRUCT":
        return _struct(text, at)
    if word == "ENUM":
        return StringType(), _closing(text, at)
    raise unsupported(f"DuckDB's type {text}")


def _struct(text: str, at: int) -> tuple[DataType, int]:
    fields: list[StructField] = []
    while True:
        match = _NAME.match(text, at)
        if match is None:
            raise unsupported(f"DuckDB's type {text}")
        name = match[1].replace('""', '"') if match[1] is not None else match[2]
        data_type, at = _parse(text, match.end())
        fields.append(StructField(name, data_type, True))
        if text[at : at + 1] != ",":
            return StructType(fields), at + 1
        at += 1


def _closing(text: str, at: int) -> int:
    quoted = False
    while quoted or text[at] != ")":
        quoted ^= text[at] == "'"
        at += 1
    return at + 1
