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
from typing import Any, cast

import pyarrow as pa
from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.io.formats.base import FormatOptions
from headwater.plan.node import Node
from headwater.plan.relations import CachedRemote, LocalData, ReadTable, Relation, SubqueryAlias, WithWatermark
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
        key: how many leading columns name a group (update mode: the last row of a group counts).
    """

    text: str | Callable[[Relation, Relation], Relation]
    mode: OutputMode = "append"
    delay: str | None = None
    key: int = 0
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
        plan = with_explicit_aggregates(self._plan(CachedRemote("stream_0"), CachedRemote("stream_1")))
        self._cut = cut_plan(plan, leaves, cast(Any, self._session), self.mode)

    def _plan(self, a: Relation, b: Relation) -> Relation:
        a, b = (WithWatermark(one, "ts", self.delay) if self.delay else one for one in (a, b))
        if callable(self.text):
            return self.text(a, b)
        inputs = {"a": a, "b": b}

        def put(node: Node) -> Node:
            if isinstance(node, ReadTable) and node.parts[0] in inputs:
                return SubqueryAlias(inputs[node.parts[0]], node.parts[0])
            return node.map_children(put)

        return cast(Relation, put(parse_query(self.text, {}, ())))

    # ── the two answers ─────────────────────────────────────────────────────────────────────────────────────

    def batch(self, a: Sequence[Row], b: Sequence[Row] = ()) -> Counter[tuple[Any, ...]]:
        """The rows of the plan over all input at once."""
        plan = self._plan(LocalData(self._table(a), self._shape), LocalData(self._table(b), self._shape))
        return _rows(self._session.execute(with_explicit_aggregates(plan)).table())

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
        self._ids = {number: report.ids for number, report in zip(numbers, reports, strict=True)}
        self._run.see()
        self._late, self._watermark = self._watermark, self._run.tracker.watermark_ms
        self._number += 1

    def due(self) -> bool:
        return self._run.due()

    def restart(self) -> None:
        self._connection.close()
        self._open()

    def answer(self) -> Counter[tuple[Any, ...]]:
        self._connection.close()
        if self.law.mode == "complete":
            return _rows(self._rows[-1])
        if self.law.mode == "update" and self.law.key >= 0:
            newest = {tuple(map(_hashable, row[: self.law.key])): row for t in self._rows for row in _tuples(t)}
            return Counter(tuple(map(_hashable, row)) for row in newest.values())
        return sum((_rows(table) for table in self._rows), Counter())


def _all_of(name: str) -> exp.Select:
    return exp.select("*").from_(name)


def _tuples(table: pa.Table) -> list[tuple[Any, ...]]:
    columns = [column.to_pylist() for column in table.columns]
    return list(zip(*columns, strict=True))


def _rows(table: pa.Table) -> Counter[tuple[Any, ...]]:
    return Counter(tuple(map(_hashable, row)) for row in _tuples(table))


def _hashable(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    if isinstance(value, dict):
        return tuple((key, _hashable(one)) for key, one in value.items())
    return value.timestamp() if hasattr(value, "timestamp") else value
