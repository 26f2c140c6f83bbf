"""What a piece of SQL text is converted in: parameters, named windows, lambda variables.

Invariant: a scope never changes; inner pieces get a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from sqlglot import exp

from headwater.errors import AnalysisError
from headwater.plan.expressions import Expression
from headwater.plan.relations import Relation


@dataclass(frozen=True)
class Scope:
    """The surroundings of an expression or query.

    Attributes:
        relation: converts a nested query.
        named, positional: values of `:name` and `?`.
        windows: `WINDOW name AS (…)` definitions, names in lower case.
        variables: lambda variables in reach, as written by lower-case name.
        text: the whole SQL text.
    """

    relation: Callable[[exp.Expr, Scope], Relation]
    named: Mapping[str, Expression] = field(default_factory=dict)
    positional: tuple[Expression, ...] = ()
    windows: Mapping[str, exp.Expr] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    text: str = ""

    def query(self, node: exp.Expr) -> Relation:
        """A nested query; it sees the parameters only."""
        return self.relation(node, replace(self, windows={}, variables={}))

    def within(self, variables: tuple[str, ...]) -> Scope:
        """The body of a lambda."""
        return replace(self, variables={**self.variables, **{name.lower(): name for name in variables}})

    def parameter(self, name: str) -> Expression:
        """The value of `:name`. Raises UNBOUND_SQL_PARAMETER."""
        if name not in self.named:
            raise AnalysisError("UNBOUND_SQL_PARAMETER", name=name)
        return self.named[name]

    def positioned(self, number: int) -> Expression:
        """The value of the `?` with that number, from 0. Raises UNBOUND_SQL_PARAMETER."""
        if number >= len(self.positional):
            raise AnalysisError("UNBOUND_SQL_PARAMETER", name=f"_{number}")
        return self.positional[number]
