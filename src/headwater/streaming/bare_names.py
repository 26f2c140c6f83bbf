"""Which column a condition names, by bare names: each a name that one column of the relation alone has.

Invariant: a name that may mean something else, or nothing that is known of the rows alone, means nothing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from pyspark.sql.types import StringType

from headwater.compile.resolved import Attribute
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError, SparkError
from headwater.plan.expressions import Alias, Column, Expression, ExtractValue, Literal, Star
from headwater.plan.node import Node
from headwater.plan.relations import (
    Aggregate,
    CollectMetrics,
    Deduplicate,
    Drop,
    Filter,
    GeneratorJoin,
    Hint,
    Limit,
    Project,
    Relation,
    Repartition,
    Sort,
    SubqueryAlias,
    ToDF,
    WithColumns,
    WithColumnsRenamed,
    WithWatermark,
)
from headwater.streaming.predicates import columns, is_generator, movable, random

Values = Mapping[Column, Expression]
"""What the columns of a relation are, over its input's columns."""

SAME_COLUMNS = (Filter, WithWatermark, SubqueryAlias, Repartition, Hint, Sort, Limit, Deduplicate, CollectMetrics)
MAKES_COLUMNS = (Project, WithColumns, WithColumnsRenamed, ToDF, Drop, Aggregate, GeneratorJoin)


class BareNames:
    """The names of one plan's relations.

    Args:
        attributes: the columns of a relation.
    """

    def __init__(self, attributes: Callable[[Relation], Sequence[Attribute]]) -> None:
        self._compiled = attributes
        self._attributes: dict[int, tuple[Relation, Sequence[Attribute]]] = {}
        self._names: dict[int, tuple[Relation, list[str]]] = {}

    def of(self, node: Relation) -> list[str]:
        """The names of a relation's columns."""
        if id(node) not in self._names:
            self._names[id(node)] = node, self._named_by(node)
        return self._names[id(node)][1]

    def _named_by(self, node: Relation) -> list[str]:
        if isinstance(node, SAME_COLUMNS) and not renames(node):
            return self.of(node.input)
        written = self._written(node)
        return [one.name for one in self.columns(node)] if written is None else written

    def _written(self, node: Relation) -> list[str] | None:
        """The names as the plan has them; None if it has to be compiled, which a chain of hundreds would feel."""
        if isinstance(node, Project) and all(_name(one) for one in node.expressions):
            return [_name(one) for one in node.expressions]
        if isinstance(node, ToDF):
            return list(node.names)
        if isinstance(node, Drop) and not node.columns:
            gone = {name.lower() for name in node.names}
            return [name for name in self.of(node.input) if name.lower() not in gone]
        if isinstance(node, WithColumnsRenamed):
            new = {old.lower(): name for old, name in node.renames}
            return [new.get(name.lower(), name) for name in self.of(node.input)] if len(node.renames) == 1 else None
        if isinstance(node, WithColumns) and all(_name(one) for one in node.aliases):
            made = {_name(one).lower(): _name(one) for one in node.aliases}
            known = self.of(node.input)
            added = [name for key, name in made.items() if key not in {one.lower() for one in known}]
            return [*(made.get(name.lower(), name) for name in known), *added]
        return None

    def columns(self, node: Relation) -> Sequence[Attribute]:
        """A relation's columns; none if that is not known here."""
        if id(node) not in self._attributes:
            try:
                found = self._compiled(node)
            except SparkError:  # it names tables that are known further up only
                found = ()
            self._attributes[id(node)] = node, found
        return self._attributes[id(node)][1]

    def _unique(self, node: Relation) -> dict[str, Column]:
        counted = Counter(name.lower() for name in self.of(node))
        return {name.lower(): Column((name,)) for name in self.of(node) if counted[name.lower()] == 1}

    def bare(self, part: Expression, node: Relation) -> Expression | None:
        """A condition over a relation by its bare names; None if it cannot be told what it names, or it cannot move."""
        unique = self._unique(node)
        return by_meaning(part, lambda column: self._bare_column(column, node, unique)) if movable(part) else None

    def _bare_column(self, column: Column, node: Relation, unique: Mapping[str, Column]) -> Expression | None:
        if column.plan_id is None and len(column.parts) == 1:
            return unique.get(column.parts[0].lower())
        found = self._found(column, node)
        if found is None:
            return None
        value: Expression | None = unique.get(found[0].name.lower())
        for name in found[1]:
            value = None if value is None else ExtractValue(value, Literal(name, StringType()))
        return value

    def means(self, column: Column, node: Relation) -> bool:
        if column.plan_id is None and len(column.parts) == 1:
            return column.parts[0].lower() in map(str.lower, self.of(node))
        return self._found(column, node) is not None

    def _found(self, column: Column, node: Relation) -> tuple[Attribute, tuple[str, ...]] | None:
        attributes = self.columns(node)
        if column.plan_id is None:
            try:
                return Scope(tuple(attributes)).find(column.parts)
            except AnalysisError:
                return None
        name = column.parts[0].lower()
        of_plan = [one for one in attributes if column.plan_id in one.plan_ids and one.name.lower() == name]
        return (of_plan[0], column.parts[1:]) if len(of_plan) == 1 else None

    # ── what columns are made of ────────────────────────────────────────────────────────────────────────────

    def values(self, node: Relation) -> Values:
        """What a relation's columns are over its input; those that are left out have no simple meaning below."""
        if isinstance(node, Project):
            return {} if _is_fixed(node.expressions) else self._projected(node.expressions, node.input)
        if isinstance(node, WithColumns):
            made = {} if _is_fixed(node.aliases) else self._projected(node.aliases, node.input)
            over = {name.lower() for one in node.aliases for name in one.names}
            return {} if _is_fixed(node.aliases) else {**self._passed(node.input, over), **made}
        if isinstance(node, WithColumnsRenamed | ToDF) or renames(node):
            return self.by_place(self.of(node), node.input)  # type: ignore[attr-defined]
        if isinstance(node, GeneratorJoin):
            return self._passed(node.input, {name.lower() for name in node.columns})
        if isinstance(node, Drop):
            kept = {name.lower() for name in self.of(node)}
            return {one: one for one in self._unique(node.input).values() if one.parts[0].lower() in kept}
        if isinstance(node, Aggregate) and node.kind == "groupby" and node.having is None:
            return self._grouped(node)
        return {}

    def _passed(self, node: Relation, but: set[str]) -> dict[Column, Expression]:
        return {one: one for name, one in self._unique(node).items() if name not in but}

    def _projected(self, expressions: Sequence[Expression], node: Relation) -> dict[Column, Expression]:
        made: dict[Column, Expression] = {}
        for one in expressions:
            name = _name(one)
            if isinstance(one, Star):
                made |= self._passed(node, set()) if one == Star() else {}
            elif name:
                value = self.bare(_made(one), node)
                made |= {Column((name,)): value} if value is not None else {}
        return made

    def by_place(self, names: Sequence[str], node: Relation) -> dict[Column, Expression]:
        unique, inner = self._unique(node), self.of(node)
        if len(names) != len(inner):
            return {}
        pairs = ((Column((name,)), unique.get(other.lower())) for name, other in zip(names, inner, strict=True))
        return {name: value for name, value in pairs if value is not None}

    def _grouped(self, node: Aggregate) -> Values:
        """The columns that are grouped by. A filter of groups is one of their rows."""
        keys = [_made(one) for one in node.grouping]
        shown = [*(node.grouping if node.output_grouping else ()), *node.aggregates]
        by_all = len(keys) == 1 and isinstance(keys[0], Column) and keys[0].parts[0].lower() == "all"
        whole = by_all and "all" not in map(str.lower, self.of(node.input))
        return self._projected([one for one in shown if whole or _made(one) in keys], node.input)


def by_meaning(part: Expression, meaning: Callable[[Column], Expression | None]) -> Expression | None:
    """The condition with each column as what it means; None if there is none, or it names no column."""
    meant = {column: meaning(column) for column in columns(part)}
    if not meant or any(one is None for one in meant.values()):
        return None
    return put(part, {column: one for column, one in meant.items() if one is not None})


def put(part: Expression, values: Values) -> Expression:
    def change(node: Node) -> Node:
        return values[node] if isinstance(node, Column) else node.map_children(change)

    changed = change(part)
    assert isinstance(changed, Expression)
    return changed


def renames(node: Relation) -> bool:
    return isinstance(node, SubqueryAlias) and len(node.columns) > 0


def _name(expression: Expression) -> str:
    """The name of a column as it is written; empty if that does not tell."""
    if isinstance(expression, Alias) and len(expression.names) == 1:
        return expression.names[0]
    return expression.parts[-1] if isinstance(expression, Column) else ""


def _made(expression: Expression) -> Expression:
    return expression.child if isinstance(expression, Alias) else expression


def _is_fixed(expressions: Iterable[Expression]) -> bool:
    """Whether rows may not be left out before a projection: it counts them, or makes several of one."""
    return any(random(one) or is_generator(one) for one in expressions)
