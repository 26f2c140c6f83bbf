"""The entry points: SQL text in, plan nodes out.

Invariants: nothing is resolved or run here; every failure is a `ParseError` with Spark's condition, or
`unsupported` naming what is missing.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from itertools import pairwise
from typing import Any, cast

from sqlglot import errors, exp
from sqlglot.tokenizer_core import Token, TokenType

from headwater.errors import ParseError, unsupported
from headwater.plan.commands import Command
from headwater.plan.expressions import Expression
from headwater.plan.relations import Relation
from headwater.sql import calls as calls  # registers converters
from headwater.sql import queries
from headwater.sql.dialect import HeadwaterDialect, Parser, SyntaxFault
from headwater.sql.expressions import convert
from headwater.sql.reader import QUERY_WORDS, Reader
from headwater.sql.scope import Scope
from headwater.sql.statements.base import MISSING, Statement, statements
from headwater.sql.syntax import syntax_error, word_of

_DIALECT = HeadwaterDialect()
_NO_PARAMETERS: Mapping[str, Expression] = {}
_RECURSION = 20_000
"""Python frames a statement may need: about twenty for each level of parentheses."""
_LEFT_OVER = "Invalid expression / Unexpected token"
_MISSING_QUOTE = re.compile(r"Missing (.) from \d+:(\d+)")


def parse_expression(text: str) -> Expression:
    """One expression, possibly with an alias: `expr()`, `selectExpr`, `filter("…")`. Raises PARSE_SYNTAX_ERROR."""
    node: exp.Expr = _parse(text, lambda parser: parser._parse_expression() or parser._parse_star())
    return convert(node, Scope(queries.query, text=text))


def parse_query(
    text: str, named: Mapping[str, Expression] = _NO_PARAMETERS, positional: tuple[Expression, ...] = ()
) -> Relation:
    """A query. `named` and `positional` are the values of `:name` and `?`. Raises PARSE_SYNTAX_ERROR."""
    first = tokens_of(text)[0]
    if first.text.upper() not in QUERY_WORDS:
        raise _at(text, first)
    node: exp.Expr = _parse(text, lambda parser: parser._parse_statement())
    if not isinstance(node, exp.Query | exp.Values):
        raise _at(text, first)
    return queries.query(node, Scope(queries.query, named, positional, text=text))


def parse_statement(
    text: str, named: Mapping[str, Expression] = _NO_PARAMETERS, positional: tuple[Expression, ...] = ()
) -> Relation | Command:
    """A query or a command. Raises PARSE_SYNTAX_ERROR; `unsupported` for statements Headwater does not have."""
    scope = Scope(queries.query, named, positional, text=text)
    first = _words(text)[0]
    word = first.text.upper()
    family = statements.get(word) if first.token_type != TokenType.IDENTIFIER else None
    if family is not None:
        command: Relation | Command = _parse(text, lambda parser: _statement(Reader(parser, scope), word, family))
        return command
    if word in MISSING:
        raise unsupported(f"the SQL statement {word}", MISSING[word])
    return parse_query(text, named, positional)


def _statement(reader: Reader, word: str, family: Statement) -> Relation | Command:
    reader.expect(word)
    result = family(reader)
    reader.end()
    return result


def _parse(text: str, rule: Callable[[Parser], Any]) -> Any:
    tokens = tokens_of(text)
    parser = Parser(dialect=_DIALECT)
    sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))
    try:
        (result, *_) = parser._parse(cast(Any, rule), tokens, text)
    except SyntaxFault as fault:
        raise _at(text, fault.token, str(fault)) from None
    except RecursionError:
        raise ParseError("FAILED_TO_PARSE_TOO_COMPLEX") from None
    if result is None:
        raise _at(text, tokens[0])
    return result


def _at(text: str, token: Token | None, message: str = "") -> ParseError:
    if token is None or token.token_type == TokenType.SENTINEL:
        return syntax_error(text, None, None)
    word = word_of(text, token)
    return syntax_error(text, token.start, word, f": extra input '{word}'" if message == _LEFT_OVER else "")


def _unclosed(text: str, error: errors.TokenError) -> ParseError:
    match = _MISSING_QUOTE.search(f"{error} {error.__cause__}")
    if match is None:
        return syntax_error(text, None, None)
    return syntax_error(text, int(match[2]), match[1])


def tokens_of(text: str) -> list[Token]:
    """The words of one statement. Raises PARSE_SYNTAX_ERROR."""
    tokens = _words(text)
    for token, after in pairwise(tokens):
        if token.token_type == TokenType.SEMICOLON:
            raise _at(text, after, _LEFT_OVER)
    return tokens


def _words(text: str) -> list[Token]:
    try:
        tokens = _DIALECT.tokenize(text)
    except errors.TokenError as error:
        raise _unclosed(text, error) from None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise ParseError("PARSE_EMPTY_STATEMENT")
    return _with_spaced_hex(tokens)


def _with_spaced_hex(tokens: list[Token]) -> list[Token]:
    """`X 'FF'` as one word, like `X'FF'`."""
    merged: list[Token] = []
    for token in tokens:
        before = merged[-1] if merged else None
        if (
            before
            and token.token_type == TokenType.STRING
            and before.token_type == TokenType.VAR
            and before.text in "xX"
        ):
            merged[-1] = Token(TokenType.HEX_STRING, token.text, token.line, token.col, before.start, token.end)
        else:
            merged.append(token)
    return merged
