"""Java's date-time patterns: read, formatted and parsed as Spark does, by DuckDB where its own formats agree.

Invariants: a pattern DuckDB's strftime or strptime would treat otherwise (optional parts, zones, missing years, odd
fraction lengths) runs on the Python kernels; an unknown letter is refused when the query is compiled.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

from headwater.errors import DateTimeError, IllegalArgumentError
from headwater.functions.kernels import kernel


class Field(NamedTuple):
    """A run of one pattern letter, or literal text (letter "")."""

    letter: str
    size: int
    text: str = ""


_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|([\[\]])|([^A-Za-z'\[\]]+)", re.DOTALL)
_LETTERS = "GyuQqMLEFaDdhHkKmsSVzOXxZ"
_MONTHS = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
]
_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
_EPOCH = datetime(1970, 1, 1)


@lru_cache(maxsize=256)
def fields(pattern: str) -> tuple[Field, ...]:
    """The pattern's parts; `[` and `]` come as letters. Raises INVALID_DATETIME_PATTERN."""
    found: list[Field] = []
    end = 0
    for token in _TOKEN.finditer(pattern):
        if token.start() != end:
            raise bad_pattern(pattern)
        end = token.end()
        if token[2]:
            if token[2] not in _LETTERS:
                raise bad_pattern(pattern)
            found.append(Field(token[2], len(token[0])))
        elif token[3]:
            found.append(Field(token[3], 1))
        else:
            found.append(Field("", 0, token[4] or token[1].replace("''", "'") or "'"))
    if end != len(pattern):
        raise bad_pattern(pattern)
    return tuple(found)


def bad_pattern(pattern: str) -> IllegalArgumentError:
    """The error for a pattern that Java would refuse."""
    return IllegalArgumentError(
        "INVALID_DATETIME_PATTERN.WITH_SUGGESTION",
        pattern=f"'{pattern}'",
        docroot="https://spark.apache.org/docs/latest",
    )


_STRFTIME = {
    ("y", 1): "%Y", ("y", 4): "%Y", ("u", 1): "%Y", ("u", 4): "%Y", ("y", 2): "%y",
    ("M", 1): "%-m", ("M", 2): "%m", ("M", 3): "%b", ("M", 4): "%B",
    ("L", 1): "%-m", ("L", 2): "%m", ("L", 3): "%b", ("L", 4): "%B",
    ("d", 1): "%-d", ("d", 2): "%d", ("D", 1): "%-j", ("D", 3): "%j",
    ("H", 1): "%-H", ("H", 2): "%H", ("h", 1): "%-I", ("h", 2): "%I",
    ("m", 1): "%-M", ("m", 2): "%M", ("s", 1): "%-S", ("s", 2): "%S",
    ("S", 3): "%g", ("S", 6): "%f", ("a", 1): "%p",
    ("E", 1): "%a", ("E", 2): "%a", ("E", 3): "%a", ("E", 4): "%A",
}  # fmt: skip


def strftime(pattern: str) -> str | None:
    """DuckDB's format that writes like the pattern, or None."""
    parts: list[str] = []
    for field in fields(pattern):
        if field.letter:
            known = _STRFTIME.get((field.letter, field.size))
            if known is None:
                return None
            parts.append(known)
        else:
            parts.append(field.text.replace("%", "%%"))
    return "".join(parts)


_STRPTIME = {
    ("y", 4): ("%Y", r"\d{4}"), ("M", 2): ("%m", r"\d{2}"), ("d", 2): ("%d", r"\d{2}"), ("M", 1): ("%m", r"\d{1,2}"),
    ("d", 1): ("%d", r"\d{1,2}"), ("H", 2): ("%H", r"\d{2}"), ("H", 1): ("%H", r"\d{1,2}"), ("m", 2): ("%M", r"\d{2}"),
    ("m", 1): ("%M", r"\d{1,2}"), ("s", 2): ("%S", r"\d{2}"), ("s", 1): ("%S", r"\d{1,2}"),
    ("S", 6): ("%f", r"\d{1,6}"),
    ("M", 3): ("%b", r"[A-Za-z]{3}"), ("M", 4): ("%B", r"[A-Za-z]+"),
}  # fmt: skip


def strptime(pattern: str) -> tuple[str, str] | None:
    """DuckDB's format that reads like the pattern and the shape texts must have, or None."""
    forms: list[str] = []
    shapes: list[str] = []
    letters = {field.letter for field in fields(pattern)}
    if not {"y", "M", "d"} <= letters:
        return None
    for field in fields(pattern):
        if field.letter:
            known = _STRPTIME.get((field.letter, field.size))
            if known is None:
                return None
            forms.append(known[0])
            shapes.append(known[1])
        else:
            forms.append(field.text.replace("%", "%%"))
            shapes.append(re.escape(field.text))
    return "".join(forms), "".join(shapes)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────


@kernel(["TIMESTAMP", "BIGINT", "VARCHAR", "VARCHAR"], "VARCHAR")
def format_time(moment: datetime, offset: int, zone: str, pattern: str) -> str:
    """A local time written by the pattern; `offset` is its zone's offset in seconds."""
    return "".join(_write(field, moment, offset, zone) for field in fields(pattern))


def _write(field: Field, moment: datetime, offset: int, zone: str) -> str:
    letter, count = field.letter, field.size
    if not letter:
        return field.text
    if letter in "[]":
        return ""
    number = _number(letter, moment)
    if number is not None and not (letter in "ML" and count > 2) and not (letter in "Qq" and count > 2):
        return str(number % 100).zfill(2) if letter in "yu" and count == 2 else str(number).zfill(count)
    if letter in "ML":
        return _MONTHS[moment.month - 1][: 3 if count == 3 else None]
    if letter == "E":
        return _DAYS[moment.weekday()][: None if count == 4 else 3]
    if letter in "Qq":
        quarter = (moment.month + 2) // 3
        return f"Q{quarter}" if count == 3 else f"{quarter}{('st', 'nd', 'rd', 'th')[quarter - 1]} quarter"
    if letter == "S":
        return f"{moment.microsecond:06d}000"[:count]
    if letter == "a":
        return "AM" if moment.hour < 12 else "PM"
    if letter == "G":
        return "Anno Domini" if count == 4 else "AD"
    return _write_zone(field, moment, offset, zone)


def _number(letter: str, moment: datetime) -> int | None:
    hour = moment.hour
    numbers = {
        "y": moment.year, "u": moment.year, "M": moment.month, "L": moment.month, "d": moment.day,
        "D": moment.timetuple().tm_yday, "H": hour, "k": hour or 24, "K": hour % 12, "h": hour % 12 or 12,
        "m": moment.minute, "s": moment.second, "Q": (moment.month + 2) // 3, "q": (moment.month + 2) // 3,
        "F": (moment.day - 1) // 7 + 1,
    }  # fmt: skip
    return numbers.get(letter)


def _write_zone(field: Field, moment: datetime, offset: int, zone: str) -> str:
    letter, count = field.letter, field.size
    sign, rest = ("-" if offset < 0 else "+"), abs(offset)
    hours, minutes, seconds = rest // 3600, rest // 60 % 60, rest % 60
    if letter == "V":
        return zone
    if letter == "z":
        return _zone_name(moment, offset, zone)
    if letter in "Xx" and letter == "X" and offset == 0:
        return "Z"
    if letter == "O" or (letter == "Z" and count == 4):
        if offset == 0:
            return "GMT"
        return (
            f"GMT{sign}{hours:02d}:{minutes:02d}"
            if count == 4
            else f"GMT{sign}{hours}" + (f":{minutes:02d}" if minutes else "")
        )
    if letter == "Z":
        return (
            f"{sign}{hours:02d}{minutes:02d}"
            if count < 4
            else ("Z" if offset == 0 else f"{sign}{hours:02d}:{minutes:02d}")
        )
    if count == 1:
        return f"{sign}{hours:02d}" + (f"{minutes:02d}" if minutes else "")
    colon = ":" if count in (3, 5) else ""
    tail = f"{colon}{seconds:02d}" if count > 3 and seconds else ""
    return f"{sign}{hours:02d}{colon}{minutes:02d}{tail}"


def _zone_name(moment: datetime, offset: int, zone: str) -> str:
    try:
        return (moment.replace(tzinfo=ZoneInfo(zone))).tzname() or zone
    except (KeyError, ValueError):
        return timezone(timedelta(seconds=offset)).tzname(None)


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────

_ZONES = {"X": r"Z|[+-]\d\d(?::?\d\d(?::?\d\d)?)?", "x": r"[+-]\d\d(?::?\d\d)?", "Z": r"(?:GMT)?[+-]\d\d:?\d\d|GMT|Z"}


def _shape(field: Field) -> str:
    letter, count = field.letter, field.size
    if letter in "yu":
        return r"\d{2}" if count == 2 else (r"[+-]?\d{1,9}" if count == 1 else rf"[+-]?\d{{{count}}}")
    if letter in "ML" and count > 2:
        return "|".join(name[: 3 if count == 3 else None] for name in _MONTHS)
    if letter == "E":
        return "|".join(name[: None if count == 4 else 3] for name in _DAYS)
    if letter == "a":
        return "AM|PM"
    if letter == "S":
        return rf"\d{{1,{count}}}"
    if letter == "D":
        return rf"\d{{{count},3}}"
    if letter in "zVO":
        return r"[A-Za-z][A-Za-z0-9_/+:-]*|[+-]\d\d:\d\d"
    return _ZONES.get(letter) or (r"\d{1,2}" if count == 1 else r"\d{2}")


@lru_cache(maxsize=256)
def reader(pattern: str) -> tuple[re.Pattern[str], tuple[Field, ...]]:
    """A regular expression with one group per field, and the fields."""
    parts: list[str] = []
    grouped: list[Field] = []
    for field in fields(pattern):
        if field.letter == "[":
            parts.append("(?:")
        elif field.letter == "]":
            parts.append(")?")
        elif field.letter:
            parts.append(f"({_shape(field)})")
            grouped.append(field)
        else:
            parts.append(re.escape(field.text))
    return re.compile("".join(parts), re.IGNORECASE), tuple(grouped)


def _values(text: str, pattern: str) -> dict[str, str] | None:
    shape, grouped = reader(pattern)
    match = shape.fullmatch(text)
    if match is None:
        return None
    values: dict[str, str] = {}
    for field, found in zip(grouped, match.groups(), strict=True):
        if found is None:
            continue
        key = {"u": "y", "L": "M"}.get(field.letter, field.letter)
        if key == "y" and field.size == 2:
            found = "20" + found
        if key == "M" and field.size > 2:
            found = str([name[:3].lower() for name in _MONTHS].index(found[:3].lower()) + 1)
        values[key] = found
    return values


def _moment(values: dict[str, str]) -> datetime:
    year = int(values.get("y", "1970"))
    day = date(year, int(values.get("M", "1")), int(values.get("d", "1")))
    if "D" in values:
        day = date(year, 1, 1) + timedelta(days=int(values["D"]) - 1)
    hour = int(values.get("H", values.get("k", "0"))) % 24 if "k" in values else int(values.get("H", "0"))
    if "h" in values or "K" in values:
        hour = int(values.get("h", values.get("K", "0"))) % 12 + (12 if values.get("a", "AM").upper() == "PM" else 0)
    micros = int(values.get("S", "0").ljust(6, "0")[:6])
    return datetime(day.year, day.month, day.day, hour, int(values.get("m", "0")), int(values.get("s", "0")), micros)


def zone_of(name: str) -> timezone | ZoneInfo:
    """The zone of an id (`Asia/Seoul`, `GMT+8`, `+08:00`, `Z`). Raises INVALID_TIMEZONE."""
    offset = re.fullmatch(r"(?:UTC|GMT|UT)?([+-])(\d\d?)(?::?(\d\d))?(?::?(\d\d))?", name)
    if name in ("Z", "UTC", "GMT", "UT"):
        return UTC
    if offset:
        seconds = int(offset[2]) * 3600 + int(offset[3] or 0) * 60 + int(offset[4] or 0)
        return timezone(timedelta(seconds=-seconds if offset[1] == "-" else seconds))
    try:
        return ZoneInfo({"PST": "America/Los_Angeles", "CST": "America/Chicago"}.get(name, name))
    except (KeyError, ValueError) as error:
        raise DateTimeError("INVALID_TIMEZONE", timeZone=name) from error


@kernel(["VARCHAR", "VARCHAR", "VARCHAR"], "BIGINT", nulls=True)
def parse_time(text: str | None, pattern: str | None, zone: str) -> int | None:
    """Microseconds since the epoch of a text read by the pattern, NULL if it does not fit; zone "": local time."""
    if text is None or pattern is None:
        return None
    values = _values(text, pattern)
    if values is None:
        return None
    try:
        moment = _moment(values)
    except ValueError:
        return None
    named = next((values[letter] for letter in "XxZzVO" if letter in values), None)
    if not zone:
        return round((moment - _EPOCH) / timedelta(microseconds=1))
    aware = moment.replace(tzinfo=zone_of(named or zone))
    return round((aware - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
