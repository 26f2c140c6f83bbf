"""The table names of a plan that mean tables: those that no WITH and no DataFrame argument of the plan binds.

Invariants: a name is local to the later tables and the body of its own WITH, or to the root of its own
`WithRelations`, nowhere else; SQL text inside the plan is opened, so its names count too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from headwater.plan.node import Node
from headwater.plan.relations import CommonTables, ReadTable, Relation, SubqueryAlias, UnboundSQL, WithRelations
from headwater.sql import parse_query

Change = Callable[[ReadTable], Relation]


def map_reads(plan: Relation, change: Change) -> Relation:
    """The plan with every read of a table or view replaced by `change(read)`; SQL text becomes plan nodes."""
    return cast(Relation, _map(plan, change, frozenset()))


def reads(plan: Relation) -> list[ReadTable]:
    """All reads of tables and views."""
    found: list[ReadTable] = []

    def keep(read: ReadTable) -> Relation:
        found.append(read)
        return read

    map_reads(plan, keep)
    return found


def _map(node: Node, change: Change, local: frozenset[str]) -> Node:
    if isinstance(node, ReadTable):
        return node if len(node.parts) == 1 and node.parts[0].lower() in local else change(node)
    if isinstance(node, UnboundSQL):
        opened = parse_query(node.query, dict(node.named), node.positional)
        return replace(cast(Relation, _map(opened, change, local)), plan_id=node.plan_id)
    if isinstance(node, CommonTables):
        return _common(node, change, local)
    if isinstance(node, WithRelations):
        references = tuple(cast(Relation, _map(each, change, local)) for each in node.references)
        names = {each.alias.lower() for each in references if isinstance(each, SubqueryAlias)}
        return replace(node, root=cast(Relation, _map(node.root, change, local | names)), references=references)
    return node.map_children(lambda child: _map(child, change, local))


def _common(node: CommonTables, change: Change, local: frozenset[str]) -> Node:
    tables = []
    for name, plan in node.tables:
        tables.append((name, cast(Relation, _map(plan, change, local))))
        local = local | {name.lower()}
    return replace(node, tables=tuple(tables), body=cast(Relation, _map(node.body, change, local)))
