"""Literals, as the genuine client writes them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pyspark.sql import types as t
from pyspark.sql.connect.expressions import LiteralExpression

from headwater.connect.decode.base import Decoder
from headwater.connect.proto import pb2
from headwater.plan.expressions import Literal

DAY = 86_400_000_000


def decoded(value: Any, kind: t.DataType | None = None) -> Any:
    expression = LiteralExpression(value, kind) if kind else LiteralExpression._from_value(value)
    return Decoder().expression(expression.to_plan(None))


@pytest.mark.parametrize(
    ("value", "kind", "expected"),
    [
        (None, t.IntegerType(), None),
        (True, t.BooleanType(), True),
        (1, t.ByteType(), 1),
        (1, t.ShortType(), 1),
        (1, t.IntegerType(), 1),
        (1, t.LongType(), 1),
        (1.5, t.DoubleType(), 1.5),
        ("ä", t.StringType(), "ä"),
        (b"\x00", t.BinaryType(), b"\x00"),
        (date(1970, 1, 3), t.DateType(), 2),
        (datetime(1970, 1, 2, tzinfo=UTC), t.TimestampType(), DAY),
        (datetime(1970, 1, 2), t.TimestampNTZType(), DAY),
        (timedelta(days=1), t.DayTimeIntervalType(), DAY),
        ([1, 2], t.ArrayType(t.IntegerType()), (1, 2)),
    ],
)
def test_value_and_type_arrive(value: Any, kind: t.DataType, expected: Any) -> None:
    assert decoded(value, kind) == Literal(expected, kind)


def test_a_decimal_is_as_wide_as_its_digits_and_the_declaration() -> None:
    assert decoded(Decimal("1.50")) == Literal(Decimal("1.50"), t.DecimalType(10, 2))
    assert decoded(Decimal("0.001"), t.DecimalType(2, 1)).type == t.DecimalType(3, 3)


def test_maps_and_structs_keep_their_order() -> None:
    entry = pb2.Expression.Literal
    keys, values = [entry(string="b"), entry(string="a")], [entry(integer=1), entry(integer=2)]
    mapped = Decoder().expression(pb2.Expression(literal=entry(map=entry.Map(keys=keys, values=values))))
    assert mapped == Literal((("b", 1), ("a", 2)), t.MapType(t.StringType(), t.IntegerType()))
