"""Filters for a Python data source's `pushFilters`: conditions of a plan in PySpark's words.

A condition that has no such words is left out: whoever pushes filters applies all conditions to the rows afterwards.

Invariant: a filter given means exactly its condition, for the column's own type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pyspark.sql.types import (
    BooleanType,
    DataType,
    FractionalType,
    IntegralType,
    StringType,
    StructType,
)

from headwater.plan.expressions import Call, Column, Expression, Literal

_COMPARISONS = {
    "==": "EqualTo",
    "<=>": "EqualNullSafe",
    ">": "GreaterThan",
    ">=": "GreaterThanOrEqual",
    "<": "LessThan",
    "<=": "LessThanOrEqual",
    "startswith": "StringStartsWith",
    "endswith": "StringEndsWith",
    "contains": "StringContains",
}
_FLIPPED = {"==": "==", "<=>": "<=>", ">": "<", ">=": "<=", "<": ">", "<=": ">="}


def filters_of(conditions: Sequence[Expression], schema: StructType) -> list[Any]:
    """The filters, those for null first, as Spark infers them."""
    from pyspark.sql.datasource import IsNotNull

    found = [one for condition in conditions for part in _conjuncts(condition) for one in _Words(schema).of(part)]
    guarded = dict.fromkeys(path for one in found for path in _strict(one))
    inferred = [IsNotNull(path) for path in guarded if IsNotNull(path) not in found]
    return [*inferred, *found]


def _conjuncts(condition: Expression) -> Iterator[Expression]:
    if isinstance(condition, Call) and condition.name == "and":
        for each in condition.arguments:
            yield from _conjuncts(each)
    else:
        yield condition


def _strict(filter_: Any) -> Iterator[tuple[str, ...]]:
    """The column that cannot be null where the filter holds, if Spark says so."""
    inner = getattr(filter_, "child", filter_)
    if type(inner).__name__ not in ("EqualNullSafe", "IsNull", "IsNotNull", "In"):
        yield inner.attribute


class _Words:
    def __init__(self, schema: StructType) -> None:
        self._schema = schema

    def of(self, condition: Expression) -> Iterator[Any]:
        """The filter of a condition, if there is one."""
        from pyspark.sql.datasource import EqualTo

        if isinstance(condition, Column):
            found = self._column(condition)
            if found and isinstance(found[1], BooleanType):
                yield EqualTo(found[0], True)
        elif isinstance(condition, Call):
            yield from self._call(condition)

    def _call(self, call: Call) -> Iterator[Any]:
        from pyspark.sql.datasource import IsNotNull, IsNull, Not

        if call.name == "not":
            yield from (Not(one) for one in self.of(call.arguments[0]) if not isinstance(one, Not))
        elif call.name in ("isnull", "isnotnull"):
            found = self._column(call.arguments[0])
            if found:
                yield (IsNull if call.name == "isnull" else IsNotNull)(found[0])
        elif call.name == "in":
            yield from self._in(call)
        elif call.name == "like":
            yield from self._like(call)
        elif call.name in _COMPARISONS and len(call.arguments) == 2:
            yield from self._comparison(call)

    def _comparison(self, call: Call) -> Iterator[Any]:
        from pyspark.sql import datasource

        left, right, name = *call.arguments, call.name
        if isinstance(left, Literal) and name in _FLIPPED:
            left, right, name = right, left, _FLIPPED[name]
        found = self._column(left)
        values = self._values(found, [right])
        if found and values:
            yield getattr(datasource, _COMPARISONS[name])(found[0], values[0])

    def _in(self, call: Call) -> Iterator[Any]:
        from pyspark.sql.datasource import In

        found = self._column(call.arguments[0])
        values = self._values(found, call.arguments[1:])
        if found and values:
            yield In(found[0], tuple(values))

    def _like(self, call: Call) -> Iterator[Any]:
        from pyspark.sql import datasource

        found = self._column(call.arguments[0])
        values = self._values(found, call.arguments[1:])
        if not found or not values:
            return
        pattern: str = values[0]
        text = pattern.strip("%")
        kinds = {f"{text}%": "StringStartsWith", f"%{text}": "StringEndsWith", f"%{text}%": "StringContains"}
        if text and pattern in kinds and not set(text) & set("%_\\"):
            yield getattr(datasource, kinds[pattern])(found[0], text)

    def _column(self, expression: Expression) -> tuple[tuple[str, ...], DataType] | None:
        """The path and type of a column of the schema, or of a field in one."""
        if not isinstance(expression, Column) or expression.metadata:
            return None
        path: list[str] = []
        kind: DataType = self._schema
        for part in expression.parts:
            fields = kind.fields if isinstance(kind, StructType) else []
            field = next((each for each in fields if each.name.lower() == part.lower()), None)
            if field is None:
                return None
            path.append(field.name)
            kind = field.dataType
        return tuple(path), kind

    @staticmethod
    def _values(column: tuple[tuple[str, ...], DataType] | None, literals: Sequence[Expression]) -> list[Any]:
        """The literals as values of the column's type; none if one of them is of another."""
        if column is None or not all(isinstance(each, Literal) for each in literals):
            return []
        fits = _fitting(column[1])
        values = [each.value for each in literals if isinstance(each, Literal)]
        return values if fits is not None and all(fits(value) for value in values) else []


def _fitting(kind: DataType) -> Callable[[Any], bool] | None:
    if isinstance(kind, BooleanType):
        return lambda value: isinstance(value, bool)
    if isinstance(kind, IntegralType):
        return lambda value: isinstance(value, int) and not isinstance(value, bool)
    if isinstance(kind, FractionalType):
        return lambda value: isinstance(value, float)
    if isinstance(kind, StringType):
        return lambda value: isinstance(value, str)
    return None
