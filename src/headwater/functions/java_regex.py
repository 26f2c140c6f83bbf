"""Java regular expressions: which ones RE2 (DuckDB's) understands alike, and their Python form for the others.

Invariants: a pattern is given to RE2 only if RE2 gives it Java's meaning; the rest runs on Python's `re`, and what
neither can do is refused with an error.
"""

from __future__ import annotations

import re
from functools import lru_cache

from headwater.errors import RuntimeSparkError, unsupported
from headwater.functions.kernels import kernel

_BEYOND_RE2 = re.compile(r"\(\?(?:[=!>]|<[=!])|\\[1-9kGXR]|(?<!\\)[*+?}]\+|&&|\\Z")
_POSIX = {
    "Lower": "a-z",
    "Upper": "A-Z",
    "Alpha": "a-zA-Z",
    "Digit": "0-9",
    "Alnum": "a-zA-Z0-9",
    "Punct": r"!-/:-@\[-`{-~",
    "Space": r" \t\n\x0b\f\r",
    "XDigit": "0-9a-fA-F",
    "ASCII": r"\x00-\x7f",
    "Blank": r" \t",
    "Cntrl": r"\x00-\x1f\x7f",
}
_PIECE = re.compile(r"\\p\{(\w+)\}|\\P\{(\w+)\}|\\(h)|(\\.)|(\[\^?\]?)|(\])|(.)", re.DOTALL)


def re2(pattern: str) -> str | None:
    """The pattern for RE2, or None if RE2 cannot do it as Java does."""
    plain = re.sub(r"\\[pP]\{\w+\}", "x", pattern)
    return None if _BEYOND_RE2.search(plain) else _with_classes(pattern)


def _with_classes(pattern: str) -> str:
    """Java's POSIX classes (`\\p{Alpha}`) and `\\h` spelt out."""
    parts: list[str] = []
    depth = 0
    for found in _PIECE.finditer(pattern):
        opening, closing = found[5], found[6]
        depth += bool(opening and depth == 0) - bool(closing and depth)
        body = _POSIX.get(found[1] or "") or (r" \t\xa0" if found[3] else None)
        if body is not None:
            parts.append(body if depth else f"[{body}]")
        elif found[2] in _POSIX and not depth:
            parts.append(f"[^{_POSIX[found[2]]}]")
        else:
            parts.append(found[0])
    return "".join(parts)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """The pattern for Python. Raises INVALID_PARAMETER_VALUE.PATTERN."""
    text = _with_classes(pattern).replace("\\z", "\\Z").replace("(?<", "(?P<")
    text = text.replace("(?P<=", "(?<=").replace("(?P<!", "(?<!")
    text = re.sub(r"\\k<(\w+)>", r"(?P=\1)", text)
    if "&&" in text:
        raise unsupported("the class intersection && in a regular expression", "Write the class without &&.")
    try:
        return re.compile(text, re.ASCII)
    except re.error as error:
        raise bad_pattern(pattern) from error


def bad_pattern(pattern: str, function: str = "regexp") -> RuntimeSparkError:
    """The error for a pattern that is none."""
    return RuntimeSparkError(
        "INVALID_PARAMETER_VALUE.PATTERN", parameter="`regexp`", functionName=f"`{function}`", value=f"'{pattern}'"
    )


def groups(pattern: str) -> int:
    """Number of groups of the pattern."""
    return compiled(pattern).groups


def literal_pattern(pattern: str) -> str | None:
    """The plain text the pattern stands for, if it stands for one text only."""
    plain = re.sub(r"\\([^A-Za-z0-9])", "", pattern)
    if not pattern or re.search(r"[\\.^$|?*+()\[\]{}]", plain):
        return None
    return re.sub(r"\\([^A-Za-z0-9])", r"\1", pattern)


def replacement(text: str) -> str:
    """Java's replacement text (`$1`, `\\$`) in RE2's form (`\\1`)."""
    parts: list[str] = []
    for found in re.finditer(r"\\(.)|\$(\d)|\$\{(\w+)\}|(.)", text, re.DOTALL):
        if found[2]:
            parts.append("\\" + found[2])
        else:
            letter = found[1] or found[4] or found[0]
            parts.append("\\\\" if letter == "\\" else letter)
    return "".join(parts)


def _expand(text: str, match: re.Match[str]) -> str:
    def one(found: re.Match[str]) -> str:
        if found[2]:
            return match[int(found[2])] or ""
        return (match[found[3]] or "") if found[3] else (found[1] or found[4])

    return re.sub(r"\\(.)|\$(\d)|\$\{(\w+)\}|(.)", one, text, flags=re.DOTALL)


def _group(match: re.Match[str], index: int) -> str:
    return match[index] or ""


@kernel(["VARCHAR", "VARCHAR"], "BOOLEAN")
def regexp_like(text: str, pattern: str) -> bool:
    """rlike: whether the pattern is found in the text."""
    return compiled(pattern).search(text) is not None


@kernel(["VARCHAR", "VARCHAR", "INTEGER"], "VARCHAR")
def regexp_extract(text: str, pattern: str, index: int) -> str:
    """Group of the first match, empty if there is none."""
    _check_group(pattern, index)
    match = compiled(pattern).search(text)
    return _group(match, index) if match else ""


@kernel(["VARCHAR", "VARCHAR", "INTEGER"], "VARCHAR[]")
def regexp_extract_all(text: str, pattern: str, index: int) -> list[str]:
    """Group of every match."""
    _check_group(pattern, index)
    return [_group(match, index) for match in compiled(pattern).finditer(text)]


def _check_group(pattern: str, index: int) -> None:
    if not 0 <= index <= groups(pattern):
        raise group_error("regexp_extract", pattern, index)


def group_error(function: str, pattern: str, index: int) -> RuntimeSparkError:
    """The error for a group index that the pattern does not have."""
    return RuntimeSparkError(
        "INVALID_PARAMETER_VALUE.REGEX_GROUP_INDEX",
        parameter="`idx`",
        functionName=f"`{function}`",
        groupCount=groups(pattern),
        groupIndex=index,
    )


@kernel(["VARCHAR", "VARCHAR", "VARCHAR", "INTEGER"], "VARCHAR")
def regexp_replace(text: str, pattern: str, new: str, position: int) -> str:
    """All matches at or after `position` (from 1) replaced."""
    start = position - 1
    if start >= len(text) and text:
        return text
    return text[:start] + compiled(pattern).sub(lambda match: _expand(new, match), text[start:])


@kernel(["VARCHAR", "VARCHAR"], "INTEGER")
def regexp_count(text: str, pattern: str) -> int:
    """Number of matches."""
    return sum(1 for _ in compiled(pattern).finditer(text))


@kernel(["VARCHAR", "VARCHAR"], "INTEGER")
def regexp_instr(text: str, pattern: str) -> int:
    """Position of the first match from 1, 0 if none."""
    match = compiled(pattern).search(text)
    return match.start() + 1 if match else 0


@kernel(["VARCHAR", "VARCHAR"], "VARCHAR", nulls=True)
def regexp_substr(text: str | None, pattern: str | None) -> str | None:
    """The first match, NULL if none."""
    if text is None or pattern is None:
        return None
    match = compiled(pattern).search(text)
    return match[0] if match else None


@kernel(["VARCHAR", "VARCHAR", "INTEGER"], "VARCHAR[]")
def split(text: str, pattern: str, limit: int) -> list[str]:
    """Java's String.split, trailing empty parts kept; the empty pattern gives the characters."""
    if not pattern and text:
        return list(text)[: limit if limit > 0 else None]
    parts: list[str] = []
    last = 0
    for match in compiled(pattern).finditer(text):
        if 0 < limit <= len(parts) + 1:
            break
        if match.end() == 0:
            continue
        parts.append(text[last : match.start()])
        last = match.end()
    return [*parts, text[last:]]
