"""One compilation: from a relation to a frame, with unique names, known types and the tables in scope.

Each relation has a handler in `compile/relations/`; a handler of a relation with one `input` is given that
input's frame. Chains of such relations are walked without recursion, so a thousand `withColumn` compile.

Invariants: an attribute's unique name is never given twice; `types` knows every attribute ever made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, TypeVar

from pyspark.sql.types import DataType, NullType
from sqlglot import exp

from headwater.compile.context import Context
from headwater.compile.frame import Frame, Item, derived, reference, slots_of, substitute, used_names
from headwater.compile.resolved import Attribute, Resolved
from headwater.compile.scope import Scope
from headwater.duck import Connection, sql_text
from headwater.errors import unsupported
from headwater.functions.base import Typed
from headwater.plan.expressions import Expression
from headwater.plan.relations import Relation, names_file_column
from headwater.types.duck import from_duck, to_duck

R = TypeVar("R", bound=Relation)
Handler = Callable[..., Frame]

_unary: dict[type[Relation], Handler] = {}
_other: dict[type[Relation], Handler] = {}
_RECURSION = 20_000


def on(kind: type[Relation]) -> Callable[[Handler], Handler]:
    """Decorator: compile relations of this class.

    The handler of a class with a field `input` is called (node, input frame, compiler), any other (node, compiler).
    """

    def enter(handler: Handler) -> Handler:
        (_unary if "input" in kind.__dataclass_fields__ else _other)[kind] = handler
        return handler

    return enter


class Compiler:
    """See the module.

    Args:
        context: the session.
    """

    def __init__(self, context: Context) -> None:
        self.context = context
        self.types: dict[str, DataType] = {}
        self.outputs: dict[int, list[tuple[Attribute, ...]]] = {}
        self.tables: Mapping[str, Callable[[Compiler], Frame]] = {}
        self.references: Mapping[int, Relation] = {}
        self.outer: Scope | None = None
        self.outward: list[str] = []
        """Names of outer columns met in the subquery being compiled."""
        self.inputs: dict[str, Any] = {}
        """Arrow inputs of subquery expressions."""
        self.file_column = False
        """Whether the plan names the hidden column of file reads."""
        self.ansi = context.settings.flag("spark.sql.ansi.enabled")
        self.fold = not context.settings.flag("spark.sql.caseSensitive")
        self._number = 0
        sys.setrecursionlimit(max(sys.getrecursionlimit(), _RECURSION))

    # ── names ───────────────────────────────────────────────────────────────────────────────────────────────

    def fresh(self, stem: str) -> str:
        """A name nothing else in the statement has."""
        self._number += 1
        return f"{stem[:40]}_{self._number}"

    def attribute(
        self, name: str, data_type: DataType, nullable: bool, metadata: Mapping[str, object] | None = None
    ) -> Attribute:
        """A new attribute under a fresh name."""
        made = Attribute(name, data_type, nullable, self.fresh(name), metadata=metadata or {})
        self.types[made.sql] = data_type
        return made

    def again(self, attribute: Attribute, **changes: Any) -> Attribute:
        """A new attribute like another one, under a fresh name."""
        made = replace(attribute, **{"origin": "", "sql": self.fresh(attribute.name), **changes})
        self.types[made.sql] = made.type
        return made

    def key(self, name: str) -> str:
        """A column name as it is compared."""
        return name.lower() if self.fold else name

    # ── relations ───────────────────────────────────────────────────────────────────────────────────────────

    def relation(self, relation: Relation) -> Frame:
        """The frame of a relation. Raises AnalysisError, UnsupportedError."""
        from headwater.compile.time_windows import with_time_windows

        chain = [relation]
        while type(chain[-1]) in _unary:
            chain.append(chain[-1].input)  # type: ignore[attr-defined]
        frame = self._noted(chain[-1], _other_handler(chain[-1])(chain.pop(), self))
        for node in reversed(chain):
            placed, frame = with_time_windows(node, frame, self)
            frame = self._noted(node, _unary[type(node)](placed, frame, self))
        return frame

    def apart(self, relation: Relation) -> Frame:
        """The frame of a view's plan: it sees neither common tables nor outer columns nor our DataFrames."""
        self.file_column = self.file_column or names_file_column(relation)
        kept = self.tables, self.references, self.outer, self.outputs
        self.tables, self.references, self.outer, self.outputs = {}, {}, None, {}
        try:
            return self.relation(relation)
        finally:
            self.tables, self.references, self.outer, self.outputs = kept

    def _noted(self, node: Relation, frame: Frame) -> Frame:
        if node.plan_id is not None:
            self.outputs.setdefault(node.plan_id, []).append(frame.attributes)
        return frame

    def leaf(self, resolved: Resolved, qualifier: tuple[str, ...] = ()) -> Frame:
        """A frame over a compiled relation, under fresh names."""
        alias = self.fresh("t")
        slots = []
        for slot in slots_of((*resolved.attributes, *resolved.hidden), alias):
            a = slot.attribute
            qualifiers = a.qualifiers or ((qualifier,) if qualifier else ())
            slots.append(slot._replace(attribute=self.again(a, qualifiers=qualifiers)))
        self.remember([slot.attribute for slot in slots])
        visible, hidden = tuple(slots[: len(resolved.attributes)]), tuple(slots[len(resolved.attributes) :])
        frame = Frame(derived(resolved.query, alias), visible, inputs=resolved.inputs, streaming=resolved.streaming)
        return frame.with_hidden(hidden) if hidden else frame

    def remember(self, attributes: Sequence[Attribute]) -> None:
        """Let the DataFrames below a cut name their columns above it."""
        for plan_id in {one for a in attributes for one in a.plan_ids}:
            self.outputs.setdefault(plan_id, []).append(tuple(a for a in attributes if plan_id in a.plan_ids))

    def cut(self, relation: Relation) -> Resolved:
        """As `resolved`, the attributes with their `plan_ids`."""
        made = self.resolved(relation)
        return replace(made, attributes=self.with_plans(made.attributes), hidden=self.with_plans(made.hidden))

    def with_plans(self, attributes: Iterable[Attribute]) -> tuple[Attribute, ...]:
        """The attributes with all the DataFrames they are columns of."""
        known: dict[str, set[int]] = {}
        for plan_id, outputs in self.outputs.items():
            for attribute in (a for output in outputs for a in output):
                known.setdefault(attribute.sql, set()).add(plan_id)
        return tuple(replace(a, plan_ids=a.plan_ids | frozenset(known.get(a.sql, ()))) for a in attributes)

    def closed(self, frame: Frame) -> Frame:
        """The frame as a subquery."""
        return frame.closed(self.fresh("t"))

    def project(self, frame: Frame, items: Sequence[Item]) -> Frame:
        """`SELECT items FROM frame`, merged into the frame's own SELECT where that is safe."""
        if not frame.accepts(items):
            hidden = [Item(slot.attribute) for slot in frame.hidden if slot.attribute.sql not in _names(frame)]
            wanted = used_names(item.sql or reference(item.attribute) for item in items)
            needed = [item for item in hidden if item.attribute.sql in wanted]
            kept = [*(Item(a) for a in frame.attributes), *needed]
            frame = self.closed(frame.projected(kept) if needed else frame)
        return frame.projected(items)

    def filter(self, frame: Frame, conditions: Sequence[exp.Expression]) -> Frame:
        """`SELECT * FROM frame WHERE conditions`."""
        if not frame.filterable(conditions):
            wanted = used_names(conditions)
            extra = [s for s in frame.hidden if s.attribute.sql in wanted and s.attribute.sql not in _names(frame)]
            attributes = frame.attributes
            if extra:
                frame = frame.projected([Item(a) for a in (*attributes, *(s.attribute for s in extra))])
                frame = self.closed(frame).projected([Item(a) for a in attributes])
            else:
                frame = self.closed(frame)
        values = frame.values()
        return replace(frame, where=(*frame.where, *(substitute(c, values) for c in conditions)))

    def resolved(self, relation: Relation) -> Resolved:
        """The finished relation, with what its subquery expressions bring."""
        self.file_column = names_file_column(relation)
        made = self.relation(relation).resolved()
        return replace(made, inputs={**self.inputs, **made.inputs}) if self.inputs else made

    # ── expressions ─────────────────────────────────────────────────────────────────────────────────────────

    def scope(self, frame: Frame, beneath: bool = False) -> Scope:
        """The names that expressions over a frame can use; `beneath`: also what its projection left out.

        Sorts and filters see what was left out; a select list sees of it only the columns that USING merged.
        """
        hidden = tuple(s.attribute for s in frame.hidden if beneath or s.attribute.sql in frame.merged)
        return Scope(frame.attributes, hidden, self.outer, fold=self.fold)

    def expression(self, expression: Expression, scope: Scope) -> Typed:
        """A compiled expression, its type known. Raises AnalysisError."""
        from headwater.compile.expressions import compile_node

        typed = compile_node(expression, scope, self)
        return typed if typed.type is not None else replace(typed, type=self.ask(typed.sql))

    def typed(self, typed: Typed) -> Typed:
        """`typed` with its type, asked of DuckDB if it is not known."""
        return typed if typed.type is not None else replace(typed, type=self.ask(typed.sql))

    def ask(self, tree: exp.Expr) -> DataType:
        """The type DuckDB's binder gives an expression over attributes."""
        names = sorted({c.this.this for c in tree.find_all(exp.Column) if not c.args.get("table")})
        columns = [
            exp.Alias(
                this=exp.Cast(this=exp.Null(), to=to_duck(self.types.get(name, NullType()))),
                alias=exp.Identifier(this=name, quoted=True),
            )
            for name in names
            if name in self.types
        ]
        query = exp.Select(expressions=[exp.alias_(tree.copy(), "asked")])
        if columns:
            query.set("from_", exp.From(this=derived(exp.Select(expressions=columns), "typed")))
        return _ask(self.context.binder(), sql_text(query))


def _names(frame: Frame) -> set[str]:
    return {a.sql for a in frame.attributes}


@lru_cache(maxsize=4096)
def _ask(connection: Connection, text: str) -> DataType:
    return from_duck(connection.execute("DESCRIBE " + text).fetchall()[0][1])


def _other_handler(relation: Relation) -> Handler:
    handler = _other.get(type(relation))
    if handler is None:
        raise unsupported(f"the relation {type(relation).__name__}")
    return handler


def merged_inputs(frames: Iterable[Frame]) -> dict[str, Any]:
    """All Arrow inputs of several frames."""
    return {name: data for frame in frames for name, data in frame.inputs.items()}
