"""Spark's regular expression functions, on RE2 where it agrees with Java and on Python's `re` elsewhere.

Invariants: a pattern that is a literal is checked when the query is compiled; others run on the Python kernels.
"""

from __future__ import annotations

from collections.abc import Callable

from pyspark.sql.types import ArrayType, BooleanType, IntegerType, StringType
from sqlglot import exp

from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import (
    cast,
    done,
    duck,
    int_literal,
    names,
    titled,
    to_int,
    to_text,
    value,
)
from headwater.functions.java_regex import compiled, group_error, groups, literal_pattern, re2, replacement


def _pattern(operand: Typed) -> str | None:
    """The literal pattern in RE2's form, or None if it must run on Python."""
    if not isinstance(operand.literal, str):
        return None
    compiled(operand.literal)
    return re2(operand.literal)


def _either(
    call: FunctionCall, fast: Callable[[exp.Expression, str], exp.Expression], kernel: str, *rest: exp.Expression
) -> exp.Expression:
    text, pattern = call.operands[0], call.operands[1]
    body, known = to_text(call, text).sql, _pattern(pattern)
    if known is not None:
        return fast(body, known)
    return duck(kernel, body, to_text(call, pattern).sql, *rest)


def _index(call: FunctionCall) -> Typed:
    return call.operands[2] if len(call.operands) > 2 else int_literal(1)


def _checked_index(call: FunctionCall, name: str) -> int | None:
    """The literal group index, if it and the pattern are literals. Raises REGEX_GROUP_INDEX."""
    pattern, index = call.operands[1].literal, _index(call).literal
    if not isinstance(pattern, str) or not isinstance(index, int):
        return None
    if not 0 <= index <= groups(pattern):
        raise group_error(name, pattern, index)
    return index


@function("regexp_extract")
def regexp_extract(call: FunctionCall) -> Typed:
    """regexp_extract(string, pattern[, group = 1]) → string: group of the first match, empty if none"""
    call.take(2, 3)
    index = _index(call)
    name = titled(call, *names(call.operands[:2]), index.name)
    group = _checked_index(call, "regexp_extract")
    if group is None:
        texts = [to_text(call, operand).sql for operand in call.operands[:2]]
        sql = duck("hw_regexp_extract", *texts, to_int(call, index).sql)
    else:
        fast = lambda body, known: duck("regexp_extract", body, known, group)  # noqa: E731
        sql = _either(call, fast, "hw_regexp_extract", value(group))
    return done(sql, StringType(), call, name=name)


@function("regexp_extract_all")
def regexp_extract_all(call: FunctionCall) -> Typed:
    """regexp_extract_all(string, pattern[, group = 1]) → array<string>: group of every match"""
    call.take(2, 3)
    index = _index(call)
    name = titled(call, *names(call.operands[:2]), index.name)
    group = _checked_index(call, "regexp_extract_all")
    if group is None:
        texts = [to_text(call, operand).sql for operand in call.operands[:2]]
        sql = duck("hw_regexp_extract_all", *texts, to_int(call, index).sql)
    else:
        fast = lambda body, known: duck("regexp_extract_all", body, known, group)  # noqa: E731
        sql = _either(call, fast, "hw_regexp_extract_all", value(group))
    return done(sql, ArrayType(StringType(), True), call, name=name)


@function("regexp_replace")
def regexp_replace(call: FunctionCall) -> Typed:
    """regexp_replace(string, pattern, replacement[, position = 1]) → string: all matches replaced"""
    text, pattern, new, *rest = call.take(3, 4)
    position = rest[0] if rest else int_literal(1)
    name = titled(call, text.name, pattern.name, new.name, position.name)
    known = _pattern(pattern)
    if known is not None and isinstance(new.literal, str) and position.literal == 1:
        body = to_text(call, text).sql
        sql = duck("regexp_replace", body, known, replacement(new.literal), "g")
    else:
        texts = [to_text(call, operand).sql for operand in (text, pattern, new)]
        sql = duck("hw_regexp_replace", *texts, to_int(call, position).sql)
    return done(sql, StringType(), call, name=name)


@function("regexp_count")
def regexp_count(call: FunctionCall) -> Typed:
    """regexp_count(string, pattern) → int: number of matches"""
    call.take(2)
    fast = lambda body, known: cast(duck("len", duck("regexp_extract_all", body, known)), "INTEGER")  # noqa: E731
    return done(_either(call, fast, "hw_regexp_count"), IntegerType(), call)


@function("regexp_instr")
def regexp_instr(call: FunctionCall) -> Typed:
    """regexp_instr(string, pattern) → int: position of the first match from 1, 0 if none"""
    text, pattern, *rest = call.take(2, 3)
    index = rest[0] if rest else int_literal(0)
    sql = duck("hw_regexp_instr", to_text(call, text).sql, to_text(call, pattern).sql)
    return done(sql, IntegerType(), call, name=titled(call, text.name, pattern.name, index.name))


@function("regexp_substr")
def regexp_substr(call: FunctionCall) -> Typed:
    """regexp_substr(string, pattern) → string: the first match, NULL if none"""
    text, pattern = call.take(2)
    sql = duck("hw_regexp_substr", to_text(call, text).sql, to_text(call, pattern).sql)
    return Typed(sql, StringType(), True)


@function("split")
def split(call: FunctionCall) -> Typed:
    """split(string, pattern[, limit = -1]) → array<string>: parts between matches; at most `limit` if it is positive"""
    text, pattern, *rest = call.take(2, 3)
    limit = rest[0] if rest else int_literal(-1)
    name = titled(call, text.name, pattern.name, limit.name)
    body = to_text(call, text).sql
    sql = _unlimited(body, pattern) if isinstance(limit.literal, int) and limit.literal <= 0 else None
    if sql is None:
        sql = duck("hw_split", body, to_text(call, pattern).sql, to_int(call, limit).sql)
    return done(sql, ArrayType(StringType(), False), call, name=name)


def _unlimited(body: exp.Expression, pattern: Typed) -> exp.Expression | None:
    known = _pattern(pattern)
    if known is None or not isinstance(pattern.literal, str):
        return None
    plain = literal_pattern(pattern.literal)
    if plain is not None:
        return duck("string_split", body, plain)
    can_be_empty = compiled(pattern.literal).search("") is not None or "\\b" in known or "^" in known or "$" in known
    return None if can_be_empty else duck("string_split_regex", body, known)


@function("split_part")
def split_part(call: FunctionCall) -> Typed:
    """split_part(string, delimiter, n) → string: the n-th part (from the end if negative), empty if absent"""
    text, delimiter, number = call.take(3)
    texts = to_text(call, text).sql, to_text(call, delimiter).sql
    return done(duck("hw_split_part", *texts, to_int(call, number).sql), StringType(), call)


@function("regexp_like", "regexp", "rlike")
def regexp_like(call: FunctionCall) -> Typed:
    """regexp_like(string, pattern) → boolean: whether the pattern is found in the string"""
    text, pattern = call.take(2)
    fast = lambda body, known: duck("regexp_matches", body, known)  # noqa: E731
    name = titled(call, text.name, pattern.name, name=call.name.upper())
    return done(_either(call, fast, "hw_regexp_like"), BooleanType(), call, name=name)
