"""A select list made into columns: stars spread, names given, attributes passed through where nothing changes.

Invariants: the number and order of outputs is the select list's; a bare column keeps its attribute, so `df["a"]`
still finds it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pyspark.sql.types import NullType, StructType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.expressions import LATERAL, column
from headwater.compile.frame import Item
from headwater.compile.resolved import Attribute
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError
from headwater.functions.base import Typed
from headwater.functions.fields import field_of
from headwater.plan import expressions as plan


class Output(NamedTuple):
    """One column to be: its name, value, metadata, and the attribute if it is passed through."""

    name: str
    typed: Typed
    metadata: Mapping[str, object]
    same: Attribute | None = None


def outputs_of(expressions: Iterable[plan.Expression], scope: Scope, compiler: Compiler) -> list[Output]:
    """The columns of a select list without generators."""
    made: list[Output] = []
    aliases: dict[str, list[Typed]] = {}
    scope = replace(scope, lateral=aliases)
    for expression in expressions:
        made.extend(_spread(expression, scope, compiler) or [output_of(expression, scope, compiler)])
        if isinstance(expression, plan.Alias):
            aliases.setdefault(scope.key(made[-1].name), []).append(made[-1].typed)
    return made


def _spread(expression: plan.Expression, scope: Scope, compiler: Compiler) -> list[Output] | None:
    if isinstance(expression, plan.Star):
        return star(expression, scope, compiler)
    if isinstance(expression, plan.ColumnRegex):
        pattern = expression.pattern.strip("`")
        flags = re.IGNORECASE if compiler.fold else 0
        return [passed(a) for a in scope.attributes if re.fullmatch(pattern, a.name, flags)]
    return None


def star(node: plan.Star, scope: Scope, compiler: Compiler) -> list[Output]:
    """The columns of `*`, `t.*` or `struct.*`. Raises CANNOT_RESOLVE_STAR_EXPAND."""
    if node.plan_id is not None:
        names = {a.sql for output in compiler.outputs.get(node.plan_id, ()) for a in output}
        found = [passed(a) for a in scope.attributes if a.sql in names]
    elif not node.target:
        found = [passed(a) for a in scope.attributes]
    else:
        found = [passed(a) for a in scope.attributes if scope.qualified(a, node.target)] or _struct_star(node, scope)
    if node.target and not found:
        raise AnalysisError(
            "CANNOT_RESOLVE_STAR_EXPAND",
            targetString=".".join(f"`{p}`" for p in node.target),
            columns=", ".join(f"`{a.name}`" for a in scope.attributes),
        )
    left_out = {scope.find(parts) for parts in node.except_}
    names = {found[0].sql for found in left_out if found is not None}
    return [output for output in found if output.same is None or output.same.sql not in names]


def _struct_star(node: plan.Star, scope: Scope) -> list[Output]:
    match = scope.find(node.target)
    if match is None:
        return []
    base = column(match[0])
    for name in match[1]:
        base = field_of(base, name, scope.fold)
    if not isinstance(base.type, StructType):
        return []
    return [Output(f.name, field_of(base, f.name, False), f.metadata or {}) for f in base.type.fields]


def passed(attribute: Attribute) -> Output:
    """The attribute itself."""
    return Output(attribute.name, column(attribute), attribute.metadata, attribute)


def output_of(expression: plan.Expression, scope: Scope, compiler: Compiler) -> Output:
    """The column of one expression."""
    if isinstance(expression, plan.Alias):
        if len(expression.names) != 1:
            raise AnalysisError(
                "MULTI_ALIAS_WITHOUT_GENERATOR", expr=str(expression), names=", ".join(expression.names)
            )
        typed = compiler.expression(expression.child, scope)
        metadata = json.loads(expression.metadata) if expression.metadata else _inherited(typed, scope)
        return Output(expression.names[0], typed, metadata)
    typed = compiler.expression(expression, scope)
    attribute = attribute_of(typed, scope)
    if attribute is not None and isinstance(expression, plan.Column) and not typed.name.startswith(LATERAL):
        return passed(attribute)
    return Output(_name(expression, typed), typed, _inherited(typed, scope))


def _name(expression: plan.Expression, typed: Typed) -> str:
    if isinstance(expression, plan.Column) and typed.name.startswith(LATERAL):
        return expression.parts[-1]
    if isinstance(expression, plan.Cast):
        inner = expression.child
        if isinstance(inner, plan.Column):
            return inner.parts[-1]
    return typed.name


def attribute_of(typed: Typed, scope: Scope) -> Attribute | None:
    """The attribute that the value is, if it is nothing but a column of this scope."""
    if not isinstance(typed.sql, exp.Column) or typed.sql.args.get("table"):
        return None
    wanted = typed.sql.this.this
    return next((a for a in (*scope.attributes, *scope.hidden) if a.sql == wanted), None)


def _inherited(typed: Typed, scope: Scope) -> Mapping[str, object]:
    attribute = attribute_of(typed, scope)
    return attribute.metadata if attribute is not None else {}


def items_of(outputs: Sequence[Output], compiler: Compiler) -> list[Item]:
    """Items to project; an attribute that comes twice, or was made by a name, gets a new name."""
    taken: set[str] = set()
    items = []
    for output in outputs:
        if output.same is not None and output.same.sql not in taken:
            taken.add(output.same.sql)
            items.append(Item(output.same))
        else:
            items.append(item_of(output, compiler))
    return items


def item_of(output: Output, compiler: Compiler) -> Item:
    """A new attribute for an output."""
    extra: dict[str, Any] = dict(output.metadata)
    typed = output.typed
    if output.same is not None:
        same = output.same
        return Item(compiler.again(same, origin=same.origin or same.sql), typed.sql)
    return Item(compiler.attribute(output.name, typed.type or NullType(), typed.nullable, extra), typed.sql)
