"""Spark's functions between text and bytes: encodings, hex, base64, UTF-8 checks, masks and codes of strings.

Invariants: character sets are those Spark allows (US-ASCII, ISO-8859-1, UTF-8, UTF-16, UTF-16BE, UTF-16LE, UTF-32).
"""

from __future__ import annotations

import base64 as codec
import binascii

from pyspark.sql.types import ArrayType, BinaryType, BooleanType, IntegralType, StringType
from sqlglot import exp

from headwater.errors import IllegalArgumentError, RuntimeSparkError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    case,
    cast,
    done,
    duck,
    equal,
    is_binary,
    is_null,
    let,
    names,
    text_literal,
    titled,
    to_long,
    to_text,
)
from headwater.functions.kernels import kernel

_CHARSETS = {
    "US-ASCII": "ascii",
    "ISO-8859-1": "latin-1",
    "UTF-8": "utf-8",
    "UTF-16BE": "utf-16-be",
    "UTF-16LE": "utf-16-le",
    "UTF-16": "utf-16",
    "UTF-32": "utf-32-be",
}


def _codec(charset: str, function_name: str) -> str:
    known = _CHARSETS.get(charset.upper())
    if known is None:
        raise IllegalArgumentError(
            "INVALID_PARAMETER_VALUE.CHARSET",
            functionName=f"`{function_name}`",
            parameter="`charset`",
            charset=charset,
            charsets=", ".join(sorted(_CHARSETS)),
        )
    return known


@kernel(["VARCHAR", "VARCHAR"], "BLOB")
def encode_text(text: str, charset: str) -> bytes:
    """The text in a character set. Raises MALFORMED_CHARACTER_CODING."""
    name = _codec(charset, "encode")
    try:
        if name == "utf-16":
            return b"\xfe\xff" + text.encode("utf-16-be") if text else b""
        return text.encode(name)
    except UnicodeEncodeError as error:
        raise _malformed("encode", charset) from error


@kernel(["BLOB", "VARCHAR"], "VARCHAR")
def decode_bytes(data: bytes, charset: str) -> str:
    """The text of bytes in a character set. Raises MALFORMED_CHARACTER_CODING."""
    name = _codec(charset, "decode")
    if name == "utf-16" and data[:2] not in (b"\xfe\xff", b"\xff\xfe"):
        name = "utf-16-be"
    try:
        return data.decode(name)
    except UnicodeDecodeError as error:
        raise _malformed("decode", charset) from error


def _malformed(function_name: str, charset: str) -> RuntimeSparkError:
    return RuntimeSparkError("MALFORMED_CHARACTER_CODING", function=f"`{function_name}`", charset=charset)


@function("encode")
def encode(call: FunctionCall) -> Typed:
    """encode(string, charset) → binary"""
    text, charset = call.take(2)
    sql = duck("hw_encode_text", _as_text(call, text), to_text(call, charset).sql)
    if str(charset.literal).upper() == "UTF-8":
        sql = duck("encode", _as_text(call, text))
    return Typed(sql, BinaryType(), True)


def _as_text(call: FunctionCall, operand: Typed) -> exp.Expression:
    return duck("hw_repair_utf8", operand.sql) if is_binary(operand) else to_text(call, operand).sql


def as_bytes(call: FunctionCall, operand: Typed) -> exp.Expression:
    """The operand as a BLOB: texts in UTF-8."""
    return operand.sql if is_binary(operand) else duck("encode", to_text(call, operand).sql)


@function("decode")
def decode(call: FunctionCall) -> Typed:
    """decode(binary, charset) → string; decode(value, search, result[, …][, default]): the first match's result"""
    if len(call.operands) == 2:
        data, charset = call.operands
        return Typed(duck("hw_decode_bytes", as_bytes(call, data), to_text(call, charset).sql), StringType(), True)
    from headwater.functions.conditional import matched

    return matched(call)


@function("base64")
def base64(call: FunctionCall) -> Typed:
    """base64(binary) → string"""
    (data,) = call.take(1)
    return done(duck("to_base64", as_bytes(call, data)), StringType(), call)


@kernel(["VARCHAR"], "BLOB")
def decode_base64(text: str) -> bytes:
    """MIME base64: what is not of the alphabet is skipped."""
    body = "".join(letter for letter in text if letter.isascii() and (letter.isalnum() or letter in "+/"))
    return codec.b64decode(body + "=" * (-len(body) % 4)) if len(body) % 4 != 1 else codec.b64decode(body[:-1])


@function("unbase64")
def unbase64(call: FunctionCall) -> Typed:
    """unbase64(string) → binary"""
    (text,) = call.take(1)
    return done(duck("hw_decode_base64", to_text(call, text).sql), BinaryType(), call)


@function("hex")
def hex_(call: FunctionCall) -> Typed:
    """hex(long | string | binary) → string in upper case"""
    (operand,) = call.take(1)
    if is_binary(operand) or isinstance(operand.type, StringType):
        return done(duck("hex", operand.sql), StringType(), call)
    return done(duck("hex", to_long(call, operand).sql), StringType(), call)


@kernel(["VARCHAR"], "BLOB", nulls=True)
def decode_hex(text: str | None) -> bytes | None:
    """The bytes of hexadecimal digits, NULL if there is another character."""
    if text is None:
        return None
    try:
        return binascii.unhexlify(text if len(text) % 2 == 0 else "0" + text)
    except (binascii.Error, ValueError):
        return None


@function("unhex")
def unhex(call: FunctionCall) -> Typed:
    """unhex(string) → binary, NULL if it is not hexadecimal"""
    (text,) = call.take(1)
    return Typed(duck("hw_decode_hex", to_text(call, text).sql), BinaryType(), True)


@function("to_binary")
def to_binary(call: FunctionCall) -> Typed:
    """to_binary(string[, format = hex | utf-8 | base64]) → binary; malformed input is an error"""
    operands = call.take(1, 2)
    form = operands[1] if len(operands) == 2 else text_literal("hex")
    sql = duck("hw_parse_binary", to_text(call, operands[0]).sql, to_text(call, form).sql)
    return done(sql, BinaryType(), call, nullable=True, name=titled(call, *names(operands)))


@function("try_to_binary")
def try_to_binary(call: FunctionCall) -> Typed:
    """try_to_binary(string[, format = hex | utf-8 | base64]) → binary, NULL if malformed"""
    operands = call.take(1, 2)
    form = operands[1] if len(operands) == 2 else text_literal("hex")
    sql = duck("hw_try_parse_binary", to_text(call, operands[0]).sql, to_text(call, form).sql)
    return Typed(sql, BinaryType(), True)


@kernel(["VARCHAR", "VARCHAR"], "BLOB")
def parse_binary(text: str, form: str) -> bytes:
    """The bytes a text stands for. Raises CONVERSION_INVALID_INPUT."""
    found = try_parse_binary(text, form)
    if found is None:
        raise RuntimeSparkError(
            "CONVERSION_INVALID_INPUT",
            str=f"'{text}'",
            fmt=f"'{form}'",
            targetType='"BINARY"',
            suggestion="`try_to_binary`",
        )
    return found


@kernel(["VARCHAR", "VARCHAR"], "BLOB", nulls=True)
def try_parse_binary(text: str | None, form: str | None) -> bytes | None:
    """The bytes a text stands for, or NULL."""
    if text is None or form is None:
        return None
    kind = form.lower()
    if kind == "hex":
        return decode_hex(text)
    if kind in ("utf-8", "utf8"):
        return text.encode()
    if kind != "base64":
        raise IllegalArgumentError(
            "DATATYPE_MISMATCH.INVALID_ARG_VALUE",
            sqlExpr='"to_binary"',
            inputName="fmt",
            requireType='case-insensitive "STRING"',
            validValues="'hex', 'utf-8', 'utf8', or 'base64'",
            inputValue=f"'{form}'",
        )
    try:
        return codec.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return None


@function("soundex")
def soundex(call: FunctionCall) -> Typed:
    """soundex(string) → string: its four-character Soundex code"""
    (text,) = call.take(1)
    return done(duck("hw_soundex", to_text(call, text).sql), StringType(), call)


@function("mask")
def mask(call: FunctionCall) -> Typed:
    """mask(string[, upper = X, lower = x, digit = n, other = NULL]) → string with letters and digits replaced"""
    operands = call.take(1, 5)
    defaults = [text_literal("X"), text_literal("x"), text_literal("n"), Typed(exp.Null(), None, True, None, "NULL")]
    filled = [*operands, *defaults[len(operands) - 1 :]]
    sql = duck("hw_mask", *(cast(to_text(call, item).sql if item.type else item.sql, "VARCHAR") for item in filled))
    return Typed(sql, StringType(), True, name=titled(call, *names(filled)))


@function("luhn_check")
def luhn_check(call: FunctionCall) -> Typed:
    """luhn_check(string) → boolean: whether the digits pass the Luhn check"""
    (text,) = call.take(1)
    return Typed(duck("hw_luhn_check", to_text(call, text).sql), BooleanType(), True)


@function("sentences")
def sentences(call: FunctionCall) -> Typed:
    """sentences(string[, language, country]) → array<array<string>>: words of each sentence"""
    operands = call.take(1, 3)
    filled = [*operands, *[text_literal("")] * (3 - len(operands))]
    kind = ArrayType(ArrayType(StringType(), False), False)
    return Typed(duck("hw_sentences", to_text(call, operands[0]).sql), kind, True, name=titled(call, *names(filled)))


@function("quote")
def quote(call: FunctionCall) -> Typed:
    """quote(string) → string in single quotes"""
    (text,) = call.take(1)
    return done(duck("hw_quote", to_text(call, text).sql, "'"), StringType(), call)


@function("is_valid_utf8")
def is_valid_utf8(call: FunctionCall) -> Typed:
    """is_valid_utf8(string | binary) → boolean"""
    (data,) = call.take(1)
    return Typed(duck("hw_is_utf8", as_bytes(call, data)), BooleanType(), True)


@function("make_valid_utf8")
def make_valid_utf8(call: FunctionCall) -> Typed:
    """make_valid_utf8(string | binary) → string, malformed bytes replaced by U+FFFD"""
    (data,) = call.take(1)
    return Typed(duck("hw_repair_utf8", as_bytes(call, data)), StringType(), True)


@function("validate_utf8")
def validate_utf8(call: FunctionCall) -> Typed:
    """validate_utf8(string | binary) → string; malformed bytes are an error"""
    from headwater.functions.raising import fail

    (data,) = call.take(1)

    def check(body: exp.Expression) -> exp.Expression:
        broken = fail(IllegalArgumentError, "INVALID_UTF8_STRING", str=duck("hex", body))
        good = duck("hw_is_utf8", body)
        return case((is_null(body), None), (equal(good, True), duck("hw_repair_utf8", body)), otherwise=broken)

    return Typed(let([as_bytes(call, data)], check), StringType(), True)


@function("try_validate_utf8")
def try_validate_utf8(call: FunctionCall) -> Typed:
    """try_validate_utf8(string | binary) → string, NULL if malformed"""
    (data,) = call.take(1)

    def check(body: exp.Expression) -> exp.Expression:
        return case((duck("hw_is_utf8", body), duck("hw_repair_utf8", body)))

    return Typed(let([as_bytes(call, data)], check), StringType(), True)


@function("bin")
def bin_(call: FunctionCall) -> Typed:
    """bin(long) → string of binary digits (two's complement if negative)"""
    (number,) = call.take(1)
    return done(
        duck("bin", to_long(call, number).sql),
        StringType(),
        call,
        nullable=not isinstance(number.type, IntegralType) or number.nullable,
    )
