"""Hypothesis strategies of Spark's types and schemas."""

from __future__ import annotations

from hypothesis import strategies as st
from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    YearMonthIntervalType,
)

FLAT = [
    BooleanType(), ByteType(), ShortType(), IntegerType(), LongType(), FloatType(), DoubleType(), StringType(),
    BinaryType(), DateType(), TimestampType(), TimestampNTZType(), DayTimeIntervalType(),
]  # fmt: skip


def names() -> st.SearchStrategy[str]:
    """Column names, odd ones too."""
    return st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)


def data_types(*, text_only: bool = True) -> st.SearchStrategy[DataType]:
    """Types; `text_only` leaves out nullability that DDL text cannot say (inside arrays and maps)."""
    decimals = st.integers(1, 38).flatmap(lambda p: st.integers(0, p).map(lambda s: DecimalType(p, s)))
    flat = st.one_of(st.sampled_from(FLAT), decimals)
    if text_only:
        flat = st.one_of(flat, st.sampled_from([DayTimeIntervalType(1, 2), YearMonthIntervalType(0, 1)]))
    inner_null = st.just(True) if text_only else st.booleans()

    def nest(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[DataType]:
        return st.one_of(
            st.builds(ArrayType, inner, inner_null),
            st.builds(MapType, flat, inner, inner_null),
            _structs(inner),
        )

    return st.recursive(flat, nest, max_leaves=5)


def _structs(inner: st.SearchStrategy[DataType]) -> st.SearchStrategy[StructType]:
    field = st.builds(StructField, names(), inner, st.booleans())
    return st.lists(field, min_size=1, max_size=4, unique_by=lambda f: f.name.lower()).map(StructType)


def schemas(*, text_only: bool = True) -> st.SearchStrategy[StructType]:
    """Schemas of one to four columns."""
    return _structs(data_types(text_only=text_only))
