"""What of a watermark's rows is read above it: a column that nobody names is not computed, nor read from the source.

Invariant: where it is not certain what is read, everything is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sqlglot import exp

from headwater.compile.resolved import Resolved
from headwater.streaming.watermark import WatermarkNode
from headwater.types.duck import to_duck


def pruned(node: WatermarkNode, made: Resolved, queries: Iterable[exp.Query]) -> WatermarkNode:
    """The node, NULL in place of the columns that no query reads.

    Args:
        made: what the node keeps.
        queries: all that read it.
    """
    used = {column.name for column in node.time.find_all(exp.Column)}
    for query in queries:
        names = _used(query, node.output)
        if names is None:
            return node
        used |= names
    columns = (*made.attributes, *made.hidden)
    if all(attribute.sql in used for attribute in columns):
        return node
    kept = [
        exp.column(a.sql, quoted=True)
        if a.sql in used
        else exp.alias_(exp.cast(exp.null(), to_duck(a.type)), a.sql, quoted=True)
        for a in columns
    ]
    return replace(node, query=exp.select(*kept).from_(made.query.subquery("kept")))


def _used(query: exp.Query, name: str) -> set[str] | None:
    """The columns of a table that a query reads; None: perhaps all."""
    used: set[str] = set()
    for table in query.find_all(exp.Table):
        if table.name != name:
            continue
        names = _read_above(table)
        if names is None:
            return None
        used |= names
    return used


def _read_above(table: exp.Table) -> set[str] | None:
    """Of `(SELECT columns FROM table) AS alias`: the columns named by that alias."""
    leaf = table.parent_select
    if not isinstance(leaf, exp.Select) or leaf.args.get("joins") or leaf.args.get("where"):
        return None
    derived = leaf.parent
    if not isinstance(derived, exp.Subquery) or not all(isinstance(one, exp.Column) for one in leaf.expressions):
        return None
    around = derived.parent_select
    alias = derived.alias
    if around is None or not alias:
        return None
    names = {one.name for one in leaf.expressions}
    if any(isinstance(one, exp.Star) or one.is_star for one in around.expressions):
        return None
    columns = list(around.find_all(exp.Column))
    if any(not column.table and column.name in names for column in columns if column.parent_select is not leaf):
        return None
    return {column.name for column in columns if column.table == alias}
