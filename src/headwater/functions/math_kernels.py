"""Mathematics in Python where DuckDB's differs from Java's in the last digit, at an edge, or altogether.

Invariants: as in kernels.py; doubles behave as Java's: no exception, NaN and infinities instead.
"""

from __future__ import annotations

import math

from headwater.errors import ArithmeticSparkError
from headwater.functions.kernels import kernel


@kernel(["DOUBLE"], "DOUBLE")
def cbrt(x: float) -> float:
    """Cube root, exact for exact cubes."""
    if not math.isfinite(x) or x == 0:
        return x
    root = math.copysign(abs(x) ** (1 / 3), x)
    return root - (root * root * root - x) / (3 * root * root)


@kernel(["DOUBLE"], "DOUBLE")
def rint(x: float) -> float:
    """Nearest whole number, halves to even."""
    return math.copysign(float(round(x)), x) if math.isfinite(x) else x


@kernel(["DOUBLE"], "DOUBLE")
def expm1(x: float) -> float:
    """exp(x) - 1 without cancellation."""
    try:
        return math.expm1(x)
    except OverflowError:
        return math.inf


@kernel(["DOUBLE"], "DOUBLE")
def log1p(x: float) -> float:
    """ln(1 + x) without cancellation; the caller keeps x > -1."""
    return math.log1p(x)


@kernel(["DOUBLE", "DOUBLE"], "DOUBLE")
def hypot(a: float, b: float) -> float:
    """Length of the hypotenuse."""
    return math.hypot(a, b)


@kernel(["DOUBLE", "DOUBLE"], "DOUBLE")
def pow(base: float, exponent: float) -> float:  # noqa: A001 (SQL's name)
    """Java's Math.pow."""
    if abs(base) == 1 and not math.isfinite(exponent):
        return math.nan
    if base == 1 and math.isnan(exponent):
        return math.nan
    try:
        return math.pow(base, exponent)
    except OverflowError:
        odd = exponent % 2 == 1
        return -math.inf if base < 0 and odd else math.inf
    except ValueError:
        return (math.copysign(math.inf, base) if exponent % 2 == 1 else math.inf) if base == 0 else math.nan


_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_UNSIGNED = 1 << 64


@kernel(["VARCHAR", "INTEGER", "INTEGER"], "VARCHAR", nulls=True)
def conv(text: str | None, source: int | None, target: int | None) -> str | None:
    """Digits of another base, on unsigned 64-bit numbers as Hive does. Raises ARITHMETIC_OVERFLOW."""
    if text is None or source is None or target is None:
        return None
    body = text.strip(" ")
    if not 2 <= source <= 36 or not 2 <= abs(target) <= 36 or not body:
        return None
    negative = body.startswith("-")
    number = 0
    for letter in body[negative:].upper():
        digit = _DIGITS.find(letter)
        if digit < 0 or digit >= source:
            break
        number = number * source + digit
    if number >= _UNSIGNED:
        raise ArithmeticSparkError(
            "ARITHMETIC_OVERFLOW",
            message="Overflow in function conv()",
            alternative="",
            config='"spark.sql.ansi.enabled"',
        )
    return _written(_UNSIGNED - number if negative and number else number, target)


def _written(number: int, target: int) -> str:
    signed = target < 0
    if signed and number >= _UNSIGNED // 2:
        return "-" + _digits(_UNSIGNED - number, -target)
    return _digits(number, abs(target))


def _digits(number: int, base: int) -> str:
    found = ""
    while number:
        number, digit = divmod(number, base)
        found = _DIGITS[digit] + found
    return found or "0"


@kernel(["DOUBLE", "DOUBLE", "DOUBLE", "BIGINT"], "BIGINT", nulls=True)
def width_bucket(value: float | None, low: float | None, high: float | None, count: int | None) -> int | None:
    """Number of the bucket among `count` of equal width; NULL for impossible bounds."""
    if value is None or low is None or high is None or count is None:
        return None
    if (
        count <= 0
        or count == 2**63 - 1
        or math.isnan(value)
        or low == high
        or not (math.isfinite(low) and math.isfinite(high))
    ):
        return None
    below, above = min(low, high), max(low, high)
    if value < below:
        return 0 if low < high else count + 1
    if value > above or (value == above and low < high):
        return count + 1 if low < high else 0
    if low < high:
        return int(count * (value - low) / (high - low)) + 1
    return int(count * (low - value) / (low - high)) + 1
