"""Constants of SQL text, typed as Spark types them.

Invariants: values have the form of `plan.expressions.Literal`; a number keeps every digit; what does not fit its
type is an error at parse time.
"""

from __future__ import annotations

import re
import sys
from decimal import Decimal

from pyspark.sql.types import (
    BinaryType,
    ByteType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    ShortType,
    StringType,
)

from headwater.errors import ParseError
from headwater.plan.expressions import Literal

_INTEGERS: dict[str, tuple[int, DataType]] = {
    "Y": (8, ByteType()),
    "S": (16, ShortType()),
    "L": (64, LongType()),
}
_EXPONENT = re.compile(r"e", re.IGNORECASE)
MAX_PRECISION = 38
_FLOAT_MAX = 3.4028234663852886e38


def string(value: str) -> Literal:
    """A string."""
    return Literal(value, StringType())


def binary(digits: str) -> Literal:
    """`X'1F'`; an odd number of digits gets a leading zero. Raises INVALID_TYPED_LITERAL."""
    try:
        return Literal(bytes.fromhex(digits if len(digits) % 2 == 0 else f"0{digits}"), BinaryType())
    except ValueError:
        raise ParseError("INVALID_TYPED_LITERAL", valueType='"X"', value=f"'{digits}'") from None


def number(text: str) -> Literal:
    """An unsuffixed number: int or bigint by size, decimal with a point or beyond bigint, double with an exponent."""
    if _EXPONENT.search(text):
        return _floating(text, DoubleType(), sys.float_info.max)
    if "." in text:
        return _decimal(text)
    value = int(text)
    if -(2**31) <= value < 2**31:
        return Literal(value, IntegerType())
    if -(2**63) <= value < 2**63:
        return Literal(value, LongType())
    return _decimal(text)


def suffixed(text: str, suffix: str) -> Literal:
    """A number with its type's letter: Y, S, L, F, D or BD. Raises INVALID_NUMERIC_LITERAL_RANGE."""
    if suffix == "BD":
        return _decimal(text)
    if suffix == "D":
        return _floating(text, DoubleType(), sys.float_info.max)
    if suffix == "F":
        return _floating(text, FloatType(), _FLOAT_MAX)
    bits, kind = _INTEGERS[suffix]
    value = int(text)
    least, most = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1
    if not least <= value <= most:
        raise _out_of_range(text, least, most, kind)
    return Literal(value, kind)


def _floating(text: str, kind: DataType, most: float) -> Literal:
    value = float(text)
    if abs(value) > most:
        shown = str(most).replace("e+", "E+")
        raise _out_of_range(text, f"-{shown}", shown, kind)
    return Literal(value, kind)


def _out_of_range(text: str, least: object, most: object, kind: DataType) -> ParseError:
    return ParseError(
        "INVALID_NUMERIC_LITERAL_RANGE",
        rawStrippedQualifier=text,
        minValue=least,
        maxValue=most,
        typeName=kind.simpleString(),
    )


def _decimal(text: str) -> Literal:
    value = Decimal(text)
    _, digits, exponent = value.as_tuple()
    scale = -int(exponent)
    precision = max(len(digits) if any(digits) else 1, scale)
    if scale < 0:
        precision, scale = precision - scale, 0
    if precision > MAX_PRECISION:
        raise ParseError("DECIMAL_PRECISION_EXCEEDS_MAX_PRECISION", precision=precision, maxPrecision=MAX_PRECISION)
    return Literal(value, DecimalType(precision, scale))
