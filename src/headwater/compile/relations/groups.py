"""Groups of rows: their keys, the aggregate calls over them, and expressions over both.

Invariants: equal aggregate calls are computed once; an expression that uses a column which is neither key nor
aggregated is MISSING_AGGREGATION.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from pyspark.sql.types import DataType, NullType
from sqlglot import exp

from headwater.compile.aggregates import function_of, has_aggregate, is_aggregate, rewrite
from headwater.compile.compiler import Compiler
from headwater.compile.frame import Frame, Item, derived, reference, slots_of
from headwater.compile.outputs import Output, item_of
from headwater.compile.relations.sessions import merged_sessions
from headwater.compile.resolved import Attribute
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError


@dataclass(frozen=True)
class Key:
    """A grouping key: its column in the grouped rows, and its expression over the child's columns."""

    attribute: Attribute
    sql: exp.Expression


@dataclass(frozen=True)
class State:
    """A DuckDB aggregate call over the child's columns, the name of its value in the grouped rows, and its type."""

    name: str
    call: exp.Expression
    type: DataType = field(default_factory=NullType)

    @property
    def distinct(self) -> bool:
        """Whether it is an aggregate of different values, whose states cannot be combined."""
        return self.call.find(exp.Distinct) is not None


@dataclass
class Grouped:
    """An aggregation being made: grows by the calls that outputs, HAVING and ORDER BY need."""

    base: Frame
    keys: list[Key]
    compiler: Compiler
    sets: exp.Expression | None = None
    visible: Scope | None = None
    session: Key | None = None
    """The key whose sessions are merged before rows are grouped."""

    def scope(self) -> Scope:
        """The names of the child's columns (without computed keys)."""
        return self.visible or self.compiler.scope(self.base)

    def __post_init__(self) -> None:
        self.states: dict[exp.Expression, State] = {}
        self._inner = {slot.attribute.sql: slot.attribute for slot in (*self.base.hidden, *self.base.slots)}

    def lift(self, tree: exp.Expression) -> exp.Expression:
        """The expression over keys and states. Raises MISSING_AGGREGATION, MISSING_GROUP_BY."""
        by_key = {key.sql: key for key in self.keys if not isinstance(key.sql, exp.Literal)}

        def change(node: exp.Expression) -> exp.Expression | None:
            key = by_key.get(node)
            if key is not None:
                return reference(key.attribute)
            if self.sets is None and is_grouping(node):
                raise AnalysisError("UNSUPPORTED_GROUPING_EXPRESSION")
            if is_aggregate(node):
                return exp.Column(this=exp.Identifier(this=self._state(node), quoted=True))
            if isinstance(node, exp.Column) and not node.args.get("table") and node.this.this in self._inner:
                raise self._missing(self._inner[node.this.this])
            return None

        return rewrite(tree, change)

    def _state(self, call: exp.Expression) -> str:
        found = self.states.get(call)
        if found is None:
            if any(has_aggregate(child) for child in function_of(call).iter_expressions()):
                raise AnalysisError("NESTED_AGGREGATE_FUNCTION")
            found = self.states[call] = State(self.compiler.fresh("s"), call)
        return found.name

    def _missing(self, attribute: Attribute) -> AnalysisError:
        if not self.keys:
            return AnalysisError("MISSING_GROUP_BY")
        return AnalysisError(
            "MISSING_AGGREGATION", expression=f'"{attribute.name}"', expressionAnyValue=f'"any_value({attribute.name})"'
        )

    def frame(self, items: Sequence[Item]) -> Frame:
        """The frame of the outputs; keys and states stay hidden beneath."""
        placeholder = NullType()
        states = [Item(Attribute(s.name, placeholder, True, s.name), s.call) for s in self.states.values()]
        keys = [Item(key.attribute, key.sql) for key in self.keys]
        base = self.compiler.closed(self.base) if self.base.limited or self.base.order else self.base
        if self.session is not None:
            others = [key.attribute for key in self.keys if key is not self.session]
            base = merged_sessions(base, self.session.attribute, others, self.compiler)
        inner = self.compiler.project(base, [*keys, *states])
        query = inner.select()
        if self.sets is not None:
            query.set("group", exp.Group(expressions=[self.sets]))
        elif keys:
            query.set("group", exp.Group(expressions=[exp.Literal.number(i + 1) for i in range(len(keys))]))
        elif not states:
            query = _one_row()
        alias = self.compiler.fresh("g")
        columns = [item.attribute for item in (*keys, *states)]
        grouped = Frame(
            derived(query, alias), slots_of(columns, alias), inputs=self.base.inputs, streaming=self.base.streaming
        )
        return replace(grouped.projected(items), grouped=self)


def _one_row() -> exp.Select:
    """An aggregation without keys and aggregates: one row, whatever the input."""
    return exp.Select(expressions=[exp.alias_(exp.Null(), "nothing", quoted=True)])


def is_grouping(node: exp.Expression) -> bool:
    """Whether it is a call of `grouping` or `grouping_id`."""
    return isinstance(node, exp.Anonymous) and node.this in {"grouping", "grouping_id"}


def lifted(grouped: Grouped, outputs: Sequence[Output], compiler: Compiler) -> list[Item]:
    """The outputs over keys and states."""
    keys = {key.attribute.sql for key in grouped.keys}
    items: list[Item] = []
    taken: set[str] = set()
    for output in outputs:
        tree = grouped.lift(output.typed.sql)
        same = output.same
        if same is not None and same.sql in keys and same.sql not in taken:
            taken.add(same.sql)
            items.append(Item(same))
        elif same is not None and isinstance(tree, exp.Column):
            items.append(_of_key(tree, same, grouped, taken, compiler))
        else:
            items.append(item_of(output, compiler)._replace(sql=tree))
    return items


def _of_key(tree: exp.Column, same: Attribute, grouped: Grouped, taken: set[str], compiler: Compiler) -> Item:
    key = next(k for k in grouped.keys if k.attribute.sql == tree.this.this)
    if key.attribute.sql not in taken and key.attribute.name == same.name:
        taken.add(key.attribute.sql)
        return Item(key.attribute)
    return Item(compiler.again(key.attribute, name=same.name), tree)
