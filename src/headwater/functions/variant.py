"""Spark's VARIANT functions on DuckDB's JSON.

Invariants: a variant is JSON text (the NULL of JSON is not SQL's NULL); paths are `$`, `.key`, `['key']` and `[index]`.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any

from pyspark.sql.types import BooleanType, DataType, StringType, VariantType
from sqlglot import exp

from headwater.errors import RuntimeSparkError
from headwater.functions.base import FunctionCall, Typed, function
from headwater.functions.building import case, cast, duck, let, literal_text, titled, to_text
from headwater.functions.json import JsonWriter
from headwater.functions.kernels import kernel
from headwater.types.ddl import parse_type, type_sql
from headwater.types.duck import duck_name

_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")


def _loads(text: str) -> Any:
    return json.loads(text, parse_float=Decimal)


@kernel(["VARCHAR", "BOOLEAN"], "VARCHAR", nulls=True)
def variant_of(text: str | None, strict: bool) -> str | None:
    """JSON text in compact form, object keys in order. Raises MALFORMED_RECORD_IN_PARSING."""
    if text is None:
        return None
    try:
        return _dumps(_loads(text))
    except ValueError as error:
        if strict:
            raise RuntimeSparkError(
                "MALFORMED_RECORD_IN_PARSING.WITHOUT_SUGGESTION", badRecord=text, failFastMode="FAILFAST"
            ) from error
        return None


def _dumps(node: Any) -> str:
    if isinstance(node, dict):
        return "{" + ",".join(f"{json.dumps(k, ensure_ascii=False)}:{_dumps(node[k])}" for k in sorted(node)) + "}"
    if isinstance(node, list):
        return "[" + ",".join(map(_dumps, node)) + "]"
    return f"{node.normalize():f}" if isinstance(node, Decimal) else json.dumps(node, ensure_ascii=False)


@kernel(["VARCHAR", "VARCHAR", "BOOLEAN", "BOOLEAN"], "VARCHAR", nulls=True)
def variant_at(text: str | None, path: str | None, scalar: bool, textual: bool) -> str | None:
    """What is at the path: JSON, or for `scalar` the text to cast (containers only if `textual`); NULL if absent."""
    if text is None or path is None:
        return None
    node, at = _loads(text), 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            raise RuntimeSparkError("INVALID_VARIANT_GET_PATH", path=path, functionName="`variant_get`")
        at = step.end()
        node = _child(node, step)
        if node is _ABSENT:
            return None
    if not scalar:
        return _dumps(node)
    return _text(node, textual)


_ABSENT = object()


def _child(node: Any, step: re.Match[str]) -> Any:
    if step[2] is not None:
        index = int(step[2])
        return node[index] if isinstance(node, list) and index < len(node) else _ABSENT
    key = next(part for part in (step[1], step[3], step[4]) if part is not None)
    return node.get(key, _ABSENT) if isinstance(node, dict) else _ABSENT


def _text(node: Any, textual: bool) -> str | None:
    if node is None or (isinstance(node, dict | list) and not textual):
        return None
    return node if isinstance(node, str) else _dumps(node)


@function("parse_json")
def parse_json(call: FunctionCall) -> Typed:
    """parse_json(string) → variant; malformed text is an error"""
    return _parsed(call, strict=True)


@function("try_parse_json")
def try_parse_json(call: FunctionCall) -> Typed:
    """try_parse_json(string) → variant, NULL if malformed"""
    return _parsed(call, strict=False)


def _parsed(call: FunctionCall, *, strict: bool) -> Typed:
    (text,) = call.take(1)
    sql = cast(duck("hw_variant_of", to_text(call, text).sql, strict), "JSON")
    return Typed(sql, VariantType(), text.nullable or not strict)


def _get(call: FunctionCall, *, strict: bool) -> Typed:
    value, path, *rest = call.take(2, 3)
    kind: DataType = parse_type(literal_text(call, rest[0], "type") or "") if rest else VariantType()
    name = titled(call, value.name, path.name)
    scalar, textual = not isinstance(kind, VariantType), isinstance(kind, StringType)
    found = duck("hw_variant_at", cast(value.sql, "VARCHAR"), to_text(call, path).sql, scalar, textual)
    if not scalar:
        return Typed(cast(found, "JSON"), kind, True, name=name)
    if textual:
        return Typed(found, kind, True, name=name)
    tried = exp.TryCast(this=found, to=exp.DataType.build(duck_name(kind), dialect="duckdb"))
    if not strict:
        return Typed(tried, kind, True, name=name)
    return Typed(let([found], lambda x: _checked(x, kind)), kind, True, name=name)


def _checked(found: exp.Expression, kind: DataType) -> exp.Expression:
    from headwater.functions.building import both, is_null, negate
    from headwater.functions.raising import fail

    made = exp.TryCast(this=found.copy(), to=exp.DataType.build(duck_name(kind), dialect="duckdb"))
    bad = fail(RuntimeSparkError, "INVALID_VARIANT_CAST", value=found, dataType=f'"{type_sql(kind)}"')
    return case((both(negate(is_null(found)), is_null(made)), bad), otherwise=made)


@function("variant_get")
def variant_get(call: FunctionCall) -> Typed:
    """variant_get(variant, path[, type]) → the value at the path; one that does not fit the type is an error"""
    return _get(call, strict=True)


@function("try_variant_get")
def try_variant_get(call: FunctionCall) -> Typed:
    """try_variant_get(variant, path[, type]) → the value at the path, NULL if it does not fit"""
    return _get(call, strict=False)


@function("is_variant_null")
def is_variant_null(call: FunctionCall) -> Typed:
    """is_variant_null(variant) → boolean: whether it is JSON's null"""
    (value,) = call.take(1)
    test = exp.EQ(this=cast(value.sql, "VARCHAR"), expression=exp.Literal.string("null"))
    return Typed(duck("coalesce", exp.Paren(this=test), False), BooleanType(), False)


@function("is_valid_variant")
def is_valid_variant(call: FunctionCall) -> Typed:
    """is_valid_variant(variant) → boolean"""
    (value,) = call.take(1)
    return Typed(duck("json_valid", cast(value.sql, "VARCHAR")), BooleanType(), value.nullable)


@function("to_variant_object")
def to_variant_object(call: FunctionCall) -> Typed:
    """to_variant_object(struct | array | map) → variant"""
    (value,) = call.take(1)
    assert value.type is not None
    sql = cast(JsonWriter(call, {"ignorenullfields": "false"}).text(value.sql, value.type), "JSON")
    return Typed(sql, VariantType(), value.nullable)


@kernel(["VARCHAR"], "VARCHAR")
def variant_schema(text: str) -> str:
    """The schema of a variant, objects as `OBJECT<…>`."""
    return _schema(_loads(text))


def _schema(node: Any) -> str:
    if isinstance(node, dict):
        return "OBJECT<" + ", ".join(f"{key}: {_schema(node[key])}" for key in sorted(node)) + ">"
    if isinstance(node, list):
        kinds = {_schema(item) for item in node}
        return f"ARRAY<{_common(kinds)}>"
    if isinstance(node, Decimal):
        digits = node.normalize().as_tuple()
        scale = max(-int(digits.exponent), 0)
        return f"DECIMAL({max(len(digits.digits), scale)},{scale})"
    return {bool: "BOOLEAN", int: "BIGINT", str: "STRING", type(None): "VOID"}[type(node)]


def _common(kinds: set[str]) -> str:
    known = kinds - {"VOID"}
    if not known:
        return "VOID"
    return known.pop() if len(known) == 1 else "VARIANT"


@kernel(["VARCHAR[]"], "VARCHAR", nulls=True)
def variant_schemas(texts: list[str | None] | None) -> str:
    """The schema that all variants of a group have."""
    return _common({_schema(_loads(text)) for text in texts or [] if text is not None})


@function("schema_of_variant_agg", kind="aggregate")
def schema_of_variant_agg(call: FunctionCall) -> Typed:
    """schema_of_variant_agg(variant) → string: the schema of all of them"""
    (value,) = call.take(1)
    listed = exp.Anonymous(this="list", expressions=[cast(value.sql, "VARCHAR")])
    return Typed(duck("hw_variant_schemas", listed), StringType(), False)


@function("schema_of_variant")
def schema_of_variant(call: FunctionCall) -> Typed:
    """schema_of_variant(variant) → string: its schema"""
    (value,) = call.take(1)
    return Typed(duck("hw_variant_schema", cast(value.sql, "VARCHAR")), StringType(), value.nullable)
