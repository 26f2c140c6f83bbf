"""Java date patterns (`yyyy-MM-dd'T'HH:mm:ss[.SSS][XXX]`) as DuckDB's strptime formats.

Invariants: an optional section gives one format with it and one without; a letter that strptime cannot read
raises and names the pattern.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from headwater.errors import unsupported

_TOKEN = re.compile(r"'((?:[^']|'')*)'|([A-Za-z])\2*|(.)", re.DOTALL)
_CODES: tuple[tuple[str, str], ...] = (
    ("yyyy", "%Y"),
    ("uuuu", "%Y"),
    ("yy", "%y"),
    ("y", "%Y"),
    ("u", "%Y"),
    ("MMMM", "%B"),
    ("MMM", "%b"),
    ("MM", "%m"),
    ("M", "%m"),
    ("LL", "%m"),
    ("L", "%m"),
    ("dd", "%d"),
    ("d", "%d"),
    ("DDD", "%j"),
    ("D", "%j"),
    ("EEEE", "%A"),
    ("EEE", "%a"),
    ("EE", "%a"),
    ("E", "%a"),
    ("HH", "%H"),
    ("H", "%H"),
    ("hh", "%I"),
    ("h", "%I"),
    ("mm", "%M"),
    ("m", "%M"),
    ("ss", "%S"),
    ("s", "%S"),
    ("a", "%p"),
)
_BY_LETTERS = dict(_CODES)


def strptime_formats(pattern: str) -> list[str]:
    """All strptime formats a Java pattern stands for, longest first. Raises UNSUPPORTED_FEATURE."""
    return sorted({_convert(choice, pattern) for choice in _choices(pattern)}, key=len, reverse=True)


def _choices(pattern: str) -> Iterator[str]:
    match = re.search(r"\[([^\[\]]*)\]", pattern)
    if match is None:
        yield pattern
        return
    before, after = pattern[: match.start()], pattern[match.end() :]
    yield from _choices(before + match[1] + after)
    yield from _choices(before + after)


def _convert(pattern: str, whole: str) -> str:
    return "".join(_piece(match, whole) for match in _TOKEN.finditer(pattern))


def _piece(match: re.Match[str], whole: str) -> str:
    if match[1] is not None:
        return (match[1].replace("''", "'") or "'").replace("%", "%%")
    text = match[0]
    if match[3] is not None:
        return text.replace("%", "%%")
    if set(text) == {"S"}:
        return {3: "%g", 6: "%f", 9: "%n"}.get(len(text), "%f")
    if text[0] in "XxZ":
        return "%z"
    if text[0] in "VzO":
        return "%Z"
    code = _BY_LETTERS.get(text)
    if code is None:
        raise unsupported(f"the letters `{text}` of the date pattern `{whole}` in a reader option")
    return code
