"""Which of Spark's functions each function of `pyspark.sql.functions` calls, read from PySpark's own source.

Invariant: nothing is run; a Python function that only calls other Python functions has the names of those.
"""

from __future__ import annotations

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

_NO_CALLS = ("col", "column", "expr", "lit")


@cache
def python_functions() -> dict[str, tuple[str, ...]]:
    """Names of Spark's functions by public Python function; empty for those that are no calls (`col`, `lit`, `udf`)."""
    spec = find_spec("pyspark.sql.connect.functions.builtin")
    if spec is None or spec.origin is None:
        return {}
    tree = ast.parse(Path(spec.origin).read_text("utf-8"))
    bodies = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    return {name: _names(name, bodies, _NO_CALLS) for name in bodies if not name.startswith("_")}


def _names(name: str, bodies: dict[str, ast.FunctionDef], known: tuple[str, ...]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    if name in _NO_CALLS:
        return ()
    for node in ast.walk(bodies[name]):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            continue
        called = node.func.id
        if called.startswith("_invoke") or called == "UnresolvedFunction":
            found.update(dict.fromkeys(_texts(node.args[0], bodies[name])))
        elif called in bodies and not called.startswith("_") and called not in (name, *known):
            found.update(dict.fromkeys(_names(called, bodies, (*known, name))))
    return tuple(found)


def _texts(node: ast.expr, body: ast.FunctionDef) -> list[str]:
    """The strings an argument can be: itself, or what its variable is given."""
    if isinstance(node, ast.Constant):
        return [str(node.value).lower()]
    if not isinstance(node, ast.Name):
        return []
    given = [each.value for each in ast.walk(body) if isinstance(each, ast.Assign) and _assigns(each, node.id)]
    return [str(each.value).lower() for each in given if isinstance(each, ast.Constant)]


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)
