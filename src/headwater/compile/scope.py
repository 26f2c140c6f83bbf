"""What a name means where an expression stands: Spark's rules for columns, qualifiers, fields and DataFrames.

Order: lambda variables; the visible columns; columns of the projection beneath (for sorts and filters); aliases
further left in the same select list; then the query around it (correlated subqueries). `a.b.c` may be a qualified
column, or a field of a struct column.

Invariants: resolving changes nothing; a name with two meanings is an error, never a choice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from headwater.compile.resolved import Attribute
from headwater.errors import AnalysisError
from headwater.functions.base import Typed


@dataclass(frozen=True)
class Scope:
    """The names an expression can use.

    Attributes:
        attributes: columns of the input.
        hidden: columns one projection further down.
        outer: the scope around a correlated subquery or lambda.
        variables: lambda variables, by name.
        fold: whether names are compared without case.
        direct: in a join's condition, the columns of the two DataFrames joined, by plan id.
        lateral: aliases made so far in the select list being compiled, by name as it is compared.
    """

    attributes: tuple[Attribute, ...] = ()
    hidden: tuple[Attribute, ...] = ()
    outer: Scope | None = None
    variables: Mapping[str, Typed] = field(default_factory=dict)
    fold: bool = True
    lateral: Mapping[str, Sequence[Typed]] = field(default_factory=dict)
    direct: Mapping[int, tuple[Attribute, ...]] = field(default_factory=dict)

    @cached_property
    def _by_name(self) -> dict[str, list[Attribute]]:
        return self._index(self.attributes)

    @cached_property
    def _hidden_by_name(self) -> dict[str, list[Attribute]]:
        return self._index(self.hidden)

    def _index(self, attributes: Sequence[Attribute]) -> dict[str, list[Attribute]]:
        index: dict[str, list[Attribute]] = {}
        for attribute in attributes:
            index.setdefault(self.key(attribute.name), []).append(attribute)
        return index

    def key(self, name: str) -> str:
        """A name as it is compared."""
        return name.lower() if self.fold else name

    def find(self, parts: tuple[str, ...]) -> tuple[Attribute, tuple[str, ...]] | None:
        """The column a dotted name means here (not in `outer`), and the parts left as fields.

        Raises AMBIGUOUS_REFERENCE.
        """
        return self._find(parts, self._by_name) or (self._find(parts, self._hidden_by_name) if self.hidden else None)

    def _find(
        self, parts: tuple[str, ...], index: Mapping[str, list[Attribute]]
    ) -> tuple[Attribute, tuple[str, ...]] | None:
        for at in range(min(len(parts), 4) - 1, -1, -1):
            named = index.get(self.key(parts[at]), ())
            matches = [a for a in named if not at or self.qualified(a, parts[:at])]
            distinct = {a.origin or a.sql: a for a in reversed(matches)}
            if len(distinct) > 1:
                raise _ambiguous(parts, list(reversed(distinct.values())))
            if distinct:
                return next(iter(distinct.values())), parts[at + 1 :]
        return None

    def alias(self, name: str) -> Typed | None:
        """The value of an alias in the same select list. Raises AMBIGUOUS_LATERAL_COLUMN_ALIAS."""
        found = self.lateral.get(self.key(name), ())
        if len(found) > 1:
            raise AnalysisError("AMBIGUOUS_LATERAL_COLUMN_ALIAS", name=f"`{name}`", n=len(found))
        return found[0] if found else None

    def qualified(self, attribute: Attribute, qualifier: tuple[str, ...]) -> bool:
        """Whether `qualifier` (or the end of a longer one) names the attribute's relation."""
        wanted = tuple(map(self.key, qualifier))
        return any(tuple(map(self.key, q[-len(wanted) :])) == wanted for q in attribute.qualifiers)

    def unresolved(self, parts: Sequence[str]) -> AnalysisError:
        """UNRESOLVED_COLUMN, with the names most like it."""
        name = ".".join(f"`{part}`" for part in parts)
        candidates = [_display(a) for a in self.attributes]
        if not candidates:
            return AnalysisError("UNRESOLVED_COLUMN.WITHOUT_SUGGESTION", objectName=name)
        wanted = ".".join(parts)
        plain = len({a.qualifiers for a in self.attributes}) <= 1
        names = [(a.name,) if plain else d for a, d in zip(self.attributes, candidates, strict=True)]
        best = sorted(dict.fromkeys(names), key=lambda n: distance(".".join(n), wanted))[:5]
        proposal = ", ".join(".".join(f"`{part}`" for part in parts) for parts in best)
        return AnalysisError("UNRESOLVED_COLUMN.WITH_SUGGESTION", objectName=name, proposal=proposal)


def _display(attribute: Attribute) -> tuple[str, ...]:
    qualifier = attribute.qualifiers[0] if attribute.qualifiers else ()
    return (*qualifier, attribute.name)


def _ambiguous(parts: Sequence[str], matches: Sequence[Attribute]) -> AnalysisError:
    return AnalysisError(
        "AMBIGUOUS_REFERENCE",
        name=".".join(f"`{part}`" for part in parts),
        referenceNames="[" + ", ".join(".".join(f"`{p}`" for p in _display(a)) for a in matches) + "]",
    )


def distance(one: str, other: str) -> int:
    """Levenshtein distance."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(other, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]
