"""State values: kept in PySpark's internal form, through Arrow and back, in the order of Spark's rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from headwater.errors import SparkError
from headwater.types.ddl import parse_schema
from headwater.udf.values import Codec, order_of

ALL = (
    "a TIMESTAMP, b DATE, c DECIMAL(10,2), d STRUCT<x: INT, y: TIMESTAMP>, e ARRAY<DATE>, f MAP<STRING, TIMESTAMP>, "
    "g DOUBLE, h BINARY, i BOOLEAN, j TINYINT, k TIMESTAMP_NTZ, l STRING"
)
DAY, MOMENT = dt.date(1969, 12, 31), dt.datetime(1969, 12, 31, 23, 59, 59, 5)
VALUE = (MOMENT, DAY, Decimal("-1.25"), (7, MOMENT), [DAY, None], {"z": MOMENT}, 1.5, b"x", True, -3, MOMENT, "é")


def codec(ddl: str) -> Codec:
    return Codec(parse_schema(ddl))


def test_a_value_of_every_type_comes_back() -> None:
    made = codec(ALL)

    assert tuple(made.seen(made.kept(VALUE))) == VALUE


@pytest.mark.parametrize("value", [VALUE, (None,) * len(VALUE)])
def test_arrow_and_back_changes_nothing(value: tuple[Any, ...]) -> None:
    made = codec(ALL)
    kept = made.kept(value)

    columns = [pa.chunked_array([column]) for column in made.columns([kept, None])]

    assert made.values(columns) == [kept, (None,) * len(VALUE)]


@pytest.mark.parametrize(
    ("ddl", "given", "kept"),
    [
        ("x INT", 2**40 + 5, 5),
        ("x TINYINT", 200, -56),
        ("x INT", "text", None),
        ("x INT", 1.5, None),
        ("x INT", True, None),
        ("x DOUBLE", 1, None),
        ("x STRING", 5, "5"),
        ("x STRING", True, "true"),
        ("x FLOAT", 0.1, 0.10000000149011612),
        ("x FLOAT", 1e300, float("inf")),
        ("x DECIMAL(3,1)", Decimal("NaN"), None),
        ("x DECIMAL(3,1)", Decimal("Infinity"), None),
        ("x DECIMAL(3,1)", Decimal("12.34"), Decimal("12.3")),
        ("x DECIMAL(3,1)", Decimal("1234"), None),
        ("x BIGINT", np.int64(5), 5),
        ("x TIMESTAMP_NTZ", pd.Timestamp(1970, 1, 1, 0, 0, 1), 1_000_000),
        ("x ARRAY<INT>", (1, "a"), [1, None]),
    ],
)
def test_other_types_are_kept_as_a_jvm_would(ddl: str, given: Any, kept: Any) -> None:
    assert codec(ddl).kept((given,)) == (kept,)


def test_a_value_of_another_width_is_refused() -> None:
    with pytest.raises(SparkError, match="STRUCT_ARRAY_LENGTH_MISMATCH"):
        codec("x INT").kept((1, 2))


def test_keys_are_in_the_order_of_the_bytes_of_sparks_rows() -> None:
    numbers = [(-1,), (300,), (5,), (1,), (256,)]  # measured: 256, 1, 5, 300, -1

    assert sorted(numbers, key=order_of) == [(256,), (1,), (5,), (300,), (-1,)]
    assert len({order_of((None,) * 70), order_of((None,) * 69 + (1,)), order_of((1,) * 70)}) == 3
    assert sorted([("bb",), ("a",), (None,)], key=order_of) == [("a",), ("bb",), (None,)]
