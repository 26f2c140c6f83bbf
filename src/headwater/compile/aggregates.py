"""Which nodes of a DuckDB expression are aggregate calls, and how to take them out.

Invariants: the function of a window is no aggregate, but its arguments may hold some; an aggregate never holds another.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlglot import exp

AGGREGATES = frozenset({
    "any_value", "approx_count_distinct", "approx_quantile", "approx_top_k", "arbitrary", "arg_max",
    "arg_max_null", "arg_min", "arg_min_null", "argmax", "argmin", "array_agg", "avg", "bit_and", "bit_or",
    "bit_xor", "bitstring_agg", "bool_and", "bool_or", "combine_aggr", "corr", "count", "count_if", "count_star",
    "countif", "covar_pop", "covar_samp", "entropy", "favg", "first", "fsum", "geometric_mean", "geomean",
    "group_concat", "grouping", "grouping_id", "histogram", "histogram_exact", "kahan_sum", "kurtosis",
    "kurtosis_pop", "last", "list", "listagg", "mad", "max", "max_by", "mean", "median", "min", "min_by", "mode",
    "product", "quantile", "quantile_cont", "quantile_disc", "regr_avgx", "regr_avgy", "regr_count",
    "regr_intercept", "regr_r2", "regr_slope", "regr_sxx", "regr_sxy", "regr_syy", "reservoir_quantile", "sem",
    "skewness", "stddev", "stddev_pop", "stddev_samp", "string_agg", "sum", "sum_no_overflow", "sumkahan",
    "var_pop", "var_samp", "variance", "weighted_avg",
})  # fmt: skip


def is_aggregate(node: exp.Expression) -> bool:
    """Whether the node is a call of a DuckDB aggregate (possibly wrapped by FILTER or WITHIN GROUP)."""
    if isinstance(node, exp.Filter | exp.WithinGroup):
        return is_aggregate(node.this)
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower() in AGGREGATES
    return isinstance(node, exp.AggFunc) and not isinstance(node, exp.Lag | exp.Lead | exp.NthValue)


def map_aggregates(tree: exp.Expression, change: Callable[[exp.Expression], exp.Expression]) -> exp.Expression:
    """A copy of `tree` with each outermost aggregate call replaced by `change(call)`."""
    return rewrite(tree, lambda node: change(node) if is_aggregate(node) else None)


def rewrite(tree: exp.Expression, change: Callable[[exp.Expression], exp.Expression | None]) -> exp.Expression:
    """A copy of `tree`, top down: where `change` gives a node it stands in place, else its children are visited.

    The function of a window is never given to `change`, only its arguments; subqueries are left as they are.
    """
    made = change(tree)
    if made is not None:
        return made
    result = tree.copy()
    _descend(result, change)
    return result


def _descend(node: exp.Expression, change: Callable[[exp.Expression], exp.Expression | None]) -> None:
    if isinstance(node, exp.Query):
        return
    for key, child in list(node.args.items()):
        children = child if isinstance(child, list) else [child]
        for item in children:
            if not isinstance(item, exp.Expression):
                continue
            if isinstance(node, exp.Window) and key == "this":
                _descend(function_of(item), change)
                continue
            made = change(item)
            if made is None:
                _descend(item, change)
            else:
                item.replace(made)


def function_of(node: exp.Expression) -> exp.Expression:
    """The call inside FILTER, WITHIN GROUP and IGNORE NULLS."""
    while isinstance(node, exp.Filter | exp.WithinGroup | exp.IgnoreNulls | exp.RespectNulls) and isinstance(
        node.this, exp.Expression
    ):
        node = node.this
    return node


def has_aggregate(tree: exp.Expression) -> bool:
    """Whether an aggregate call that is no window function is inside."""
    found = False

    def look(node: exp.Expression) -> exp.Expression | None:
        nonlocal found
        found = found or is_aggregate(node)
        return node if found else None

    rewrite(tree, look)
    return found
