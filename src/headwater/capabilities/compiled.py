"""What the compiler and the session can do with plan nodes: a decoded or parsed node that nobody compiles is a gap.

Invariant: classes are looked up where handlers register; only the protocol's own spellings are written down.
"""

from __future__ import annotations

import headwater.compile.relations  # noqa: F401  enters the handlers
from headwater.compile.compiler import _other, _unary
from headwater.compile.expressions import compile_node
from headwater.plan import commands, expressions, relations
from headwater.plan.node import Node

_RENDERED = {relations.ShowString, relations.HtmlString}
_PARTS = (
    commands.MergeClause,
    expressions.ColumnRegex,
    expressions.Lambda,
    expressions.LambdaVariable,
    expressions.NamedArgument,
    expressions.SortOrder,
    expressions.Star,
)
"""Expressions that are compiled as part of what they are in."""
_SPELLED = {
    "cached_local_relation": "LocalData",
    "cached_remote_relation": "CachedRemote",
    "chunked_cached_local_relation": "LocalData",
    "drop_na": "DropNA",
    "fill_na": "FillNA",
    "lateral_join": "Join",
    "local_relation": "LocalData",
    "read": "ReadSource",
    "relation_changes": "ReadTable",
    "repartition_by_expression": "Repartition",
    "replace": "ReplaceNA",
    "set_op": "SetOperation",
    "sql": "UnboundSQL",
    "to_df": "ToDF",
    "unresolved_table_valued_function": "TableFunction",
}
_STATISTICS = ("approx_quantile", "corr", "cov", "crosstab", "describe", "freq_items", "sample_by", "summary")


def relation_compiles(variant: str) -> bool:
    """Whether the plan node that a relation of the protocol is decoded to has a handler."""
    if variant == "catalog":
        return True
    name = "Statistic" if variant in _STATISTICS else _SPELLED.get(variant, variant.title().replace("_", ""))
    kind = getattr(relations, name, None)
    return kind is not None and _handled(kind)


def node_compiles(node: Node) -> bool:
    """Whether each relation and expression in a plan has a handler."""
    return all(_handled(type(each)) for each in node.walk())


def _handled(kind: type) -> bool:
    if issubclass(kind, relations.Relation):
        return kind in _unary or kind in _other or kind in _RENDERED
    if issubclass(kind, expressions.Expression) and not issubclass(kind, _PARTS):
        return compile_node.dispatch(kind) is not compile_node.dispatch(object)
    return True
