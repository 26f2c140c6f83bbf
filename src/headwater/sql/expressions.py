"""SQL expressions to plan expressions: one converter per kind of sqlglot node, found by class.

Invariants: calls keep the name and argument order the user wrote; long chains of one-sided operators
(`a AND b AND …`) are converted by a loop, so their length is not limited by the stack.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

from pyspark.sql.types import BooleanType, NullType
from sqlglot import exp

from headwater.errors import ParseError, unsupported
from headwater.plan.expressions import (
    Alias,
    Call,
    Cast,
    Column,
    Expression,
    ExtractValue,
    LambdaVariable,
    Literal,
    SortOrder,
    Star,
    Subquery,
)
from headwater.sql import literals
from headwater.sql.dialect import IntervalLiteral, SuffixedNumber, TypedLiteral, UnsignedRightShift
from headwater.sql.intervals import interval
from headwater.sql.scope import Scope
from headwater.sql.temporal import typed_literal
from headwater.sql.understood import refuse_unread
from headwater.types.ddl import parse_type

Converter = Callable[[Any, Scope], Expression]
C = TypeVar("C", bound=Callable[..., Expression])
CONVERTERS: dict[type[exp.Expr], Converter] = {}

BINARY: dict[type[exp.Expr], str] = {
    exp.Add: "+",
    exp.And: "and",
    exp.BitwiseAnd: "&",
    exp.BitwiseLeftShift: "<<",
    exp.BitwiseOr: "|",
    exp.BitwiseRightShift: ">>",
    exp.BitwiseXor: "^",
    exp.Div: "/",
    exp.DPipe: "concat",
    exp.EQ: "==",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.IntDiv: "div",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.Mod: "%",
    exp.Mul: "*",
    exp.NEQ: "!=",
    exp.NullSafeEQ: "<=>",
    exp.NullSafeNEQ: "<=>",
    exp.Or: "or",
    exp.RegexpLike: "rlike",
    exp.Sub: "-",
    UnsignedRightShift: ">>>",
}
"""Operators of two operands and Spark's function for each."""

_NEGATED = (exp.NEQ, exp.NullSafeNEQ)


def converts(*kinds: type[exp.Expr]) -> Callable[[C], C]:
    """Decorator: the converter of these node classes."""

    def enter(converter: C) -> C:
        CONVERTERS.update(dict.fromkeys(kinds, converter))
        return converter

    return enter


def convert(node: exp.Expr | None, scope: Scope) -> Expression:
    """The plan expression of a parsed SQL expression."""
    if node is None:
        raise ParseError("PARSE_SYNTAX_ERROR", error="end of input", hint="")
    if type(node) in BINARY:
        return _chain(node, scope)
    refuse_unread(node)
    converter = CONVERTERS.get(type(node))
    if converter is None:
        raise unsupported(f"the SQL expression `{node.sql('databricks')}`")
    return converter(node, scope)


def convert_all(nodes: list[exp.Expr] | None, scope: Scope) -> tuple[Expression, ...]:
    """`convert` of each."""
    return tuple(convert(node, scope) for node in nodes or ())


def _chain(node: exp.Expr, scope: Scope) -> Expression:
    links = []
    while type(node) in BINARY:
        links.append(node)
        node = node.this
    result = convert(node, scope)
    for link in reversed(links):
        result = _binary(link, result, scope)
    return result


def _binary(link: exp.Expr, left: Expression, scope: Scope) -> Expression:
    if isinstance(link.expression, exp.Any | exp.All) and isinstance(link, exp.EQ):
        raise unsupported("comparing with ANY or ALL")
    call = Call("==" if isinstance(link, exp.NEQ) else BINARY[type(link)], (left, convert(link.expression, scope)))
    negated = isinstance(link, _NEGATED) or bool(link.args.get("negate"))
    return Call("not", (call,)) if negated else call


# ── names ───────────────────────────────────────────────────────────────────────────────────────────────────


def name_parts(node: exp.Expr) -> tuple[str, ...]:
    """The parts of a dotted name. Raises PARSE_SYNTAX_ERROR if `node` is not one."""
    if isinstance(node, exp.Column):
        return tuple(part.name for part in node.parts)
    if isinstance(node, exp.Dot):
        return (*name_parts(node.this), node.expression.name)
    if isinstance(node, exp.Identifier | exp.Var):
        return (node.name,)
    raise ParseError("PARSE_SYNTAX_ERROR", error=f"'{node.sql('databricks')}'", hint="")


@converts(exp.Column)
def _column(node: exp.Column, scope: Scope) -> Expression:
    if isinstance(node.this, exp.Star):
        return _star(node.this, scope, name_parts(node)[:-1])
    if not isinstance(node.this, exp.Identifier):
        return convert(node.this, scope)
    return _named([part.name for part in node.parts], scope)


@converts(exp.Identifier)
def _identifier(node: exp.Identifier, scope: Scope) -> Expression:
    return _named([node.name], scope)


def _named(parts: list[str], scope: Scope) -> Expression:
    variable = scope.variables.get(parts[0].lower())
    if variable is None:
        return Column(tuple(parts))
    result: Expression = LambdaVariable(variable)
    for part in parts[1:]:
        result = ExtractValue(result, literals.string(part))
    return result


@converts(exp.Dot)
def _dot(node: exp.Dot, scope: Scope) -> Expression:
    if isinstance(node.expression, exp.Anonymous):
        function = convert(node.expression, scope)
        qualifier = ".".join(name_parts(node.this)).lower()
        return replace(function, name=f"{qualifier}.{function.name}") if isinstance(function, Call) else function
    if isinstance(node.expression, exp.Star):
        return _star(node.expression, scope, name_parts(node.this))
    child = convert(node.this, scope)
    if isinstance(child, Column):
        return Column((*child.parts, node.expression.name))
    return ExtractValue(child, literals.string(node.expression.name))


@converts(exp.Star)
def _star(node: exp.Star, scope: Scope, target: tuple[str, ...] = ()) -> Expression:
    if node.args.get("replace") or node.args.get("rename"):
        raise unsupported("`* REPLACE` and `* RENAME`", "List the columns.")
    del scope
    return Star(target, except_=tuple(name_parts(part) for part in node.args.get("except_") or ()))


@converts(exp.Alias)
def _alias(node: exp.Alias, scope: Scope) -> Expression:
    return Alias(convert(node.this, scope), (node.alias,))


@converts(exp.Aliases)
def _aliases(node: exp.Aliases, scope: Scope) -> Expression:
    return Alias(convert(node.this, scope), tuple(name.name for name in node.expressions))


@converts(exp.Placeholder)
def _placeholder(node: exp.Placeholder, scope: Scope) -> Expression:
    name = node.args.get("this")
    return scope.positioned(node.meta["number"]) if name is None else scope.parameter(node.name)


# ── constants ───────────────────────────────────────────────────────────────────────────────────────────────


@converts(exp.Literal)
def _literal(node: exp.Literal, scope: Scope) -> Expression:
    del scope
    return literals.string(node.name) if node.is_string else literals.number(node.name)


@converts(SuffixedNumber)
def _suffixed(node: SuffixedNumber, scope: Scope) -> Expression:
    del scope
    return literals.suffixed(node.name, node.args["suffix"])


@converts(TypedLiteral)
def _typed(node: TypedLiteral, scope: Scope) -> Expression:
    del scope
    return typed_literal(node.args["kind"], node.name)


@converts(IntervalLiteral)
def _interval(node: IntervalLiteral, scope: Scope) -> Expression:
    del scope
    return interval(node.args["parts"], node.args.get("to"))


@converts(exp.RawString)
def _raw_string(node: exp.RawString, scope: Scope) -> Expression:
    del scope
    return literals.string(node.name)


@converts(exp.HexString)
def _hex_string(node: exp.HexString, scope: Scope) -> Expression:
    del scope
    return literals.binary(node.name)


@converts(exp.Concat)
def _adjacent_strings(node: exp.Concat, scope: Scope) -> Expression:
    del scope
    return literals.string("".join(part.name for part in node.expressions))


@converts(exp.Boolean)
def _boolean(node: exp.Boolean, scope: Scope) -> Expression:
    del scope
    return Literal(bool(node.this), BooleanType())


@converts(exp.Null)
def _null(node: exp.Null, scope: Scope) -> Expression:
    del node, scope
    return Literal(None, NullType())


# ── operators ───────────────────────────────────────────────────────────────────────────────────────────────


@converts(exp.Paren)
def _paren(node: exp.Paren, scope: Scope) -> Expression:
    return convert(node.this, scope)


@converts(exp.Tuple)
def _tuple(node: exp.Tuple, scope: Scope) -> Expression:
    arguments: list[Expression] = []
    for number, value in enumerate(convert_all(node.expressions, scope), start=1):
        arguments.append(literals.string(_field_name(value) or f"col{number}"))
        arguments.append(value.child if isinstance(value, Alias) else value)
    return Call("named_struct", tuple(arguments))


def _field_name(value: Expression) -> str:
    if isinstance(value, Column):
        return value.parts[-1]
    if isinstance(value, Alias):
        return value.names[0]
    return value.name if isinstance(value, LambdaVariable) else ""


@converts(exp.Array)
def _array(node: exp.Array, scope: Scope) -> Expression:
    return Call("array", convert_all(node.expressions, scope))


@converts(exp.Collate)
def _collate(node: exp.Collate, scope: Scope) -> Expression:
    return Call("collate", (convert(node.this, scope), literals.string(node.expression.name)))


@converts(exp.JSONExtract)
def _semi_structured(node: exp.JSONExtract, scope: Scope) -> Expression:
    """`column:path.to[0]`: the text at a JSON path."""
    path = node.expression.sql("databricks")
    return Call("get_json_object", (convert(node.this, scope), literals.string(f"$.{path}")))


@converts(exp.Not)
def _not(node: exp.Not, scope: Scope) -> Expression:
    return Call("not", (convert(node.this, scope),))


@converts(exp.Neg)
def _negative(node: exp.Neg, scope: Scope) -> Expression:
    return Call("-", (convert(node.this, scope),))


@converts(exp.BitwiseNot)
def _bitwise_not(node: exp.BitwiseNot, scope: Scope) -> Expression:
    return Call("~", (convert(node.this, scope),))


@converts(exp.Is)
def _is(node: exp.Is, scope: Scope) -> Expression:
    child = convert(node.this, scope)
    if isinstance(node.expression, exp.Null):
        return Call("isnotnull" if node.args.get("negate") else "isnull", (child,))
    if isinstance(node.expression, exp.Boolean):
        return Call("<=>", (child, convert(node.expression, scope)))
    raise unsupported(f"the SQL expression `{node.sql('databricks')}`")


@converts(exp.Between)
def _between(node: exp.Between, scope: Scope) -> Expression:
    bounds = (node.this, node.args["low"], node.args["high"])
    return _negate(node, Call("between", tuple(convert(bound, scope) for bound in bounds)))


@converts(exp.In)
def _in(node: exp.In, scope: Scope) -> Expression:
    if node.args.get("query"):
        left = node.this
        values = convert_all(left.expressions, scope) if isinstance(left, exp.Tuple) else (convert(left, scope),)
        return _negate(node, Subquery("in", scope.query(node.args["query"]), values))
    if not node.expressions:
        raise ParseError("INVALID_SQL_SYNTAX.EMPTY_IN_PREDICATE")
    return _negate(node, Call("in", (convert(node.this, scope), *convert_all(node.expressions, scope))))


@converts(exp.Like, exp.ILike)
def _like(node: exp.Like | exp.ILike, scope: Scope, escape: tuple[Expression, ...] = ()) -> Expression:
    name = "like" if isinstance(node, exp.Like) else "ilike"
    child, pattern = convert(node.this, scope), node.expression
    if not isinstance(pattern, exp.Any | exp.All):
        return _negate(node, Call(name, (child, convert(pattern, scope), *escape)))
    patterns = pattern.this.expressions if isinstance(pattern.this, exp.Tuple) else [pattern.this]
    calls: list[Expression] = [_negate(node, Call(name, (child, convert(each, scope), *escape))) for each in patterns]
    # `NOT LIKE ALL` wants every pattern to miss, `NOT LIKE ANY` at least one.
    operator = "or" if isinstance(pattern, exp.Any) else "and"
    result = calls[0]
    for call in calls[1:]:
        result = Call(operator, (result, call))
    return result


@converts(exp.Escape)
def _escape(node: exp.Escape, scope: Scope) -> Expression:
    return _like(node.this, scope, (convert(node.expression, scope),))


def _negate(node: exp.Expr, call: Expression) -> Expression:
    return Call("not", (call,)) if node.args.get("negate") else call


@converts(exp.Case)
def _case(node: exp.Case, scope: Scope) -> Expression:
    subject = convert(node.this, scope) if node.this else None
    arguments: list[Expression] = []
    for branch in node.args["ifs"]:
        condition = convert(branch.this, scope)
        arguments.append(condition if subject is None else Call("==", (subject, condition)))
        arguments.append(convert(branch.args["true"], scope))
    if node.args.get("default") is not None:
        arguments.append(convert(node.args["default"], scope))
    return Call("when", tuple(arguments))


@converts(exp.Cast)
def _cast(node: exp.Cast, scope: Scope) -> Expression:
    return Cast(convert(node.this, scope), parse_type(node.args["to"].meta["text"]))


@converts(exp.TryCast)
def _try_cast(node: exp.TryCast, scope: Scope) -> Expression:
    return Cast(convert(node.this, scope), parse_type(node.args["to"].meta["text"]), "try")


@converts(exp.Bracket)
def _bracket(node: exp.Bracket, scope: Scope) -> Expression:
    result = convert(node.this, scope)
    for key in node.expressions:
        result = ExtractValue(result, convert(key, scope))
    return result


# ── subqueries ──────────────────────────────────────────────────────────────────────────────────────────────


@converts(exp.Subquery, exp.Select, exp.Union, exp.Intersect, exp.Except)
def _scalar_subquery(node: exp.Expr, scope: Scope) -> Expression:
    return Subquery("scalar", scope.query(node))


@converts(exp.Exists)
def _exists(node: exp.Exists, scope: Scope) -> Expression:
    return Subquery("exists", scope.query(node.this))


# ── sort keys ───────────────────────────────────────────────────────────────────────────────────────────────


@converts(exp.Ordered)
def sort_order(node: exp.Ordered | exp.Expr, scope: Scope) -> SortOrder:
    """`key [ASC | DESC] [NULLS FIRST | LAST]` with Spark's defaults."""
    if not isinstance(node, exp.Ordered):
        return SortOrder(convert(node, scope))
    return SortOrder(convert(node.this, scope), not node.args.get("desc"), bool(node.args.get("nulls_first")))
