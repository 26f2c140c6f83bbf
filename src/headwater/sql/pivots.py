"""PIVOT and UNPIVOT in FROM.

Invariants: PIVOT groups by every column it does not name; UNPIVOT keeps every column it does not name and leaves out
NULLs unless told otherwise.
"""

from __future__ import annotations

from sqlglot import exp

from headwater.errors import unsupported
from headwater.plan.expressions import Alias, Call, Column, Expression, Literal
from headwater.plan.relations import Aggregate, Filter, Relation, SubqueryAlias, Unpivot
from headwater.sql.expressions import convert, convert_all
from headwater.sql.scope import Scope
from headwater.sql.understood import refuse_unread


def pivoted(node: exp.Pivot, relation: Relation, scope: Scope) -> Relation:
    """`relation PIVOT (…)` or `relation UNPIVOT (…)`, with its alias."""
    refuse_unread(node)
    (field,) = node.args["fields"]
    made = _unpivot(node, field, relation, scope) if node.args.get("unpivot") else _pivot(node, field, relation, scope)
    alias = node.args.get("alias")
    if alias is None:
        return made
    return SubqueryAlias(made, alias.name, tuple(column.name for column in alias.args.get("columns") or ()))


def _pivot(node: exp.Pivot, field: exp.In, relation: Relation, scope: Scope) -> Relation:
    if isinstance(field.this, exp.Tuple):
        raise unsupported("PIVOT over several columns", "Pivot over struct(a, b) computed in a subquery.")
    values, names = [], []
    for entry in field.expressions:
        value = convert(entry.this if isinstance(entry, exp.PivotAlias) else entry, scope)
        if not isinstance(value, Literal):
            raise unsupported("PIVOT values that are not constants")
        values.append(value)
        names.append(entry.args["alias"].name if isinstance(entry, exp.PivotAlias) else "")
    return Aggregate(
        relation,
        "pivot",
        (),
        convert_all(node.expressions, scope),
        pivot_column=convert(field.this, scope),
        pivot_values=tuple(values),
        pivot_names=tuple(names),
        implicit_grouping=True,
    )


def _unpivot(node: exp.Pivot, field: exp.In, relation: Relation, scope: Scope) -> Relation:
    (value,) = node.expressions
    if isinstance(value, exp.Tuple):
        raise unsupported("UNPIVOT into several value columns", "Use stack in a LATERAL VIEW.")
    columns: list[Expression] = []
    for entry in field.expressions:
        if isinstance(entry, exp.PivotAlias):
            columns.append(Alias(convert(entry.this, scope), (entry.args["alias"].name,)))
        else:
            columns.append(convert(entry, scope))
    made = Unpivot(relation, None, tuple(columns), field.this.name, value.name)
    return made if node.args.get("include_nulls") else Filter(made, Call("isnotnull", (Column((value.name,)),)))
