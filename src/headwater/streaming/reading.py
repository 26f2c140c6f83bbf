"""How the checks read a plan: relation by relation, up or down, and which of them a stream flows through.

Invariant: what stands inside an expression (a subquery) belongs to the expression, not to the relations around it.
"""

from __future__ import annotations

from collections.abc import Iterator

from headwater.plan.node import Node
from headwater.plan.relations import CachedRemote, Distinct, Relation, SetOperation, WithRelations
from headwater.streaming.leaves import StreamContext


class Streams:
    """Which relations read a stream. A stream inside an expression does not make its relation one."""

    def __init__(self, context: StreamContext) -> None:
        self._context = context
        self._seen: dict[int, tuple[Node, bool]] = {}

    def below(self, node: Node) -> bool:
        """Whether a stream is below."""
        if id(node) not in self._seen:
            known = isinstance(node, CachedRemote) and self._context.knows(node)
            known = known or any(self.below(child) for child in inputs(node))
            self._seen[id(node)] = node, known  # the node too: another one may come to have its id
        return self._seen[id(node)][1]


def inputs(node: Node) -> Iterator[Relation]:
    """The relations a relation reads, subqueries in its expressions aside."""
    if isinstance(node, WithRelations):
        yield node.root
        return
    for child in node.children():
        if isinstance(child, Relation):
            yield child


def upwards(node: Relation) -> Iterator[Relation]:
    """A relation and all below it, inputs first."""
    for child in inputs(node):
        yield from upwards(child)
    yield node


def downwards(node: Relation) -> Iterator[Relation]:
    """A relation and all below it, inputs last."""
    yield node
    for child in inputs(node):
        yield from downwards(child)


def expressions_of(node: Node) -> Iterator[Node]:
    """All expressions of a relation, those of subqueries aside."""
    for child in node.children():
        if not isinstance(child, Relation):
            yield child
            yield from expressions_of(child)


def is_distinct(node: Relation) -> bool:
    """Whether equal rows are given once: an aggregation by all columns, to Spark's checks."""
    return isinstance(node, Distinct) or (isinstance(node, SetOperation) and node.kind == "union" and not node.all)
