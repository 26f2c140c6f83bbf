"""The entry points: SQL text in, plan nodes out.

Invariants: nothing is resolved or run here; every failure is a `ParseError` with Spark's condition, or
`unsupported` naming what is missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sqlglot import errors, exp
from sqlglot.tokens import Token, TokenType

from headwater.errors import ParseError
from headwater.plan.commands import Command
from headwater.plan.expressions import Expression
from headwater.plan.relations import Relation
from headwater.sql import calls as calls  # registers converters
from headwater.sql import queries
from headwater.sql.dialect import HeadwaterDialect, Parser, SyntaxFault
from headwater.sql.expressions import convert
from headwater.sql.scope import Scope
from headwater.sql.syntax import syntax_error, word_of

_DIALECT = HeadwaterDialect()
_NO_PARAMETERS: Mapping[str, Expression] = {}


def parse_expression(text: str) -> Expression:
    """One expression, possibly with an alias: `expr()`, `selectExpr`, `filter("…")`. Raises PARSE_SYNTAX_ERROR."""
    node = _parse(text, lambda parser: parser._parse_expression() or parser._parse_star())
    return convert(node, Scope(queries.query, text=text))


def parse_query(
    text: str, named: Mapping[str, Expression] = _NO_PARAMETERS, positional: tuple[Expression, ...] = ()
) -> Relation:
    """A query. `named` and `positional` are the values of `:name` and `?`. Raises PARSE_SYNTAX_ERROR."""
    node = _parse(text, lambda parser: parser._parse_statement())
    if not isinstance(node, exp.Query | exp.Values):
        first = _tokens(text)[0]
        raise syntax_error(text, first.start, word_of(text, first))
    return queries.query(node, Scope(queries.query, named, positional, text=text))


def parse_statement(
    text: str, named: Mapping[str, Expression] = _NO_PARAMETERS, positional: tuple[Expression, ...] = ()
) -> Relation | Command:
    """A query or a command. Raises PARSE_SYNTAX_ERROR; `unsupported` for statements Headwater does not have."""
    return parse_query(text, named, positional)


def _parse(text: str, rule: Callable[[Parser], Any]) -> exp.Expr:
    tokens = _tokens(text)
    parser = _DIALECT.parser()
    try:
        (node, *_) = parser._parse(rule, tokens, text)
    except SyntaxFault as fault:
        token = fault.token
        if token is None or token.token_type == TokenType.SENTINEL:
            raise syntax_error(text, None, None) from None
        raise syntax_error(text, token.start, word_of(text, token)) from None
    if node is None:
        raise syntax_error(text, tokens[0].start, word_of(text, tokens[0]))
    return node


def _tokens(text: str) -> list[Token]:
    try:
        tokens = _DIALECT.tokenize(text)
    except errors.TokenError:
        raise syntax_error(text, None, None) from None
    while tokens and tokens[-1].token_type == TokenType.SEMICOLON:
        tokens.pop()
    if not tokens:
        raise ParseError("PARSE_EMPTY_STATEMENT")
    for token in tokens:
        if token.token_type == TokenType.SEMICOLON:
            raise syntax_error(text, token.start, ";", ": extra input ';'")
    return tokens
