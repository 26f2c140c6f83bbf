"""Time windows as columns beneath the relation that names them: Spark's rules TimeWindowing, SessionWindowing and
ResolveWindowTime.

    SELECT window(t, '5 minutes'), v FROM d   →   SELECT w, v FROM (SELECT *, … AS w FROM d WHERE t IS NOT NULL)

Invariants: one relation has one window; rows without a time are gone; a sliding window gives a row per window, newest
first; the window carries the metadata of the time column, a field of it does not; a relation that passes its input
through (filter, sort) shows the window as its first column, as in Spark.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from pyspark.sql.types import LongType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.expressions import call_of
from headwater.compile.frame import Frame, Item, Slot, reference, substitute
from headwater.compile.outputs import attribute_of
from headwater.compile.relations.sessions import SESSION
from headwater.compile.resolved import Attribute
from headwater.compile.scope import Scope
from headwater.errors import AnalysisError
from headwater.functions.base import Typed
from headwater.functions.building import duck, is_null, less, more, negate
from headwater.functions.datetime_window import (
    SessionWindow,
    TimeWindow,
    is_window,
    session_window,
    time_window,
    window_time,
    window_type,
)
from headwater.plan import expressions as ex
from headwater.plan.node import Node
from headwater.plan.relations import Aggregate, Project, Relation, WithColumns

R = TypeVar("R", bound=Relation)

WINDOW = "spark.timeWindow"
"""Marks a window in the metadata of its column."""

_NAMES = ("window", "session_window", "window_time")


def with_time_windows(node: R, frame: Frame, compiler: Compiler) -> tuple[R, Frame]:
    """The relation with columns in place of its time windows, and its input with these columns."""
    calls = list(dict.fromkeys(_calls(node)))
    if not calls:
        return node, frame
    shown = not isinstance(node, Project | WithColumns | Aggregate)
    maker = _Maker(frame, compiler, shown)
    for call in [one for one in calls if one.name.lower() == "window_time"]:
        maker.last_moment(call)
    maker.window([one for one in calls if one.name.lower() != "window_time"])
    return _replaced(node, maker.columns), maker.frame


def _calls(node: Node) -> Iterator[ex.Call]:
    """The calls of time windows among a relation's own expressions, inner ones first."""
    for child in node.children():
        if isinstance(child, Relation | ex.Subquery):
            continue
        yield from _calls(child)
        if isinstance(child, ex.Call) and child.name.lower() in _NAMES:
            yield child


def _replaced(node: Any, columns: dict[ex.Call, ex.Column]) -> Any:
    def change(child: Node) -> Node:
        if isinstance(child, Relation | ex.Subquery):
            return child
        if isinstance(child, ex.Call) and child in columns:
            return columns[child]
        return cast(Node, _replaced(child, columns))

    return node.map_children(change)


class _Maker:
    """Puts window columns into a frame."""

    def __init__(self, frame: Frame, compiler: Compiler, shown: bool) -> None:
        self.frame = frame
        self.compiler = compiler
        self.shown = shown
        self.columns: dict[ex.Call, ex.Column] = {}

    @property
    def scope(self) -> Scope:
        return self.compiler.scope(self.frame, beneath=self.shown)

    # ── window_time ─────────────────────────────────────────────────────────────────────────────────────────

    def last_moment(self, call: ex.Call) -> None:
        """A column for `window_time(window)`."""
        scope = self.scope
        operands = tuple(self.compiler.expression(argument, scope) for argument in call.arguments)
        attribute = self._last_moment(call_of("window_time", operands, self.compiler), scope)
        self.columns[call] = ex.Column((attribute.sql,), metadata=True)

    def _last_moment(self, call: Any, scope: Scope) -> Attribute:
        made = window_time(call)
        window = attribute_of(call.operands[0], scope)
        metadata = dict(window.metadata) if window else {}
        name = f"window_time({call.operands[0].name})"
        if not metadata.keys() & {WINDOW, SESSION}:
            raise AnalysisError("_LEGACY_ERROR_TEMP_3101", windowTime=name)
        for mark in (WINDOW, SESSION):
            metadata.pop(mark, None)
        return self._add(self.compiler.attribute(name, cast(Any, made.type), True, metadata), made.sql)

    # ── window, session_window ──────────────────────────────────────────────────────────────────────────────

    def window(self, calls: Sequence[ex.Call]) -> None:
        """The one column that all `calls` mean."""
        if not calls:
            return
        made = {call: self._window(_replaced(call, self.columns)) for call in calls}
        if len({self._identity(one) for one in made.values()}) > 1:
            raise AnalysisError("_LEGACY_ERROR_TEMP_1039")
        window = next(iter(made.values()))
        time = attribute_of(window.time, self.scope)
        kind = SESSION if isinstance(window, SessionWindow) else WINDOW
        metadata = {**(time.metadata if time else {}), kind: True}
        name = "session_window" if kind == SESSION else "window"
        nullable = isinstance(window, TimeWindow) and not window.tumbling
        attribute = self.compiler.attribute(name, window_type(window.time.type), nullable, metadata)
        if isinstance(window, SessionWindow):
            self._session(window, attribute)
        elif window.tumbling:
            self._filter([_known(window.time)])
            self._add(attribute, window.struct())
        else:
            self._sliding(window, attribute)
        for call in calls:
            self.columns[call] = ex.Column((attribute.sql,), metadata=True)

    def _identity(self, window: TimeWindow | SessionWindow) -> object:
        if isinstance(window, SessionWindow):
            return window.time.sql, window.end
        return window.time.sql, window.size, window.slide, window.offset

    def _window(self, call: ex.Call) -> TimeWindow | SessionWindow:
        scope = self.scope
        operands = tuple(self.compiler.expression(argument, scope) for argument in call.arguments)
        if operands and is_window(operands[0].type):
            inner = call_of("window_time", operands[:1], self.compiler)
            last = self._last_moment(inner, scope)
            operands = (Typed(reference(last), last.type, True, name=last.name), *operands[1:])
        made = call_of(call.name.lower(), operands, self.compiler)
        return session_window(made) if call.name.lower() == "session_window" else time_window(made)

    def _session(self, window: SessionWindow, attribute: Attribute) -> None:
        """One session per row; groups merge them (`relations/sessions.py`)."""
        after = more(duck("epoch_us", window.end), duck("epoch_us", window.time.sql))
        self._filter([_known(window.time), after])
        self._add(attribute, window.struct())

    def _sliding(self, window: TimeWindow, attribute: Attribute) -> None:
        """A row per window: the newest one and those before it."""
        self._filter([_known(window.time)])
        before = self.compiler.attribute("before", LongType(), False)
        self._add(before, duck("unnest", duck("range", window.overlaps)), shown=False)
        self._close()
        if not window.exact:
            end = duck("struct_extract", window.struct(reference(before)), "end")
            self._filter([less(window.time.sql, end)])
        self._add(attribute, window.struct(reference(before)))

    # ── the frame ───────────────────────────────────────────────────────────────────────────────────────────

    def _add(self, attribute: Attribute, sql: exp.Expression, shown: bool | None = None) -> Attribute:
        """A column more: hidden, or in front if the relation shows it."""
        front = self.shown if shown is None else shown
        made = Item(attribute, sql)
        if not self.frame.accepts([made]):
            self._close()
        names = self._unseen()
        kept = [*(Item(a) for a in self.frame.attributes), *(Item(s.attribute) for s in self._slots(names))]
        frame = self.frame.projected([made, *kept] if front else [*kept, made])
        self.frame = _hiding(frame, names if front else names | {attribute.sql})
        return attribute

    def _filter(self, conditions: Sequence[exp.Expression]) -> None:
        if not self.frame.filterable(conditions):
            self._close()
        values = self.frame.values()
        where = (*self.frame.where, *(substitute(condition, values) for condition in conditions))
        self.frame = replace(self.frame, where=where, grouped=None)

    def _close(self) -> None:
        """The frame as a subquery, its hidden columns still in reach."""
        names = self._unseen()
        kept = [*(Item(a) for a in self.frame.attributes), *(Item(s.attribute) for s in self._slots(names))]
        self.frame = _hiding(self.compiler.closed(self.frame.projected(kept)), names)

    def _unseen(self) -> frozenset[str]:
        return frozenset(s.attribute.sql for s in self.frame.hidden if s.attribute.sql in self.frame.merged)

    def _slots(self, names: frozenset[str]) -> list[Slot]:
        return [slot for slot in self.frame.hidden if slot.attribute.sql in names]


def _hiding(frame: Frame, names: frozenset[str]) -> Frame:
    """The frame with some columns out of sight, yet in reach."""
    gone = tuple(slot for slot in frame.slots if slot.attribute.sql in names)
    kept = tuple(slot for slot in frame.slots if slot.attribute.sql not in names)
    return replace(frame, slots=kept, hidden=(*gone, *frame.hidden), merged=frame.merged | names)


def _known(time: Typed) -> exp.Expression:
    return negate(is_null(time.sql))
