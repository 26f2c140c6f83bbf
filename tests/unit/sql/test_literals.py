"""Constants by type."""

from decimal import Decimal

import pytest
from pyspark.sql.types import ByteType, DataType, DecimalType, DoubleType, FloatType, IntegerType, LongType, ShortType

from headwater.errors import ParseError
from headwater.plan.expressions import Literal
from headwater.sql import literals, parse_expression


@pytest.mark.parametrize(
    ("text", "value", "kind"),
    [
        ("1", 1, IntegerType()),
        ("2147483648", 2147483648, LongType()),
        ("-2147483648", -2147483648, IntegerType()),
        ("9223372036854775808", Decimal("9223372036854775808"), DecimalType(19, 0)),
        ("1L", 1, LongType()),
        ("-128Y", -128, ByteType()),
        ("7S", 7, ShortType()),
        ("1.50", Decimal("1.50"), DecimalType(3, 2)),
        ("0.001", Decimal("0.001"), DecimalType(3, 3)),
        ("1.5BD", Decimal("1.5"), DecimalType(2, 1)),
        ("1e3", 1000.0, DoubleType()),
        ("1.5D", 1.5, DoubleType()),
        ("1.5F", 1.5, FloatType()),
        (
            "12345678901234567890123456789012345678",
            Decimal("12345678901234567890123456789012345678"),
            DecimalType(38, 0),
        ),
    ],
)
def test_numbers(text: str, value: object, kind: DataType) -> None:
    assert parse_expression(text) == Literal(value, kind)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("128Y", "INVALID_NUMERIC_LITERAL_RANGE"),
        ("1e999", "INVALID_NUMERIC_LITERAL_RANGE"),
        ("1" * 39, "DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION"),
    ],
)
def test_numbers_that_do_not_fit(text: str, condition: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_expression(text)
    assert caught.value.condition == condition


def test_binary_digits() -> None:
    assert literals.binary("1F").value == b"\x1f"
    assert literals.binary("ABC").value == b"\x0a\xbc"
    assert parse_expression("X 'FF'") == parse_expression("x'ff'")
    with pytest.raises(ParseError, match="INVALID_TYPED_LITERAL"):
        literals.binary("1G")
