"""Spark's URL functions.

Invariants: parts are those of java.net.URI; a malformed URL is an error under ANSI, NULL in `try_` forms.
"""

from __future__ import annotations

import re
from urllib.parse import quote_plus, unquote_to_bytes

from pyspark.sql.types import StringType
from sqlglot import exp

from headwater.errors import IllegalArgumentError, RuntimeSparkError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import cast, duck, to_text
from headwater.functions.kernels import kernel

_URI = re.compile(
    r"^(?:(?P<scheme>[A-Za-z][\w+.-]*):)?(?://(?P<authority>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?(?:#(?P<ref>.*))?$"
)
_ILLEGAL = re.compile(r"[\s<>\"{}|\\^`]|%(?![0-9A-Fa-f]{2})")


@kernel(["VARCHAR", "VARCHAR", "VARCHAR", "BOOLEAN"], "VARCHAR", nulls=True)
def url_part(url: str | None, part: str | None, key: str | None, strict: bool) -> str | None:
    """A part of a URL, or the value of a query key; NULL if it is not there."""
    if url is None or part is None:
        return None
    found = _URI.match(url)
    if found is None or _ILLEGAL.search(url):
        if strict:
            raise IllegalArgumentError("INVALID_URL", url=url)
        return None
    return _query_value(found["query"], key) if key is not None else _named(found, part)


def _query_value(query: str | None, key: str | None) -> str | None:
    match = re.search(rf"(?:^|&){re.escape(key or '')}=([^&]*)", query or "")
    return match[1] if match else None


def _named(found: re.Match[str], part: str) -> str | None:
    authority = found["authority"] or None
    user, _, rest = (authority or "").rpartition("@")
    host = re.sub(r":\d*$", "", rest) or None
    path, query = found["path"], found["query"]
    parts = {
        "HOST": host,
        "PATH": path if authority else path or None,
        "QUERY": query,
        "REF": found["ref"],
        "PROTOCOL": found["scheme"],
        "FILE": path + (f"?{query}" if query is not None else ""),
        "AUTHORITY": authority,
        "USERINFO": user or None,
    }
    return parts.get(part)


def _parse(call: FunctionCall, *, strict: bool) -> Typed:
    operands = call.take(2, 3)
    texts = [to_text(call, operand).sql for operand in operands]
    if len(operands) == 3 and operands[1].literal not in ("QUERY",) and isinstance(operands[1].literal, str):
        return Typed(cast(None, "VARCHAR"), StringType(), True)
    key: exp.Expression | None = texts[2] if len(texts) == 3 else None
    sql = duck("hw_url_part", texts[0], texts[1], cast(key, "VARCHAR") if key is None else key, strict)
    return Typed(sql, StringType(), True)


@function("parse_url")
def parse_url(call: FunctionCall) -> Typed:
    """parse_url(url, HOST | PATH | QUERY | REF | PROTOCOL | FILE | AUTHORITY | USERINFO[, key]) → string"""
    return _parse(call, strict=call.ansi)


@function("try_parse_url")
def try_parse_url(call: FunctionCall) -> Typed:
    """try_parse_url(url, part[, key]) → string, NULL if malformed"""
    return _parse(call, strict=False)


@kernel(["VARCHAR"], "VARCHAR")
def url_quote(text: str) -> str:
    """Form encoding (java.net.URLEncoder)."""
    return quote_plus(text, safe="*-._").replace("~", "%7E")


@kernel(["VARCHAR", "BOOLEAN"], "VARCHAR", nulls=True)
def url_unquote(text: str | None, strict: bool) -> str | None:
    """Form decoding (java.net.URLDecoder). Raises CANNOT_DECODE_URL."""
    if text is None:
        return None
    if re.search(r"%(?![0-9A-Fa-f]{2})", text):
        if strict:
            raise RuntimeSparkError("CANNOT_DECODE_URL", url=text)
        return None
    return unquote_to_bytes(text.replace("+", " ")).decode("utf-8", "replace")


@function("url_encode")
def url_encode(call: FunctionCall) -> Typed:
    """url_encode(string) → string"""
    return Typed(duck("hw_url_quote", to_text(call, call.take(1)[0]).sql), StringType(), True)


@function("url_decode")
def url_decode(call: FunctionCall) -> Typed:
    """url_decode(string) → string; malformed input is an error"""
    return Typed(duck("hw_url_unquote", to_text(call, call.take(1)[0]).sql, True), StringType(), True)


@function("try_url_decode")
def try_url_decode(call: FunctionCall) -> Typed:
    """try_url_decode(string) → string, NULL if malformed"""
    return Typed(duck("hw_url_unquote", to_text(call, call.take(1)[0]).sql, False), StringType(), True)
