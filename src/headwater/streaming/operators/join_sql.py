"""The statements of a stream-stream join.

    <side>_arrived   the batch's rows of a side that may matter, flagged: late, finished, able to match at all
    <side>_new       those that are not late, numbered
    <side>_state     the rows kept from earlier batches (a `StateTable`)
    rows             new with kept, kept with new, new with new; then the unmatched finished rows of an outer side
    <side>_changed   what the batch changes in the state of a side

Invariants: each pair is made once; kept rows are only read here; a row has one number all its life; a row that cannot
match by itself or any more is not kept; statements are text, made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Literal, cast

from pyspark.sql.types import BooleanType, DataType, LongType
from sqlglot import exp

from headwater.compile import JoinPieces
from headwater.compile.frame import shape_of, substitute, used_names
from headwater.compile.resolved import Attribute
from headwater.duck import sql_text
from headwater.state.store import REMOVED
from headwater.state.table import ROW as AT
from headwater.state.table import StateColumn
from headwater.streaming.operators.base import at_or_before
from headwater.streaming.operators.join_watermark import SideWatermark
from headwater.streaming.statements import column, create, named, table

NUMBER, MATCHED = "number", "matched"
_LATE, _OVER, _FITS = "_late", "_over", "_fits"
_GIVEN_WHOLE = {"left_outer": ("left",), "right_outer": ("right",), "full_outer": ("left", "right")}
_COMPARISONS = (exp.LT, exp.LTE, exp.GT, exp.GTE)
_NULL_OF_NULL = (*_COMPARISONS, exp.Paren, exp.Add, exp.Sub, exp.Neg, exp.Column, exp.Identifier, exp.Literal)


class Side:
    """One side of a join: what is kept of its rows, and what is asked of each.

    Args:
        stem: begins the names of its tables and variables.
        event: the event time by which rows are late.
        finished: when rows can match nothing any more.
        late: the time up to which rows are late.

    Attributes:
        whole: its unmatched rows are given too.
        once: its rows are given at most once (semi joins), and are done with the first match.
    """

    def __init__(
        self,
        name: Literal["left", "right"],
        stem: str,
        pieces: JoinPieces,
        event: Attribute | None,
        finished: SideWatermark | None,
        late: exp.Expression,
    ) -> None:
        self.name = name
        self.input = pieces.left if name == "left" else pieces.right
        self.whole = name in _GIVEN_WHOLE.get(pieces.kind, ())
        self.once = pieces.kind == "left_semi" and name == "left"
        self.arrived, self.new, self.changed = f"{stem}_arrived", f"{stem}_new", f"{stem}_changed"
        self.state, self.first, self.limit = f"{stem}_state", f"{stem}_first", f"{stem}_limit"
        self._event, self._finished, self._late = event, finished, late
        self._keys = [(key.left if name == "left" else key.right, key.type) for key in pieces.keys]
        self._values = {a.sql: f"value_{index}" for index, a in enumerate(self.input.attributes)}
        self._alone = [p for p in pieces.rest if used_names([p]) and self._knows(p) and not shape_of(p).volatile]
        self._needed = [] if self.whole else self._needed_by(pieces)

    def _knows(self, tree: exp.Expr) -> bool:
        return used_names([tree]).keys() <= self._values.keys()

    # ── columns ─────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def columns(self) -> list[StateColumn]:
        """What is kept of a row besides its number. A key that is one of the columns is not kept twice."""
        values = [StateColumn(self._values[a.sql], a.type, a.name) for a in self.input.attributes]
        keys = [StateColumn(name, kind) for name, (tree, kind) in self._by_key() if self._computes(tree)]
        return [*values, *keys, *([StateColumn(MATCHED, BooleanType())] if self.whole else [])]

    @property
    def number(self) -> StateColumn:
        """The number of a row."""
        return StateColumn(NUMBER, LongType())

    @property
    def key_names(self) -> list[str]:
        """The column of each key."""
        return [name for name, _ in self._by_key()]

    def _by_key(self) -> list[tuple[str, tuple[exp.Expr, DataType]]]:
        return [(f"key_{i}" if self._computes(k[0]) else self._values[k[0].name], k) for i, k in enumerate(self._keys)]

    @staticmethod
    def _computes(tree: exp.Expr) -> bool:
        return not isinstance(tree, exp.Column)

    def given(self, alias: str) -> list[exp.Expr]:
        """The input's columns under their unique names, of kept or new rows."""
        return [named(column(kept, alias), name) for name, kept in self._values.items()]

    def nothing(self) -> list[exp.Expr]:
        """The same of no row."""
        return [exp.null() for _ in self._values]

    def over(self, tree: exp.Expr, alias: str) -> exp.Expr:
        """An expression over the input's columns, over kept or new rows."""
        return substitute(
            cast(exp.Expression, tree), {name: column(kept, alias) for name, kept in self._values.items()}
        )

    def _kept(self) -> list[exp.Expr]:
        """What is kept but for the match, over the input's columns."""
        keys = [named(tree.copy(), name) for name, (tree, _) in self._by_key() if self._computes(tree)]
        return [*(named(column(name), kept) for name, kept in self._values.items()), *keys]

    # ── the batch's rows ────────────────────────────────────────────────────────────────────────────────────

    def take(self) -> str:
        """Fill `arrived`: the input is read here and nowhere else."""
        fits = exp.and_(*self._alone) if self._alone and self.whole else exp.true()
        flags = [named(_true(tree), name) for tree, name in ((self._is_late(), _LATE), (fits, _FITS))]
        query = exp.select(*self._kept(), *flags, named(_true(self._is_over()), _OVER))
        query = query.from_(self.input.query.subquery("input"))
        return create(self.arrived, query.where(*self._needed))

    def like(self) -> exp.Select:
        """A query with the columns of kept rows."""
        number = named(exp.cast(exp.Literal.number(0), "BIGINT"), NUMBER)
        matched = [named(exp.false(), MATCHED)] if self.whole else []
        return exp.select(number, *(column(name) for name in self._kept_names()), *matched).from_(self.arrived)

    def number_rows(self) -> str:
        """Create the view `new`; it numbers from the variable `first` on."""
        first = exp.func("getvariable", exp.Literal.string(self.first))
        number = named(exp.Add(this=column("rowid"), expression=first), NUMBER)
        query = exp.select(number, *map(column, (*self._kept_names(), _OVER, _FITS))).from_(self.arrived)
        return create(self.new, query.where(exp.Not(this=column(_LATE))), "VIEW")

    def _kept_names(self) -> list[str]:
        return [each.name for each in self.columns if each.name != MATCHED]

    def _needed_by(self, pieces: JoinPieces) -> list[exp.Expr]:
        """What a row must be to match anything."""
        keys = [tree for (tree, _), key in zip(self._keys, pieces.keys, strict=True) if not key.null_safe]
        times = [each for part in pieces.rest for each in _never_null(part) if each.name in self._values]
        known = {sql_text(tree): exp.Not(this=tree.copy().is_(exp.null())) for tree in (*keys, *times)}
        return [*known.values(), *(exp.Paren(this=part.copy()) for part in self._alone)]

    def _is_late(self) -> exp.Expr:
        if self._event is None:
            return exp.false()
        return at_or_before(column(self._event.sql), self._event.type, self._late.copy())

    def _is_over(self, alias: str = "") -> exp.Expr:
        """Whether a row can match nothing more: over the input's columns, or over kept rows."""
        if self._finished is None:
            return exp.false()
        time = self._finished.time.copy()
        if alias:
            names = [name for name, (tree, _) in self._by_key() if tree == time]
            time = column(names[0], alias) if names else self.over(time, alias)
        limit = exp.Anonymous(this="getvariable", expressions=[exp.Literal.string(self.limit)])
        return at_or_before(cast(exp.Expression, time), self._finished.type, limit)

    # ── pairs ───────────────────────────────────────────────────────────────────────────────────────────────

    def decides(self, part: exp.Expr) -> bool:
        """Whether a part of the condition is about this side alone, and has been asked of its new rows."""
        return part in self._alone

    def track(self, name: str) -> str:
        """The column of `rows` that tells something of this side's row."""
        return f"{self.name}_{name.lstrip('_')}"

    def tracked(self, alias: str, kept: bool) -> list[exp.Expr]:
        """Which row of this side a pair is of, if that matters later."""
        if not (self.whole or self.once):
            return []
        found = [(column(NUMBER, alias), NUMBER), (column(AT, alias) if kept else _nowhere(), AT)]
        if self.whole:
            found.append((column(MATCHED, alias) if kept else exp.false(), MATCHED))
        return [named(tree, self.track(name)) for tree, name in found]

    def untracked(self) -> list[exp.Expr]:
        """The same of no row."""
        return [exp.null() for _ in self.tracked("", False)]

    def unmatched(self, rows: str) -> list[exp.Select]:
        """The finished rows, kept and new, that are not in `rows`."""
        excluded = exp.Or(this=column(_OVER, "one"), expression=exp.Not(this=column(_FITS, "one")))
        open_rows = exp.Not(this=column(MATCHED, "one"))
        kept = exp.select().from_(table(self.state, "one")).where(self._is_over("one"), open_rows)
        new = exp.select().from_(table(self.new, "one")).where(excluded)
        return [query.where(exp.Not(this=self._has_matched(rows, "one"))) for query in (kept, new)]

    def _has_matched(self, rows: str, alias: str) -> exp.Expr:
        number = column(self.track(NUMBER))
        matched = exp.select(number).from_(rows).where(exp.Not(this=number.copy().is_(exp.null())))
        return column(NUMBER, alias).isin(query=matched)

    # ── the state ───────────────────────────────────────────────────────────────────────────────────────────

    def change(self, rows: str) -> str:
        """Create the view `changed`."""
        parts = [self._stored(rows), self._gone()]
        return create(self.changed, union([*parts, self._met(rows)] if self.whole or self.once else parts), "VIEW")

    def _stored(self, rows: str) -> exp.Select:
        """New rows that can still match."""
        matched = [named(self._has_matched(rows, "new"), MATCHED)] if self.whole else []
        columns = [*(column(name, "new") for name in (NUMBER, *self._kept_names())), *matched]
        query = exp.select(*columns, named(exp.false(), REMOVED), named(_nowhere(), AT)).from_(table(self.new, "new"))
        query = query.where(column(_FITS, "new"), exp.Not(this=column(_OVER, "new")))
        return query.where(exp.Not(this=self._has_matched(rows, "new"))) if self.once else query

    def _gone(self) -> exp.Select:
        """Kept rows that are finished."""
        columns = [column(name, "kept") for name in (NUMBER, *(each.name for each in self.columns))]
        query = exp.select(*columns, named(exp.true(), REMOVED), column(AT, "kept"))
        return query.from_(table(self.state, "kept")).where(self._is_over("kept"))

    def _met(self, rows: str) -> exp.Select:
        """Kept rows with their first match: it is noted, or they are done with it."""
        at, matched = column(self.track(AT)), [named(exp.true(), MATCHED)] if self.whole else []
        end = [named(exp.true() if self.once else exp.false(), REMOVED), named(at, AT)]
        query = exp.select(named(column(self.track(NUMBER)), NUMBER), *self._kept(), *matched, *end).from_(rows)
        query = query.where(exp.Not(this=at.copy().is_(exp.null())), exp.Not(this=_true(self._is_over())))
        if self.once:
            return query
        return query.where(exp.Not(this=column(self.track(MATCHED)))).distinct(column(self.track(NUMBER)))

    def counts(self, rows: str) -> list[exp.Expr]:
        """How many new rows were late, and how many Spark would count as stored.

        Spark keeps the left side's rows before it joins the right side's, which it need not keep if they are finished.
        """
        late = exp.select(exp.Count(this=exp.Star())).from_(self.arrived).where(column(_LATE))
        stored = exp.select(exp.Count(this=exp.Star())).from_(table(self.new, "new")).where(column(_FITS, "new"))
        unmatched = exp.Not(this=self._has_matched(rows, "new")) if self.whole or self.once else exp.false()
        if self.once:
            stored = stored.where(unmatched)
        elif self.name == "right":
            stored = stored.where(exp.or_(exp.Not(this=column(_OVER, "new")), unmatched))
        return [late.subquery(), stored.subquery()]


# ── both sides ──────────────────────────────────────────────────────────────────────────────────────────────


def match(left: Side, right: Side, pieces: JoinPieces, rows: str) -> str:
    """Fill `rows` with what matches."""
    if left.once:
        names = [column(each.name) for each in right.columns]
        known = union([exp.select(*names).from_(source) for source in (right.state, right.new)])
        sources = [(left.new, known.subquery("other")), (left.state, table(right.new, "other"))]
        return create(rows, union([_semi(left, right, pieces, one, other) for one, other in sources]))
    sources_of_pairs = [(left.new, right.state), (left.state, right.new), (left.new, right.new)]
    return create(rows, union([_pairs(left, right, pieces, one, other) for one, other in sources_of_pairs]))


def _pairs(left: Side, right: Side, pieces: JoinPieces, one: str, other: str) -> exp.Select:
    tests = _condition(left, right, pieces)
    tests += [column(_FITS, "one")] if one == left.new and left.whole else []
    tests += [column(_FITS, "other")] if other == right.new and right.whole else []
    tracked = [*left.tracked("one", one == left.state), *right.tracked("other", other == right.state)]
    query = exp.select(*left.given("one"), *right.given("other"), *tracked).from_(table(one, "one"))
    return query.join(table(other, "other"), on=exp.and_(*tests))


def _semi(left: Side, right: Side, pieces: JoinPieces, one: str, other: exp.Expr) -> exp.Select:
    query = exp.select(*left.given("one"), *left.tracked("one", one == left.state)).from_(table(one, "one"))
    return query.join(other, on=exp.and_(*_condition(left, right, pieces)), join_type="semi")


def _condition(left: Side, right: Side, pieces: JoinPieces) -> list[exp.Expr]:
    tests: list[exp.Expr] = []
    for key, one, other in zip(pieces.keys, left.key_names, right.key_names, strict=True):
        # Spark's state is looked up by key, NULL or not; only in a full join nothing has taken NULL keys out before
        kind = exp.NullSafeEQ if key.null_safe or pieces.kind == "full_outer" else exp.EQ
        tests.append(kind(this=column(one, "one"), expression=column(other, "other")))
    both = (part for part in pieces.rest if not left.decides(part) and not right.decides(part))
    return [*tests, *(exp.Paren(this=right.over(left.over(part, "one"), "other")) for part in both)]


def add_unmatched(left: Side, right: Side, rows: str) -> str:
    """Add to `rows` the finished rows without a match; empty if no side is given whole."""
    end = [*left.untracked(), *right.untracked()]
    parts: list[exp.Select] = []
    if left.whole:
        parts += [query.select(*left.given("one"), *right.nothing(), *end) for query in left.unmatched(rows)]
    if right.whole:
        parts += [query.select(*left.nothing(), *right.given("one"), *end) for query in right.unmatched(rows)]
    return sql_text(exp.insert(union(parts), rows)) if parts else ""


def count(left: Side, right: Side, rows: str) -> str:
    """One row: late and stored rows of the left, then of the right side."""
    return sql_text(exp.select(*left.counts(rows), *right.counts(rows)))


def union(queries: Sequence[exp.Query]) -> exp.Query:
    """`UNION ALL` of them."""
    return reduce(lambda one, other: exp.union(one, other, distinct=False), queries)


def _never_null(part: exp.Expr) -> list[exp.Column]:
    """The columns without which a comparison is never true."""
    if not isinstance(part, _COMPARISONS):
        return []
    inner = (node for node in part.walk() if not isinstance(node, exp.Anonymous))
    return list(part.find_all(exp.Column)) if all(isinstance(node, _NULL_OF_NULL) for node in inner) else []


def _true(tree: exp.Expr) -> exp.Expr:
    """Whether it is true; NULL is not."""
    if isinstance(tree, exp.Boolean):
        return tree
    return exp.Coalesce(this=exp.Paren(this=tree), expressions=[exp.false()])


def _nowhere() -> exp.Expr:
    return exp.cast(exp.null(), "BIGINT")
