"""Conditions over a Python data source, offered to it (`spark.sql.python.filterPushdown.enabled`).

Invariant: the plan keeps its filters; the read only learns of them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from headwater.plan.expressions import Column, Expression
from headwater.plan.node import Node
from headwater.plan.relations import Filter, Project, ReadSource, Relation, SubqueryAlias

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_ENABLED = "spark.sql.python.filterPushdown.enabled"


def with_filters(plan: Relation, session: Session) -> Relation:
    """The plan, its reads of Python data sources knowing the conditions above them."""
    if (session.settings.lookup(_ENABLED) or "false").lower() != "true":
        return plan

    def push(node: Node) -> Node:
        found: list[Expression] = []
        read: Node = node
        while _passes(read):
            if isinstance(read, Filter):
                found.append(read.condition)
            read = cast(Filter, read).input
        if found and isinstance(read, ReadSource) and session.data_sources.get(read.format) is not None:
            known = replace(read, filters=tuple(reversed(found)))
            return _rebuilt(node, known)
        return node.map_children(push)

    return cast(Relation, push(plan))


def _passes(node: Node) -> bool:
    """Whether a condition above the node means the same below it."""
    if isinstance(node, Project):
        return all(isinstance(each, Column) for each in node.expressions)
    return isinstance(node, Filter | SubqueryAlias)


def _rebuilt(node: Node, read: Relation) -> Node:
    if not _passes(node):
        return read
    above = cast(Filter, node)
    return replace(above, input=cast(Relation, _rebuilt(above.input, read)))
