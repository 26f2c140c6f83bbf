"""Which parts of sqlglot's nodes the converters read, so that a clause nobody reads is refused, not dropped.

Invariant: a node of a class listed here with any other part filled raises UNSUPPORTED_FEATURE naming the part.
"""

from __future__ import annotations

from sqlglot import exp

from headwater.errors import unsupported

_AFTER = "order sort cluster distribute limit offset with_"
_UNDERSTOOD: dict[type[exp.Expr], frozenset[str]] = {
    kind: frozenset(parts.split())
    for kind, parts in {
        exp.Bracket: "this expressions offset",
        exp.CTE: "this alias",
        exp.Case: "this ifs default",
        exp.Cast: "this to",
        exp.Column: "this table db catalog",
        exp.Except: f"this expression distinct by_name {_AFTER}",
        exp.Group: "expressions grouping_sets cube rollup all",
        exp.In: "this expressions query",
        exp.Intersect: f"this expression distinct by_name {_AFTER}",
        exp.Join: "this on side kind using method",
        exp.Lateral: "this view outer alias",
        exp.Limit: "expression",
        exp.Ordered: "this desc nulls_first",
        exp.Pivot: "alias expressions fields unpivot include_nulls columns pivot_column_naming",
        exp.Select: f"expressions hint distinct from_ laterals joins where group having qualify windows {_AFTER}",
        exp.Star: "except_",
        exp.Subquery: f"this alias laterals joins pivots sample {_AFTER}",
        exp.Table: "this alias db catalog laterals joins pivots version sample",
        exp.TableSample: "percent size seed bucket_numerator bucket_denominator bucket_field method",
        exp.TryCast: "this to safe",
        exp.Union: f"this expression distinct by_name {_AFTER}",
        exp.Values: "expressions alias order limit offset",
        exp.Window: "this partition_by order spec alias over",
        exp.WindowSpec: "kind start start_side end end_side",
        exp.With: "expressions recursive",
    }.items()
}


def refuse_unread(node: exp.Expr) -> None:
    """Raise UNSUPPORTED_FEATURE if `node` has a part that no converter reads."""
    understood = _UNDERSTOOD.get(type(node))
    if understood is None:
        return
    for part, value in node.args.items():
        if part not in understood and value:
            words = part.strip("_").upper().replace("_", " ")
            raise unsupported(f"{words} in {type(node).__name__.upper()}")
