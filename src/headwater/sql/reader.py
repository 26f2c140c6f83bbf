"""A cursor over a statement's words, for what the statement families read themselves.

Invariants: reading a wrong word is a syntax error at that word; queries and expressions inside a statement are
read by the same parser, so `?` keep their numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NoReturn, TypeVar

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from headwater.plan.commands import Options
from headwater.plan.expressions import Expression, Literal
from headwater.plan.relations import Relation
from headwater.sql import queries, tables
from headwater.sql.dialect import Parser, SyntaxFault
from headwater.sql.expressions import convert
from headwater.sql.scope import Scope

T = TypeVar("T")

QUERY_WORDS = ("SELECT", "WITH", "VALUES", "FROM", "TABLE", "(")
"""The words a query starts with."""
_OPERATORS = ("=", "==", "<=>", "<>", "!=", "<", ">", "<=", ">=")
_BEFORE_OPERANDS = (*_OPERATORS, "AND", "OR", "NOT", "IN", "EXISTS", "DISTINCT", "ANY", "ALL")
"""Words that something has to follow: a query after one of them is part of the condition."""
_DEPTHS = {"(": 1, ")": -1, "<": 1, ">": -1, ">>": -2}


class Reader:
    """The words of one statement, read from left to right."""

    def __init__(self, parser: Parser, scope: Scope) -> None:
        self._parser = parser
        self.scope = scope

    @property
    def text(self) -> str:
        """The whole statement."""
        return self.scope.text

    # ── words ───────────────────────────────────────────────────────────────────────────────────────────────

    def done(self) -> bool:
        """Whether nothing is left."""
        return not self._parser._curr

    def peek(self, ahead: int = 0) -> str:
        """The word `ahead` of the cursor, in upper case; empty at the end. `PARTITIONED BY` and the like are one."""
        token = self._token(ahead)
        if token is None:
            return ""
        if token.token_type in (TokenType.STRING, TokenType.IDENTIFIER):
            return ""
        return " ".join(token.text.upper().split())

    def ahead(self, count: int) -> bool:
        """Whether there is a token `count` places after the cursor's."""
        return self._token(count) is not None

    def accept(self, *words: str) -> bool:
        """Step over `words` if they come next, all of them."""
        for ahead, word in enumerate(words):
            if self.peek(ahead) != word:
                return False
        self._parser._advance(len(words))
        return True

    def accept_any(self, *words: str) -> str:
        """Step over one of `words`; empty if none comes next."""
        return next((word for word in words if self.accept(word)), "")

    def expect(self, *words: str) -> None:
        """Step over `words` or fail."""
        for word in words:
            if not self.accept(word):
                self.fail()

    def end(self) -> None:
        """Fail unless nothing is left."""
        if not self.done():
            self.fail()

    def fail(self) -> NoReturn:
        """A syntax error at the cursor."""
        raise SyntaxFault("unexpected", self._token(0))

    def position(self) -> int:
        """The cursor's place in `text`."""
        token = self._token(0)
        return len(self.text) if token is None else token.start

    def rest(self) -> str:
        """The text from the cursor to the end, which is stepped over."""
        start = self.position()
        while self._parser._curr:
            self._parser._advance()
        return self.text[start:].rstrip().rstrip(";").rstrip()

    def exists(self, *, negated: bool = False) -> bool:
        """`IF EXISTS`, or `IF NOT EXISTS`."""
        return self.accept("IF", "NOT", "EXISTS") if negated else self.accept("IF", "EXISTS")

    def _token(self, ahead: int) -> Token | None:
        index = self._parser._index + ahead
        return self._parser._tokens[index] if 0 <= index < len(self._parser._tokens) else None

    # ── names and values ────────────────────────────────────────────────────────────────────────────────────

    def name(self) -> str:
        """One identifier."""
        node = self._parser._parse_id_var(any_token=True)
        if node is None:
            self.fail()
        return str(node.name)

    def names(self) -> tuple[str, ...]:
        """A dotted name; also `IDENTIFIER('a.b')`."""
        if self.peek() == "IDENTIFIER" and self.peek(1) == "(":
            self.accept("IDENTIFIER", "(")
            value = self.constant()
            self.expect(")")
            return tuple(part.name for part in exp.to_table(value, dialect="databricks").parts)
        parts = [self.name()]
        while self.accept("."):
            parts.append(self.name())
        return tuple(parts)

    def at_string(self) -> bool:
        """Whether a string comes next."""
        token = self._token(0)
        return token is not None and token.token_type in (TokenType.STRING, TokenType.RAW_STRING)

    def string(self) -> str:
        """A string."""
        if not self.at_string():
            self.fail()
        return self.constant()

    def constant(self) -> str:
        """A constant's text: `1`, `true`, `'x'`, a bound parameter."""
        value = convert(self._parser._parse_unary(), self.scope)
        if not isinstance(value, Literal):
            self.fail()
        if isinstance(value.value, bool):
            return str(value.value).lower()
        return str(value.value)

    def listed(self, item: Callable[[], T]) -> tuple[T, ...]:
        """One or more items in parentheses, with commas between them; `item` reads one."""
        self.expect("(")
        found = [item()]
        while self.accept(","):
            found.append(item())
        self.expect(")")
        return tuple(found)

    def name_list(self) -> tuple[str, ...]:
        """`(a, b)`."""
        return self.listed(self.name)

    def quoted_names(self) -> str:
        """A dotted name, each part in back quotes."""
        return ".".join("`" + part.replace("`", "``") + "`" for part in self.names())

    def properties(self) -> Options:
        """`(key = value, 'key' value, a.b.c = value)`."""
        return self.listed(self._property)

    def _property(self) -> tuple[str, str]:
        key = self.string() if self.at_string() else ".".join(self.names())
        self.accept_any("=", "==")
        return key, self.constant()

    def until(self, *words: str) -> str:
        """The text up to the first of `words` outside of brackets (or the end), stepped over."""
        start, depth = self.position(), 0
        while not self.done() and (depth or self.peek() not in words):
            depth += _DEPTHS.get(self.peek(), 0)
            self._parser._advance()
        return self.text[start : self.position()].strip()

    def enclosed(self) -> str:
        """The text between the parenthesis at the cursor and its partner, both stepped over."""
        self.expect("(")
        start, depth = self.position(), 1
        while True:
            depth += {"(": 1, ")": -1}.get(self.peek(), 0)
            if depth == 0:
                break
            if self.done():
                self.fail()
            self._parser._advance()
        text = self.text[start : self.position()]
        self.expect(")")
        return text

    # ── queries and expressions ─────────────────────────────────────────────────────────────────────────────

    def at_query(self) -> bool:
        """Whether a query comes next."""
        return self.peek() in QUERY_WORDS

    def query(self) -> Relation:
        """The query at the cursor."""
        if not self.at_query():
            self.fail()
        node = self._parser._parse_statement()
        if not isinstance(node, exp.Query | exp.Values):
            self.fail()
        return queries.query(node, self.scope)

    def table(self) -> Relation:
        """The table, or query in parentheses, at the cursor, with its alias."""
        node = self._parser._parse_table(alias_tokens=self._parser.UPDATE_ALIAS_TOKENS)
        if node is None:
            self.fail()
        return tables.table(node, self.scope)

    def column(self) -> Expression:
        """The column name at the cursor, maybe with qualifiers and fields."""
        return convert(self._parser._parse_column(), self.scope)

    def expression(self) -> Expression:
        """The expression at the cursor."""
        return convert(self._parser._parse_disjunction(), self.scope)

    def condition_before_query(self) -> Expression:
        """The expression at the cursor, which ends where a query begins: `x.id (SELECT …)` is no function call."""
        parser, size = self._parser, self._parser._tokens_size
        parser._tokens_size = parser._index + self._distance_to_query()
        parser._advance(0)
        found = self.expression()
        if parser._curr:
            self.fail()
        parser._tokens_size = size
        parser._advance(0)
        return found

    def _distance_to_query(self) -> int:
        """How many tokens lie before the query that follows a condition."""
        depth, ahead = 0, 0
        while depth or not ahead or not self._begins_query(ahead):
            depth += {"(": 1, ")": -1}.get(self.peek(ahead), 0)
            ahead += 1
            if not self.ahead(ahead):
                self.fail()
        return ahead

    def _begins_query(self, ahead: int) -> bool:
        word, before = self.peek(ahead), self.peek(ahead - 1)
        begins = word in QUERY_WORDS and (word != "(" or self.peek(ahead + 1) in QUERY_WORDS)
        return begins and before not in _BEFORE_OPERANDS
