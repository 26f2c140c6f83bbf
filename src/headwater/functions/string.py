"""Spark's string functions: case, length, trimming, parts, search and replacement.

Invariants: positions are 1-based; a NULL argument gives NULL unless the docstring says otherwise; numbers and dates
are cast to strings as Spark does.
"""

from __future__ import annotations

from pyspark.sql.types import ArrayType, BinaryType, BooleanType, IntegerType, NullType, StringType
from sqlglot import exp

from headwater.errors import ArrayIndexError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    Value,
    add,
    both,
    case,
    cast,
    done,
    duck,
    either,
    equal,
    int_literal,
    is_binary,
    is_null,
    lambda_,
    less,
    let,
    more,
    names,
    subtract,
    text_literal,
    titled,
    to_int,
    to_long,
    to_text,
    value,
)
from headwater.functions.raising import fail

_WHOLE = 2147483647


def _texts(call: FunctionCall, least: int, most: int | None = None) -> list[exp.Expression]:
    return [to_text(call, operand).sql for operand in call.take(least, most)]


@function("upper", "ucase")
def upper(call: FunctionCall) -> Typed:
    """upper(string) → string"""
    return done(duck("upper", *_texts(call, 1)), StringType(), call)


@function("lower", "lcase")
def lower(call: FunctionCall) -> Typed:
    """lower(string) → string"""
    return done(duck("lower", *_texts(call, 1)), StringType(), call)


@function("length", "len", "char_length", "character_length")
def length(call: FunctionCall) -> Typed:
    """length(string | binary) → int: characters, or bytes of a binary"""
    (text,) = call.take(1)
    if is_binary(text):
        return done(cast(duck("octet_length", text.sql), "INTEGER"), IntegerType(), call)
    return done(cast(duck("length", to_text(call, text).sql), "INTEGER"), IntegerType(), call)


def _bytes(call: FunctionCall) -> exp.Expression:
    (text,) = call.take(1)
    return duck("octet_length", text.sql) if is_binary(text) else duck("strlen", to_text(call, text).sql)


@function("octet_length")
def octet_length(call: FunctionCall) -> Typed:
    """octet_length(string | binary) → int: bytes in UTF-8"""
    return done(cast(_bytes(call), "INTEGER"), IntegerType(), call)


@function("bit_length")
def bit_length(call: FunctionCall) -> Typed:
    """bit_length(string | binary) → int: bits in UTF-8"""
    return done(cast(exp.Mul(this=_bytes(call), expression=exp.convert(8)), "INTEGER"), IntegerType(), call)


def _trimmed(call: FunctionCall, duck_name: str, side: str) -> Typed:
    operands = call.take(1, 2)
    if len(operands) == 1:
        text = operands[0]
        if is_binary(text):
            return done(duck("hw_trim_bytes", text.sql, duck_name), BinaryType(), call)
        return done(duck(duck_name, to_text(call, text).sql, " "), StringType(), call)
    characters, text = operands
    name = f"TRIM({side} {characters.name} FROM {text.name})"
    return done(duck(duck_name, to_text(call, text).sql, to_text(call, characters).sql), StringType(), call, name=name)


@function("trim")
def trim(call: FunctionCall) -> Typed:
    """trim([characters,] string) → string: without spaces (or any of `characters`) at both ends"""
    return _trimmed(call, "trim", "BOTH")


@function("ltrim")
def ltrim(call: FunctionCall) -> Typed:
    """ltrim([characters,] string) → string: without spaces (or any of `characters`) at the start"""
    return _trimmed(call, "ltrim", "LEADING")


@function("rtrim")
def rtrim(call: FunctionCall) -> Typed:
    """rtrim([characters,] string) → string: without spaces (or any of `characters`) at the end"""
    return _trimmed(call, "rtrim", "TRAILING")


@function("btrim")
def btrim(call: FunctionCall) -> Typed:
    """btrim(string[, characters]) → string: without spaces (or any of `characters`) at both ends"""
    operands = call.take(1, 2)
    characters = to_text(call, operands[1]).sql if len(operands) == 2 else " "
    return done(duck("trim", to_text(call, operands[0]).sql, characters), StringType(), call)


def sliced(text: Value, start: exp.Expression, count: exp.Expression, *, whole: bool = False) -> exp.Expression:
    """Spark's substringSQL: 1-based, negative counted from the end, 0 as 1; what lies before the start is lost."""

    def part(body: exp.Expression, at: exp.Expression, many: exp.Expression) -> exp.Expression:
        zero = case(
            (more(at, 0), subtract(at, 1)),
            (less(at, 0), add(duck("length", body), at)),
            otherwise=cast(0, "BIGINT"),
        )
        rest = duck("greatest", add(many, duck("least", zero, 0)), 0)
        return duck("substring", body, add(duck("greatest", zero, 0), 1), rest)

    plain = isinstance(start, exp.Literal) and int(start.name) > 0
    if plain:
        return duck("substring", text, start) if whole else duck("substring", text, start, duck("greatest", count, 0))
    return let([value(text), cast(start, "BIGINT"), cast(count, "BIGINT")], part)


@function("substring", "substr")
def substring(call: FunctionCall) -> Typed:
    """substring(string | binary, position[, length]) → string | binary: position from 1, negative from the end"""
    text, start, *rest = call.take(2, 3)
    count = rest[0] if rest else int_literal(_WHOLE)
    name = titled(call, text.name, start.name, count.name)
    start, count = to_int(call, start), to_int(call, count)
    if is_binary(text):
        return done(duck("hw_slice_bytes", text.sql, start.sql, count.sql), BinaryType(), call, name=name)
    body = to_text(call, text).sql
    return done(sliced(body, start.sql, count.sql, whole=not rest), StringType(), call, name=name)


@function("left")
def left(call: FunctionCall) -> Typed:
    """left(string, n) → string: the first n characters"""
    text, count = call.take(2)
    one = int_literal(1)
    if is_binary(text):
        return done(duck("hw_slice_bytes", text.sql, one.sql, to_int(call, count).sql), BinaryType(), call)
    return done(sliced(to_text(call, text).sql, one.sql, to_int(call, count).sql), StringType(), call)


@function("right")
def right(call: FunctionCall) -> Typed:
    """right(string, n) → string: the last n characters"""
    text, count = call.take(2)

    def last(body: exp.Expression, many: exp.Expression) -> exp.Expression:
        return case((both(more(many, 0)), duck("right", body, many)), (is_null(many), None), otherwise="")

    return done(let([to_text(call, text).sql, to_int(call, count).sql], last), StringType(), call)


@function("concat_ws")
def concat_ws(call: FunctionCall) -> Typed:
    """concat_ws(separator, (string | array<string>)...) → string: NULLs are skipped; NULL only if separator is"""
    separator, *parts = call.take(1, 10_000)
    pieces: list[exp.Expression] = []
    for part in parts:
        if isinstance(part.type, ArrayType):
            pieces.append(duck("coalesce", part.sql, exp.Array(expressions=[])))
        else:
            pieces.append(exp.Array(expressions=[cast(to_text(call, part).sql, "VARCHAR")]))
    joined: exp.Expression = cast(exp.Array(expressions=[]), "VARCHAR[]")
    for piece in pieces:
        joined = duck("list_concat", joined, piece)
    text = to_text(call, separator)

    def glue(mark: exp.Expression) -> exp.Expression:
        return case((is_null(mark), None), otherwise=duck("array_to_string", joined, mark))

    sql = let([cast(text.sql, "VARCHAR")], glue)
    return Typed(sql, StringType(), separator.nullable)


@function("initcap")
def initcap(call: FunctionCall) -> Typed:
    """initcap(string) → string: each space-separated word capitalised, the rest in lower case"""
    (text,) = _texts(call, 1)

    def word(body: exp.Expression) -> exp.Expression:
        return exp.DPipe(
            this=duck("upper", duck("substring", body, 1, 1)), expression=duck("lower", duck("substring", body, 2))
        )

    words = duck("list_transform", duck("string_split", text, " "), lambda_(word))
    return done(duck("array_to_string", words, " "), StringType(), call)


@function("reverse")
def reverse(call: FunctionCall) -> Typed:
    """reverse(string | array) → the same type, backwards"""
    (operand,) = call.take(1)
    if isinstance(operand.type, ArrayType):
        return done(duck("list_reverse", operand.sql), operand.type, call)
    if is_binary(operand):
        return done(duck("hw_reverse_bytes", operand.sql), BinaryType(), call)
    return done(duck("reverse", to_text(call, operand).sql), StringType(), call)


@function("repeat")
def repeat(call: FunctionCall) -> Typed:
    """repeat(string, n) → string"""
    text, count = call.take(2)
    times = duck("greatest", cast(to_int(call, count).sql, "BIGINT"), 0)
    sql = duck("repeat", to_text(call, text).sql, case((is_null(count.sql), None), otherwise=times))
    return done(sql, StringType(), call)


@function("space")
def space(call: FunctionCall) -> Typed:
    """space(n) → string of n spaces"""
    (count,) = call.take(1)
    times = duck("greatest", cast(to_int(call, count).sql, "BIGINT"), 0)
    return done(case((is_null(count.sql), None), otherwise=duck("repeat", " ", times)), StringType(), call)


def _padded(call: FunctionCall, side: str) -> Typed:
    text, width, *rest = call.take(2, 3)
    pad = rest[0] if rest else text_literal(" ")
    name = titled(call, text.name, width.name, pad.name) if rest or not is_binary(text) else ""
    if is_binary(text):
        filler = pad.sql if rest else duck("unhex", "00")
        return done(
            duck("hw_pad_bytes", text.sql, to_int(call, width).sql, filler, side), BinaryType(), call, name=name
        )

    def fill(body: exp.Expression, many: exp.Expression, filler: exp.Expression) -> exp.Expression:
        return case(
            (less(many, 1), ""),
            (equal(filler, ""), duck("left", body, many)),
            (is_null(filler), None),
            otherwise=duck(side, body, many, filler),
        )

    values = [to_text(call, text).sql, to_int(call, width).sql, to_text(call, pad).sql]
    return done(let(values, fill), StringType(), call, name=name)


@function("lpad")
def lpad(call: FunctionCall) -> Typed:
    """lpad(string | binary, length[, pad]) → string | binary: padded or cut on the left to `length`"""
    return _padded(call, "lpad")


@function("rpad")
def rpad(call: FunctionCall) -> Typed:
    """rpad(string | binary, length[, pad]) → string | binary: padded or cut on the right to `length`"""
    return _padded(call, "rpad")


@function("instr")
def instr(call: FunctionCall) -> Typed:
    """instr(string, part) → int: position of `part` from 1, 0 if absent"""
    return done(cast(duck("instr", *_texts(call, 2)), "INTEGER"), IntegerType(), call)


@function("locate", "position", "charindex")
def locate(call: FunctionCall) -> Typed:
    """locate(part, string[, start]) → int: position of `part` at or after `start`, 0 if absent"""
    part, text, *rest = call.take(2, 3)
    start = rest[0] if rest else int_literal(1)
    name = titled(call, part.name, text.name, start.name)
    needle, body = to_text(call, part).sql, to_text(call, text).sql
    if not rest or start.literal == 1:
        found = cast(duck("instr", body, needle), "INTEGER")
        return done(found, IntegerType(), call, name=name)

    def search(whole: exp.Expression, wanted: exp.Expression, at: exp.Expression) -> exp.Expression:
        tail = duck("instr", duck("substring", whole, at), wanted)
        moved = case((equal(tail, 0), 0), otherwise=subtract(add(tail, at), 1))
        return case(
            (is_null(at), 0),
            (less(at, 1), case((is_null(add(duck("length", whole), duck("length", wanted))), None), otherwise=0)),
            otherwise=moved,
        )

    sql = cast(let([body, needle, to_int(call, start).sql], search), "INTEGER")
    return Typed(sql, IntegerType(), part.nullable or text.nullable, name=name)


@function("replace")
def replace(call: FunctionCall) -> Typed:
    """replace(string, search[, replacement]) → string: every `search` replaced, by nothing if not given"""
    operands = call.take(2, 3)
    text, wanted = (to_text(call, operand).sql for operand in operands[:2])
    substitute = operands[2] if len(operands) == 3 else text_literal("")
    name = titled(call, *names(operands[:2]), substitute.name)
    whole = duck("replace", text, wanted, to_text(call, substitute).sql)
    return done(whole, StringType(), call, name=name)


@function("translate")
def translate(call: FunctionCall) -> Typed:
    """translate(string, from, to) → string: characters of `from` mapped to those of `to`, or dropped"""
    return done(duck("translate", *_texts(call, 3)), StringType(), call)


@function("ascii")
def ascii_(call: FunctionCall) -> Typed:
    """ascii(string) → int: code point of the first character, 0 for an empty string"""
    (text,) = _texts(call, 1)

    def code(body: exp.Expression) -> exp.Expression:
        return case((equal(body, ""), 0), otherwise=duck("unicode", body))

    return done(let([text], code), IntegerType(), call)


@function("chr", "char")
def chr_(call: FunctionCall) -> Typed:
    """chr(n) → string: the character of code n modulo 256; empty for a negative n"""
    (code,) = call.take(1)

    def character(number: exp.Expression) -> exp.Expression:
        low = exp.Paren(this=exp.BitwiseAnd(this=number.copy(), expression=exp.convert(255)))
        return case((less(number, 0), ""), otherwise=duck("chr", cast(low, "INTEGER")))

    return done(let([to_long(call, code).sql], character), StringType(), call)


def _tested(call: FunctionCall, duck_name: str) -> Typed:
    text, part = call.take(2)
    nullable = text.nullable or part.nullable
    if is_binary(text) and is_binary(part):
        tester = {"starts_with": "hw_bytes_start", "ends_with": "hw_bytes_end", "contains": "hw_bytes_contain"}
        return Typed(duck(tester[duck_name], text.sql, part.sql), BooleanType(), True)
    if isinstance(part.type, NullType) or isinstance(text.type, NullType):
        return Typed(cast(None, "BOOLEAN"), BooleanType(), True)
    return Typed(duck(duck_name, to_text(call, text).sql, to_text(call, part).sql), BooleanType(), nullable)


@function("startswith")
def startswith(call: FunctionCall) -> Typed:
    """startswith(string | binary, part) → boolean"""
    return _tested(call, "starts_with")


@function("endswith")
def endswith(call: FunctionCall) -> Typed:
    """endswith(string | binary, part) → boolean"""
    return _tested(call, "ends_with")


@function("contains")
def contains(call: FunctionCall) -> Typed:
    """contains(string | binary, part) → boolean"""
    return _tested(call, "contains")


@function("elt")
def elt(call: FunctionCall) -> Typed:
    """elt(n, value1, value2, …) → string: the n-th value; under ANSI an n out of range is an error"""
    number, *values = call.take(2, 10_000)
    index = to_int(call, number).sql

    def choose(at: exp.Expression) -> exp.Expression:
        choices = [(equal(at, i), cast(to_text(call, item).sql, "VARCHAR")) for i, item in enumerate(values, 1)]
        outside: Value = None
        if call.ansi:
            outside = fail(ArrayIndexError, "INVALID_ARRAY_INDEX", indexValue=at, arraySize=len(values))
        return case((is_null(at), None), *choices, otherwise=outside)

    return Typed(let([index], choose), StringType(), True)


@function("substring_index")
def substring_index(call: FunctionCall) -> Typed:
    """substring_index(string, delimiter, n) → string before the n-th delimiter (after the n-th last if n < 0)"""
    text, delimiter, count = call.take(3)

    def part(body: exp.Expression, mark: exp.Expression, many: exp.Expression) -> exp.Expression:
        pieces = duck("string_split", body, mark)
        size = duck("len", pieces)
        first = duck("list_slice", pieces, 1, many)
        last = duck("list_slice", pieces, duck("greatest", add(add(size, many), 1), 1), size)
        chosen = case((more(many, 0), first), otherwise=last)
        return case(
            (is_null(add(duck("length", mark), many)), None),
            (either(equal(many, 0), equal(mark, "")), ""),
            otherwise=duck("array_to_string", chosen, mark),
        )

    values = [to_text(call, text).sql, to_text(call, delimiter).sql, to_int(call, count).sql]
    return done(let(values, part), StringType(), call)


@function("levenshtein")
def levenshtein(call: FunctionCall) -> Typed:
    """levenshtein(string, string[, threshold]) → int: edit distance in characters, -1 above the threshold"""
    first, second, *rest = call.take(2, 3)
    distance = duck("hw_levenshtein", to_text(call, first).sql, to_text(call, second).sql)
    if rest:
        limit = to_int(call, rest[0]).sql
        distance = let([distance, limit], lambda d, top: case((more(d, top), -1), otherwise=d))
    return done(distance, IntegerType(), call)


@function("find_in_set")
def find_in_set(call: FunctionCall) -> Typed:
    """find_in_set(string, list) → int: index of the string in a comma-separated list, 0 if absent or with a comma"""
    wanted, listing = _texts(call, 2)

    def search(word: exp.Expression, words: exp.Expression) -> exp.Expression:
        found = duck("coalesce", duck("list_position", duck("string_split", words, ","), word), 0)
        absent = is_null(exp.DPipe(this=word.copy(), expression=words.copy()))
        return case((absent, None), (duck("contains", word, ","), 0), otherwise=found)

    return done(cast(let([wanted, listing], search), "INTEGER"), IntegerType(), call)


@function("overlay")
def overlay(call: FunctionCall) -> Typed:
    """overlay(string | binary, replacement, position[, length]) → string | binary with a part replaced"""
    text, new, position, *rest = call.take(3, 4)
    count = rest[0] if rest else int_literal(-1)
    name = titled(call, text.name, new.name, position.name, count.name)
    numbers = to_int(call, position).sql, to_int(call, count).sql
    if is_binary(text) and is_binary(new):
        return done(duck("hw_overlay_bytes", text.sql, new.sql, *numbers), BinaryType(), call, name=name)
    texts = to_text(call, text).sql, to_text(call, new).sql
    return done(duck("hw_overlay_text", *texts, *numbers), StringType(), call, name=name)
