"""Filters where Spark's optimizer puts them: below watermarks, projections, aggregations and joins, as far as they go.

A row that a filter drops below a watermark does not move it; one that it drops below an operator is neither counted
nor kept by it. So it shows where a filter stands (`PushDownPredicates`, `PushPredicateThroughJoin`), which ones follow
from a join's condition (`InferFiltersFromConstraints`), and which outer joins a filter above makes inner
(`EliminateOuterJoin`).

While it moves, a condition names columns by their bare names, each of one column only; in a join, by side and name.

Invariants: the rows and columns of the plan stay the same; a condition that may mean something else below stays where
it is; only relations that read a stream are changed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from pyspark.sql.types import BooleanType

from headwater.compile.resolved import Attribute
from headwater.plan.expressions import Call, Column, Expression, Literal
from headwater.plan.node import Node
from headwater.plan.relations import (
    Filter,
    Hint,
    Join,
    Relation,
    Repartition,
    SetOperation,
    Sort,
    SubqueryAlias,
    WithWatermark,
)
from headwater.streaming.bare_names import MAKES_COLUMNS, SAME_COLUMNS, BareNames, Values, by_meaning, put, renames
from headwater.streaming.predicates import (
    all_of,
    columns,
    conjuncts,
    is_not_null,
    missing,
    movable,
    never_null,
    random,
    refuses_nulls,
    renamed,
    with_implied,
)

_LETS_THROUGH = (SubqueryAlias, Repartition, Hint, Sort)
_BOTH = ("left", "right")
_INFERRED = {"left_outer": ("right",), "left_anti": ("right",), "right_outer": ("left",), "full_outer": ()}
"""Where a join's own condition may be asked of one side alone; not listed: on both."""
_KEPT = {
    "left_outer": ("left",),
    "left_semi": ("left",),
    "left_anti": ("left",),
    "right_outer": ("right",),
    "full_outer": (),
}
"""Where a filter above a join may be asked below; not listed: on both."""


class FilterPushdown:
    """Moves the filters of one plan.

    Args:
        plan: the plan as it was; the DataFrames that its expressions name keep a place in it.
        streams: whether a stream is below a relation.
        attributes: the columns of a relation.
    """

    def __init__(
        self, plan: Relation, streams: Callable[[Node], bool], attributes: Callable[[Relation], Sequence[Attribute]]
    ) -> None:
        self._streams = streams
        self._names = BareNames(attributes)
        named = (getattr(one, "plan_id", None) for one in plan.walk() if not isinstance(one, Relation))
        self._named = frozenset(one for one in named if one is not None)

    # ── from where filters start ────────────────────────────────────────────────────────────────────────────

    def filter(self, node: Filter) -> Relation:
        """A filter, moved as far as it goes."""
        bare = [(part, self._names.bare(part, node.input)) for part in conjuncts(node.condition)]
        moving = [one for _, one in bare if one is not None]
        moving += _not_nulls(one for one in moving if _names_several(one))
        staying = [part for part, one in bare if one is None]
        if isinstance(node.input, Join):
            below, rest = self._join(node.input, moving, staying)
            staying = []
        else:
            below, rest = self._below(node.input, moving)
        if below is node.input:
            return node
        rest = missing([*rest, *staying], [])
        return replace(node, input=below, condition=all_of(rest)) if rest else self._in_place_of(node, below)

    def join(self, node: Join) -> Relation:
        """A join, the one-sided parts of its condition and what follows from it below."""
        return self._join(node, [])[0]

    def _in_place_of(self, node: Relation, other: Relation) -> Relation:
        """Another relation that expressions may name as they named the node."""
        if node.plan_id is None or node.plan_id == other.plan_id or node.plan_id not in self._named:
            return other
        if other.plan_id is None or other.plan_id not in self._named:
            return replace(other, plan_id=node.plan_id)
        return Filter(other, Literal(True, BooleanType()), plan_id=node.plan_id)

    # ── the way down ────────────────────────────────────────────────────────────────────────────────────────

    def filtered(self, node: Relation, parts: Sequence[Expression]) -> Relation:
        """The rows of a relation for which conditions hold."""
        below, rest = self._below(node, parts)
        rest = missing(rest, [])
        return Filter(below, all_of(rest), plan_id=below.plan_id) if rest else below

    def _below(self, node: Relation, parts: Sequence[Expression]) -> tuple[Relation, list[Expression]]:
        """The relation with what can be asked below it, and what is left to ask; the same object if nothing can."""
        if isinstance(node, WithWatermark):
            time = node.event_time.split(".")[0].strip("`").lower()
            early = [part for part in parts if all(one.parts[0].lower() != time for one in columns(part))]
            return self._moved(node, early), [part for part in parts if part not in early]
        if isinstance(node, Join):
            return self._join(node, parts)
        if isinstance(node, SetOperation):
            return self._union(node, parts)
        if isinstance(node, Filter):
            return self._below_filter(node, parts)
        if isinstance(node, _LETS_THROUGH) and not renames(node):
            return self._moved(node, parts), []
        values = self._names.values(node)
        pairs = [(part, _replaced(part, values)) for part in parts]
        early = [one for _, one in pairs if one is not None]
        return self._moved(node, early), [part for part, one in pairs if one is None]

    def _below_filter(self, node: Filter, parts: Sequence[Expression]) -> tuple[Relation, list[Expression]]:
        """Below a filter too, or with it; not below one that is random."""
        if random(node.condition) or not parts:
            return node, list(parts)
        below, rest = self._below(node.input, parts)
        return replace(node, input=below, condition=all_of(missing([*conjuncts(node.condition), *rest], []))), []

    def _moved(self, node: Relation, parts: Sequence[Expression]) -> Relation:
        return replace(node, input=self.filtered(node.input, parts)) if parts else node  # type: ignore[attr-defined, call-arg]

    def _union(self, node: SetOperation, parts: Sequence[Expression]) -> tuple[Relation, list[Expression]]:
        """A filter of all rows is one of either side's, if their columns are of the same types."""
        if node.kind != "union" or not node.all or node.by_name or not self._alike(node):
            return node, list(parts)
        values = self._names.by_place(self._names.of(node.left), node.right)
        pairs = [(part, _replaced(part, values)) for part in parts]
        both = [(part, one) for part, one in pairs if one is not None]
        if not both:
            return node, list(parts)
        left = self.filtered(node.left, [part for part, _ in both])
        right = self.filtered(node.right, [one for _, one in both])
        return replace(node, left=left, right=right), [part for part, one in pairs if one is None]

    def _alike(self, node: SetOperation) -> bool:
        left, right = self._names.columns(node.left), self._names.columns(node.right)
        return len(left) > 0 and [one.type for one in left] == [one.type for one in right]

    # ── joins ───────────────────────────────────────────────────────────────────────────────────────────────

    def _join(
        self, node: Join, parts: Sequence[Expression], unnamed: Sequence[Expression] = ()
    ) -> tuple[Relation, list[Expression]]:
        """As `_below`; `unnamed` are conditions right above, on columns that have no bare name in the join's output."""
        if node.lateral or node.natural:
            return node, [*parts, *unnamed]
        outputs = self._outputs(node)
        above = [(part, renamed(part, outputs)) for part in parts]
        above += [(part, self._sided(part, node)) for part in unnamed]
        kind = _without_outer_rows(node.kind, [one for _, one in above if one is not None])
        asked = [one for _, one in above if one is not None and self._may_move(one, kind, node)]
        condition = [] if node.condition is None else conjuncts(node.condition)
        own = [(part, self._sided(part, node)) for part in condition]
        known = [*(one for _, one in own if one is not None), *asked, *map(_equal, node.using)]
        early = [one for _, one in own if one and self._side(one, node) in _INFERRED.get(kind, _BOTH)]
        late = [part for part, one in own if one not in early]
        late += [part for part, one in above if one in asked and self._side(one, node) is None]
        left, right = self._sides(node, [*asked, *early], known, _INFERRED.get(kind, _BOTH))
        if left is node.left and right is node.right and kind == node.kind and not asked:
            return node, [*parts, *unnamed]
        made = replace(node, left=left, right=right, condition=all_of(late) if late else None)
        made = replace(made, kind="inner" if kind == "cross" and late else kind)  # type: ignore[arg-type]
        return made, [part for part, one in above if one not in asked]

    def _sides(
        self, node: Join, asked: Sequence[Expression], known: Sequence[Expression], inferred: Sequence[str]
    ) -> list[Relation]:
        """The sides of a join, filtered by what is asked of each and, if they may be, by what follows from it all."""
        sides = {side: self._asked(node, side, asked) for side in _BOTH}
        implied = with_implied([*known, *(one for side in _BOTH for one in _of_side(side, self.known(sides[side])))])
        implied += _not_nulls(implied)
        for side in inferred:
            if self._streams(getattr(node, side)):
                sides[side] = self.filtered(sides[side], missing(_alone(side, implied), self.known(sides[side])))
        return [sides[side] for side in _BOTH]

    def _may_move(self, part: Expression, kind: str, node: Join) -> bool:
        """Whether a filter above a join may be asked by the join or below it."""
        side = self._side(part, node)
        if side is None:  # in its condition, where the shared columns of USING have no name of their own
            return kind in ("inner", "cross") and not node.using
        return side in _KEPT.get(kind, _BOTH)

    def _side(self, part: Expression, node: Join) -> str | None:
        """The streaming side that a condition is about alone."""
        sides = {one.parts[0] for one in columns(part)}
        side = sides.pop() if len(sides) == 1 else None
        return side if side is not None and self._streams(getattr(node, side)) else None

    def _asked(self, node: Join, side: str, parts: Sequence[Expression]) -> Relation:
        relation: Relation = getattr(node, side)
        own = [part for part in parts if self._side(part, node) == side]
        return self.filtered(relation, _alone(side, own)) if own else relation

    def _outputs(self, node: Join) -> dict[Column, Column]:
        """What the columns of a join are: the shared ones once and first, of the side that always has them."""
        using = [name.lower() for name in node.using]
        first = "right" if node.kind == "right_outer" else "left"
        sides = ("left",) if node.kind in ("left_semi", "left_anti") else _BOTH
        found = [] if node.kind == "full_outer" else [(name, first) for name in node.using]
        for side in sides:
            found += [(name, side) for name in self._names.of(getattr(node, side)) if name.lower() not in using]
        counted = Counter(name.lower() for name, _ in found)
        return {Column((name,)): Column((side, name)) for name, side in found if counted[name.lower()] == 1}

    def _sided(self, part: Expression, node: Join) -> Expression | None:
        """A join's condition by side and name."""
        return by_meaning(part, lambda column: self._of_one_side(column, node)) if movable(part) else None

    def _of_one_side(self, column: Column, node: Join) -> Expression | None:
        sides = {"left": node.left, "right": node.right}
        apart = column.plan_id is not None and node.left.plan_id != node.right.plan_id
        direct = [side for side, relation in sides.items() if apart and relation.plan_id == column.plan_id]
        found = direct or [side for side, relation in sides.items() if self._names.means(column, relation)]
        bare = self._names.bare(column, sides[found[0]]) if len(found) == 1 else None
        return None if bare is None else _of_side(found[0], [bare])[0]

    # ── what is known of the rows ───────────────────────────────────────────────────────────────────────────

    def known(self, node: Relation) -> list[Expression]:
        """Conditions that hold for all rows of a relation, by its bare names."""
        if isinstance(node, Join):
            return self._known_of_join(node)
        parts = conjuncts(node.condition) if isinstance(node, Filter) else []
        own = [self._names.bare(part, node.input) for part in parts]  # type: ignore[attr-defined]
        below = self.known(node.input) if isinstance(node, (*SAME_COLUMNS, *MAKES_COLUMNS)) else []
        if not below or not (isinstance(node, MAKES_COLUMNS) or renames(node)):
            return [*(one for one in own if one is not None), *below]
        values = list(self._names.values(node).items())
        names = {value: name for name, value in reversed(values) if isinstance(value, Column)}
        return [one for part in below for one in [renamed(part, names)] if one is not None]

    def _known_of_join(self, node: Join) -> list[Expression]:
        sides = _KEPT.get(node.kind, _BOTH)
        known = [one for side in sides for one in _of_side(side, self.known(getattr(node, side)))]
        if node.kind in ("inner", "cross", "left_semi") and node.condition is not None:
            known += [one for part in conjuncts(node.condition) for one in [self._sided(part, node)] if one is not None]
        names = {value: name for name, value in self._outputs(node).items()}
        return [one for part in known for one in [renamed(part, names)] if one is not None]


def _names_several(part: Expression) -> bool:
    return len(set(columns(part))) > 1


def _not_nulls(parts: Iterable[Expression]) -> list[Expression]:
    return [is_not_null(column) for part in list(parts) for column in never_null(part)]


def _replaced(part: Expression, values: Values) -> Expression | None:
    return put(part, values) if all(column in values for column in columns(part)) else None


def _of_side(side: str, parts: Sequence[Expression]) -> list[Expression]:
    """Conditions over one side of a join by side and name."""
    return [put(part, {column: Column((side, *column.parts)) for column in columns(part)}) for part in parts]


def _alone(side: str, parts: Sequence[Expression]) -> list[Expression]:
    """The conditions about one side alone, by its bare names."""
    own = [part for part in parts if {column.parts[0] for column in columns(part)} == {side}]
    return [put(part, {column: Column(column.parts[1:]) for column in columns(part)}) for part in own]


def _equal(name: str) -> Expression:
    return Call("==", (Column(("left", name)), Column(("right", name))))


def _without_outer_rows(kind: str, parts: Sequence[Expression]) -> str:
    """What a join is if rows without a match on a side that a condition above asks about are dropped anyway."""
    sides = {side for side in _BOTH for part in _alone(side, parts) if refuses_nulls(part)}
    if kind == "full_outer":
        return {("left",): "left_outer", ("right",): "right_outer", _BOTH: "inner"}.get(tuple(sorted(sides)), kind)
    dropped = {"left_outer": "right", "right_outer": "left"}.get(kind)
    return "inner" if dropped in sides else kind
