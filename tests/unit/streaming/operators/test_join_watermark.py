"""State watermarks of joins: which conditions bound which side, and that no row is given up too early."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from headwater.compile import JoinPieces, compile_join, compile_relation
from headwater.compile.relations.watermark import DELAY
from headwater.plan import relations as plan
from headwater.streaming.operators.join_watermark import is_bounded, join_watermarks
from support.plans import Session, rows

HOUR = 3_600_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TIMES = pa.array([], pa.timestamp("us", "UTC"))
ROWS = rows(k=pa.array([], pa.int64()), ts=TIMES, at=TIMES)


def pieces_of(
    session: Session, condition: str, kind: str = "", watermarks: tuple[str, str] = ("ts", "ts")
) -> JoinPieces:
    """The pieces of a join of streams `a` and `b`, each with a watermark on a column, or on none ("")."""
    for view, event in zip("ab", watermarks, strict=True):
        session.views[f"{view}_rows"] = replace(compile_relation(ROWS, session), streaming=True)
        read = plan.ReadTable((f"{view}_rows",))
        session.views[view] = plan.WithWatermark(read, event, "10 minutes") if event else read
    query = session.sql(f"select 1 from a {kind} join b on {condition}", {}, ())
    (join,) = (node for node in query.walk() if isinstance(node, plan.Join))
    return compile_join(join, session)


def limits(pieces: JoinPieces, session: Session, watermark: int = 10 * HOUR) -> tuple[int | None, int | None]:
    """The limits of both sides, from the watermark on."""
    found = join_watermarks(pieces, session)
    left, right = (None if s is None else s.limit(watermark) - watermark for s in (found.left, found.right))
    return left, right


@pytest.fixture(scope="module")
def session() -> Session:
    return Session()


@pytest.mark.parametrize(
    ("condition", "left", "right"),
    [
        ("a.ts > b.ts - interval 1 hour", -HOUR, None),
        ("a.ts >= b.ts - interval 1 hour", -HOUR - 1, None),
        ("b.ts - interval 1 hour < a.ts", -HOUR, None),
        ("a.ts + interval 1 hour > b.ts", -HOUR, None),
        ("a.ts < b.ts + interval 1 hour", None, -HOUR),
        ("a.ts between b.ts and b.ts + interval 1 hour", -1, -HOUR - 1),
        ("b.ts >= a.ts and b.ts <= a.ts + interval '0 01:00:00' day to second", -HOUR - 1, -1),
        ("a.ts > b.ts - interval 1 hour and a.ts > b.ts - interval 2 hours", -2 * HOUR, None),
        ("a.ts > b.ts - interval 1 hour - interval 30 minutes", -HOUR - HOUR // 2, None),
        ("a.ts > b.ts + -(interval 1 hour * 2)", -2 * HOUR, None),
        ("a.ts > b.ts - make_interval(0, 0, 0, 1, 1)", -25 * HOUR, None),
        ("a.ts > b.ts - cast('90 minutes' as interval)", -HOUR - HOUR // 2, None),
        ("cast(a.ts as double) > cast(b.ts as double) - 1.5", -1500, None),
        ("cast(a.ts as long) >= cast(b.ts as long) - 3600", -HOUR - 1, None),
        ("unix_millis(a.ts) > unix_millis(b.ts)", None, None),
        ("a.ts > b.ts - interval 1 month", None, None),
        ("a.ts - b.ts < interval 1 hour", None, None),
        ("a.ts > b.at", None, None),
        ("a.at > b.ts", None, None),
        ("a.ts > b.ts + (b.ts - a.ts)", None, None),
        ("a.ts != b.ts", None, None),
        ("a.ts > now()", None, None),
        ("a.ts <=> b.ts", None, None),
        ("a.ts = b.ts", 0, 0),
        ("a.ts = b.at", 0, 0),
        ("a.at = b.ts and a.ts > b.ts - interval 1 hour", 0, 0),
    ],
)
def test_what_a_condition_says(session: Session, condition: str, left: int | None, right: int | None) -> None:
    assert limits(pieces_of(session, f"a.k = b.k and {condition}"), session) == (left, right)


@pytest.mark.parametrize(
    ("left", "right", "found"),
    [
        ("", "", (None, None)),
        ("at", "", (None, None)),
        ("", "ts", (None, None)),
        ("at", "ts", (None, -HOUR)),
    ],
)
def test_a_range_needs_both_watermarks(
    session: Session, left: str, right: str, found: tuple[int | None, int | None]
) -> None:
    pieces = pieces_of(session, "a.k = b.k and a.at < b.ts + interval 1 hour", watermarks=(left, right))
    assert limits(pieces, session) == found


def test_whole_seconds_of_the_watermark_count(session: Session) -> None:
    pieces = pieces_of(session, "a.k = b.k and cast(a.ts as long) >= cast(b.ts as long) - 10")
    assert limits(pieces, session, 100_900)[0] == -10_901


def test_the_output_comes_as_late_as_the_later_side(session: Session) -> None:
    found = join_watermarks(
        pieces_of(session, "a.k = b.k and a.ts > b.ts - interval 1 hour and a.ts < b.ts - interval 5 minutes"), session
    )
    assert found.output(10 * HOUR) == 9 * HOUR
    assert join_watermarks(pieces_of(session, "a.k = b.k"), session).output(7) == 7


@pytest.mark.parametrize(
    ("kind", "condition", "allowed"),
    [
        ("left", "a.ts >= b.ts", True),
        ("left", "a.ts <= b.ts", False),
        ("right", "a.ts >= b.ts", False),
        ("right", "a.ts <= b.ts", True),
        ("full", "a.ts <= b.ts", True),
        ("left semi", "a.ts >= b.ts", True),
        ("left semi", "a.at = b.at", False),
        ("left", "a.at = b.ts", True),
        ("left", "a.at <=> b.ts", False),
        ("left", "a.at >= b.ts", True),
    ],
)
def test_which_outer_joins_are_bounded(session: Session, kind: str, condition: str, allowed: bool) -> None:
    assert is_bounded(pieces_of(session, f"a.k = b.k and {condition}", kind), session) is allowed


# ── nothing is given up too early, and little is kept for nothing ────────────────────────────────────────────

_INTERVALS = st.integers(-5000, 5000).map(lambda ms: (f"interval '{ms / 1000:.3f}' second", ms))
_SECONDS = st.integers(-5, 5).map(lambda s: (str(s), s * 1000))


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """`a.ts + … < b.ts + …` in one of its spellings."""
    form = draw(st.sampled_from(["{}", "cast({} as double)", "cast({} as long)"]))
    steps = draw(st.lists(_INTERVALS if form == "{}" else _SECONDS, max_size=3))
    sides = [form.format("a.ts"), form.format("b.ts")]
    for text, _ in steps:
        which = draw(st.integers(0, 1))
        sides[which] += f" {draw(st.sampled_from(['+', '-']))} {'(' + text + ')'}"
    if draw(st.booleans()):
        sides.reverse()
    return f"{sides[0]} {draw(st.sampled_from(['<', '<=', '>', '>=']))} {sides[1]}"


@settings(max_examples=150, deadline=None)
@given(conditions(), st.integers(0, 20_000), st.integers(0, 30_000_000), st.integers(1, 30_000_000))
def test_a_finished_row_matches_nothing_that_comes(condition: str, watermark: int, back_us: int, ahead_us: int) -> None:
    session = _session()
    found = join_watermarks(pieces_of(session, f"a.k = b.k and {condition}"), session)
    left, right = found.left, found.right
    assert (left is None) != (right is None)
    for name, finished in (("a", left), ("b", right)):
        if finished is not None:
            own, other = finished.limit(watermark) * 1000 - back_us, watermark * 1000 + ahead_us
            assert not _matches(session, condition, name, own, other)
            assert _matches(
                session, condition, name, finished.limit(watermark) * 1000 + 2_002_000, watermark * 1000 + 1
            )


def _matches(session: Session, condition: str, name: str, own_us: int, other_us: int) -> bool:
    times = {name: own_us, ("b" if name == "a" else "a"): other_us}
    for view, micros in times.items():
        moment = pa.array([EPOCH + timedelta(microseconds=micros)], pa.timestamp("us", "UTC"))
        session.views[view] = rows(k=[1], ts=moment)
    return bool(session.query(f"select 1 from a join b on {condition}")[1])


_sessions: list[Session] = []


def _session() -> Session:
    if not _sessions:
        _sessions.append(Session())
    return _sessions[0]


def test_the_watermarks_delay_marks_the_column(session: Session) -> None:
    pieces = pieces_of(session, "a.k = b.k")
    assert [a.name for a in pieces.left.attributes if DELAY in a.metadata] == ["ts"]
