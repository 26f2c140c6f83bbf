"""The schema of XML files as Spark infers it.

Invariants: columns are sorted by name at every level; a name met twice in one element is an array; types that do not
agree are string; a damaged document adds the corrupt-record column (PERMISSIVE) or raises (FAILFAST).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    DecimalType,
    DoubleType,
    LongType,
    NullType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from headwater.errors import RuntimeSparkError
from headwater.io.formats.base import FormatOptions
from headwater.io.formats.xml_records import Damaged, rows
from headwater.io.formats.xml_values import XmlOptions, is_plain, members, shown, whole_text
from headwater.io.storage import FileStatus

_INTEGER = re.compile(r"[+-]?\d+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|NaN|[+-]?Infinity")
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_TIMESTAMP = re.compile(r"\d{4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d{1,2}(:\d{1,2}(\.\d{1,9})?)?\s?(Z|UTC|[+-]\d{2}:?\d{2})?")
_NUMBERS = (LongType, DecimalType, DoubleType)


def infer(files: Sequence[FileStatus], options: FormatOptions) -> StructType:
    """See `Format.infer`. Raises MALFORMED_RECORD_IN_PARSING, XML_ROW_TAG_MISSING."""
    chosen = XmlOptions.of(options)
    leaves = _Leaves(options.flag("inferSchema", True), options.flag("prefersDecimal"))
    found: DataType = StructType()
    damaged = False
    for file in files:
        for row in rows(file, chosen, options.get("encoding", options.get("charset"))):
            if isinstance(row, Damaged):
                damaged = True
            else:
                found = agreed(found, _element(row, chosen, leaves, is_row=True), chosen)
    schema = _settled(found)
    assert isinstance(schema, StructType)
    return _with_corrupt(schema, options) if damaged else schema


class _Leaves:
    """What a text is."""

    def __init__(self, typed: bool, decimals: bool) -> None:
        self._typed, self._decimals = typed, decimals

    def kind(self, text: str | None) -> DataType:
        if not text:
            return NullType()
        return self._guess(text) if self._typed else StringType()

    def _guess(self, text: str) -> DataType:
        if _INTEGER.fullmatch(text) and -(1 << 63) <= int(text) < 1 << 63:
            return LongType()
        if _NUMBER.fullmatch(text):
            return self._decimal(text) or DoubleType()
        if text.lower() in ("true", "false"):
            return BooleanType()
        if _DATE.fullmatch(text) and _is_date(text):
            return DateType()
        return TimestampType() if _TIMESTAMP.fullmatch(text) and _is_date(text[:10]) else StringType()

    def _decimal(self, text: str) -> DecimalType | None:
        try:
            exponent = Decimal(text).as_tuple()
        except InvalidOperation:
            return None
        if not self._decimals or not isinstance(exponent.exponent, int) or "e" in text.lower():
            return None
        scale = max(-exponent.exponent, 0)
        precision = max(len(exponent.digits), scale)
        return DecimalType(precision, scale) if precision <= 38 else None


def _is_date(text: str) -> bool:
    try:
        date(*map(int, re.findall(r"\d+", text)[:3]))
    except (ValueError, TypeError):
        return False
    return True


def _element(item: Any, options: XmlOptions, leaves: _Leaves, *, is_row: bool = False) -> DataType:
    if isinstance(item, str):
        return leaves.kind(shown(item, options))
    if is_plain(item, options) and not (is_row and (item.text or "").strip()):
        return StructType() if is_row else leaves.kind(shown(whole_text(item), options))
    fields: dict[str, list[DataType]] = {}
    names: dict[str, str] = {}
    for name, one in members(item, options):
        names.setdefault(options.name(name), name)
        fields.setdefault(options.name(name), []).append(_element(one, options, leaves))
    return StructType([StructField(names[key], _repeated(kinds, options)) for key, kinds in fields.items()])


def _repeated(kinds: Sequence[DataType], options: XmlOptions) -> DataType:
    kind = kinds[0]
    for other in kinds[1:]:
        kind = agreed(kind, other, options)
    return kind if len(kinds) == 1 else ArrayType(kind, True)


def agreed(one: DataType, other: DataType, options: XmlOptions) -> DataType:
    """The type of a column that is of both types."""
    if one == other or isinstance(other, NullType):
        return one
    if isinstance(one, NullType):
        return other
    if isinstance(one, ArrayType) or isinstance(other, ArrayType):
        inner = [kind.elementType if isinstance(kind, ArrayType) else kind for kind in (one, other)]
        return ArrayType(agreed(inner[0], inner[1], options), True)
    if isinstance(one, StructType) and isinstance(other, StructType):
        return _both(one, other, options)
    for struct, leaf in ((one, other), (other, one)):
        if isinstance(struct, StructType) and options.value_tag in struct.names:
            return _both(struct, StructType([StructField(options.value_tag, leaf)]), options)
    return _leaf(one, other)


def _leaf(one: DataType, other: DataType) -> DataType:
    kinds = {type(one), type(other)}
    if kinds <= set(_NUMBERS):
        return _number(one, other)
    return TimestampType() if kinds == {DateType, TimestampType} else StringType()


def _number(one: DataType, other: DataType) -> DataType:
    exact = [DecimalType(20, 0) if isinstance(kind, LongType) else kind for kind in (one, other)]
    decimals = [kind for kind in exact if isinstance(kind, DecimalType)]
    if len(decimals) < 2:
        return DoubleType()
    scale = max(kind.scale for kind in decimals)
    whole = max(kind.precision - kind.scale for kind in decimals)
    return DecimalType(whole + scale, scale) if whole + scale <= 38 else DoubleType()


def _both(one: StructType, other: StructType, options: XmlOptions) -> StructType:
    fields = {options.name(field.name): field for field in one.fields}
    for field in other.fields:
        known = fields.get(options.name(field.name))
        kind = agreed(known.dataType, field.dataType, options) if known else field.dataType
        fields[options.name(field.name)] = StructField(known.name if known else field.name, kind)
    return StructType(list(fields.values()))


def _settled(kind: DataType) -> DataType:
    """Sorted, and string where nothing was ever seen."""
    if isinstance(kind, NullType):
        return StringType()
    if isinstance(kind, ArrayType):
        return ArrayType(_settled(kind.elementType), True)
    if isinstance(kind, StructType):
        fields = [StructField(field.name, _settled(field.dataType), True) for field in kind.fields]
        return StructType(sorted(fields, key=lambda field: field.name))
    return kind


def _with_corrupt(schema: StructType, options: FormatOptions) -> StructType:
    mode = options.text("mode", "PERMISSIVE").upper()
    column = options.text("columnNameOfCorruptRecord", "_corrupt_record")
    if mode == "FAILFAST":
        raise RuntimeSparkError("MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION", badRecord=column, failFastMode=mode)
    if mode == "DROPMALFORMED" or column in schema.names:
        return schema
    return StructType(sorted([*schema.fields, StructField(column, StringType(), True)], key=lambda field: field.name))
