"""Syntax errors as Spark prints them: the word, its line and position, and the text with a caret.

Invariants: positions count from 0, lines from 1; the text is shown unchanged.
"""

from __future__ import annotations

from sqlglot.tokenizer_core import Token

from headwater.errors import ParseError


def syntax_error(text: str, start: int | None, word: str | None, hint: str = "") -> ParseError:
    """PARSE_SYNTAX_ERROR at character `start` of `text` (None: at its end) near `word`."""
    near = "end of input" if word is None else f"'{word}'"
    error = ParseError("PARSE_SYNTAX_ERROR", error=near, hint=hint)
    return located(error, text, len(text) if start is None else start)


def located(error: ParseError, text: str, start: int) -> ParseError:
    """`error` with the place in its message."""
    line = text.count("\n", 0, start) + 1
    position = start - (text.rfind("\n", 0, start) + 1)
    lines = text.split("\n")
    shown = [*lines[:line], f"{'-' * position}^^^", *lines[line:]]
    place = f" (line {line}, pos {position})\n\n== SQL ==\n" + "\n".join(shown) + "\n"
    error.args = (f"{error}{place}",)
    return error


def word_of(text: str, token: Token) -> str:
    """What the user wrote at `token`."""
    return text[token.start : token.end + 1]
