"""What a read may know of the conditions above it: Delta tables leave out files by them (`lake.pruning`), Python data
sources are offered them (`spark.sql.python.filterPushdown.enabled`).

A condition is carried down as its conjuncts, each in the names of the relation it has come to. One whose names cannot
be followed (it is computed on the way, or may be of either side of a join) is left behind.

Invariants: the plan keeps its filters, so a read that makes nothing of them changes no result; a conjunct given to a
read holds for every row of it that reaches the result.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from headwater.lake.pruning import conjuncts
from headwater.plan.expressions import Alias, Call, Cast, Column, Expression, ExtractValue, Literal, Star
from headwater.plan.node import Node
from headwater.plan.relations import (
    Drop,
    Filter,
    Hint,
    Join,
    OneRow,
    Project,
    ReadSource,
    ReadTable,
    Relation,
    Repartition,
    Sort,
    SubqueryAlias,
    UnboundSQL,
    WithColumns,
    WithColumnsRenamed,
)

if TYPE_CHECKING:
    from headwater.sessions.session import Session

_ENABLED = "spark.sql.python.filterPushdown.enabled"
_SIMPLE = (Literal, Column, Call, Cast, ExtractValue)
_FROM_ABOVE = {
    "left": ("inner", "cross", "left_outer", "left_semi", "left_anti"),
    "right": ("inner", "cross", "right_outer"),
}
_FROM_ON = {
    "left": ("inner", "cross", "right_outer", "left_semi"),
    "right": ("inner", "cross", "left_outer", "left_semi", "left_anti"),
}

Conditions = tuple[Expression, ...]


def with_filters(plan: Relation, session: Session, above: Conditions = ()) -> Relation:
    """The plan, its reads knowing the conditions over them; `above` are conditions over the plan itself."""
    return cast(Relation, _Pusher(session).push(plan, above))


def unqualified(conditions: Conditions, name: tuple[str, ...]) -> Conditions:
    """Conditions over a relation of that (multi-part) name as conditions over what it stands for."""
    return _each(conditions, lambda column: _without_qualifier(column, name))


def of_target(on: Expression, source: Relation, table: tuple[str, ...], alias: str | None) -> Conditions:
    """What a merge's condition asks of the columns of its target alone."""
    target: Relation = ReadTable(table) if alias is None else SubqueryAlias(ReadTable(table), alias)
    found = tuple(filter(_simple, conjuncts(on)))
    if not isinstance(source, OneRow):
        sides = _Side(target), _Side(source)
        found = tuple(one for one in found if sides[0].owns(one, sides[1]))
    return unqualified(found, table if alias is None else (alias,))


class _Pusher:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._offers = (session.settings.lookup(_ENABLED) or "false").lower() == "true"

    def push(self, node: Node, known: Conditions) -> Node:
        """The node, its reads knowing what is `known` of the node's rows."""
        if isinstance(node, ReadSource):
            return replace(node, filters=known) if known and self._wants(node) else node
        if isinstance(node, ReadTable):
            return replace(node, filters=known) if known and not node.streaming else node
        if isinstance(node, UnboundSQL):
            opened = self._session.sql(node.query, dict(node.named), node.positional)
            return replace(cast(Relation, self.push(opened, known)), plan_id=node.plan_id)
        if isinstance(node, Join):
            return self._join(node, known)
        below = _below(node, known)
        if below is None:
            return node.map_children(lambda child: self.push(child, ()))
        above = cast(Filter, node)
        return above.map_children(lambda child: self.push(child, below if child is above.input else ()))

    def _wants(self, read: ReadSource) -> bool:
        offered = self._offers and self._session.data_sources.get(read.format) is not None
        return not read.streaming and (offered or read.format.lower() == "delta")

    def _join(self, join: Join, known: Conditions) -> Node:
        sides = {"left": _Side(join.left), "right": _Side(join.right)}
        on = tuple(filter(_simple, conjuncts(join.condition))) if join.condition is not None else ()

        def share(name: str, other: str) -> Conditions:
            if join.lateral and name == "right":
                return ()
            found = [*(known if join.kind in _FROM_ABOVE[name] else ()), *(on if join.kind in _FROM_ON[name] else ())]
            return tuple(one for one in found if sides[name].owns(one, sides[other]))

        left, right = share("left", "right"), share("right", "left")
        below = {id(join.left): left, id(join.right): right}
        return join.map_children(lambda child: self.push(child, below.get(id(child), ())))


class _Side:
    """One side of a join: the names and the DataFrames that columns can be of."""

    def __init__(self, relation: Relation) -> None:
        self._names = frozenset(_qualifiers(relation))
        self._plans = frozenset(node.plan_id for node in relation.walk() if isinstance(node, Relation)) - {None}

    def owns(self, condition: Expression, other: _Side) -> bool:
        """Whether the condition is about columns of this side alone."""
        columns = [node for node in condition.walk() if isinstance(node, Column)]
        return bool(columns) and all(self._has(column) and not other._has(column) for column in columns)

    def _has(self, column: Column) -> bool:
        if column.plan_id is not None:
            return column.plan_id in self._plans
        return len(column.parts) > 1 and column.parts[0].lower() in self._names


def _qualifiers(relation: Relation) -> Iterable[str]:
    if isinstance(relation, SubqueryAlias):
        yield relation.alias.lower()
    elif isinstance(relation, ReadTable):
        yield relation.parts[-1].lower()
    elif isinstance(relation, Join):
        yield from _qualifiers(relation.left)
        yield from _qualifiers(relation.right)
    elif isinstance(relation, Filter | Project | Sort | Hint | Repartition | WithColumns | WithColumnsRenamed | Drop):
        yield from _qualifiers(relation.input)


def _simple(condition: Expression) -> bool:
    """Whether it is of values alone: no subquery, no function of the user's."""
    return all(isinstance(node, _SIMPLE) for node in condition.walk())


def _below(node: Node, known: Conditions) -> Conditions | None:
    """What is known of the rows of the node's input; None if the node is not of the kind that passes conditions."""
    if isinstance(node, Filter):
        return (*filter(_simple, conjuncts(node.condition)), *known)
    if isinstance(node, SubqueryAlias) and not node.columns:
        return unqualified(known, (node.alias,))
    if isinstance(node, Sort | Hint | Repartition | Drop):
        return known
    if isinstance(node, Project | WithColumns | WithColumnsRenamed):
        outputs = _Outputs.of(node)
        return _each(known, outputs.source)
    return None


class _Outputs:
    """What the columns of a projection are in its input: a column, or None where it is computed."""

    def __init__(self, named: Iterable[tuple[str, Column | None]], *, rest: bool) -> None:
        self._rest = rest
        self._named: dict[str, Column | None] = {}
        for name, column in named:
            key = name.lower()
            self._named[key] = None if key in self._named else column

    @classmethod
    def of(cls, node: Project | WithColumns | WithColumnsRenamed) -> _Outputs:
        """The columns of a node; `rest`: it keeps those of its input that it does not name."""
        if isinstance(node, WithColumnsRenamed):
            olds = [(old, None) for old, _ in node.renames]
            news = [(new, Column((old,))) for old, new in node.renames if new.lower() != old.lower()]
            return cls([*olds, *news], rest=True)
        found = node.aliases if isinstance(node, WithColumns) else node.expressions
        stars = [each for each in found if isinstance(each, Star)]
        if any(star.target or star.except_ for star in stars):
            return cls((), rest=False)
        return cls([pair for each in found for pair in _named(each)], rest=bool(stars) or isinstance(node, WithColumns))

    def source(self, column: Column) -> Column | None:
        """The column of the input that a column of the output is."""
        first, last = column.parts[0].lower(), column.parts[-1].lower()
        if column.plan_id is not None or (first not in self._named and len(column.parts) > 1):
            # Of a DataFrame, or qualified: the same column below if nothing of that name is made here.
            here = self._named.get(last)
            plain = here is not None and here.parts[-1].lower() == last
            return column if plain or (self._rest and last not in self._named) else None
        if first not in self._named:
            return column if self._rest else None
        found = self._named[first]
        return None if found is None else replace(found, parts=(*found.parts, *column.parts[1:]))


def _named(expression: Expression) -> Iterable[tuple[str, Column | None]]:
    """The output columns that an expression of a select list makes, or may make."""
    if isinstance(expression, Column):
        yield expression.parts[-1], expression
    elif isinstance(expression, Alias):
        plain = expression.child if isinstance(expression.child, Column) and len(expression.names) == 1 else None
        yield from ((name, plain) for name in expression.names)
    else:
        # It may be named after a column or a field in it, as a cast is.
        for node in expression.walk():
            if isinstance(node, Column):
                yield node.parts[-1], None
            elif isinstance(node, Literal) and isinstance(node.value, str):
                yield node.value, None


def _without_qualifier(column: Column, name: tuple[str, ...]) -> Column:
    parts = tuple(part.lower() for part in column.parts)
    ends = [tuple(part.lower() for part in name[start:]) for start in range(len(name))]
    taken = [len(end) for end in ends if len(parts) > len(end) and parts[: len(end)] == end]
    return replace(column, parts=column.parts[max(taken) :]) if taken else column


def _each(conditions: Conditions, change: Callable[[Column], Column | None]) -> Conditions:
    """The conditions with their columns changed, without those of which a column has no counterpart."""
    changed = (_changed(condition, change) for condition in conditions)
    return tuple(condition for condition in changed if condition is not None)


def _changed(condition: Expression, change: Callable[[Column], Column | None]) -> Expression | None:
    lost = False

    def visit(node: Node) -> Node:
        nonlocal lost
        if isinstance(node, Column):
            found = change(node)
            lost = lost or found is None
            return found or node
        return node.map_children(visit)

    result = cast(Expression, visit(condition))
    return None if lost else result
