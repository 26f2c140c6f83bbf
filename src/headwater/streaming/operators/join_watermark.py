"""When the rows that a stream-stream join keeps can match nothing any more: Spark's state watermarks of a join.

Two rules. If an equality of the join compares a watermarked column, rows whose key is at or before the watermark are
finished, on both sides. Else conditions that bound one side's event time by the other's are solved for it:

    b.ts - 1 hour < a.ts,  b.ts comes after the watermark w   →   rows of a at or before w - 1 hour are finished

Invariants: a row that a coming row (later than the watermark) could match is never finished; a limit only rises with
the watermark; what is not linear in the two event times bounds nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pyspark.sql.types import DataType
from sqlglot import exp

from headwater.compile import JoinKey, JoinPieces
from headwater.compile.context import Context
from headwater.compile.frame import reference, shape_of
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import sql_text
from headwater.streaming.operators.base import watermarked

_MICROS = 1_000_000


@dataclass(frozen=True)
class Bound:
    """`time > other + shift`, or `>=`: what a condition says of one side's time by the other's.

    Attributes:
        column: the bounded column.
        shift_us: microseconds.
        inclusive: `>=`.
        step_us: the other time counts in whole multiples of it (`CAST(ts AS BIGINT)`: seconds).
    """

    column: Attribute
    shift_us: int
    inclusive: bool = False
    step_us: int = 1

    def limit(self, watermark_ms: int) -> int:
        """The last time (milliseconds) that nothing after the watermark can match."""
        other = watermark_ms * 1000 // self.step_us * self.step_us
        return (other + self.shift_us) // 1000 - self.inclusive


@dataclass(frozen=True)
class SideWatermark:
    """Rows of one side are finished when `time` is at or before `limit(watermark)`.

    Attributes:
        time: over the columns of the side.
        type: its type.
        bounds: none: the limit is the watermark itself.
    """

    time: exp.Expr
    type: DataType
    bounds: tuple[Bound, ...] = ()

    def limit(self, watermark_ms: int) -> int:
        """See the class."""
        return min((bound.limit(watermark_ms) for bound in self.bounds), default=watermark_ms)


@dataclass(frozen=True)
class JoinWatermarks:
    """Which rows of the two sides are finished; None: none ever is."""

    left: SideWatermark | None = None
    right: SideWatermark | None = None

    def output(self, input_ms: int) -> int:
        """The watermark of the joined rows: finished rows come out as late as their side's limit."""
        return min([input_ms, *(side.limit(input_ms) for side in (self.left, self.right) if side is not None)])


def join_watermarks(pieces: JoinPieces, context: Context) -> JoinWatermarks:
    """The state watermarks of a join."""
    key = _key(pieces)
    if key is not None:
        return JoinWatermarks(SideWatermark(key.left, key.type), SideWatermark(key.right, key.type))
    left, right = pieces.left, pieces.right
    return JoinWatermarks(_by_range(pieces, left, right, context), _by_range(pieces, right, left, context))


def _key(pieces: JoinPieces) -> JoinKey | None:
    """The equality that compares a watermarked column."""
    keys = [key for key in pieces.keys if not key.null_safe]
    left = (key for key in keys if _is_event_time(key.left, pieces.left))
    right = (key for key in keys if _is_event_time(key.right, pieces.right))
    return next(left, None) or next(right, None)


def is_bounded(pieces: JoinPieces, context: Context) -> bool:
    """Whether Spark lets the join be outer or semi: a watermark in the key, or a range that ends a side's rows."""
    if _key(pieces) is not None:
        return True
    left, right = pieces.left, pieces.right
    sides = {
        "left_outer": [(left, right)],
        "left_semi": [(left, right)],
        "right_outer": [(right, left)],
        "full_outer": [(left, right), (right, left)],
    }
    return any(_bounds(pieces, one, other, context) for one, other in sides.get(pieces.kind, []))


def _is_event_time(tree: exp.Expr, side: Resolved) -> bool:
    return any(DELAY in a.metadata and reference(a) == tree for a in side.attributes)


def _by_range(pieces: JoinPieces, side: Resolved, other: Resolved, context: Context) -> SideWatermark | None:
    event = watermarked(side.attributes)
    if event is None:
        return None
    bounds = tuple(bound for bound in _bounds(pieces, side, other, context) if bound.column.sql == event.sql)
    return SideWatermark(reference(event), event.type, bounds) if bounds else None


def _bounds(pieces: JoinPieces, side: Resolved, other: Resolved, context: Context) -> list[Bound]:
    """What the conditions say of a side's columns by the other side's event time."""
    solver = _Solver(side, other, context)
    return [bound for part in pieces.rest for bound in [solver.bound(part)] if bound is not None]


class _NotLinearError(Exception):
    pass


@dataclass(frozen=True)
class _Term:
    """A column (else a number of microseconds), added or taken away."""

    sign: int
    column: str = ""
    step_us: int = 1
    value_us: int = 0


class _Solver:
    """Solves comparisons for the time of `side`."""

    def __init__(self, side: Resolved, other: Resolved, context: Context) -> None:
        self._side = {a.sql: a for a in side.attributes}
        self._other = {a.sql for a in other.attributes if DELAY in a.metadata}
        self._context = context

    def bound(self, part: exp.Expr) -> Bound | None:
        """What one condition says; None: nothing."""
        if isinstance(part, exp.LT | exp.LTE):
            small, large = part.left, part.right
        elif isinstance(part, exp.GT | exp.GTE):
            small, large = part.right, part.left
        else:
            return None
        try:
            terms = [*self._terms(small, 1), *self._terms(large, -1)]
        except _NotLinearError:
            return None
        return self._solved(terms, isinstance(part, exp.LTE | exp.GTE))

    def _solved(self, terms: list[_Term], inclusive: bool) -> Bound | None:
        """`other + shift - time < 0` in terms of the shift."""
        own = [term for term in terms if term.column in self._side]
        others = [term for term in terms if term.column and term.column not in self._side]
        if [term.sign for term in own] != [-1] or [term.sign for term in others] != [1]:
            return None
        if others[0].column not in self._other:
            return None
        shift = sum(term.sign * term.value_us for term in terms)
        return Bound(self._side[own[0].column], shift, inclusive, others[0].step_us)

    def _terms(self, tree: exp.Expr, sign: int) -> Iterator[_Term]:
        """The sum that a tree is. Raises _NotLinearError."""
        tree = tree.unnest()
        if tree.find(exp.Column) is None:
            yield _Term(sign, value_us=self._constant(tree))
        elif isinstance(tree, exp.Column):
            yield _Term(sign, tree.name)
        elif isinstance(tree, exp.Add | exp.Sub):
            yield from self._terms(tree.left, sign)
            yield from self._terms(tree.right, sign if isinstance(tree, exp.Add) else -sign)
        elif isinstance(tree, exp.Neg):
            yield from self._terms(tree.this, -sign)
        elif isinstance(tree, exp.Cast) and tree.to.is_type("double"):
            yield from self._terms(tree.this, sign)
        else:
            yield _seconds(tree, sign)

    def _constant(self, tree: exp.Expr) -> int:
        """Microseconds of an interval or of a number of seconds. Raises _NotLinearError; months have no length."""
        if shape_of(tree).volatile:
            raise _NotLinearError
        text = sql_text(
            exp.select("typeof(c)", "CAST(c AS VARCHAR)").from_(exp.select(exp.alias_(tree.copy(), "c")).subquery("t"))
        )
        ((kind, value),) = self._context.binder().execute(text).fetchall()
        if value is None:
            raise _NotLinearError
        if kind == "INTERVAL":
            return self._interval(tree)
        try:
            return round(float(value) * _MICROS)
        except ValueError:
            raise _NotLinearError from None

    def _interval(self, tree: exp.Expr) -> int:
        months = exp.func("date_part", exp.Literal.string("month"), tree.copy())
        years = exp.func("date_part", exp.Literal.string("year"), tree.copy())
        text = sql_text(exp.select(exp.func("epoch_us", tree.copy()), months, years))
        ((micros, month, year),) = self._context.binder().execute(text).fetchall()
        if month or year:
            raise _NotLinearError
        return int(micros)


def _seconds(tree: exp.Expr, sign: int) -> _Term:
    """The time whose seconds a tree counts, with their fraction or without. Raises _NotLinearError."""
    if _is_call(tree, "epoch") and isinstance(tree.expressions[0], exp.Column):
        return _Term(sign, tree.expressions[0].name)
    if isinstance(tree, exp.Cast) and tree.to.is_type("bigint") and _is_truncated(tree.this):
        unit, *time = tree.this.expressions[0].expressions
        if unit.name == "second" and isinstance(time[0], exp.Column):
            return _Term(sign, time[0].name, _MICROS)
    raise _NotLinearError


def _is_truncated(tree: exp.Expr) -> bool:
    return _is_call(tree, "epoch") and _is_call(tree.expressions[0], "date_trunc")


def _is_call(tree: exp.Expr, name: str) -> bool:
    return isinstance(tree, exp.Anonymous) and str(tree.this).lower() == name
