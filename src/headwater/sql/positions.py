"""Where in a SQL text the name lies that an error is about, for the error's query context.

Invariant: a place is given only if the name stands in the text exactly once; nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import Token, TokenType

from headwater.errors import QueryContext, SparkError
from headwater.plan.identifiers import parse_name
from headwater.sql.parser import tokens_of

_NAMED_BY = {
    "UNRESOLVED_COLUMN": "objectName",
    "UNRESOLVED_ROUTINE": "routineName",
    "TABLE_OR_VIEW_NOT_FOUND": "relationName",
    "AMBIGUOUS_REFERENCE": "name",
}
"""The parameter that holds the name, by condition."""


def locate(error: SparkError, text: str) -> None:
    """Add the place of the name that `error` is about in `text`, if it is known."""
    condition = error.condition.split(".")[0]
    name = error.parameters.get(_NAMED_BY.get(condition, ""))
    if name is None or error.contexts:
        return
    places = list(_places(parse_name(name), tokens_of(text), call=condition == "UNRESOLVED_ROUTINE"))
    if len(places) == 1:
        start, stop = places[0]
        error.contexts = (QueryContext(text[start : stop + 1], start, stop),)


def _places(parts: Sequence[str], tokens: Sequence[Token], *, call: bool) -> Iterator[tuple[int, int]]:
    width = 2 * len(parts) - 1
    for at in range(len(tokens) - width + 1):
        found = tokens[at : at + width]
        after = tokens[at + width : at + width + 1]
        if not _is_name(found, parts) or (at and tokens[at - 1].token_type == TokenType.DOT):
            continue
        if after and after[0].token_type == TokenType.DOT:
            continue
        called = bool(after) and after[0].token_type == TokenType.L_PAREN
        if called == call:
            yield found[0].start, _closing(tokens, at + width) if call else found[-1].end


def _is_name(found: Sequence[Token], parts: Sequence[str]) -> bool:
    if any(token.token_type != TokenType.DOT for token in found[1::2]) or found[0].token_type == TokenType.STRING:
        return False
    return [token.text.lower() for token in found[::2]] == [part.lower() for part in parts]


def _closing(tokens: Sequence[Token], at: int) -> int:
    """The end of the parenthesis that opens at a token."""
    depth = 0
    for token in tokens[at:]:
        depth += (token.token_type == TokenType.L_PAREN) - (token.token_type == TokenType.R_PAREN)
        if not depth:
            return int(token.end)
    return int(tokens[-1].end)
