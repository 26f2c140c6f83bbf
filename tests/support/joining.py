"""A join of a stream with itself, later rows to earlier ones, and its answer in plain Python.

A row `(id, k)` happens `id` + 1 seconds after 1970; it is matched by the row of an even id seven further.
"""

from __future__ import annotations

from collections.abc import Iterable

from headwater.plan.relations import Join, Project, Relation, SubqueryAlias, WithColumns, WithWatermark
from headwater.sql import parse_expression

JOINS = ("inner", "full_outer", "left_semi")
CONDITION = "a.id + 7 = b.id AND b.id % 2 = 0 AND b.ts BETWEEN a.ts AND a.ts + INTERVAL 10 SECONDS"


def joined_with_itself(source: Relation, kind: str) -> Relation:
    """The plan; a row that only the right side has comes out as `(-1 - id, k)`."""
    times = parse_expression("timestamp_seconds(id + 1) AS ts")
    timed = WithWatermark(WithColumns(source, (times,)), "ts", "0 seconds")
    join = Join(SubqueryAlias(timed, "a"), SubqueryAlias(timed, "b"), kind, parse_expression(CONDITION))  # type: ignore[arg-type]
    names = ("a.id", "a.k") if kind == "left_semi" else ("coalesce(a.id, -1 - b.id) AS id", "coalesce(a.k, b.k) AS k")
    return Project(join, tuple(map(parse_expression, names)))


def answer(rows: Iterable[tuple[int, str]], kind: str) -> list[tuple[int, str]]:
    """What has come out when all rows and the watermark have passed through."""
    written = list(rows)
    end = len(written) - 1
    matched = [(i, k) for i, k in written if i % 2 and i + 7 <= end]
    if kind != "full_outer":
        return matched
    alone = [(i, k) for i, k in written if i % 2 == 0 and i < end - 10]
    return matched + alone + [(-1 - i, k) for i, k in written if i % 2 or i < 7]
