"""Interval constants: `INTERVAL 1 DAY 2 HOURS`, `INTERVAL '1 2:03' DAY TO MINUTE`, `INTERVAL '3 months'`.

Invariants: a constant is either year-month (value in months) or day-time (value in microseconds), never both; its
type names the largest and smallest unit written.
"""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import NoReturn

from pyspark.sql.types import DayTimeIntervalType, YearMonthIntervalType

from headwater.errors import ParseError
from headwater.plan.expressions import Literal
from headwater.sql.dialect import UNITS

_MONTHS = {"YEAR": 12, "MONTH": 1}
_MICROSECONDS: dict[str, int | Decimal] = {
    "WEEK": 7 * 86_400_000_000,
    "DAY": 86_400_000_000,
    "HOUR": 3_600_000_000,
    "MINUTE": 60_000_000,
    "SECOND": 1_000_000,
    "MILLISECOND": 1_000,
    "MICROSECOND": 1,
    "NANOSECOND": Decimal("0.001"),
}
_YEAR_MONTH = ("YEAR", "MONTH")
_DAY_TIME = ("DAY", "HOUR", "MINUTE", "SECOND")
_FIELD = {"WEEK": "DAY", "MILLISECOND": "SECOND", "MICROSECOND": "SECOND", "NANOSECOND": "SECOND"}
_WORDS = re.compile(r"\s*([+-]?\s*\d+(?:\.\d*)?|[+-]?\s*\.\d+)\s*([a-z]+)", re.IGNORECASE)
_RANGE_PATTERNS = {"DAY": r"(?P<DAY>\d+)", "HOUR": r"(?P<HOUR>\d+)", "MINUTE": r"(?P<MINUTE>\d+)"}
_SECOND_PATTERN = r"(?P<SECOND>\d+(?:\.\d+)?)"


def interval(parts: list[tuple[str, str | None]], to: str | None) -> Literal:
    """The constant of `(text, unit)` pairs. Raises INVALID_INTERVAL_FORMAT."""
    text, unit = parts[0]
    if unit is None:
        if len(parts) > 1:
            _fail(text)
        return _sum(_words(text))
    if to is not None:
        return _range(text, unit, to)
    return _sum([(value, name or "") for value, name in parts])


def _words(text: str) -> list[tuple[str, str]]:
    body = re.sub(r"^\s*interval\b", "", text, flags=re.IGNORECASE)
    found, end = [], 0
    for match in _WORDS.finditer(body):
        if body[end : match.start()].strip():
            _fail(text)
        found.append((match[1].replace(" ", ""), match[2]))
        end = match.end()
    if not found or body[end:].strip():
        _fail(text)
    return found


def _sum(parts: list[tuple[str, str]]) -> Literal:
    months, micros, fields = 0, Decimal(0), []
    for text, written in parts:
        unit = UNITS.get(written.upper(), "")
        value = _value(text, unit)
        if unit in _MONTHS:
            months += int(value) * _MONTHS[unit]
        else:
            micros += value * _MICROSECONDS[unit]
        fields.append(_FIELD.get(unit, unit))
    return _literal(months, micros, fields)


def _value(text: str, unit: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        _fail(text)
    if not unit or (unit != "SECOND" and value != value.to_integral_value()):
        _fail(text)
    return value


def _literal(months: int, micros: Decimal, fields: list[str]) -> Literal:
    kinds = _YEAR_MONTH if fields[0] in _YEAR_MONTH else _DAY_TIME
    if any(field not in kinds for field in fields):
        _fail("year-month and day-time fields cannot be mixed")
    places = [kinds.index(field) for field in fields]
    if kinds is _YEAR_MONTH:
        return Literal(months, YearMonthIntervalType(min(places), max(places)))
    return Literal(int(micros), DayTimeIntervalType(min(places), max(places)))


def _range(text: str, start: str, to: str) -> Literal:
    if start == "YEAR" and to == "MONTH":
        match = re.fullmatch(r"\s*([+-]?)(\d+)-(\d+)\s*", text)
        if not match or int(match[3]) > 11:
            _fail(text)
        months = int(match[2]) * 12 + int(match[3])
        return Literal(-months if match[1] == "-" else months, YearMonthIntervalType(0, 1))
    if start not in _DAY_TIME or to not in _DAY_TIME or _DAY_TIME.index(start) >= _DAY_TIME.index(to):
        _fail(f"{start} TO {to}")
    return _day_time_range(text, start, to)


def _day_time_range(text: str, start: str, to: str) -> Literal:
    units = _DAY_TIME[_DAY_TIME.index(start) : _DAY_TIME.index(to) + 1]
    clock = ":".join(_RANGE_PATTERNS.get(unit, _SECOND_PATTERN) for unit in units if unit != "DAY")
    days = _RANGE_PATTERNS["DAY"] + " +" if start == "DAY" else ""
    match = re.fullmatch(rf"\s*(?P<sign>[+-]?)\s*{days}{clock}\s*", text)
    if not match:
        _fail(text)
    micros = sum((Decimal(match[unit]) * _MICROSECONDS[unit] for unit in units), Decimal(0))
    kind = DayTimeIntervalType(_DAY_TIME.index(start), _DAY_TIME.index(to))
    return Literal(int(-micros if match["sign"] == "-" else micros), kind)


def _fail(text: str) -> NoReturn:
    raise ParseError("INVALID_INTERVAL_FORMAT.INTERVAL_PARSING", input=text, interval="")
