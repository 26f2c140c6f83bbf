"""The grammar: sqlglot's Databricks dialect, changed so that nothing the user wrote is lost on the way.

sqlglot folds functions of many dialects into common nodes. Here every call stays a call under its own name, types
keep their text, typed literals and intervals become nodes of their own, and operators bind as in Spark's grammar.

Invariants: a syntax error is a `SyntaxFault` that knows its token; parsing never logs and never falls back silently.
"""

from __future__ import annotations

from typing import Any, ClassVar

from sqlglot import errors, exp
from sqlglot.dialects.databricks import Databricks
from sqlglot.parsers.databricks import DatabricksParser
from sqlglot.tokenizer_core import Token, TokenType

_TRIM_SIDES = {"BOTH": "trim", "LEADING": "ltrim", "TRAILING": "rtrim"}
_SUFFIXES = frozenset({"L", "S", "Y", "D", "F", "BD"})
_CONSTRUCTORS = (
    exp.DType.DATE,
    exp.DType.TIME,
    exp.DType.TIMESTAMP,
    exp.DType.TIMESTAMPTZ,
    exp.DType.TIMESTAMPLTZ,
    exp.DType.TIMESTAMPNTZ,
)
UNITS = {
    **{name: name for name in ("YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")},
    **{f"{name}S": name for name in ("YEAR", "MONTH", "WEEK", "DAY", "HOUR", "MINUTE", "SECOND")},
    "MILLISECOND": "MILLISECOND",
    "MILLISECONDS": "MILLISECOND",
    "MICROSECOND": "MICROSECOND",
    "MICROSECONDS": "MICROSECOND",
    "NANOSECOND": "NANOSECOND",
    "NANOSECONDS": "NANOSECOND",
}
"""Interval units, singular and plural, to their singular name."""


class SyntaxFault(errors.ParseError):
    """Where the text stops making sense; `token` is None at its end."""

    def __init__(self, message: str, token: Token | None) -> None:
        super().__init__(message)
        self.token = token


class SuffixedNumber(exp.Expression):
    """`1L`, `2.5BD`: digits and suffix."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "suffix": True}


class TypedLiteral(exp.Expression):
    """`DATE '2020-01-01'`: type name and string."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "kind": True}


class IntervalLiteral(exp.Expression):
    """`INTERVAL '1 2' DAY TO HOUR`, `INTERVAL 1 DAY 2 HOURS`: (text, unit) pairs; `to` is the last unit of a range."""

    arg_types: ClassVar[dict[str, bool]] = {"parts": True, "to": False}


class Watermark(exp.Expression):
    """`table WATERMARK time [AS name] DELAY OF INTERVAL 1 MINUTE [AS alias]`; `time` may be an `exp.Alias`."""

    arg_types: ClassVar[dict[str, bool]] = {"this": True, "time": True, "delay": True, "named": False}


class UnsignedRightShift(exp.Expression, exp.Binary):
    """`a >>> b`."""


class Parser(DatabricksParser):
    """See the module."""

    ADD_JOIN_ON_TRUE = False
    ARRAY_CONSTRUCTORS: ClassVar[dict[str, Any]] = {}
    BRACKETS: ClassVar[Any] = {TokenType.L_BRACKET: exp.Array}
    UNARY_PARSERS: ClassVar[dict[Any, Any]] = {
        TokenType.PLUS: lambda self: exp.Anonymous(this="positive", expressions=[self._parse_unary()]),
        TokenType.NOT: DatabricksParser.UNARY_PARSERS[TokenType.NOT],
        TokenType.TILDE: DatabricksParser.UNARY_PARSERS[TokenType.TILDE],
        TokenType.DASH: lambda self: self.parse_negative(),
    }
    FUNCTIONS: ClassVar[dict[str, Any]] = {}
    FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        "CAST": DatabricksParser.FUNCTION_PARSERS["CAST"],
        "TRY_CAST": DatabricksParser.FUNCTION_PARSERS["TRY_CAST"],
        "EXTRACT": lambda self: self.parse_extract(),
        "OVERLAY": lambda self: self.parse_worded("overlay", ("PLACING", "FROM", "FOR")),
        "POSITION": lambda self: self.parse_worded("position", ("IN",)),
        "SUBSTR": lambda self: self.parse_worded("substr", ("FROM", "FOR")),
        "SUBSTRING": lambda self: self.parse_worded("substring", ("FROM", "FOR")),
        "TRIM": lambda self: self.parse_trim(),
    }
    NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
        "CASE": DatabricksParser.NO_PAREN_FUNCTION_PARSERS["CASE"],
    }
    TYPE_LITERAL_PARSERS: ClassVar[dict[Any, Any]] = {
        kind: lambda self, this, data_type: self.expression(
            TypedLiteral(this=this.name, kind=data_type.meta.get("text", data_type.sql("databricks")))
        )
        for kind in _CONSTRUCTORS
    }
    COLUMN_OPERATORS: ClassVar[dict[Any, Any]] = {
        token: parse
        for token, parse in DatabricksParser.COLUMN_OPERATORS.items()
        if token in (TokenType.DOT, TokenType.DCOLON, TokenType.QDCOLON)
    }
    TERM: ClassVar[dict[Any, Any]] = {**DatabricksParser.TERM, TokenType.DPIPE: exp.DPipe}
    PLACEHOLDER_PARSERS: ClassVar[dict[Any, Any]] = {
        TokenType.COLON: DatabricksParser.PLACEHOLDER_PARSERS[TokenType.COLON],
        TokenType.PLACEHOLDER: lambda self: self.parse_question_mark(),
    }

    def raise_error(self, message: str, token: Token | None = None) -> None:
        """Stop at `token`, by default the one being read."""
        raise SyntaxFault(message, token or self._curr or None)

    def _warn_unsupported(self) -> None:
        """Nothing: a statement sqlglot does not know is taken over by `statements`."""

    def _parse_statement(self) -> exp.Expr | None:
        if self._match(TokenType.TABLE):
            return exp.select("*").from_(self._parse_table() or exp.Table())
        return super()._parse_statement()

    def parse_question_mark(self) -> exp.Expr:
        """`?`, numbered by its place in the text."""
        before = self._tokens[: self._index - 1]
        number = sum(token.token_type == TokenType.PLACEHOLDER for token in before)
        node = exp.Placeholder()
        node.meta["number"] = number
        return node

    def parse_negative(self) -> exp.Expr:
        """What follows a minus; it belongs to a number that comes next, as in `-1::string`."""
        if not self._curr or self._curr.token_type != TokenType.NUMBER:
            return self.expression(exp.Neg(this=self._parse_unary()))
        this = number = self._parse_unary() or exp.Null()
        while not isinstance(number, exp.Literal | SuffixedNumber):
            number = number.this
        number.set("this", f"-{number.name}")
        return this

    def parse_worded(self, name: str, words: tuple[str, ...]) -> exp.Expr:
        """A call whose arguments are parted by commas or by `words`; with words it is a call of the word's function."""
        arguments, worded = [self._parse_bitwise()], ""
        while self._match(TokenType.COMMA) or self._match_texts(words):
            worded = worded or self._prev.text.upper().strip(",")
            arguments.append(self._parse_bitwise())
        if worded == "IN":
            return exp.Anonymous(this="locate", expressions=[*arguments, exp.Literal.number(1)])
        if worded and name.startswith("subst"):
            length = [] if len(arguments) > 2 else [exp.Literal.number(2**31 - 1)]
            return exp.Anonymous(this="substring", expressions=[*arguments, *length])
        if worded and len(arguments) == 3:
            arguments.append(exp.Literal(this="-1", is_string=False))
        return exp.Anonymous(this=name, expressions=arguments)

    def parse_extract(self) -> exp.Expr:
        """`EXTRACT(field FROM source)`; the field becomes a string."""
        if not self._match(TokenType.VAR):
            self._advance()
        field = exp.Literal.string(self._prev.text)
        if not self._match(TokenType.FROM):
            self.raise_error("Expected FROM")
        return exp.Anonymous(this="extract", expressions=[field, self._parse_bitwise()])

    def parse_trim(self) -> exp.Expr:
        """`TRIM([BOTH | LEADING | TRAILING] [characters] [FROM] source)`; Spark's order is (characters, source)."""
        name = _TRIM_SIDES[self._prev.text.upper()] if self._match_texts(_TRIM_SIDES) else "trim"
        arguments = [] if self._match(TokenType.FROM) else [self._parse_bitwise()]
        if not arguments or self._match(TokenType.FROM) or self._match(TokenType.COMMA):
            arguments.append(self._parse_bitwise())
        return exp.Anonymous(this=name, expressions=arguments)

    def build_cast(self, strict: bool, **kwargs: Any) -> exp.Expr:
        """A number's suffix arrives as a cast to a type named like it."""
        suffix, this = self._prev.text.upper(), kwargs.get("this")
        if suffix in _SUFFIXES and isinstance(this, exp.Literal) and not this.is_string:
            return SuffixedNumber(this=this.name, suffix=suffix)
        return super().build_cast(strict, **kwargs)

    def _parse_table_parts(self, *args: Any, **kwargs: Any) -> exp.Expr | None:  # type: ignore[override]
        table = super()._parse_table_parts(*args, **kwargs)
        if isinstance(table, exp.Table) and self._match(TokenType.PARAMETER):
            self._advance()
            table.set("version", exp.Version(this="AT", expression=exp.Literal.string(self._prev.text), kind="AT"))
        if isinstance(table, exp.Table):
            table.meta["options"] = [*self._changes(), *self._options()]
        return table

    def _changes(self) -> list[tuple[str, exp.Expr | None]]:
        """`CHANGES FROM VERSION | TIMESTAMP first [TO VERSION | TIMESTAMP last]` as read options that say the same."""
        if not self._match_text_seq("CHANGES", "FROM"):
            return []
        found = [("readChangeFeed", exp.Literal.string("true")), self._bound("starting")]
        return [*found, self._bound("ending")] if self._match_text_seq("TO") else found

    def _bound(self, end: str) -> tuple[str, exp.Expr | None]:
        if not self._match_texts(("VERSION", "TIMESTAMP")):
            self.raise_error("Expected VERSION or TIMESTAMP")
        return f"{end}{self._prev.text.capitalize()}", self._parse_bitwise()

    def _options(self) -> list[tuple[str, exp.Expr | None]]:
        """`WITH (option = value, …)` behind a table's name."""
        if not (self._next and self._next.token_type == TokenType.L_PAREN and self._match(TokenType.WITH)):
            return []
        self._match_l_paren()
        found = self._parse_csv(self._option)
        self._match_r_paren()
        return found

    def _option(self) -> tuple[str, exp.Expr | None]:
        key = self._curr.text
        self._advance()
        while self._match(TokenType.DOT):
            key += f".{self._curr.text}"
            self._advance()
        self._match(TokenType.EQ)
        return key, self._parse_unary()

    def _parse_table_alias(self, *args: Any, **kwargs: Any) -> exp.TableAlias | None:
        following = self._next.text.upper() if self._next else ""
        if self._curr.text.upper() == "WATERMARK" and following not in ("", ",", ")", "WHERE", "JOIN"):
            return None
        return super()._parse_table_alias(*args, **kwargs)

    def _parse_table(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        table = super()._parse_table(*args, **kwargs)
        if table is None or not self._match_text_seq("WATERMARK"):
            return table
        time = self._parse_disjunction()
        if time is not None and self._match(TokenType.ALIAS):
            time = exp.Alias(this=time, alias=self._parse_id_var())
        if not self._match_text_seq("DELAY", "OF"):
            self.raise_error("Expected DELAY OF")
        delay = self._parse_interval()
        if time is None or delay is None:
            self.raise_error("Expected an interval")
        return Watermark(this=table, time=time, delay=delay, named=super()._parse_table_alias())

    def _parse_group(self, *args: Any, **kwargs: Any) -> exp.Group | None:
        after = self._tokens[self._index + 1 : self._index + 3]
        if self._curr and self._curr.token_type == TokenType.GROUP_BY and len(after) == 2:
            window, parenthesis = after
            if window.token_type == TokenType.WINDOW and parenthesis.token_type == TokenType.L_PAREN:
                window.token_type = TokenType.VAR  # a call, not the clause WINDOW name AS (…)
        return super()._parse_group(*args, **kwargs)

    def _parse_csv(self, parse_method: Any, sep: TokenType = TokenType.COMMA) -> list[Any]:
        first = parse_method()
        items = [] if first is None else [first]
        while self._match(sep):
            item = parse_method()
            if item is None:
                self.raise_error("Expected an item")
            items.append(item)
        return items

    def _parse_join(self, *args: Any, **kwargs: Any) -> exp.Join | None:
        join = super()._parse_join(*args, **kwargs)
        if self._prev and self._prev.token_type in (TokenType.ON, TokenType.COMMA):
            self.raise_error("Expected what follows")
        return join

    def _parse_types(self, *args: Any, **kwargs: Any) -> exp.Expr | None:
        start = self._curr
        found = super()._parse_types(*args, **kwargs)
        if isinstance(found, exp.DataType) and start:
            found.meta["text"] = self._find_sql(start, self._prev)
        return found

    def _parse_interval(self, *_args: Any, **_kwargs: Any) -> exp.Expr | None:  # type: ignore[override]
        index = self._index
        if not self._match(TokenType.INTERVAL):
            return None
        parts: list[tuple[str, str | None]] = []
        while (value := self._interval_value()) is not None:
            bare = self._prev.token_type == TokenType.NUMBER
            unit = self._interval_unit()
            if unit is None and bare:
                parts = []
                break
            parts.append((value, unit))
            if unit is None:
                break
        if not parts:
            self._retreat(index)
            return None
        to = self._interval_unit() if parts[-1][1] and self._match_text_seq("TO") else None
        return IntervalLiteral(parts=parts, to=to)

    def _interval_value(self) -> str | None:
        index = self._index
        sign = "-" if self._match(TokenType.DASH) else ""
        if not sign:
            self._match(TokenType.PLUS)
        if self._match_set((TokenType.STRING, TokenType.NUMBER)):
            text: str = self._prev.text
            return text[1:] if sign and text.startswith("-") else sign + text
        self._retreat(index)
        return None

    def _interval_unit(self) -> str | None:
        unit = UNITS.get(self._curr.text.upper()) if self._curr else None
        if unit:
            self._advance()
        return unit

    def _parse_bitwise(self) -> exp.Expr | None:
        return self._left_deep(self._bitwise_xor, lambda: exp.BitwiseOr if self._match(TokenType.PIPE) else None)

    def _bitwise_xor(self) -> exp.Expr | None:
        return self._left_deep(self._bitwise_and, lambda: exp.BitwiseXor if self._match(TokenType.CARET) else None)

    def _bitwise_and(self) -> exp.Expr | None:
        return self._left_deep(self._shift, lambda: exp.BitwiseAnd if self._match(TokenType.AMP) else None)

    def _shift(self) -> exp.Expr | None:
        return self._left_deep(self._parse_term, self._shift_operator)

    def _shift_operator(self) -> type[exp.Expr] | None:
        if self._match_pair(TokenType.LT, TokenType.LT):
            return exp.BitwiseLeftShift
        if self._match_pair(TokenType.GT, TokenType.GT):
            return UnsignedRightShift if self._match(TokenType.GT) else exp.BitwiseRightShift
        return None

    def _left_deep(self, operand: Any, operator: Any) -> exp.Expr | None:
        this: exp.Expr | None = operand()
        while this is not None and (kind := operator()) is not None:
            this = self.expression(kind(this=this, expression=operand()))
        return this


class Tokenizer(Databricks.Tokenizer):
    """Spark's words; no word swallows the rest of the text."""

    COMMANDS: ClassVar[set[Any]] = set()
    STRING_ESCAPES: ClassVar[list[str]] = ["\\", "'", '"']


class HeadwaterDialect(Databricks):
    """The dialect `parser` reads SQL text with."""

    NORMALIZE_NOT_NULL = False
    SUPPORTS_VALUES_DEFAULT = False  # DEFAULT in VALUES is a name, as in a select list
    Tokenizer = Tokenizer
    Parser = Parser
