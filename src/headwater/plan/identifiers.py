"""Dotted names as users write them: `` a.`b.c` `` → ("a", "b.c").

Invariant: a name that Spark refuses (open quote, empty part) raises, and is never guessed.
"""

from __future__ import annotations

from headwater.errors import AnalysisError


def parse_name(text: str) -> tuple[str, ...]:
    """The parts of a column's or table's name. Raises INVALID_ATTRIBUTE_NAME_SYNTAX."""
    if "`" not in text:
        parts = text.split(".")
        if all(parts):
            return tuple(parts)
        raise _bad(text)
    return tuple(_quoted(text))


def _quoted(text: str) -> list[str]:
    parts: list[str] = []
    at = 0
    while True:
        part, at = _back_quoted(text, at) if text[at : at + 1] == "`" else _plain(text, at)
        parts.append(part)
        if at == len(text):
            return parts
        if text[at] != ".":
            raise _bad(text)
        at += 1


def _plain(text: str, at: int) -> tuple[str, int]:
    end = text.find(".", at)
    end = len(text) if end < 0 else end
    part = text[at:end]
    if not part or "`" in part:
        raise _bad(text)
    return part, end


def _back_quoted(text: str, at: int) -> tuple[str, int]:
    part: list[str] = []
    at += 1
    while at < len(text):
        if text[at] != "`":
            part.append(text[at])
            at += 1
        elif text[at + 1 : at + 2] == "`":
            part.append("`")
            at += 2
        else:
            return "".join(part), at + 1
    raise _bad(text)


def _bad(text: str) -> AnalysisError:
    return AnalysisError("INVALID_ATTRIBUTE_NAME_SYNTAX", name=text)
