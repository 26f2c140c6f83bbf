"""`cloudFiles.schemaHints`: types the user knows, for columns and for what lies inside them.

`a.b DATE` names a field of a struct, `a.element` what an array holds, `a.key` and `a.value` what a map holds.

Invariant: a column whose inferred type has no such inside becomes a struct of the hinted field; the values that do not
fit then go to the rescued-data column.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from pyspark.sql.types import ArrayType, DataType, MapType, StructField, StructType

from headwater.errors import IllegalArgumentError
from headwater.types.ddl import parse_schema

_PATH = re.compile(r"\s*((?:`(?:[^`]|``)*`|[^\s.:`]+)(?:\.(?:`(?:[^`]|``)*`|[^\s.:`]+))*)")
_PART = re.compile(r"`((?:[^`]|``)*)`|([^.`]+)")


def with_hints(schema: StructType, hints: str) -> StructType:
    """`schema` with the hinted types; columns not seen yet go to the end. Raises INVALID_SOURCE_OPTION."""
    for text in _items(hints):
        found = _PATH.match(text)
        if found is None:
            raise IllegalArgumentError(
                "INVALID_SOURCE_OPTION", option="cloudFiles.schemaHints", value=hints, reason=f"`{text}` has no name"
            )
        parts = [quoted.replace("``", "`") or plain for quoted, plain in _PART.findall(found[1])]
        (hinted,) = parse_schema("hint " + text[found.end() :].lstrip(" :")).fields
        schema = _hinted(schema, parts, hinted)
    return schema


def _items(hints: str) -> Iterator[str]:
    """The hints, cut at commas that are in no brackets and no quotes."""
    depth, begin, quote = 0, 0, ""
    for at, char in enumerate(hints):
        if quote:
            quote = "" if char == quote else quote
        elif char in "`'":
            quote = char
        elif char in "<(":
            depth += 1
        elif char in ">)":
            depth -= 1
        elif char == "," and depth == 0:
            yield hints[begin:at]
            begin = at + 1
    if hints[begin:].strip():
        yield hints[begin:]


def _hinted(schema: StructType, parts: Sequence[str], hint: StructField) -> StructType:
    name, rest = parts[0], parts[1:]
    known = next((field for field in schema.fields if field.name.lower() == name.lower()), None)
    if rest:
        inner = _inside(known.dataType if known else StructType(), rest, hint)
        changed = StructField(known.name if known else name, inner, True)
    else:
        changed = StructField(name, hint.dataType, hint.nullable, hint.metadata)
    if known is None:
        return StructType([*schema.fields, changed])
    return StructType([changed if field is known else field for field in schema.fields])


def _inside(data_type: DataType, parts: Sequence[str], hint: StructField) -> DataType:
    """The type with what `parts` name inside it changed."""
    if not parts:
        return hint.dataType
    if isinstance(data_type, ArrayType) and parts[0].lower() == "element":
        return ArrayType(_inside(data_type.elementType, parts[1:], hint), True)
    if isinstance(data_type, MapType) and parts[0].lower() == "key":
        return MapType(_inside(data_type.keyType, parts[1:], hint), data_type.valueType, True)
    if isinstance(data_type, MapType) and parts[0].lower() == "value":
        return MapType(data_type.keyType, _inside(data_type.valueType, parts[1:], hint), True)
    return _hinted(data_type if isinstance(data_type, StructType) else StructType(), parts, hint)
