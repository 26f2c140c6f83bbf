"""An unfinished SELECT: rows (source, joins, where, order, limit) and the columns made of them.

Adjacent projections and filters are merged into one SELECT as long as that repeats no costly or volatile
expression and keeps expressions shallow; otherwise the frame is closed: it becomes the source of a new one.

Invariants: a frame never changes; every slot's `sql` is over the source's columns (`t1.a`), so slots, where and order
stay valid whatever other slots are taken; attribute names (`sql`) are unique in the whole statement and
name the same value wherever they appear.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from sqlglot import exp

from headwater.compile.resolved import Attribute, Resolved
from headwater.plan.relations import FILE_COLUMN

_SHARED_NODES = 60
_MERGED_NODES = 150
_WIDE = 20
_CHEAP = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Neg, exp.Not, exp.Binary, exp.Cast,
    exp.DataType, exp.DataTypeParam, exp.Case, exp.If, exp.Coalesce, exp.In, exp.Between,
)  # fmt: skip
_VOLATILE = {"random", "uuid", "gen_random_uuid", "nextval", "now", "get_current_timestamp"}
_ATOMS = (exp.Column, exp.Paren, exp.Func, exp.Cast, exp.Boolean, exp.Null, exp.Subquery, exp.Array, exp.Struct)


class Shape(NamedTuple):
    """What a slot's expression is made of.

    Attributes:
        nodes: size of the tree.
        plain: a column or a literal: free to repeat.
        cheap: only arithmetic, logic and casts: may be repeated when small.
        windowed: has a window function, so rows must not be filtered beneath it.
        volatile: gives another value each time it is computed.
    """

    nodes: int
    plain: bool
    cheap: bool
    windowed: bool
    volatile: bool


_PLAIN = Shape(1, True, True, False, False)


def shape_of(tree: exp.Expr) -> Shape:
    """The shape of an expression tree."""
    if isinstance(tree, exp.Column | exp.Literal | exp.Boolean | exp.Null):
        return _PLAIN
    nodes, cheap, windowed, volatile = 0, True, False, False
    for node in tree.walk():
        nodes += 1
        if isinstance(node, _CHEAP):
            continue
        cheap = False
        windowed = windowed or isinstance(node, exp.Window)
        if isinstance(node, exp.Anonymous):
            volatile = volatile or str(node.this).lower() in _VOLATILE
        volatile = volatile or isinstance(node, exp.Rand | exp.Uuid)
    plain = isinstance(tree, exp.Cast) and isinstance(tree.this, exp.Literal | exp.Null)
    return Shape(nodes, plain, cheap, windowed, volatile)


class Slot(NamedTuple):
    """One output column: what Spark sees, its expression over the frame's source, and the expression's shape."""

    attribute: Attribute
    sql: exp.Expression
    shape: Shape = _PLAIN


class Item(NamedTuple):
    """A column to project: `sql` is over attribute names; None passes the column of the same name through."""

    attribute: Attribute
    sql: exp.Expression | None = None


def reference(attribute: Attribute) -> exp.Column:
    """A reference to an attribute by its unique name."""
    return exp.Column(this=exp.Identifier(this=attribute.sql, quoted=True))


def used_names(trees: Iterable[exp.Expr]) -> Counter[str]:
    """How often each attribute name is referred to."""
    return Counter(node.this.this for tree in trees for node in tree.find_all(exp.Column) if not node.args.get("table"))


def substitute(tree: exp.Expression, values: Mapping[str, exp.Expression]) -> exp.Expression:
    """A copy of `tree` with unqualified columns named in `values` replaced by their values."""
    if isinstance(tree, exp.Column):
        value = None if tree.args.get("table") else values.get(tree.this.this)
        return tree.copy() if value is None else value.copy()
    result = tree.copy()
    for column in list(result.find_all(exp.Column)):
        if column.args.get("table"):
            continue
        value = values.get(column.this.this)
        if value is not None:
            column.replace(atom(value.copy()))
    return result


def atom(tree: exp.Expression) -> exp.Expression:
    """`tree`, in parentheses unless it binds tighter than any operator."""
    if isinstance(tree, exp.Binary | exp.Window):
        return exp.Paren(this=tree)
    if isinstance(tree, (*_ATOMS, exp.Literal)):
        return tree
    return exp.Paren(this=tree)


@dataclass(frozen=True)
class Frame:
    """See the module. `hidden` are columns of the frame beneath that later sorts and filters may still name."""

    source: exp.Expression | None
    slots: tuple[Slot, ...]
    joins: tuple[exp.Join, ...] = ()
    where: tuple[exp.Expression, ...] = ()
    order: tuple[exp.Ordered, ...] = ()
    limit: int | None = None
    offset: int = 0
    hidden: tuple[Slot, ...] = ()
    whole: tuple[str, ...] = ()
    """All columns of the source, in order, if it is one subquery of ours."""
    merged: frozenset[str] = frozenset()
    """Of a join with USING: the key columns of both sides, which stay in reach when hidden."""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    streaming: bool = False
    grouped: Any = None
    """Of an aggregation just made: its pieces (`relations.aggregate.Grouped`), for sorts that aggregate more."""

    @cached_property
    def attributes(self) -> tuple[Attribute, ...]:
        """The output columns as Spark sees them."""
        return tuple(slot.attribute for slot in self.slots)

    @cached_property
    def by_sql(self) -> dict[str, Slot]:
        """Visible and hidden slots by unique name."""
        return {slot.attribute.sql: slot for slot in (*self.hidden, *self.slots)}

    @property
    def limited(self) -> bool:
        """Whether rows are cut off."""
        return self.limit is not None or self.offset > 0

    @cached_property
    def windowed(self) -> bool:
        """Whether a column depends on rows that a filter would take away."""
        return any(slot.shape.windowed for slot in self.slots)

    # ── out ─────────────────────────────────────────────────────────────────────────────────────────────────

    def select(self, columns: Sequence[exp.Expression] | None = None) -> exp.Select:
        """The SELECT, of its slots or of other columns over its source; of nothing: one column of NULLs."""
        if columns is None:
            columns = self._columns()
        query = exp.Select(expressions=list(columns) or [exp.alias_(exp.Null(), "nothing", quoted=True)])
        if self.source is not None:
            query.set("from_", exp.From(this=self.source))
        if self.joins:
            query.set("joins", list(self.joins))
        if self.where:
            query.set("where", exp.Where(this=conjunction(self.where)))
        if self.order:
            query.set("order", exp.Order(expressions=list(self.order)))
        if self.limit is not None:
            query.set("limit", exp.Limit(expression=exp.Literal.number(self.limit)))
        if self.offset:
            query.set("offset", exp.Offset(expression=exp.Literal.number(self.offset)))
        return query

    def _columns(self) -> list[exp.Expression]:
        """The select list; where a wide source comes through whole and first, `alias.*` keeps the text short."""
        width = len(self.whole)
        shared = [slot.attribute.sql for slot in self.slots[:width]]
        if width <= _WIDE or tuple(shared) != self.whole or not all(_bare(s) for s in self.slots[:width]):
            return [_aliased(slot) for slot in self.slots]
        table = self.slots[0].sql.args["table"]
        every = exp.Column(this=exp.Star(), table=table.copy())
        return [every, *(_aliased(slot) for slot in self.slots[width:])]

    def resolved(self) -> Resolved:
        """The finished relation."""
        return Resolved(self.select(), self.attributes, self.inputs, self.streaming)

    def closed(self, alias: str) -> Frame:
        """The same rows and columns, with this frame as a subquery named `alias`."""
        files = self.file_slots()
        if not files:
            return self.over(self.select(), alias, self.attributes)
        wider = replace(self, slots=(*self.slots, *files))
        frame = self.over(wider.select(), alias, self.attributes)
        return replace(frame.with_hidden(slots_of([s.attribute for s in files], alias)), whole=())

    def with_hidden(self, slots: Sequence[Slot]) -> Frame:
        """The frame with columns that can be named everywhere above but are no part of `*`."""
        return replace(self, hidden=tuple(slots), merged=frozenset(slot.attribute.sql for slot in slots))

    def file_slots(self) -> tuple[Slot, ...]:
        """The hidden columns of file reads; they stay in reach above subqueries and aliases."""
        return tuple(s for s in self.hidden if s.attribute.name == FILE_COLUMN and s.attribute.sql in self.merged)

    def over(self, query: exp.Query, alias: str, attributes: Sequence[Attribute]) -> Frame:
        """A frame over `query`, which selects `attributes` under their unique names."""
        return Frame(
            derived(query, alias),
            slots_of(attributes, alias),
            whole=tuple(a.sql for a in attributes),
            inputs=self.inputs,
            streaming=self.streaming,
        )

    # ── merging ─────────────────────────────────────────────────────────────────────────────────────────────

    def values(self) -> dict[str, exp.Expression]:
        """The expressions to substitute for attribute names."""
        return {name: slot.sql for name, slot in self.by_sql.items()}

    def accepts(self, items: Sequence[Item]) -> bool:
        """Whether `items` can be computed in this SELECT without repeating costly work."""
        made = [item.sql for item in items if item.sql is not None]
        if self.limited and any(node for tree in made for node in tree.find_all(exp.Window)):
            return False
        uses = used_names(made)
        if all(self.by_sql[name].shape.plain for name in uses if name in self.by_sql):
            return True
        bare = {item.attribute.sql for item in items if item.sql is None}
        return all(self._mergeable(name, count, name in bare) for name, count in uses.items() if name in self.by_sql)

    def _mergeable(self, name: str, count: int, also_bare: bool) -> bool:
        shape = self.by_sql[name].shape
        if shape.plain:
            return True
        if shape.windowed or shape.volatile or shape.nodes > _MERGED_NODES:
            return False
        return (count == 1 and not also_bare) or (shape.cheap and shape.nodes <= _SHARED_NODES)

    def filterable(self, conditions: Sequence[exp.Expression]) -> bool:
        """Whether `conditions` can join this SELECT's WHERE."""
        if self.limited or self.windowed or self.source is None:
            return False
        shapes = [self.by_sql[name].shape for name in used_names(conditions) if name in self.by_sql]
        return all(shape.plain or (shape.cheap and shape.nodes <= _SHARED_NODES) for shape in shapes)

    def projected(self, items: Sequence[Item]) -> Frame:
        """This frame with other columns; only if it `accepts` them."""
        values = self.values()
        slots = tuple(self._slot(item, values) for item in items)
        return replace(self, slots=slots, hidden=self._left_behind(slots), grouped=None)

    def _left_behind(self, slots: Sequence[Slot]) -> tuple[Slot, ...]:
        """What a projection to `slots` takes out of sight; a nearer name hides a farther one."""
        seen = {slot.attribute.sql for slot in slots}
        near = [slot for slot in self.slots if slot.attribute.sql not in seen]
        names = {slot.attribute.name.lower() for slot in near}
        seen.update(slot.attribute.sql for slot in near)
        far = [s for s in self.hidden if s.attribute.sql not in seen and s.attribute.name.lower() not in names]
        return (*near, *far)

    def _slot(self, item: Item, values: Mapping[str, exp.Expression]) -> Slot:
        if item.sql is None:
            known = self.by_sql[item.attribute.sql]
            return known if known.attribute is item.attribute else known._replace(attribute=item.attribute)
        tree = substitute(item.sql, values)
        return Slot(item.attribute, tree, shape_of(tree))

    def renamed(self, attributes: Sequence[Attribute]) -> Frame:
        """The same columns under other Spark attributes (same unique names and order); files' columns stay hidden."""
        slots = tuple(slot._replace(attribute=a) for slot, a in zip(self.slots, attributes, strict=True))
        qualifiers = attributes[0].qualifiers if attributes else ()
        files = [s._replace(attribute=replace(s.attribute, qualifiers=qualifiers)) for s in self.file_slots()]
        return replace(self, slots=slots, hidden=tuple(files), grouped=None)


def _bare(slot: Slot) -> bool:
    return isinstance(slot.sql, exp.Column) and bool(slot.sql.this.this == slot.attribute.sql)


def _aliased(slot: Slot) -> exp.Alias:
    return exp.Alias(this=slot.sql, alias=exp.Identifier(this=slot.attribute.sql, quoted=True))


def derived(query: exp.Query, alias: str) -> exp.Subquery:
    """`(query) AS alias`."""
    return exp.Subquery(this=query, alias=exp.TableAlias(this=exp.Identifier(this=alias, quoted=True)))


def column_of(alias: str, name: str) -> exp.Column:
    """`alias.name`."""
    return exp.Column(this=exp.Identifier(this=name, quoted=True), table=exp.Identifier(this=alias, quoted=True))


def slots_of(attributes: Iterable[Attribute], alias: str) -> tuple[Slot, ...]:
    """Slots that pass the columns of a source named `alias` through."""
    return tuple(Slot(attribute, column_of(alias, attribute.sql)) for attribute in attributes)


def conjunction(conditions: Sequence[exp.Expression]) -> exp.Expression:
    """`a AND b AND …`, balanced, so that many conditions stay shallow."""
    if len(conditions) == 1:
        return conditions[0]
    middle = len(conditions) // 2
    return exp.And(this=_term(conditions[:middle]), expression=_term(conditions[middle:]))


def _term(conditions: Sequence[exp.Expression]) -> exp.Expression:
    return atom(conditions[0]) if len(conditions) == 1 else conjunction(conditions)
