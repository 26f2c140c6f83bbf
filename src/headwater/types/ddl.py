"""Spark's type and schema text, both ways: `a INT NOT NULL, b STRUCT<x: STRING>` and pyspark's type objects.

Invariants: `parse_type(type_sql(t)) == t` and `parse_schema(to_ddl(s)) == s` for every type Spark can write as
text (metadata other than comments is not text); a failure is PARSE_SYNTAX_ERROR with the place, or
UNSUPPORTED_DATATYPE with the word.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any, NamedTuple, cast

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    ByteType,
    CalendarIntervalType,
    CharType,
    DataType,
    DateType,
    DayTimeIntervalType,
    DecimalType,
    DoubleType,
    FloatType,
    IntegerType,
    LongType,
    MapType,
    NullType,
    ShortType,
    StringType,
    StructField,
    StructType,
    TimestampNTZType,
    TimestampType,
    TimeType,
    VarcharType,
    VariantType,
    YearMonthIntervalType,
)

from headwater.errors import ParseError

_PLAIN: dict[str, Callable[[], DataType]] = {
    "BOOLEAN": BooleanType,
    "TINYINT": ByteType,
    "BYTE": ByteType,
    "SMALLINT": ShortType,
    "SHORT": ShortType,
    "INT": IntegerType,
    "INTEGER": IntegerType,
    "BIGINT": LongType,
    "LONG": LongType,
    "FLOAT": FloatType,
    "REAL": FloatType,
    "DOUBLE": DoubleType,
    "DATE": DateType,
    "TIMESTAMP": TimestampType,
    "TIMESTAMP_LTZ": TimestampType,
    "TIMESTAMP_NTZ": TimestampNTZType,
    "BINARY": BinaryType,
    "VOID": NullType,
    "NULL": NullType,
    "VARIANT": VariantType,
}
_DAY_TIME = {"DAY": 0, "HOUR": 1, "MINUTE": 2, "SECOND": 3}
_YEAR_MONTH = {"YEAR": 0, "MONTH": 1}
_TOKEN = re.compile(
    r"\s*(?:(?P<quoted>`(?:[^`]|``)*`)|(?P<text>'(?:[^'\\]|\\.|'')*'|\"(?:[^\"\\]|\\.|\"\")*\")"
    r"|(?P<number>\d+(?!\w))|(?P<word>\w+)|(?P<sign>[^\s\w]))",
    re.S,
)
_PLAIN_NAME = re.compile(r"[A-Za-z_]\w*\Z", re.A)


class _Token(NamedTuple):
    kind: str
    text: str
    start: int


def parse_type(text: str) -> DataType:
    """The type of `text`: DDL (`array<int>`) or JSON (`{"type":"array",…}`). Raises ParseError."""
    parsed = _from_json(text)
    if parsed is not None:
        return parsed
    parser = _Parser(text)
    result = parser.type()
    parser.end()
    return result


def parse_schema(text: str) -> StructType:
    """The schema of `text`: DDL column list, `struct<…>`, or schema JSON. Raises ParseError."""
    parsed = _from_json(text)
    if parsed is not None:
        return _as_schema(parsed, text)
    parser = _Parser(text)
    if parser.peek(0) == "STRUCT" and parser.peek(1) in {"<", ""}:
        result = parser.type()
        parser.end()
        return _as_schema(result, text)
    fields = [parser.field()] if parser.peek() else []
    while parser.accept(","):
        fields.append(parser.field())
    parser.end()
    return StructType(fields)


def type_sql(data_type: DataType) -> str:
    """Spark's SQL name of a type: `INT`, `ARRAY<STRING>`, `STRUCT<a: INT NOT NULL>`."""
    if isinstance(data_type, ArrayType):
        return f"ARRAY<{type_sql(data_type.elementType)}>"
    if isinstance(data_type, MapType):
        return f"MAP<{type_sql(data_type.keyType)}, {type_sql(data_type.valueType)}>"
    if isinstance(data_type, StructType):
        return f"STRUCT<{', '.join(_field(f, ': ') for f in data_type.fields)}>"
    return cast(str, data_type.simpleString()).upper()


def to_ddl(data_type: DataType) -> str:
    """DDL text: of a schema its column list (`a INT,b STRING NOT NULL`), of any other type its SQL name."""
    if isinstance(data_type, StructType):
        return ",".join(_field(f, " ") for f in data_type.fields)
    return type_sql(data_type)


def quote_if_needed(name: str) -> str:
    """`name`, in backquotes unless it is a plain identifier."""
    return name if _PLAIN_NAME.match(name) else "`" + name.replace("`", "``") + "`"


def _field(field: StructField, separator: str) -> str:
    text = f"{quote_if_needed(field.name)}{separator}{type_sql(field.dataType)}"
    if not field.nullable:
        text += " NOT NULL"
    comment = (field.metadata or {}).get("comment")
    if comment is not None:
        text += " COMMENT '" + comment.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return text


def _from_json(text: str) -> DataType | None:
    stripped = text.strip()
    if not stripped.startswith(("{", '"')):
        return None
    try:
        return cast(DataType, _type_of_json(json.loads(stripped)))
    except (ValueError, KeyError, TypeError) as cause:
        raise ParseError(
            "PARSE_SYNTAX_ERROR", error=f"'{stripped[:40]}'", hint="(not a schema in JSON form)"
        ) from cause


def _type_of_json(value: Any) -> Any:
    from pyspark.sql import types

    return types._parse_datatype_json_value(value)


def _as_schema(data_type: DataType, text: str) -> StructType:
    if isinstance(data_type, StructType):
        return data_type
    raise ParseError("PARSE_SYNTAX_ERROR", error=f"'{text.strip()[:40]}'", hint="(a schema must be a struct)")


def _unquote(text: str) -> str:
    body = text[1:-1]
    if text[0] == "`":
        return body.replace("``", "`")
    return re.sub(r"\\(.)", r"\1", body.replace(text[0] * 2, text[0]), flags=re.S)


class _Parser:
    """Recursive descent over the tokens of one text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = [_Token(m.lastgroup or "", m[m.lastgroup or 0], m.start(m.lastgroup or 0)) for m in _scan(text)]
        self._at = 0

    def peek(self, ahead: int = 0) -> str:
        """The upper-case text of a coming token, or "" at the end."""
        at = self._at + ahead
        return self._tokens[at].text.upper() if at < len(self._tokens) else ""

    def accept(self, *texts: str) -> bool:
        """Consume `texts` if they come next."""
        if any(self.peek(i) != text for i, text in enumerate(texts)):
            return False
        self._at += len(texts)
        return True

    def expect(self, text: str) -> None:
        """Consume `text` or fail."""
        if not self.accept(text):
            raise self.error(f"missing '{text}'")

    def end(self) -> None:
        """Fail unless all is consumed."""
        if self.peek():
            raise self.error(f"extra input {self._here()}")

    def error(self, hint: str) -> ParseError:
        """PARSE_SYNTAX_ERROR at the coming token."""
        at = self._tokens[self._at].start if self._at < len(self._tokens) else len(self._text)
        line = self._text.count("\n", 0, at) + 1
        column = at - (self._text.rfind("\n", 0, at) + 1)
        return ParseError("PARSE_SYNTAX_ERROR", error=self._here(), hint=f": {hint} (line {line}, pos {column})")

    def field(self) -> StructField:
        """`name [:] type [NOT NULL] [COMMENT 'text']`."""
        name = self._name()
        self.accept(":")
        data_type = self.type()
        nullable = not self.accept("NOT", "NULL")
        metadata = {"comment": self._string()} if self.accept("COMMENT") else None
        return StructField(name, data_type, nullable, metadata)

    def type(self) -> DataType:
        """One type."""
        word = self.peek()
        if not word or self._tokens[self._at].kind != "word":
            raise self.error("expected a type")
        self._at += 1
        nested = {"ARRAY": self._array, "MAP": self._map, "STRUCT": self._struct, "INTERVAL": self._interval}
        if word in nested:
            return nested[word]()
        if word in {"DECIMAL", "DEC", "NUMERIC"}:
            return DecimalType(*self._numbers(2, (10, 0)))
        if word in {"STRING", "CHAR", "CHARACTER", "VARCHAR"}:
            return self._characters(word)
        if word == "TIME":
            return TimeType(*self._numbers(1, (6,)))
        if word in _PLAIN:
            return _PLAIN[word]()
        raise ParseError("UNSUPPORTED_DATATYPE", typeName=f'"{word}"')

    def _array(self) -> DataType:
        self.expect("<")
        element = self.type()
        self.expect(">")
        return ArrayType(element, True)

    def _map(self) -> DataType:
        self.expect("<")
        key = self.type()
        self.expect(",")
        value = self.type()
        self.expect(">")
        return MapType(key, value, True)

    def _struct(self) -> DataType:
        self.expect("<")
        fields: list[StructField] = []
        if not self.accept(">"):
            fields.append(self.field())
            while self.accept(","):
                fields.append(self.field())
            self.expect(">")
        return StructType(fields)

    def _interval(self) -> DataType:
        for units, make in ((_DAY_TIME, DayTimeIntervalType), (_YEAR_MONTH, YearMonthIntervalType)):
            if self.peek() in units:
                first = units[self.peek()]
                self._at += 1
                if not self.accept("TO"):
                    return make(first, first)
                if self.peek() not in units:
                    raise self.error("expected an interval unit")
                last = units[self.peek()]
                self._at += 1
                return make(first, last)
        return CalendarIntervalType()

    def _characters(self, word: str) -> DataType:
        if word == "STRING":
            if self.accept("COLLATE"):
                return StringType(self._name())
            return StringType()
        lengths = self._numbers(1, ())
        if not lengths:
            raise ParseError("DATATYPE_MISSING_SIZE", type=f'"{word}"')
        return VarcharType(*lengths) if word == "VARCHAR" else CharType(*lengths)

    def _numbers(self, most: int, default: tuple[int, ...]) -> tuple[int, ...]:
        if not self.accept("("):
            return default
        numbers = [self._number()]
        while len(numbers) < most and self.accept(","):
            numbers.append(self._number())
        self.expect(")")
        return (*numbers, *default[len(numbers) :])

    def _number(self) -> int:
        if not self.peek().isdigit():
            raise self.error("expected a number")
        self._at += 1
        return int(self._tokens[self._at - 1].text)

    def _name(self) -> str:
        if self.peek() and self._tokens[self._at].kind in {"word", "quoted", "number"}:
            token = self._tokens[self._at]
            self._at += 1
            return _unquote(token.text) if token.kind == "quoted" else token.text
        raise self.error("expected a name")

    def _string(self) -> str:
        if self.peek() and self._tokens[self._at].kind == "text":
            self._at += 1
            return _unquote(self._tokens[self._at - 1].text)
        raise self.error("expected a string")

    def _here(self) -> str:
        return f"'{self._tokens[self._at].text}'" if self._at < len(self._tokens) else "end of input"


def _scan(text: str) -> list[re.Match[str]]:
    matches, at, end = [], 0, len(text.rstrip())
    while at < end:
        match = _TOKEN.match(text, at)
        if match is None:  # cannot be: `sign` takes any character
            break
        matches.append(match)
        at = match.end()
    return matches
