"""Queries: SELECT, VALUES, set operations, WITH, and the clauses around them, to relations.

Order of work, as in Spark: FROM, LATERAL VIEW, WHERE, the select list or grouping with HAVING, QUALIFY, DISTINCT,
set operations, ORDER BY, OFFSET, LIMIT, WITH.

Invariants: ordinals, aliases in GROUP BY and ORDER BY, and `ALL` are left for name resolution; `GROUP BY ALL` is
the single grouping column `ALL`, `ORDER BY ALL` the single key `ALL`.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

from sqlglot import exp

from headwater.errors import AnalysisError, unsupported
from headwater.plan.expressions import Alias, Call, Column, Expression, Literal, SortOrder
from headwater.plan.relations import (
    Aggregate,
    CommonTables,
    Distinct,
    Drop,
    Filter,
    Hint,
    Limit,
    Offset,
    Project,
    Relation,
    Repartition,
    SetOperation,
    Sort,
    SubqueryAlias,
    Values,
)
from headwater.sql import tables
from headwater.sql.expressions import convert, convert_all, sort_order
from headwater.sql.scope import Scope
from headwater.sql.understood import refuse_unread

ALL = Column(("ALL",))
"""What `GROUP BY ALL` and `ORDER BY ALL` group and sort by."""
_QUALIFY = "__qualify"
Sets = tuple[tuple[Expression, ...], ...]
"""Grouping sets."""
_SET_OPERATIONS: dict[type[exp.Expr], Any] = {
    exp.Union: "union",
    exp.Intersect: "intersect",
    exp.Except: "except",
}


def query(node: exp.Expr, scope: Scope) -> Relation:
    """The relation of a parsed query."""
    refuse_unread(node)
    relation = _modified(node, _body(node, scope), scope)
    clause = node.args.get("with_")
    if clause is None:
        return relation
    if clause.args.get("recursive"):
        raise unsupported("WITH RECURSIVE")
    return CommonTables(tuple(_common_table(table, scope) for table in clause.expressions), relation)


def _common_table(node: exp.CTE, scope: Scope) -> tuple[str, Relation]:
    refuse_unread(node)
    relation = scope.query(node.this)
    columns = tuple(column.name for column in node.args["alias"].args.get("columns") or ())
    return node.alias, SubqueryAlias(relation, node.alias, columns) if columns else relation


def _body(node: exp.Expr, scope: Scope) -> Relation:
    if isinstance(node, exp.Select):
        return _select(node, scope)
    if type(node) in _SET_OPERATIONS:
        return _set_operations(node, scope)
    if isinstance(node, exp.Subquery):
        return tables.table(node, scope) if node.args.get("alias") else query(node.this, scope)
    if isinstance(node, exp.Values):
        return values(node, scope)
    if isinstance(node, exp.Table):
        return tables.table(node, scope)
    raise unsupported(f"the query `{node.sql('databricks')}`")


def values(node: exp.Values, scope: Scope) -> Relation:
    """`VALUES (…), …`; a row without parentheses has one column."""
    rows = [list(row.expressions) if isinstance(row, exp.Tuple) else [row] for row in node.expressions]
    if values_alias(node):
        rows[-1] = [rows[-1][-1].this]
    return Values(tuple(convert_all(row, scope) for row in rows))


def values_alias(node: exp.Expr) -> str:
    """The alias of `VALUES 1, 2 AS t`, which sqlglot reads as that of the last row."""
    if not isinstance(node, exp.Values) or not node.expressions:
        return ""
    last = node.expressions[-1]
    value = last.expressions[-1] if isinstance(last, exp.Tuple) and last.expressions else last
    return str(value.alias) if isinstance(value, exp.Alias) else ""


def _set_operations(node: exp.Expr, scope: Scope) -> Relation:
    links: list[exp.Expr] = []
    while type(node) in _SET_OPERATIONS and (not links or not _has_modifiers(node)):
        refuse_unread(node)
        links.append(node)
        node = node.this
    result = query(node, scope)
    for link in reversed(links):
        kind = _SET_OPERATIONS[type(link)]
        every = not link.args.get("distinct")
        by_name = bool(link.args.get("by_name"))
        result = SetOperation(result, query(link.expression, scope), kind, every, by_name)
    return result


def _has_modifiers(node: exp.Expr) -> bool:
    return any(node.args.get(name) for name in ("order", "sort", "limit", "offset", "cluster", "distribute", "with_"))


# ── SELECT ──────────────────────────────────────────────────────────────────────────────────────────────────


def _select(node: exp.Select, scope: Scope) -> Relation:
    windows = {window.this.name.lower(): window for window in node.args.get("windows") or ()}
    scope = replace(scope, windows=windows)
    relation = tables.from_clause(node, scope)
    if node.args.get("where"):
        relation = Filter(relation, convert(node.args["where"].this, scope))
    relation = _select_list(node, relation, scope)
    if node.args.get("distinct"):
        if node.args["distinct"].args.get("on"):
            raise unsupported("SELECT DISTINCT ON", "Use dropDuplicates.")
        relation = Distinct(relation)
    return _hinted(node, relation, scope)


def _select_list(node: exp.Select, relation: Relation, scope: Scope) -> Relation:
    expressions = convert_all(node.expressions, scope)
    qualify = node.args.get("qualify")
    if qualify is None:
        return _grouped(node, relation, expressions, scope)
    condition = Alias(convert(qualify.this, scope), (_QUALIFY,))
    selected = _grouped(node, relation, (*expressions, condition), scope)
    return Drop(Filter(selected, Column((_QUALIFY,))), names=(_QUALIFY,))


def _grouped(node: exp.Select, relation: Relation, expressions: tuple[Expression, ...], scope: Scope) -> Relation:
    group, having = node.args.get("group"), node.args.get("having")
    condition = convert(having.this, scope) if having else None
    if group is None and condition is None:
        return Project(relation, expressions)
    kind: Any
    kind, grouping, sets = _grouping(group, scope) if group else ("groupby", (), ())
    return Aggregate(relation, kind, grouping, expressions, grouping_sets=sets, having=condition, output_grouping=False)


def _grouping(group: exp.Group, scope: Scope) -> tuple[Any, tuple[Expression, ...], Sets]:
    refuse_unread(group)
    if group.args.get("all"):
        return "groupby", (ALL,), ()
    plain = [part for part in group.expressions if not isinstance(part, exp.Cube | exp.Rollup | exp.GroupingSets)]
    analytics = [part for part in group.expressions if part not in plain]
    for name in ("cube", "rollup", "grouping_sets"):
        analytics.extend(group.args.get(name) or ())
    if not analytics:
        return "groupby", convert_all(plain, scope), ()
    return _analytics(plain, analytics, scope)


def _analytics(plain: list[exp.Expr], analytics: list[Any], scope: Scope) -> tuple[Any, tuple[Expression, ...], Sets]:
    """One ROLLUP or CUBE of single columns keeps its kind; everything else becomes the grouping sets it stands for."""
    (first, *others) = analytics
    if not first.expressions or (isinstance(first, exp.GroupingSets) and first.arg_key == "grouping_sets"):
        first = first.copy() if first.expressions else type(first)(expressions=[part.copy() for part in plain])
        plain = []
    single = not any(isinstance(part, exp.Tuple) for part in first.expressions)
    if not plain and not others and single and not isinstance(first, exp.GroupingSets):
        kind = "cube" if isinstance(first, exp.Cube) else "rollup"
        return kind, convert_all(first.expressions, scope), ()
    sets: Sets = (convert_all(plain, scope),)
    for analytic in (first, *others):
        sets = tuple((*left, *right) for left in sets for right in _sets(analytic, scope))
    return "grouping_sets", tuple(dict.fromkeys(part for each in sets for part in each)), sets


def _sets(analytic: exp.Expr, scope: Scope) -> Sets:
    parts = [convert_all(_members(part), scope) for part in analytic.expressions]
    if isinstance(analytic, exp.GroupingSets):
        return tuple(parts)
    if isinstance(analytic, exp.Rollup):
        chosen = [parts[:count] for count in range(len(parts), -1, -1)]
    else:
        chosen = [list(some) for count in range(len(parts), -1, -1) for some in combinations(parts, count)]
    return tuple(tuple(expression for part in some for expression in part) for some in chosen)


def _members(node: exp.Expr) -> list[exp.Expr]:
    return list(node.expressions) if isinstance(node, exp.Tuple) else [node.unnest()]


def _hinted(node: exp.Select, relation: Relation, scope: Scope) -> Relation:
    hint = node.args.get("hint")
    for part in hint.expressions if hint else ():
        relation = Hint(relation, part.name.lower(), convert_all(part.expressions, scope))
    return relation


# ── what follows a query ────────────────────────────────────────────────────────────────────────────────────


def _modified(node: exp.Expr, relation: Relation, scope: Scope) -> Relation:
    arguments = node.args
    if arguments.get("order"):
        relation = Sort(relation, _order(arguments["order"], scope))
    if arguments.get("distribute"):
        keys = tuple(sort_order(key, scope).child for key in arguments["distribute"].expressions)
        relation = Repartition(relation, expressions=keys)
    if arguments.get("sort"):
        relation = Sort(relation, _order(arguments["sort"], scope), is_global=False)
    if arguments.get("cluster"):
        keys = convert_all(arguments["cluster"].expressions, scope)
        relation = Sort(Repartition(relation, expressions=keys), tuple(map(SortOrder, keys)), is_global=False)
    if arguments.get("offset"):
        relation = Offset(relation, _count(arguments["offset"].expression, scope, "offset"))
    return _limited(arguments.get("limit"), relation, scope)


def _limited(limit: exp.Expr | None, relation: Relation, scope: Scope) -> Relation:
    if limit is None or (isinstance(limit.expression, exp.Var) and limit.expression.name.upper() == "ALL"):
        return relation
    if not isinstance(limit, exp.Limit):
        raise unsupported("FETCH", "Use LIMIT.")
    return Limit(relation, _count(limit.expression, scope, "limit"))


def _order(node: exp.Expr, scope: Scope) -> tuple[SortOrder, ...]:
    (first, *others) = node.expressions
    if not others and isinstance(first.this, exp.Var) and first.name.upper() == "ALL":
        return (SortOrder(ALL, not first.args.get("desc"), bool(first.args.get("nulls_first"))),)
    return tuple(sort_order(key, scope) for key in node.expressions)


def _count(node: exp.Expr, scope: Scope, clause: str) -> int:
    value = _constant(convert(node, scope))
    if not isinstance(value, int):
        raise AnalysisError(
            "INVALID_LIMIT_LIKE_EXPRESSION.DATA_TYPE", name=clause, expr=node.sql("databricks"), dataType='"STRING"'
        )
    if value < 0:
        raise AnalysisError(
            "INVALID_LIMIT_LIKE_EXPRESSION.IS_NEGATIVE", name=clause, expr=node.sql("databricks"), v=value
        )
    return value


def _constant(expression: Expression) -> object:
    """The value of an integer constant, also of a sum or product of such."""
    if isinstance(expression, Literal):
        return expression.value
    if isinstance(expression, Call) and expression.name in ("+", "-", "*") and len(expression.arguments) == 2:
        left, right = (_constant(argument) for argument in expression.arguments)
        if isinstance(left, int) and isinstance(right, int):
            return left + right if expression.name == "+" else left - right if expression.name == "-" else left * right
    return None
