"""Typed constants: `DATE '…'`, `TIMESTAMP '…'`, `TIMESTAMP_NTZ '…'`, `TIMESTAMP_LTZ '…'`, `TIME '…'`.

Invariants: text that is not of the type is INVALID_TYPED_LITERAL at parse time; a timestamp without a zone is left
to the session's time zone, so it becomes a cast.
"""

from __future__ import annotations

import re
from datetime import date, datetime
from typing import NoReturn

from pyspark.sql.types import DataType, DateType, IntegerType, StringType, TimestampNTZType, TimestampType, TimeType

from headwater.errors import ParseError, unsupported
from headwater.plan.expressions import Call, Cast, Expression, Literal

_DATE = re.compile(r"\s*([+-]?\d{4,7})(?:-(\d{1,2})(?:-(\d{1,2}))?)?")
_TIME = re.compile(r"[T ]+(\d{1,2})(?::(\d{1,2}))?(?::(\d{1,2})(?:\.(\d{1,9}))?)?")
_ZONE = re.compile(r"\s*(Z|UTC|GMT|[+-]\d{1,2}(?::?\d{2}){0,2}|(?:UTC|GMT)[+-]\S+|[A-Za-z]+/\S+)\s*")
_OFFSET = re.compile(r"([+-])(\d{1,2})(?::?(\d{2}))?(?::?(\d{2}))?")
_SPECIAL = {"today": 0, "tomorrow": 1, "yesterday": -1}
_EPOCH = datetime(1970, 1, 1)


def typed_literal(kind: str, text: str) -> Expression:
    """The constant `kind 'text'`. Raises INVALID_TYPED_LITERAL."""
    kind = kind.upper()
    if kind == "DATE":
        return _date(text)
    if kind == "TIMESTAMP_NTZ":
        return _timestamp(text, kind, TimestampNTZType())
    if kind in ("TIMESTAMP", "TIMESTAMP_LTZ"):
        return _timestamp(text, kind, TimestampType())
    if kind == "TIME":
        return _time(text)
    raise unsupported(f"the literal type {kind}")


def _time(text: str) -> Expression:
    match = _TIME.fullmatch(f" {text.strip()}")
    if not match or match[2] is None:
        _fail("TIME", text)
    return Literal(_time_of_day(match, "TIME", text) * 1000, TimeType(6))


def _date(text: str) -> Expression:
    word = text.strip().lower()
    if word == "epoch":
        return Literal(0, DateType())
    if word in ("now", *_SPECIAL):
        today = Call("current_date")
        days = _SPECIAL.get(word, 0)
        return Call("date_add", (today, Literal(days, IntegerType()))) if days else today
    match = _DATE.match(text)
    rest = text[match.end() :] if match else "x"
    if not match or (rest.strip() and rest[0] not in "T "):
        _fail("DATE", text)
    return Literal(_days(match, "DATE", text), DateType())


def _days(match: re.Match[str], kind: str, text: str) -> int:
    try:
        day = date(int(match[1]), int(match[2] or 1), int(match[3] or 1))
    except ValueError:
        _fail(kind, text)
    return day.toordinal() - _EPOCH.toordinal()


def _timestamp(text: str, kind: str, type_: DataType) -> Expression:
    word = text.strip().lower()
    if word in ("now", "epoch", *_SPECIAL):
        return _special(word, type_)
    match = _DATE.match(text)
    if not match:
        _fail(kind, text)
    micros = _days(match, kind, text) * 86_400_000_000
    time = _TIME.match(text, match.end())
    end = match.end()
    if time:
        micros += _time_of_day(time, kind, text)
        end = time.end()
    zone = text[end:].strip()
    if zone and not _ZONE.fullmatch(zone):
        _fail(kind, text)
    if isinstance(type_, TimestampNTZType):
        return Literal(micros, type_)
    offset = _fixed_offset(zone)
    if offset is None:
        return Cast(Literal(text.strip(), StringType()), type_, "ansi")
    return Literal(micros - offset, type_)


def _time_of_day(match: re.Match[str], kind: str, text: str) -> int:
    hour, minute, second = (int(part or 0) for part in match.groups()[:3])
    if hour > 23 or minute > 59 or second > 59:
        _fail(kind, text)
    fraction = int((match[4] or "").ljust(6, "0")[:6])
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction


def _fixed_offset(zone: str) -> int | None:
    if zone in ("Z", "UTC", "GMT"):
        return 0
    match = _OFFSET.fullmatch(zone)
    if not match:
        return None
    seconds = int(match[2]) * 3600 + int(match[3] or 0) * 60 + int(match[4] or 0)
    return (-seconds if match[1] == "-" else seconds) * 1_000_000


def _special(word: str, type_: DataType) -> Expression:
    if word == "epoch":
        return Literal(0, type_)
    if word == "now":
        return Call("localtimestamp" if isinstance(type_, TimestampNTZType) else "current_timestamp")
    return Cast(_date(word), type_, "ansi")


def _fail(kind: str, text: str) -> NoReturn:
    raise ParseError("INVALID_TYPED_LITERAL", valueType=f'"{kind}"', value=f"'{text}'")
