"""Reading inside values: struct fields, array elements, map values.

Invariants: field names follow the session's case rule; an array of structs gives the array of the field.
"""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    DataType,
    IntegralType,
    MapType,
    StringType,
    StructField,
    StructType,
    VariantType,
)
from sqlglot import exp

from headwater.errors import AnalysisError, ArrayIndexError
from headwater.functions.base import FunctionCall, Typed
from headwater.functions.building import (
    add,
    at_least,
    both,
    case,
    duck,
    either,
    is_null,
    lambda_,
    less,
    let,
    to_int,
    to_type,
)
from headwater.functions.raising import fail
from headwater.types.ddl import type_sql


def field_of(base: Typed, name: str, fold: bool = True) -> Typed:
    """`base.name`. Raises FIELD_NOT_FOUND, INVALID_EXTRACT_BASE_FIELD_TYPE."""
    data_type = base.type
    if isinstance(data_type, StructType):
        field = find_field(data_type, name, fold)
        return Typed(
            _extract(base.sql, field), field.dataType, base.nullable or field.nullable, name=f"{base.name}.{field.name}"
        )
    if isinstance(data_type, ArrayType) and isinstance(data_type.elementType, StructType):
        field = find_field(data_type.elementType, name, fold)
        mapped = duck("list_transform", base.sql, lambda_(lambda item: _extract(item, field)))
        made = ArrayType(field.dataType, data_type.containsNull or field.nullable)
        return Typed(mapped, made, base.nullable, name=f"{base.name}.{field.name}")
    if isinstance(data_type, MapType):
        value = duck("list_extract", duck("map_extract", base.sql, exp.Literal.string(name)), 1)
        return Typed(value, data_type.valueType, True, name=f"{base.name}[{name}]")
    raise _not_complex(base)


def _extract(item: exp.Expression, field: StructField) -> exp.Expression:
    return duck("struct_extract", item, exp.Literal.string(field.name))


def find_field(struct: StructType, name: str, fold: bool) -> StructField:
    """The field of that name. Raises FIELD_NOT_FOUND, AMBIGUOUS_REFERENCE_TO_FIELDS."""
    matches = [f for f in struct.fields if f.name == name or (fold and f.name.lower() == name.lower())]
    if not matches:
        names = ", ".join(f"`{f.name}`" for f in struct.fields)
        raise AnalysisError("FIELD_NOT_FOUND", fieldName=f"`{name}`", fields=names)
    if len(matches) > 1:
        raise AnalysisError("AMBIGUOUS_REFERENCE_TO_FIELDS", field=f"`{name}`", count=len(matches))
    return matches[0]


def element(base: Typed, key: Typed, call: FunctionCall) -> Typed:
    """`base[key]`: array by 0-based index (ANSI: outside is INVALID_ARRAY_INDEX), map by key (missing: NULL)."""
    if isinstance(base.type, ArrayType):
        return _by_index(base, base.type, key, call)
    if isinstance(base.type, MapType):
        typed = to_type(call, key, base.type.keyType)
        return Typed(duck("list_extract", duck("map_extract", base.sql, typed.sql), 1), base.type.valueType, True)
    if isinstance(base.type, StructType) and isinstance(key.type, StringType):
        return field_of(base, str(key.literal))
    if isinstance(base.type, VariantType):
        return Typed(exp.JSONExtract(this=base.sql, expression=key.sql), base.type, True)
    raise _not_complex(base)


def _by_index(base: Typed, data_type: ArrayType, key: Typed, call: FunctionCall) -> Typed:
    index = key if isinstance(key.type, IntegralType) else to_int(call, key)

    def read(items: exp.Expression, at: exp.Expression) -> exp.Expression:
        value = duck("list_extract", items, add(at, 1))
        outside = either(less(at, 0), at_least(at, duck("len", items)))
        if not call.ansi:
            return case((less(at, 0), None), otherwise=value)
        error = fail(ArrayIndexError, "INVALID_ARRAY_INDEX", indexValue=at, arraySize=duck("len", items))
        known = both(exp.Not(this=is_null(items)), outside)
        return case((known, error), otherwise=value)

    return Typed(let([base.sql, index.sql], read), data_type.elementType, True)


def _not_complex(base: Typed) -> AnalysisError:
    shown: DataType | None = base.type
    return AnalysisError(
        "INVALID_EXTRACT_BASE_FIELD_TYPE", base=f'"{base.name}"', other=f'"{type_sql(shown)}"' if shown else "unknown"
    )
