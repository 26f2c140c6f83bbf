"""The base of all plan nodes: frozen dataclasses whose fields hold values, nodes, or tuples of nodes.

Invariants: a node never changes after it is built; two nodes with equal fields are equal; every child is
reachable through `children`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar, dataclass_transform

N = TypeVar("N", bound="Node")
C = TypeVar("C")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def node(cls: type[C]) -> type[C]:
    """Class decorator: a frozen dataclass that compares, hashes and prints as `Node` does.

    Generating those methods for each of a hundred classes took a tenth of a second at every start.
    """
    return dataclass(frozen=True, eq=False, repr=False)(cls)


_compared: dict[type, tuple[str, ...]] = {}


def _names(thing: Any) -> tuple[str, ...]:
    """The names of the fields that count in comparisons."""
    names = _compared.get(type(thing))
    if names is None:
        names = _compared[type(thing)] = tuple(each.name for each in fields(thing) if each.compare)
    return names


class Node:
    """A plan node; subclasses are decorated with `node`."""

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _names(self))

    def __hash__(self) -> int:
        return hash((type(self).__name__, *(getattr(self, name) for name in _names(self))))

    def __repr__(self) -> str:
        shown = (f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr)  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(shown)})"

    def children(self) -> Iterator[Node]:
        """Direct child nodes, in field order; tuples are flattened."""
        for each in fields(self):  # type: ignore[arg-type]
            yield from _nodes(getattr(self, each.name))

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
        for each in fields(self):  # type: ignore[arg-type]
            before = getattr(self, each.name)
            after = _map(before, change)
            if after is not before:
                changed[each.name] = after
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
