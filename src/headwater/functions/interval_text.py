"""Texts of intervals, as Spark casts them to strings.

Invariants: as in kernels.py; a year-month or day-time interval shows the units of its type, a calendar interval its
parts that are not zero.
"""

from __future__ import annotations

from headwater.functions.kernels import kernel

_DAY_TIME = ("DAY", "HOUR", "MINUTE", "SECOND")
_SECONDS = (86400, 3600, 60, 1)


def _units(units: tuple[str, ...], first: int, last: int) -> str:
    return units[first] if first == last else f"{units[first]} TO {units[last]}"


@kernel(["BIGINT", "INTEGER", "INTEGER"], "VARCHAR")
def year_month_text(months: int, first: int, last: int) -> str:
    """`INTERVAL '1-2' YEAR TO MONTH`."""
    sign, rest = ("-" if months < 0 else ""), abs(months)
    text = f"{rest // 12}-{rest % 12}" if first != last else str(rest // 12 if last == 0 else rest)
    return f"INTERVAL '{sign}{text}' {_units(('YEAR', 'MONTH'), first, last)}"


@kernel(["BIGINT", "INTEGER", "INTEGER"], "VARCHAR")
def day_time_text(microseconds: int, first: int, last: int) -> str:
    """`INTERVAL '1 02:03:04.5' DAY TO SECOND`: the first unit in full, the others up to their next."""
    seconds, micros = divmod(abs(microseconds), 1_000_000)
    text = ""
    for unit in range(first, last + 1):
        number = seconds // _SECONDS[unit]
        seconds -= number * _SECONDS[unit]
        text += ("" if unit == first else (" " if unit == 1 else ":")) + (str(number) if unit == 0 else f"{number:02d}")
    if last == 3 and micros:
        text += f".{micros:06d}".rstrip("0")
    return f"INTERVAL '{'-' if microseconds < 0 else ''}{text}' {_units(_DAY_TIME, first, last)}"


@kernel(["BIGINT", "BIGINT", "BIGINT"], "VARCHAR")
def calendar_text(months: int, days: int, microseconds: int) -> str:
    """`1 years 2 months 3 days 4 hours 5 minutes 6.5 seconds`, what is zero left out."""
    sign = -1 if microseconds < 0 else 1
    seconds, micros = divmod(abs(microseconds), 1_000_000)
    year = abs(months) // 12 * (-1 if months < 0 else 1)
    parts = [
        (year, "years"),
        (months - 12 * year, "months"),
        (days, "days"),
        (sign * (seconds // 3600), "hours"),
        (sign * (seconds // 60 % 60), "minutes"),
    ]
    shown = [f"{number} {unit}" for number, unit in parts if number]
    if seconds % 60 or micros:
        fraction = f".{micros:06d}".rstrip("0") if micros else ""
        shown.append(f"{'-' if sign < 0 else ''}{seconds % 60}{fraction} seconds")
    return " ".join(shown) or "0 seconds"
