"""Rows as JSON-like values, the same from PySpark's `collect()` and from Arrow, so that recordings can be compared."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any


def plain(value: Any) -> Any:
    """A value as JSON holds it; maps and structs become lists."""
    if isinstance(value, dict):
        return [[plain(key), plain(each)] for key, each in value.items()]
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, dt.datetime):
        naive = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
        return naive.isoformat(" ")
    if isinstance(value, dt.date | dt.time | Decimal):
        return str(value)
    if isinstance(value, dt.timedelta):
        return f"{value.total_seconds():.6f} s"
    if isinstance(value, bytes):
        return value.hex()
    return value
