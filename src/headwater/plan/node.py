"""The base of all plan nodes: frozen dataclasses whose fields hold values, nodes, or tuples of nodes.

Invariants: a node never changes after it is built; two nodes with equal fields are equal; every child is
reachable through `children`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, TypeVar

N = TypeVar("N", bound="Node")


class Node:
    """A plan node; subclasses are frozen dataclasses."""

    def children(self) -> Iterator[Node]:
        """Direct child nodes, in field order; tuples are flattened."""
        for field in fields(self):  # type: ignore[arg-type]
            yield from _nodes(getattr(self, field.name))

    def walk(self) -> Iterator[Node]:
        """This node and all below it, parents first."""
        stack: list[Node] = [self]
        while stack:
            node = stack.pop()
            yield node
            stack.extend(reversed(list(node.children())))

    def map_children(self: N, change: Callable[[Any], Any]) -> N:
        """A copy whose direct child nodes are `change(child)`; the same object if nothing changed."""
        changed: dict[str, Any] = {}
        for field in fields(self):  # type: ignore[arg-type]
            before = getattr(self, field.name)
            after = _map(before, change)
            if after is not before:
                changed[field.name] = after
        return replace(self, **changed) if changed else self  # type: ignore[type-var]


def _nodes(value: object) -> Iterator[Node]:
    if isinstance(value, Node):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from _nodes(item)


def _map(value: Any, change: Callable[[Any], Any]) -> Any:
    if isinstance(value, Node):
        return change(value)
    if isinstance(value, tuple):
        mapped = tuple(_map(item, change) for item in value)
        return mapped if any(a is not b for a, b in zip(mapped, value, strict=True)) else value
    return value
