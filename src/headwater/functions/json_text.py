"""JSON text in Python: paths with wildcards, and schemas read off a sample.

Invariants: as in kernels.py; inferred types are Spark's: integers BIGINT, fractions DOUBLE, keys in order of name.
"""

from __future__ import annotations

import json
import re
from typing import Any

from headwater.functions.kernels import kernel

_STEP = re.compile(r"\.\.?([^.\[]+)|\[\s*(\d+|\*)\s*\]|\['([^']*)'\]|\[\"([^\"]*)\"\]")


@kernel(["VARCHAR", "VARCHAR"], "VARCHAR", nulls=True)
def json_path(text: str | None, path: str | None) -> str | None:
    """What a Hive JSON path finds: scalars as text, the rest as JSON; several matches as an array."""
    if text is None or path is None or not path.startswith("$"):
        return None
    try:
        found, many = [json.loads(text)], False
    except ValueError:
        return None
    at = 1
    while at < len(path):
        step = _STEP.match(path, at)
        if step is None:
            return None
        at = step.end()
        found = [item for node in found for item in _step(node, step)]
        many = many or "*" in (step[1], step[2])
    found = [item for item in found if item is not None]
    if not found:
        return None
    if len(found) == 1 and not many:
        return _shown(found[0])
    return json.dumps(found[0] if len(found) == 1 else found, separators=(",", ":"), ensure_ascii=False)


def _step(node: Any, step: re.Match[str]) -> list[Any]:
    if step[2] is not None:
        if not isinstance(node, list):
            return []
        return node if step[2] == "*" else node[int(step[2]) : int(step[2]) + 1]
    key = next(part for part in (step[1], step[3], step[4]) if part is not None)
    if key == "*" and step[1]:
        return list(node.values()) if isinstance(node, dict) else []
    if isinstance(node, list):
        return [item[key] for item in node if isinstance(item, dict) and key in item]
    return [node[key]] if isinstance(node, dict) and key in node else []


def _shown(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item, separators=(",", ":"), ensure_ascii=False)


def infer_schema(text: str, options: dict[str, str]) -> str:
    """The DDL of a JSON text's type, such as `STRUCT<a: BIGINT>`."""
    if options.get("allownumericleadingzeros") == "true":
        text = re.sub(r"(?<![\w.\"])0+(?=\d)", "", text)
    return ddl(infer(json.loads(text)))


def infer(node: Any) -> Any:
    """A node's type: a name, ["array", type], or a dict of fields."""
    if isinstance(node, dict):
        return {key: infer(node[key]) for key in sorted(node)}
    if isinstance(node, list):
        merged: Any = None
        for item in node:
            merged = merge(merged, infer(item))
        return ["array", merged]
    names = {bool: "BOOLEAN", int: "BIGINT", float: "DOUBLE", str: "STRING"}
    kind = names.get(type(node))
    return "DECIMAL(20,0)" if kind == "BIGINT" and abs(node) >= 2**63 else kind


def merge(one: Any, other: Any) -> Any:
    """The type that holds both."""
    if one is None or one == other:
        return other
    if other is None:
        return one
    if isinstance(one, dict) and isinstance(other, dict):
        return {key: merge(one.get(key), other.get(key)) for key in sorted({*one, *other})}
    if isinstance(one, list) and isinstance(other, list):
        return ["array", merge(one[1], other[1])]
    return "DOUBLE" if {str(one), str(other)} == {"BIGINT", "DOUBLE"} else "STRING"


def ddl(kind: Any) -> str:
    """The type as DDL; what is not known is a string."""
    if isinstance(kind, dict):
        return "STRUCT<" + ", ".join(f"{_name(key)}: {ddl(item)}" for key, item in kind.items()) + ">"
    if isinstance(kind, list):
        return f"ARRAY<{ddl(kind[1])}>"
    return kind or "STRING"


def _name(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z_]\w*", key) else f"`{key.replace('`', '``')}`"
