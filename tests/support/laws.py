"""Runs a streaming plan over any splitting of its input, without sources, sinks or threads: for laws about operators.

    law = Law("SELECT k, count(*) AS n FROM a GROUP BY k", "update", key=1)
    law.stream([[row, row], [row]]) == law.batch(rows)

Invariants: the plan is compiled once and cut as `start_query` cuts it; every batch commits its state, and may be
followed by a restart from the files alone; the batch answer is Headwater's own of the same plan over all rows.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pyarrow as pa
from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.io.formats.base import FormatOptions
from headwater.plan.expressions import Column
from headwater.plan.node import Node
from headwater.plan.relations import (
    CachedRemote,
    Deduplicate,
    LocalData,
    Project,
    ReadTable,
    Relation,
    SubqueryAlias,
    WithWatermark,
)
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sinks.base import OutputMode
from headwater.sources.base import SourceRequest
from headwater.sql import parse_query
from headwater.streaming.checkpoint import Checkpoint
from headwater.streaming.cutting import CutPlan, cut_plan
from headwater.streaming.dataflow import BatchTime, DataflowRun
from headwater.streaming.leaves import Leaf
from headwater.streaming.naming import unique_names
from headwater.streaming.rewriting import with_explicit_aggregates
from headwater.streaming.views import create_view
from headwater.types.arrow import arrow_schema
from headwater.types.ddl import parse_schema

Row = Mapping[str, Any]
SCHEMA = "k BIGINT, ts TIMESTAMP, v BIGINT, s STRING"


@dataclass
class Law:
    """One plan over the streams `a` and `b` (columns k, ts, v, s), which may carry a watermark.

    Attributes:
        text: SQL over `a` and `b`; or a function of both relations.
        mode: output mode.
        delay: the watermark's delay on both streams; None: no watermark.
        answer: SQL over `a` and `b` of the batch answer, where the plan itself has another meaning there.
        key: how many leading columns name a group (update mode: the last row of a group counts).
    """

    text: str | Callable[[Relation, Relation], Relation]
    mode: OutputMode = "append"
    delay: str | None = None
    key: int = 0
    answer: str = ""
    schema: str = SCHEMA
    _session: Session = field(init=False)
    _cut: CutPlan = field(init=False)

    def __post_init__(self) -> None:
        self._shape: StructType = parse_schema(self.schema)
        self._arrow = arrow_schema(self._shape, "UTC")
        runtime = Runtime.local({"headwater.durability": "none"})
        self._session = Session(runtime)
        request = SourceRequest("law", self._shape, FormatOptions({}), ())
        columns = unique_names(self._shape)
        leaves = [Leaf(f"stream_{i}", cast(Any, None), request, self._shape, columns) for i in range(2)]
        plan = with_explicit_aggregates(self.plan(CachedRemote("stream_0"), CachedRemote("stream_1")))
        self._cut = cut_plan(plan, leaves, cast(Any, self._session), self.mode)

    def plan(self, a: Relation, b: Relation) -> Relation:
        """The plan over two relations with the law's columns."""
        a, b = (WithWatermark(one, "ts", self.delay) if self.delay else one for one in (a, b))
        return self.text(a, b) if callable(self.text) else _over(self.text, a, b)

    # ── the two answers ─────────────────────────────────────────────────────────────────────────────────────

    def batch(self, a: Sequence[Row], b: Sequence[Row] = ()) -> Counter[tuple[Any, ...]]:
        """The rows of the plan over all input at once."""
        sides = LocalData(self._table(a), self._shape), LocalData(self._table(b), self._shape)
        plan = _over(self.answer, *sides) if self.answer else self.plan(*sides)
        return answer_of(self._session.execute(with_explicit_aggregates(plan)).table())

    def stream(self, batches: Sequence[Any], restarts: Sequence[int] = ()) -> Counter[tuple[Any, ...]]:
        """The rows after all batches and those without data that follow.

        Args:
            batches: each a list of rows of `a`, or a pair of lists for `a` and `b`.
            restarts: after which batches everything but the files is forgotten.
        """
        folder = tempfile.mkdtemp(prefix="law-")
        try:
            run = _Run(self, folder)
            for number, batch in enumerate(batches):
                run.batch(*(batch if isinstance(batch, tuple) else (batch, [])))
                if number in restarts:
                    run.restart()
            while run.due():
                run.batch([], [])
            return run.answer()
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    @staticmethod
    def rows(rows: Sequence[Row]) -> Counter[tuple[Any, ...]]:
        """Input rows in the form of answers."""
        return Counter(tuple(map(_hashable, row.values())) for row in rows)

    def _table(self, rows: Sequence[Row]) -> pa.Table:
        return pa.Table.from_pylist([dict(row) for row in rows], schema=self._arrow)

    def close(self) -> None:
        """End the session."""
        self._session.close()
        self._session.runtime.close()


def _over(text: str, a: Relation, b: Relation) -> Relation:
    """SQL over two relations called `a` and `b`."""
    inputs = {"a": a, "b": b}

    def put(node: Node) -> Node:
        if isinstance(node, ReadTable) and node.parts[0] in inputs:
            return SubqueryAlias(inputs[node.parts[0]], node.parts[0])
        return node.map_children(put)

    return cast(Relation, put(parse_query(text, {}, ())))


class _Run:
    def __init__(self, law: Law, folder: str) -> None:
        self.law = law
        self._checkpoint = Checkpoint(law._session.runtime.storage, folder)
        self._number = 0
        self._late = self._watermark = 0
        self._ids: dict[int, tuple[str, ...]] = {}
        self._rows: list[pa.Table] = []
        self._open()

    def _open(self) -> None:
        self._connection: Connection = self.law._session.runtime.database.connect("UTC")
        self._flow = self.law._cut.opened(self._checkpoint)
        for name, data in self._flow.inputs.items():
            self._connection.register(name, data)
        self._bind([], [])
        self._run = DataflowRun(self._flow, self._connection, "min")
        self._run.restore(self._number, self._ids)
        self._run.tracker.set(self._watermark)
        self._output = sql_text(self._flow.query)

    def _bind(self, *sides: Sequence[Row]) -> None:
        for index, rows in enumerate(sides):
            self._connection.register(f"law_{index}", self.law._table(rows))
            create_view(self._connection, f"stream_{index}", _all_of(f"law_{index}"), self._flow.leaves[index])

    def batch(self, a: Sequence[Row], b: Sequence[Row]) -> None:
        self._bind(a, b)
        self._run.advance(BatchTime(self._number, 1_000_000, self._late, self._watermark), lambda: None)
        self._rows.append(self._connection.sql(self._output).to_arrow_table())
        numbers = sorted(node.number for node in self._flow.operators)
        reports = self._run.commit(self._number + 1)
        for report in reports:
            report.wait()
        self._ids = {number: report.ids for number, report in zip(numbers, reports, strict=True)}
        self._run.see()
        self._late, self._watermark = self._watermark, self._run.tracker.watermark_ms
        self._number += 1

    def due(self) -> bool:
        return self._run.due()

    def restart(self) -> None:
        self._close()
        self._open()

    def _close(self) -> None:
        self._flow.close()
        self._connection.close()

    def answer(self) -> Counter[tuple[Any, ...]]:
        self._close()
        if self.law.mode == "complete":
            return answer_of(self._rows[-1])
        if self.law.mode == "update" and self.law.key >= 0:
            newest = {tuple(map(_hashable, row[: self.law.key])): row for t in self._rows for row in _tuples(t)}
            return Counter(tuple(map(_hashable, row)) for row in newest.values())
        return sum((answer_of(table) for table in self._rows), Counter())


def _all_of(name: str) -> exp.Select:
    return exp.select("*").from_(name)


def _tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


def answer_of(table: pa.Table) -> Counter[tuple[Any, ...]]:
    """A table's rows, counted."""
    return Counter(tuple(map(_hashable, row)) for row in _tuples(table))


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, dict):
        return tuple((key, _hashable(one)) for key, one in value.items())
    return value.timestamp() if hasattr(value, "timestamp") else value


# ── the laws ────────────────────────────────────────────────────────────────────────────────────────────────

START = datetime(2026, 1, 1, tzinfo=UTC)
END = {"k": -1, "ts": START + timedelta(days=365), "v": 0, "s": "end"}

AGGREGATES = "count(*) AS n, sum(v) AS total, min(s) AS least, max(v) AS most, avg(v) AS mean, count(s) AS named"
NEAR = "a.k = b.k AND b.ts BETWEEN a.ts - INTERVAL 30 SECONDS AND a.ts + INTERVAL 30 SECONDS"
TIMES = "a.ts AS at, b.ts AS bt, a.v AS av, b.v AS bv"
PAIR = f"a.k AS k, {TIMES}"
MINUTES = "SELECT window(ts, '1 minute') AS w, k, count(*) AS n FROM a GROUP BY ALL"


def distinct(a: Relation, _: Relation) -> Relation:
    return Deduplicate(a, all_columns=True)


def unique_keys(a: Relation, _: Relation) -> Relation:
    return Deduplicate(a, ("k", "ts"))


def within_watermark(a: Relation, _: Relation) -> Relation:
    return Project(Deduplicate(a, ("k", "v"), within_watermark=True), (Column(("k",)), Column(("v",))))


LAWS = {
    "groups, update": lambda: Law(f"SELECT k, {AGGREGATES} FROM a GROUP BY k", "update", key=1),
    "groups, complete": lambda: Law(f"SELECT k, {AGGREGATES} FROM a GROUP BY k", "complete"),
    "one group of all, update": lambda: Law(f"SELECT {AGGREGATES} FROM a", "update", key=0),
    "one group of all, complete": lambda: Law(f"SELECT {AGGREGATES} FROM a", "complete"),
    "lists and firsts, complete": lambda: Law(
        "SELECT k, collect_list(v) AS all, first(s) AS one, last(v) AS newest FROM a GROUP BY k", "complete"
    ),
    "windows, append": lambda: Law(
        f"SELECT window(ts, '1 minute') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", delay="0 seconds"
    ),
    "windows, update": lambda: Law(
        f"SELECT window(ts, '1 minute') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", "update", "1 hour", key=2
    ),
    "windows, complete": lambda: Law(
        f"SELECT window(ts, '1 minute') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", "complete", "0 seconds"
    ),
    "sliding windows, append": lambda: Law(
        f"SELECT window(ts, '1 minute', '20 seconds') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", delay="5 seconds"
    ),
    "a watermarked column, append": lambda: Law(f"SELECT ts, k, {AGGREGATES} FROM a GROUP BY ts, k", delay="0 seconds"),
    "sessions, append": lambda: Law(
        f"SELECT session_window(ts, '30 seconds') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", delay="0 seconds"
    ),
    "sessions, complete": lambda: Law(
        f"SELECT session_window(ts, '30 seconds') AS w, k, {AGGREGATES} FROM a GROUP BY ALL", "complete", "0 seconds"
    ),
    "rollup, complete": lambda: Law(
        "SELECT k, s, count(*) AS n, sum(v) AS total FROM a GROUP BY ROLLUP(k, s)", "complete"
    ),
    "cube, update": lambda: Law(
        "SELECT k, s, grouping_id() AS g, count(*) AS n FROM a GROUP BY CUBE(k, s)", "update", key=3
    ),
    "distinct, append": lambda: Law(distinct),
    "distinct, update": lambda: Law(distinct, "update", key=-1),
    "keys with event time, append": lambda: Law(unique_keys, delay="0 seconds"),
    "keys within the watermark, append": lambda: Law(
        within_watermark, delay="1 hour", answer="SELECT DISTINCT k, v FROM a"
    ),
    "inner join": lambda: Law(f"SELECT {PAIR} FROM a JOIN b ON a.k = b.k", key=-1),
    "inner join near in time": lambda: Law(f"SELECT {PAIR} FROM a JOIN b ON {NEAR}", delay="0 seconds"),
    "inner join, update": lambda: Law(f"SELECT {PAIR} FROM a JOIN b ON {NEAR}", "update", "0 seconds", key=-1),
    "left join": lambda: Law(f"SELECT {PAIR} FROM a LEFT JOIN b ON {NEAR}", delay="0 seconds"),
    "right join": lambda: Law(
        f"SELECT b.k AS k, {TIMES} FROM a RIGHT JOIN b ON {NEAR}", delay="0 seconds"
    ),
    # In a stream, and there only, Spark's full join has NULL keys match each other
    "full join": lambda: Law(
        f"SELECT coalesce(a.k, b.k) AS k, {TIMES} FROM a FULL JOIN b ON {NEAR}", delay="0 seconds",
        answer=f"SELECT coalesce(a.k, b.k) AS k, {TIMES} FROM a FULL JOIN b ON {NEAR.replace('=', '<=>', 1)}",
    ),
    "left semi join": lambda: Law(f"SELECT a.k, a.ts, a.v FROM a LEFT SEMI JOIN b ON {NEAR}", delay="0 seconds"),
    "windows of windows": lambda: Law(
        "SELECT window(window_time(w), '2 minutes') AS ww, count(*) AS groups, sum(n) AS n "
        f"FROM ({MINUTES}) GROUP BY ALL",
        delay="0 seconds",
    ),
    "windows of a join": lambda: Law(
        "SELECT window(at, '1 minute') AS w, k, count(*) AS n "
        f"FROM (SELECT {PAIR} FROM a JOIN b ON {NEAR}) GROUP BY ALL",
        delay="0 seconds",
    ),
}  # fmt: skip
