"""Plan expressions to typed DuckDB expressions: names, literals, casts, calls; the rest in `compile/nodes/`.

Invariants: compiling an expression changes nothing but the compiler's counters; columns appear by attribute name;
an error names the expression as the user wrote it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import singledispatch
from typing import Any
from zoneinfo import ZoneInfo

from pyspark.sql.types import ArrayType, DataType, StringType, StructType, TimestampType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.frame import reference, shape_of
from headwater.compile.literals import literal_sql
from headwater.compile.naming import EPOCH, call_name, literal_name
from headwater.compile.resolved import Attribute
from headwater.compile.scope import Scope
from headwater.errors import PYTHON_WAY_OUT, AnalysisError, unsupported
from headwater.functions.base import FunctionCall, LambdaOperand, OrderKey, Typed, functions
from headwater.functions.conversion import cast_typed
from headwater.functions.fields import element, field_of
from headwater.plan import expressions as plan
from headwater.plan.relations import FILE_COLUMN
from headwater.types.ddl import type_sql


@singledispatch
def compile_node(node: plan.Expression, scope: Scope, compiler: Compiler) -> Typed:
    """A compiled expression; its type may be None. Raises AnalysisError, UnsupportedError."""
    del scope, compiler
    raise unsupported(f"the expression {type(node).__name__}")


@compile_node.register
def _literal(node: plan.Literal, scope: Scope, compiler: Compiler) -> Typed:
    del scope
    name = literal_name(node.value, node.type, compiler.context.time_zone)
    return Typed(literal_sql(node.value, node.type), node.type, node.value is None, node.value, name)


@compile_node.register
def _column(node: plan.Column, scope: Scope, compiler: Compiler) -> Typed:
    if node.parts[0].lower() == FILE_COLUMN:
        hidden = scope.find(node.parts)
        if hidden is not None:
            return _fields(column(hidden[0]), hidden[1], compiler)
    if node.plan_id is not None:
        return _of_dataframe(node, scope, compiler)
    if node.metadata:
        named = next((a for a in (*scope.attributes, *scope.hidden) if a.sql == node.parts[0]), None)
        if named is not None:
            return column(named)
    variable = _variable(node.parts, scope)
    if variable is not None:
        return _fields(variable, node.parts[1:], compiler)
    around: Scope | None = scope
    while around is not None:
        found = around.find(node.parts)
        if found is not None:
            if around is not scope:
                compiler.outward.append(found[0].name)
            return _fields(column(found[0]), found[1], compiler)
        lateral = _lateral(node.parts, around) if around is scope or not scope.attributes else None
        if lateral is not None:
            return _fields(lateral, node.parts[1:], compiler)
        around = around.outer
    name = node.parts[0].lower()
    if len(node.parts) == 1 and name in _WITHOUT_PARENTHESES:
        return compiler.expression(plan.Call(name), scope)
    raise scope.unresolved(node.parts)


_WITHOUT_PARENTHESES = ("current_date", "current_time", "current_timestamp", "current_user", "session_user", "user")
"""Functions that a name means where there is no column of that name."""


def column(attribute: Attribute) -> Typed:
    """A reference to an attribute."""
    return Typed(reference(attribute), attribute.type, attribute.nullable, name=attribute.name)


def _variable(parts: tuple[str, ...], scope: Scope | None) -> Typed | None:
    while scope is not None:
        if scope.variables:
            found = scope.variables.get(scope.key(parts[0]))
            if found is not None:
                return found
        scope = scope.outer
    return None


def _lateral(parts: tuple[str, ...], scope: Scope) -> Typed | None:
    """An alias of the same select list; its expression stands in for it, so it must give the same value twice."""
    found = scope.alias(parts[0])
    if found is None:
        return None
    if shape_of(found.sql).volatile:
        raise unsupported(f"the alias {parts[0]} of a random value in the same select list", "Name it in a subquery.")
    return replace(found, name=f"{LATERAL}({parts[0]})")


LATERAL = "lateralAliasReference"
"""How Spark names an alias used in the select list that makes it."""


def _fields(base: Typed, names: tuple[str, ...], compiler: Compiler) -> Typed:
    for name in names:
        base = replace(field_of(base, name, compiler.fold), name=name)
    return base


def _of_dataframe(node: plan.Column, scope: Scope, compiler: Compiler) -> Typed:
    """`df["a"]`: the column that `a` is in that DataFrame's output, if it is still in reach."""
    assert node.plan_id is not None
    direct = Scope(scope.direct.get(node.plan_id, ()), fold=compiler.fold).find(node.parts)
    if direct is not None:
        return _fields(column(direct[0]), direct[1], compiler)
    known = False
    reach: dict[str, Attribute] = {}
    around: Scope | None = scope
    while around is not None:
        for attribute in (*around.hidden, *around.attributes):
            reach[attribute.sql] = attribute
        around = around.outer
    found: dict[str, tuple[Attribute, tuple[str, ...]]] = {}
    for output in compiler.outputs.get(node.plan_id, ()):
        match = Scope(output, fold=compiler.fold).find(node.parts)
        known = known or match is not None
        if match is not None and match[0].sql in reach:
            found[match[0].sql] = match
    if not found:
        found = {
            a.sql: (a, node.parts[1:])
            for a in reach.values()
            if node.plan_id in a.plan_ids and _named(a, node, compiler)
        }
    visible = {attribute.sql for attribute in scope.attributes}
    found = {sql: match for sql, match in found.items() if sql in visible} or found
    if len(found) > 1:
        raise AnalysisError("AMBIGUOUS_COLUMN_REFERENCE", name=f'"{node.parts[-1]}"')
    if found:
        attribute, rest = next(iter(found.values()))
        return _fields(column(reach[attribute.sql]), rest, compiler)
    outputs = compiler.outputs.get(node.plan_id)
    if outputs and not known:
        raise Scope(outputs[0]).unresolved(node.parts)
    raise AnalysisError("CANNOT_RESOLVE_DATAFRAME_COLUMN", name=f'"{".".join(node.parts)}"')


def _named(attribute: Attribute, node: plan.Column, compiler: Compiler) -> bool:
    return compiler.key(attribute.name) == compiler.key(node.parts[0])


@compile_node.register
def _alias(node: plan.Alias, scope: Scope, compiler: Compiler) -> Typed:
    child = compiler.expression(node.child, scope)
    return replace(child, name=f"{child.name} AS {node.names[0]}" if node.names else child.name)


def _written_constant(node: plan.Cast, time_zone: str) -> str | None:
    """The name of `TIMESTAMP '…'`, which comes as a strict cast of its text; None for other casts."""
    text = node.child.value if isinstance(node.child, plan.Literal) else None
    if node.mode != "ansi" or not isinstance(node.type, TimestampType) or not isinstance(text, str):
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(time_zone))
    return literal_name((aware - EPOCH) // dt.timedelta(microseconds=1), node.type, time_zone)


@compile_node.register
def _cast(node: plan.Cast, scope: Scope, compiler: Compiler) -> Typed:
    child = compiler.expression(node.child, scope)
    name = _written_constant(node, compiler.context.time_zone)
    name = name or f"{'TRY_CAST' if node.mode == 'try' else 'CAST'}({child.name} AS {type_sql(node.type)})"
    call = call_of("cast", (child,), compiler)
    if node.mode in {"ansi", "legacy"}:
        call = replace(call, ansi=node.mode == "ansi")
    made = cast_typed(child, node.type, call, attempt=node.mode == "try")
    return replace(made, name=name)


@compile_node.register
def _python(node: plan.PythonUDF, scope: Scope, compiler: Compiler) -> Typed:
    del scope, compiler
    raise unsupported(f"a Python UDF (`{node.name}`)", PYTHON_WAY_OUT)


def call_of(name: str, operands: tuple[Typed, ...], compiler: Compiler, **more: Any) -> FunctionCall:
    """A call with the session's rules."""
    context = compiler.context
    now = getattr(context, "now", None)
    if now is not None:
        more["now"] = now.copy()
    return FunctionCall(name, operands, compiler.ansi, context.time_zone, settings=context.settings.lookup, **more)


@compile_node.register
def _call(node: plan.Call, scope: Scope, compiler: Compiler) -> Typed:
    from headwater.compile.special import SPECIAL

    special = SPECIAL.get(node.name.lower())
    if special is not None:
        made = special(node, scope, compiler)
        if made is not None:
            return made
    known = functions.get(node.name)
    if known is None:
        raise AnalysisError(
            "UNRESOLVED_ROUTINE",
            routineName=f"`{node.name}`",
            searchPath="[`system`.`builtin`, `system`.`session`, `spark_catalog`.`default`]",
        )
    operands, lambdas, names = _operands(node, scope, compiler)
    order = tuple(OrderKey(compiler.expression(k.child, scope), k.ascending, k.nulls_first) for k in node.order)
    rules = {"distinct": node.distinct, "lambdas": lambdas, "ignore_nulls": node.ignore_nulls, "order": order}
    made = known.build(call_of(node.name, operands, compiler, **rules))
    if known.kind == "aggregate":
        shown = call_name(node.name.lower(), names, node.distinct)
        refuse_lateral(operands, "AGGREGATE_FUNC", "aggFunc", shown)
        made = _dress_aggregate(made, node, scope, compiler)
    name = made.name or call_name(node.name.lower(), names, node.distinct)
    if node.filter is not None:
        name += f" FILTER (WHERE {compiler.expression(node.filter, scope).name})"
    return replace(compiler.typed(made), name=name)


def refuse_lateral(operands: Iterable[Typed], where: str, hole: str, shown: str) -> None:
    """Raises UNSUPPORTED_FEATURE.LATERAL_COLUMN_ALIAS_IN_<where> if an operand uses such an alias."""
    for operand in operands:
        found = re.search(rf"{LATERAL}\((.*?)\)", operand.name)
        if found is not None:
            condition = f"UNSUPPORTED_FEATURE.LATERAL_COLUMN_ALIAS_IN_{where}"
            raise AnalysisError(condition, **{"lca": f"`{found[1]}`", hole: f'"{shown}"'})


def _operands(
    node: plan.Call, scope: Scope, compiler: Compiler
) -> tuple[tuple[Typed, ...], tuple[LambdaOperand, ...], list[str]]:
    operands: list[Typed] = []
    lambdas: list[LambdaOperand] = []
    names: list[str] = []
    for argument in node.arguments:
        if isinstance(argument, plan.Lambda):
            made = _lambda(argument, scope, compiler)
            lambdas.append(made)
            names.append(made.name)
            continue
        if isinstance(argument, plan.Star):
            names.append("1" if node.name.lower() == "count" else "*")
            if node.name.lower() != "count":
                operands.extend(column(a) for a in scope.attributes)
            continue
        value = argument.value if isinstance(argument, plan.NamedArgument) else argument
        operand = compiler.expression(value, scope)
        operands.append(operand)
        names.append(operand.name)
    return tuple(operands), tuple(lambdas), names


def _lambda(node: plan.Lambda, scope: Scope, compiler: Compiler) -> LambdaOperand:
    def build(variables: Any) -> Typed:
        bound = {scope.key(n): v for n, v in zip(node.variables, variables, strict=False)}
        inner = Scope(outer=scope, variables=bound, fold=compiler.fold)
        for v in variables:
            for found in v.sql.find_all(exp.Column):
                if v.type is not None and found is v.sql:
                    compiler.types.setdefault(found.this.this, v.type)
        return compiler.expression(node.body, inner)

    shown = ", ".join("namedlambdavariable()" for _ in node.variables)
    return LambdaOperand(node.variables, build, f"lambdafunction({shown})")


@compile_node.register
def _lambda_variable(node: plan.LambdaVariable, scope: Scope, compiler: Compiler) -> Typed:
    found = _variable((node.name,), scope)
    if found is None:
        raise scope.unresolved((node.name,))
    return replace(compiler.typed(found), name="namedlambdavariable()")


def _dress_aggregate(made: Typed, node: plan.Call, scope: Scope, compiler: Compiler) -> Typed:
    """FILTER (WHERE …) on every aggregate call inside."""
    if node.filter is None:
        return made
    from headwater.compile.aggregates import map_aggregates

    condition = compiler.expression(node.filter, scope).sql
    return replace(compiler.typed(made), sql=map_aggregates(made.sql, lambda call: _filtered(call, condition)))


def _filtered(call: exp.Expression, condition: exp.Expression) -> exp.Expression:
    """The aggregate of fewer rows; it may have a condition of its own (`collect_list` leaves out NULLs)."""
    if isinstance(call, exp.Filter):
        condition = exp.And(
            this=exp.Paren(this=call.expression.this.copy()), expression=exp.Paren(this=condition.copy())
        )
        call = call.this
    return exp.Filter(this=call.copy(), expression=exp.Where(this=condition.copy()))


@compile_node.register
def _extract(node: plan.ExtractValue, scope: Scope, compiler: Compiler) -> Typed:
    child = compiler.expression(node.child, scope)
    key = compiler.expression(node.extraction, scope)
    if isinstance(child.type, StructType) or _array_of_structs(child.type, key):
        made = field_of(child, str(key.literal), compiler.fold)
        return replace(made, name=f"{child.name}.{key.literal}")
    made = element(child, key, call_of("getitem", (child, key), compiler))
    return replace(compiler.typed(made), name=f"{child.name}[{key.name}]")


def _array_of_structs(data_type: DataType | None, key: Typed) -> bool:
    return (
        isinstance(data_type, ArrayType)
        and isinstance(data_type.elementType, StructType)
        and isinstance(key.type, StringType)
    )


@compile_node.register
def _sort_order(node: plan.SortOrder, scope: Scope, compiler: Compiler) -> Typed:
    child = compiler.expression(node.child, scope)
    direction = f"{'ASC' if node.ascending else 'DESC'} NULLS {'FIRST' if node.nulls_first else 'LAST'}"
    return replace(child, name=f"{child.name} {direction}")
