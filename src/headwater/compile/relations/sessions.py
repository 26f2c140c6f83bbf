"""Sessions of rows merged into sessions of groups.

    a row's session reaches from its time to its gap's end; rows of one group, in order of time, share a session as
    long as each begins at or before the end of those before it

Invariants: sessions that touch are one; the merged session is the same struct for all its rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql.types import TimestampType
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.frame import Frame, Item, reference
from headwater.compile.resolved import Attribute
from headwater.functions.building import case, duck, struct

SESSION = "spark.sessionWindow"
"""Marks a session in the metadata of its column."""


def is_session(metadata: Mapping[str, object]) -> bool:
    """Whether the metadata are those of a session window."""
    return SESSION in metadata


def merged_sessions(frame: Frame, session: Attribute, others: Sequence[Attribute], compiler: Compiler) -> Frame:
    """The rows with the column `session` merged among rows that are equal in `others`."""
    kept = [Item(a) for a in frame.attributes]
    start, end = (duck("struct_extract", reference(session), part) for part in ("start", "end"))
    fresh = compiler.attribute("fresh", TimestampType(), True)
    begin = compiler.attribute("begin", TimestampType(), True)
    before = _over(duck("max", end), others, start, _rows_before())
    opens = case((exp.LTE(this=start.copy(), expression=before), None), otherwise=start)
    frame = compiler.closed(compiler.project(frame, [*kept, Item(fresh, opens)]))
    opened = _over(duck("max", reference(fresh)), others, start, None)
    frame = compiler.closed(compiler.project(frame, [*kept, Item(begin, opened)]))
    close = _over(duck("max", end), [*others, begin], None, None)
    merged = struct(start=reference(begin), end=close)
    items = [Item(a, merged if a is session else None) for a in frame.attributes if a is not begin]
    return compiler.closed(compiler.project(frame, items))


def _over(
    call: exp.Expression, keys: Sequence[Attribute], order: exp.Expression | None, spec: exp.WindowSpec | None
) -> exp.Window:
    ordering = None if order is None else exp.Order(expressions=[exp.Ordered(this=order.copy(), nulls_first=True)])
    return exp.Window(this=call, partition_by=[reference(key) for key in keys], order=ordering, spec=spec)


def _rows_before() -> exp.WindowSpec:
    return exp.WindowSpec(kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="1", end_side="PRECEDING")
