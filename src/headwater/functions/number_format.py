"""Spark's number formats: `to_char` and `to_number` patterns, `format_number`, printf-style `format_string`.

Invariants: a pattern of `to_number` fixes the decimal's precision and scale; a number that does not fit its pattern is
shown as `#`s.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal
from typing import Any, NamedTuple

from pyspark.sql.types import BinaryType, DateType, DecimalType, StringType, TimestampNTZType, TimestampType
from sqlglot import exp

from headwater.errors import IllegalArgumentError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    cast,
    done,
    duck,
    is_binary,
    literal_text,
    names,
    titled,
    to_text,
    to_timestamp,
)
from headwater.functions.kernels import kernel

_FORMAT = re.compile(r"^(MI|S)?(\$)?([09GD,.]+)(\$)?(PR|MI|S)?$", re.IGNORECASE)


class Picture(NamedTuple):
    """A number pattern taken apart: digits before and after the point, marks around them."""

    whole: str
    fraction: str
    sign: str
    dollar: bool

    @property
    def precision(self) -> int:
        """Digits in all."""
        return sum(c in "09" for c in self.whole + self.fraction)

    @property
    def scale(self) -> int:
        """Digits after the point."""
        return len(self.fraction)


def picture(pattern: str) -> Picture:
    """Read a pattern such as `$99G999D99S`. Raises INVALID_FORMAT.UNEXPECTED_TOKEN."""
    found = _FORMAT.match(pattern.strip())
    if found is None:
        raise IllegalArgumentError(
            "INVALID_FORMAT.UNEXPECTED_TOKEN", format=f"'{pattern}'", token="number", expectedPosition=1
        )
    body = found[3].upper().replace("G", ",").replace("D", ".")
    whole, _, fraction = body.partition(".")
    first, last = (found[1] or "").upper(), (found[5] or "").upper()
    sign = f"{first}^" if first else (f"^{last}" if last else "")
    return Picture(whole, fraction, sign, bool(found[2] or found[4]))


@kernel(["VARCHAR", "VARCHAR"], "VARCHAR")
def number_text(number: str, pattern: str) -> str:
    """A decimal written by a pattern."""
    shape = picture(pattern)
    exact = Decimal(number)
    rounded = abs(exact).quantize(Decimal(1).scaleb(-shape.scale), rounding=ROUND_HALF_UP)
    digits, _, fraction = f"{rounded:f}".partition(".")
    digits = "" if digits == "0" else digits
    places = sum(c in "09" for c in shape.whole)
    if len(digits) > places or rounded != abs(exact):
        return re.sub(r"[09]", "#", pattern)
    body = _whole(shape.whole, digits.rjust(places))
    point = f".{fraction}" if shape.fraction else ""
    return _signed(shape, exact < 0, body, point)


def _whole(shape: str, digits: str) -> str:
    """Digits in the places of the pattern: leading ones blank, or 0 after a 0 of the pattern."""
    out: list[str] = []
    at, zero, begun = 0, False, False
    for mark in shape:
        if mark == ",":
            out.append("," if begun else " ")
            continue
        zero = zero or mark == "0"
        digit = digits[at]
        begun = begun or digit != " " or zero
        out.append("0" if digit == " " and zero else digit)
        at += 1
    return "".join(out)


def _signed(shape: Picture, negative: bool, body: str, point: str) -> str:
    blanks = len(body) - len(body.lstrip(" "))
    text = ("$" if shape.dollar else "") + body.lstrip(" ") + point
    kind = shape.sign
    if kind in ("S^", "MI^"):
        text = ("-" if negative else ("+" if kind == "S^" else " ")) + text
    elif kind in ("^S", "^MI"):
        text += "-" if negative else ("+" if kind == "^S" else " ")
    elif kind == "^PR":
        text = f"<{text}>" if negative else f"{text}  "
    elif negative:
        text = "-" + text
    return " " * blanks + text


@kernel(["VARCHAR", "VARCHAR", "BOOLEAN"], "VARCHAR", nulls=True)
def number_of(text: str | None, pattern: str | None, strict: bool) -> str | None:
    """The decimal a text stands for by a pattern, as text; an error or NULL if it does not fit."""
    if text is None or pattern is None:
        return None
    found = _read(text, picture(pattern))
    if found is None and strict:
        raise IllegalArgumentError("INVALID_FORMAT.MISMATCH_INPUT", inputType='"STRING"', input=text, format=pattern)
    return found


def _read(text: str, shape: Picture) -> str | None:
    body, negative = text.strip(), False
    if shape.sign == "^PR" and body.startswith("<") and body.endswith(">"):
        body, negative = body[1:-1], True
    for mark in "+-":
        if shape.sign and body.startswith(mark):
            body, negative = body[1:], mark == "-"
        elif shape.sign and body.endswith(mark):
            body, negative = body[:-1], mark == "-"
    if shape.dollar:
        if not body.startswith("$"):
            return None
        body = body[1:]
    whole, point, fraction = body.partition(".")
    places = shape.whole.split(",")
    groups = whole.split(",")
    if len(groups) > len(places) or len(fraction) > shape.scale or (point and not shape.fraction):
        return None
    if any(len(group) != len(place) for group, place in zip(groups[:0:-1], places[:0:-1], strict=False)):
        return None
    if len(groups[0]) > len(places[-len(groups)]) or not re.fullmatch(r"[\d,]*", whole) or not (whole or fraction):
        return None
    if not re.fullmatch(r"\d*", fraction):
        return None
    return f"{'-' if negative else ''}{whole.replace(',', '') or '0'}.{fraction or '0'}"


def _to_number(call: FunctionCall, *, strict: bool) -> Typed:
    text, pattern = call.take(2)
    shape = picture(literal_text(call, pattern, "format") or "")
    kind = DecimalType(shape.precision, shape.scale)
    read = duck("hw_number_of", to_text(call, text).sql, to_text(call, pattern).sql, strict)
    sql = cast(read, f"DECIMAL({kind.precision},{kind.scale})")
    return Typed(sql, kind, not strict or text.nullable)


@function("to_number")
def to_number(call: FunctionCall) -> Typed:
    """to_number(string, pattern) → decimal of the pattern's digits"""
    return _to_number(call, strict=True)


@function("try_to_number")
def try_to_number(call: FunctionCall) -> Typed:
    """try_to_number(string, pattern) → decimal of the pattern's digits, NULL if it does not fit"""
    return _to_number(call, strict=False)


@function("to_char", "to_varchar")
def to_char(call: FunctionCall) -> Typed:
    """to_char(number | date | binary, pattern) → string"""
    value, pattern = call.take(2)
    if isinstance(value.type, DateType | TimestampType | TimestampNTZType):
        from headwater.functions.datetime_text import written

        name = titled(call, *names(call.operands), name="date_format")
        return done(written(call, to_timestamp(call, value), pattern), StringType(), call, name=name)
    if is_binary(value):
        return _binary_text(call, value, literal_text(call, pattern, "format") or "")
    number = cast(value.sql, "DECIMAL(38,9)") if isinstance(value.type, StringType) else cast(value.sql, "VARCHAR")
    sql = duck("hw_number_text", cast(number, "VARCHAR"), to_text(call, pattern).sql)
    return done(sql, StringType(), call, name=titled(call, *names(call.operands), name="to_char"))


def _binary_text(call: FunctionCall, value: Typed, form: str) -> Typed:
    kind = form.lower()
    if kind == "utf-8":
        return done(duck("hw_decode_bytes", value.sql, "utf-8"), StringType(), call)
    name = {"hex": "hex", "base64": "to_base64"}.get(kind)
    if name is None:
        raise IllegalArgumentError(
            "INVALID_PARAMETER_VALUE.BINARY_FORMAT",
            functionName=f"`{call.name}`",
            parameter="`format`",
            invalidFormat=f"'{form}'",
        )
    return done(duck(name, value.sql), StringType(), call, name=titled(call, value.name))


# ── format_number, format_string ────────────────────────────────────────────────────────────────────────────


@kernel(["VARCHAR", "INTEGER"], "VARCHAR", nulls=True)
def grouped(number: str | None, places: int | None) -> str | None:
    """The number with thousands separated and `places` decimals, halves to even; NULL for negative places."""
    if number is None or places is None or places < 0:
        return None
    exact = Decimal(number)
    if not exact.is_finite():
        return {"NaN": "NaN"}.get(number, "-∞" if number.startswith("-") else "∞")
    return f"{exact.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_EVEN):,f}"


@kernel(["VARCHAR", "VARCHAR"], "VARCHAR")
def patterned(number: str, pattern: str) -> str:
    """The number by a java.text.DecimalFormat pattern."""
    found = re.match(r"^([^#0,.]*)([#0,]*)(?:\.([#0]*))?(.*)$", pattern)
    if found is None or not pattern:
        return grouped(number, 0) or ""
    prefix, whole, fraction, suffix = found[1], found[2], found[3] or "", found[4]
    exact = Decimal(number).quantize(Decimal(1).scaleb(-len(fraction)), rounding=ROUND_HALF_EVEN)
    digits, _, rest = f"{abs(exact):f}".partition(".")
    digits = digits.lstrip("0").rjust(whole.count("0"), "0")
    if "," in whole:
        size = len(whole.rsplit(",", 1)[1])
        digits = f"{int(digits or 0):,d}" if size == 3 else digits
    needed = len(fraction.rstrip("#"))
    rest = rest[:needed] + rest[needed:].rstrip("0")
    return f"{'-' if exact < 0 else ''}{prefix}{digits}{'.' + rest if rest else ''}{suffix}"


@function("format_number")
def format_number(call: FunctionCall) -> Typed:
    """format_number(number, places | pattern) → string with thousands separated"""
    number, form = call.take(2)
    text = cast(number.sql, "VARCHAR")
    if isinstance(form.type, StringType):
        return Typed(duck("hw_patterned", text, form.sql), StringType(), True)
    return Typed(duck("hw_grouped", text, cast(form.sql, "INTEGER")), StringType(), True)


_SPEC = re.compile(r"%(?:(\d+)\$)?([-#+ 0,(]*)(\d+)?(?:\.(\d+))?([a-zA-Z%])")


@kernel(None, "VARCHAR")
def printf(form: str, values: dict[str, Any]) -> str:
    """java.util.Formatter for texts, whole numbers and fractions."""
    return java_format(form, list(values.values()))


def java_format(form: str, values: Sequence[Any]) -> str:
    """The values in the places of the format."""
    turn = iter(range(len(values)))

    def one(spec: re.Match[str]) -> str:
        if spec[5] in "%n":
            return "%" if spec[5] == "%" else "\n"
        at = int(spec[1]) - 1 if spec[1] else next(turn)
        return _formatted(spec, values[at])

    return _SPEC.sub(one, form)


def _formatted(spec: re.Match[str], value: Any) -> str:
    flags, width, places, kind = spec[2], int(spec[3] or 0), spec[4], spec[5]
    if value is None:
        text = "null"
    elif kind in "sSbBc":
        text = _plain(value, kind)
        text = text[: int(places)] if places else text
    elif kind in "dxXo":
        text = _whole_number(int(value), kind, flags)
    else:
        text = _fraction(value, kind, int(places) if places else 6, flags)
    if kind.isupper() and kind != "X":
        text = text.upper()
    if "0" in flags and value is not None:
        sign = text[:1] if text[:1] in "+- " and text[:1] else ""
        return sign + text[len(sign) :].rjust(width - len(sign), "0")
    return text.ljust(width) if "-" in flags else text.rjust(width)


def _plain(value: Any, kind: str) -> str:
    if kind == "c":
        return chr(value) if isinstance(value, int) else str(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _whole_number(value: int, kind: str, flags: str) -> str:
    if kind in "xX":
        return format(value & (2**32 - 1 if -(2**31) <= value < 0 else 2**64 - 1), kind)
    if kind == "o":
        return format(value & (2**64 - 1), "o")
    text = f"{abs(value):,d}" if "," in flags else str(abs(value))
    return _with_sign(text, value < 0, flags)


def _fraction(value: Any, kind: str, places: int, flags: str) -> str:
    exact = Decimal(str(value))
    if kind in "eE":
        return _with_sign(f"{abs(exact):.{places}e}", exact < 0, flags)
    if kind in "gG":
        return _with_sign(f"{abs(float(value)):.{places}g}", exact < 0, flags)
    rounded = abs(exact).quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    return _with_sign(f"{rounded:,f}" if "," in flags else f"{rounded:f}", exact < 0, flags)


def _with_sign(text: str, negative: bool, flags: str) -> str:
    if negative:
        return f"({text})" if "(" in flags else f"-{text}"
    return f"+{text}" if "+" in flags else (f" {text}" if " " in flags else text)


@function("format_string", "printf")
def format_string(call: FunctionCall) -> Typed:
    """format_string(format, value, …) → string, as C's printf"""
    from headwater.functions.building import struct_of

    form, *values = call.take(1, 10_000)
    row = struct_of([(f"v{i}", _shown(call, item)) for i, item in enumerate(values)] or [("v", None)])
    return Typed(duck("hw_printf", to_text(call, form).sql, row), StringType(), form.nullable)


def _shown(call: FunctionCall, value: Typed) -> exp.Expression:
    """Numbers as they are, everything else as Spark's text."""
    from pyspark.sql.types import BooleanType, NumericType

    plain = isinstance(value.type, NumericType | BooleanType | StringType | BinaryType)
    return value.sql if plain else to_text(call, value).sql
