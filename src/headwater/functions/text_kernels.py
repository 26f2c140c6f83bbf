"""String functions in Python for what DuckDB's text functions do otherwise or not at all.

Invariants: as in kernels.py; texts are sequences of characters, blobs of bytes.
"""

from __future__ import annotations

import re

from headwater.errors import RuntimeSparkError
from headwater.functions.kernels import kernel


@kernel(["BLOB", "VARCHAR"], "BLOB")
def trim_bytes(data: bytes, side: str) -> bytes:
    """The bytes without spaces at the ends (`trim`), start (`ltrim`) or end (`rtrim`)."""
    if side == "ltrim":
        return data.lstrip(b" ")
    return data.rstrip(b" ") if side == "rtrim" else data.strip(b" ")


@kernel(["BLOB", "INTEGER", "INTEGER"], "BLOB")
def slice_bytes(data: bytes, position: int, count: int) -> bytes:
    """Spark's substring of a binary."""
    start = position - 1 if position > 0 else (len(data) + position if position < 0 else 0)
    return data[max(start, 0) : max(start + count, 0)] if count > 0 else b""


@kernel(["BLOB", "INTEGER", "BLOB", "VARCHAR"], "BLOB")
def pad_bytes(data: bytes, width: int, pad: bytes, side: str) -> bytes:
    """Spark's lpad and rpad of a binary."""
    if width <= len(data) or not pad:
        return data[: max(width, 0)]
    missing = width - len(data)
    filler = (pad * (missing // len(pad) + 1))[:missing]
    return filler + data if side == "lpad" else data + filler


@kernel(["BLOB", "BLOB"], "BOOLEAN")
def bytes_start(data: bytes, part: bytes) -> bool:
    """startswith for binaries."""
    return data.startswith(part)


@kernel(["BLOB", "BLOB"], "BOOLEAN")
def bytes_end(data: bytes, part: bytes) -> bool:
    """endswith for binaries."""
    return data.endswith(part)


@kernel(["BLOB", "BLOB"], "BOOLEAN")
def bytes_contain(data: bytes, part: bytes) -> bool:
    """contains for binaries."""
    return part in data


@kernel(["VARCHAR", "VARCHAR"], "INTEGER")
def levenshtein(first: str, second: str) -> int:
    """Edit distance in characters (DuckDB's counts bytes)."""
    row = list(range(len(second) + 1))
    for i, a in enumerate(first, 1):
        above, row[0] = row[0], i
        for j, b in enumerate(second, 1):
            above, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, above + (a != b))
    return row[-1]


@kernel(["VARCHAR", "VARCHAR", "INTEGER", "INTEGER"], "VARCHAR")
def overlay_text(text: str, new: str, position: int, count: int) -> str:
    """Spark's overlay: `count` < 0 means the length of the new text."""
    return _cut(text, 1, position - 1) + new + _cut(text, position + (count if count >= 0 else len(new)), None)


@kernel(["BLOB", "BLOB", "INTEGER", "INTEGER"], "BLOB")
def overlay_bytes(data: bytes, new: bytes, position: int, count: int) -> bytes:
    """Spark's overlay of binaries."""
    tail = position + (count if count >= 0 else len(new))
    return bytes(slice_bytes(data, 1, position - 1)) + new + bytes(slice_bytes(data, tail, 2147483647))


def _cut(text: str, position: int, count: int | None) -> str:
    start = position - 1 if position > 0 else (len(text) + position if position < 0 else 0)
    end = len(text) if count is None else start + count
    return text[max(start, 0) : max(end, 0)]


_SOUNDEX = dict(zip("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "01230127022455012623017202", strict=True))


@kernel(["VARCHAR"], "VARCHAR")
def soundex(text: str) -> str:
    """The four-character Soundex code; texts that begin with no letter come back unchanged."""
    if not text or not ("A" <= text[0].upper() <= "Z" and text[0].isascii()):
        return text
    code, last = text[0].upper(), _SOUNDEX[text[0].upper()]
    for letter in text[1:].upper():
        digit = _SOUNDEX.get(letter)
        if digit is None:
            last = "0"
        elif digit == "7":
            continue
        else:
            if digit != "0" and digit != last:
                code += digit
                if len(code) == 4:
                    return code
            if letter not in "HW":
                last = digit
    return code.ljust(4, "0")


@kernel(["VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR", "VARCHAR"], "VARCHAR", nulls=True)
def mask(text: str | None, upper: str | None, lower: str | None, digit: str | None, other: str | None) -> str | None:
    """Each character replaced by that of its class; a NULL replacement keeps the class."""
    if text is None:
        return None

    def one(letter: str) -> str:
        if letter.isupper():
            new = upper
        elif letter.islower():
            new = lower
        else:
            new = digit if letter.isdigit() else other
        return letter if new is None else new

    return "".join(map(one, text))


@kernel(["VARCHAR"], "BOOLEAN")
def luhn_check(text: str) -> bool:
    """Whether the digits pass the Luhn check."""
    if not text or not text.isascii() or not text.isdigit():
        return False
    digits = [int(letter) for letter in reversed(text)]
    doubled = [digit if i % 2 == 0 else (digit * 2 - 9 if digit > 4 else digit * 2) for i, digit in enumerate(digits)]
    return sum(doubled) % 10 == 0


@kernel(["VARCHAR"], "VARCHAR[][]")
def sentences(text: str) -> list[list[str]]:
    """Sentences as lists of words, as Java's break iterators give for English."""
    found = [re.findall(r"[^\W_]+(?:['’.][^\W_]+)*", part) for part in re.split(r"(?<=[.!?。])\s+", text)]
    return [words for words in found if words]


@kernel(["BLOB"], "VARCHAR")
def repair_utf8(data: bytes) -> str:
    """The bytes as text, malformed parts replaced by U+FFFD."""
    return data.decode("utf-8", "replace")


@kernel(["BLOB"], "BOOLEAN")
def is_utf8(data: bytes) -> bool:
    """Whether the bytes are well-formed UTF-8."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


@kernel(["VARCHAR", "VARCHAR"], "VARCHAR")
def quote(text: str, mark: str) -> str:
    """The text between marks, with marks and backslashes inside escaped."""
    return mark + text.replace("\\", "\\\\").replace(mark, "\\" + mark) + mark


@kernel(["VARCHAR", "VARCHAR", "INTEGER"], "VARCHAR")
def split_part(text: str, delimiter: str, number: int) -> str:
    """The n-th part between delimiters, empty if there is none. Raises INVALID_INDEX_OF_ZERO."""
    if number == 0:
        raise RuntimeSparkError("INVALID_INDEX_OF_ZERO")
    parts = text.split(delimiter) if delimiter else [text]
    index = number - 1 if number > 0 else len(parts) + number
    return parts[index] if 0 <= index < len(parts) else ""


@kernel(["BLOB"], "BLOB")
def reverse_bytes(data: bytes) -> bytes:
    """The bytes backwards."""
    return bytes(data)[::-1]
