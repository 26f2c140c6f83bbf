"""SET s.a = …: what a column becomes whose struct's fields are given values.

Invariants: fields that are given none stay as they are; of a struct that is null the others are null; a field is given
one value, itself or by a struct around it, never both.
Source: Delta's `UpdateExpressionsSupport`, tried out on Delta 4.3.
"""

from __future__ import annotations

from collections.abc import Mapping

from pyspark.sql.types import ArrayType, DataType, MapType, StringType, StructField, StructType

from headwater.errors import AnalysisError
from headwater.plan.expressions import Call, Expression, ExtractValue, Literal

Path = tuple[str, ...]
"""Names from a column to a field in it; () is the column itself."""


def field_at(column: StructField, path: Path) -> StructField:
    """The field, its name that of the whole way. Raises DELTA_UNSUPPORTED_NESTED_FIELD_IN_UPDATE, FIELD_NOT_FOUND."""
    way, kind = [column.name], column.dataType
    for name in path:
        if not isinstance(kind, StructType):
            raise AnalysisError("DELTA_UNSUPPORTED_NESTED_FIELD_IN_UPDATE", optionalPrefixMessage="")
        found = next((one for one in kind.fields if one.name.lower() == name.lower()), None)
        if found is None:
            known = ", ".join(f"`{one}`" for one in kind.names)
            raise AnalysisError("FIELD_NOT_FOUND", fieldName=f"`{name}`", fields=known)
        way.append(found.name)
        kind = found.dataType
    return StructField(".".join(way), kind)


def same_fields(given: DataType, wanted: DataType) -> bool:
    """Whether both types have fields of the same names at any depth, in whatever order."""
    if isinstance(given, ArrayType) and isinstance(wanted, ArrayType):
        return same_fields(given.elementType, wanted.elementType)
    if isinstance(given, MapType) and isinstance(wanted, MapType):
        return same_fields(given.keyType, wanted.keyType) and same_fields(given.valueType, wanted.valueType)
    if isinstance(given, StructType) and isinstance(wanted, StructType):
        old, new = ({field.name.lower(): field.dataType for field in one.fields} for one in (given, wanted))
        return old.keys() == new.keys() and all(same_fields(old[name], kind) for name, kind in new.items())
    return True


def with_values(before: Expression, kind: DataType, values: Mapping[Path, Expression]) -> Expression:
    """`before`, of type `kind`, with the values of some of its fields; each is of its field's type already."""
    if () in values:
        return values[()]
    assert isinstance(kind, StructType)
    parts: list[Expression] = []
    for field in kind.fields:
        inner = {path[1:]: value for path, value in values.items() if path[0].lower() == field.name.lower()}
        old = ExtractValue(before, Literal(field.name, StringType()))
        parts += [Literal(field.name, StringType()), with_values(old, field.dataType, inner) if inner else old]
    return Call("named_struct", tuple(parts))


def check_once(values: Mapping[Path, Expression], column: str, path: Path) -> None:
    """Raise DELTA_CONFLICT_SET_COLUMN if the field, one in it or one around it has a value already."""
    mine = _folded(path)
    for other in values:
        length = min(len(other), len(path))
        if _folded(other)[:length] == mine[:length]:
            names = ", ".join(f"`{'.'.join((column, *one))}`" for one in (other, path))
            raise AnalysisError("DELTA_CONFLICT_SET_COLUMN", columnList=f"[{names}]")


def _folded(path: Path) -> Path:
    return tuple(name.lower() for name in path)
