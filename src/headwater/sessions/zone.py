"""The machine's time zone as an IANA name.

Invariant: always a name that `zoneinfo` knows; `UTC` where the machine does not say.
"""

from __future__ import annotations

import os
from functools import cache

from headwater.settings import is_time_zone

_LINK = "/etc/localtime"
_TEXT = "/etc/timezone"


@cache
def machine_time_zone() -> str:
    """`TZ`, else where /etc/localtime points, else /etc/timezone, else UTC."""
    for name in (os.environ.get("TZ", "").lstrip(":"), _linked(), _written()):
        if name and is_time_zone(name):
            return name
    return "UTC"


def _linked() -> str:
    target = os.path.realpath(_LINK)
    return target.partition("/zoneinfo/")[2]


def _written() -> str:
    try:
        with open(_TEXT, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""
