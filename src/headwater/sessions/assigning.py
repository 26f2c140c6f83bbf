"""Fitting a query's columns to a table's: by name or by position, under Spark's ANSI store-assignment rules.

Invariants: a value is never changed silently: a cast that could lose meaning is refused when the plan is resolved,
one that overflows fails when it runs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pyspark.sql.types import (
    ArrayType,
    BooleanType,
    DataType,
    DateType,
    MapType,
    NullType,
    NumericType,
    StringType,
    StructType,
    TimestampNTZType,
    TimestampType,
    VarcharType,
)

from headwater.errors import AnalysisError
from headwater.plan.expressions import Alias, Column, StoredValue
from headwater.plan.relations import Project, Relation, ToDF
from headwater.sessions.defaults import default_of

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_TIMES = (DateType, TimestampType, TimestampNTZType)


def by_position(plan: Relation, table: StructType, name: str, session: Session) -> Relation:
    """The plan as `table` by column position. Raises INSERT_COLUMN_ARITY_MISMATCH, CANNOT_SAFELY_CAST."""
    data = session.resolve(plan).schema
    check_arity(data, table, name)
    return _fit(plan, data, table, name, list(range(len(table.fields))))


def check_arity(data: StructType, table: StructType, name: str) -> None:
    """Raise INSERT_COLUMN_ARITY_MISMATCH unless the rows have as many columns as the table."""
    if len(data.fields) != len(table.fields):
        kind = "TOO_MANY" if len(data.fields) > len(table.fields) else "NOT_ENOUGH"
        raise AnalysisError(
            f"INSERT_COLUMN_ARITY_MISMATCH.{kind}_DATA_COLUMNS",
            tableName=name,
            tableColumns=_list(table.names),
            dataColumns=_list(data.names),
        )


def by_name(plan: Relation, table: StructType, name: str, session: Session, *, fill: bool = False) -> Relation:
    """The plan as `table` by column name; with `fill`, columns the plan lacks have their defaults, or are null.

    Raises INCOMPATIBLE_DATA_FOR_TABLE and INSERT_COLUMN_ARITY_MISMATCH.
    """
    data = session.resolve(plan).schema
    places = {field.name.lower(): index for index, field in enumerate(data.fields)}
    known = {field.name.lower() for field in table.fields}
    if any(place not in known for place in places):
        raise AnalysisError(
            "INSERT_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS",
            tableName=name,
            tableColumns=_list(table.names),
            dataColumns=_list(data.names),
        )
    order = [places.get(field.name.lower()) for field in table.fields]
    if None in order and not fill:
        missing = table.fields[order.index(None)].name
        raise AnalysisError("INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_FIND_DATA", tableName=name, colName=f"`{missing}`")
    return _fit(plan, data, table, name, order)


def _fit(plan: Relation, data: StructType, table: StructType, name: str, order: Sequence[int | None]) -> Relation:
    names = tuple(f"c{index}" for index in range(len(data.fields)))
    columns = []
    for field, index in zip(table.fields, order, strict=True):
        value = default_of(field) if index is None else Column((names[index],))
        source = field.dataType if index is None else data.fields[index].dataType
        if not storable(source, field.dataType):
            raise AnalysisError(
                "INCOMPATIBLE_DATA_FOR_TABLE.CANNOT_SAFELY_CAST",
                tableName=name,
                colName=f"`{field.name}`",
                srcType=_type(source),
                targetType=_type(field.dataType),
            )
        if source != field.dataType:
            value = StoredValue(value, field.dataType, field.name, "CAST_OVERFLOW_IN_TABLE_INSERT")
        columns.append(Alias(value, (field.name,)))
    return Project(ToDF(plan, names), tuple(columns))


def storable(source: DataType, target: DataType) -> bool:
    """Whether Spark's ANSI store assignment lets values of `source` into a column of `target`."""
    if isinstance(source, NullType) or source == target:
        return True
    if isinstance(source, ArrayType) and isinstance(target, ArrayType):
        return storable(source.elementType, target.elementType)
    if isinstance(source, MapType) and isinstance(target, MapType):
        return storable(source.keyType, target.keyType) and storable(source.valueType, target.valueType)
    if isinstance(source, StructType) and isinstance(target, StructType):
        pairs = zip(source.fields, target.fields, strict=False)
        return len(source.fields) == len(target.fields) and all(storable(a.dataType, b.dataType) for a, b in pairs)
    return _atomic_storable(source, target)


def _atomic_storable(source: DataType, target: DataType) -> bool:
    nested = (ArrayType, MapType, StructType)
    if isinstance(source, nested) or isinstance(target, nested):
        return False
    if isinstance(target, StringType | VarcharType):
        return True
    if isinstance(source, NumericType) and isinstance(target, NumericType):
        return True
    if isinstance(source, BooleanType) or isinstance(target, BooleanType):
        return type(source) is type(target)
    if isinstance(source, _TIMES) and isinstance(target, _TIMES):
        return True
    return type(source) is type(target)


def _type(data_type: DataType) -> str:
    return f'"{data_type.simpleString().upper()}"'


def _list(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
