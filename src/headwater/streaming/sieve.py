"""Rows that cannot be taken are found, kept as dead letters, and left out of their batch (`sinks.dead_letters`).

A batch's rows are held (`held`) before anything is computed of them. Bad records are known at once. Rows that make the
plan fail are mostly found in one pass (`suspects`); all others, and those that the sink refuses, are looked for by
halves, which takes any plan for what it is:

    plan without state    the batch is written; only if that fails are rows looked for, and it is written anew
    plan with state       what reads the rows first is computed before any state is touched

Invariants: letters are durable before the batch is in the sink; a batch that runs again leaves the same rows out; a
failure that is no row's (no disk, no network, a wrong plan) ends the query as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from sqlglot import exp

from headwater.crash import crash_point
from headwater.duck import Connection, DuckError, Interrupted, sql_text
from headwater.errors import SparkError
from headwater.log import logger
from headwater.sinks.base import Batch, ChecksRows, SinkResult, StreamSink
from headwater.sinks.dead_letters import DeadLetters
from headwater.sources.base import StreamSource
from headwater.streaming.binding import Binding
from headwater.streaming.dataflow import Dataflow, OperatorNode
from headwater.streaming.held import HeldRows
from headwater.streaming.planned import PlannedBatch
from headwater.streaming.statements import create, run
from headwater.streaming.suspects import Chain

_MOST_FAILING = 10_000
"""Without a limit of the user's own a batch has no more failing rows: each is looked for, and so many mean that the
query is wrong rather than its rows."""
_log = logger("streaming")
_REASONS, _PROBE = "dead_letter_reasons", "dead_letter_probe"
_OF_ROWS = ("22", "23", "38", "P0")
"""SQLSTATE classes of what is wrong with a row: its data, a constraint, the user's function, `raise_error`."""


@dataclass(frozen=True)
class Failure:
    """A row that failed: its source, its number among the source's rows, and why."""

    source: int
    row: int
    error: SparkError


class Sieve:
    """One query's.

    Args:
        connection: the query's; its views of the streams are there.
        stream: the plan.
        sources: in the order of their numbers.
        letters: where dead letters go.
        translate: turns any failure into Spark's error.
    """

    def __init__(
        self,
        connection: Connection,
        stream: Dataflow,
        sources: Sequence[StreamSource],
        letters: DeadLetters,
        translate: Callable[[Exception], Exception],
    ) -> None:
        self._connection = connection
        self._letters, self._translate = letters, translate
        (zone,) = connection.execute("SELECT current_setting('TimeZone')").fetchall()[0]
        self._held = [
            HeldRows(number, source, columns, str(zone))
            for number, (source, columns) in enumerate(zip(sources, stream.leaves, strict=True))
        ]
        first = row_queries(stream)
        self._first = [create(_PROBE, query) for query in first]
        self._chains = [chain for query in first if (chain := Chain.of(query)) is not None]
        self._stateless = not stream.nodes
        self._batch_id = -1
        self._present: list[HeldRows] = []
        self._failures: list[Failure] = []
        self._known = 0
        self._written = False

    # ── one batch ───────────────────────────────────────────────────────────────────────────────────────────

    def hold(self, planned: PlannedBatch, binding: Binding) -> None:
        """Open a batch and hold its rows: its inputs are the held ones then."""
        planned.open(self._held, self._connection)
        self._batch_id, self._failures, self._known, self._written = planned.batch_id, [], 0, False
        self._present = []
        for held, rows in zip(self._held, planned.inputs, strict=True):
            if rows is not None:
                binding.lend(rows)
                planned.inputs[held.number] = held.fill(self._connection, rows)
                binding.release([rows])
                self._present.append(held)
        self._check_number()

    def begin(self, *, again: bool) -> None:
        """Leave out what fails before any state is touched, and what failed in an earlier run of the batch.

        Args:
            again: the batch may have been run before.
        """
        if again and self._letters.has("failing rows", self._batch_id):
            known = self._letters.failed(self._connection, self._batch_id)
            self._known, self._written = len(known), True
            for held in self._present:
                held.fail(self._connection, [row for source, row in known if source == held.number], at=-self._known)
            return
        if not self._stateless and self._fails(self._compute_first) is not None:
            self._leave_out(self._compute_first)

    def add(self, sink: StreamSink, batch: Callable[[], Batch]) -> SinkResult:
        """Add the batch to the sink, without the rows for which it cannot be written. Raises as `sink.add_batch`."""
        self._keep()
        try:
            result = sink.add_batch(batch())
        except Exception as error:
            self._search(error, lambda: _check(sink, batch()))
            self._keep()
            result = sink.add_batch(batch())
        return replace(result, metrics={**result.metrics, "numDeadLetters": str(self._number)})

    def _search(self, error: Exception, compute: Callable[[], None]) -> None:
        cause = self._translate(error)
        if not self._stateless or self._written or not _is_of_a_row(cause):
            raise error
        _log.warning("batch %d: rows that fail are looked for, after %s", self._batch_id, cause)
        self._leave_out(compute)
        if not self._failures:
            raise error

    def _keep(self) -> None:
        """Make the letters of the batch durable, once."""
        bad = [held.bad_records() for held in self._present if held.bad]
        if bad:
            self._letters.add(self._connection, "bad records", self._batch_id, _together(bad))
        if self._failures:
            self._keep_failures()
        if bad or self._failures:
            crash_point("dead_letters.kept")

    def release(self) -> None:
        """Let go of the batch's rows."""
        for held in self._present:
            held.release(self._connection)

    # ── rows that fail ──────────────────────────────────────────────────────────────────────────────────────

    def _compute_first(self) -> None:
        for text in self._first:
            run(self._connection, text)

    def _leave_out(self, compute: Callable[[], None]) -> None:
        for held in self._present:
            held.show(self._connection, 0, -1)
        nothing = self._fails(compute)
        if nothing is not None:  # it fails without any row
            raise nothing
        for held in self._present:
            self._take_out(held, self._singly(held))
            held.show(self._connection)
            if self._fails(compute) is not None:
                self._take_out(held, self._by_halves(held, compute))
            held.show(self._connection, 0, -1)
        for held in self._present:
            held.show(self._connection)

    def _take_out(self, held: HeldRows, failing: Iterator[Failure]) -> None:
        at = len(self._failures)
        for failure in failing:
            self._failures.append(failure)
            self._check_number(failure.error)
        held.fail(self._connection, [failure.row for failure in self._failures[at:]], at=at)

    def _singly(self, held: HeldRows) -> Iterator[Failure]:
        """The suspects of one source that fail."""
        for row in self._suspects(held):
            held.show(self._connection, row, row)
            error = self._fails(self._compute_first)
            if error is not None:
                yield Failure(held.number, row, error)

    def _suspects(self, held: HeldRows) -> list[int]:
        """None where DuckDB cannot say: it takes no functions in `TRY` that give another value each time."""
        held.show(self._connection)
        found: set[int] = set()
        for chain in self._chains:
            if chain.stream == f"stream_{held.number}":
                try:
                    rows = self._connection.execute(sql_text(chain.suspects(held.numbered()))).fetchall()
                except Interrupted:
                    raise
                except DuckError as error:
                    _log.info("rows that fail are looked for by halves: %s", error)
                    continue
                found.update(row for (row,) in rows)
        return sorted(found)

    def _by_halves(self, held: HeldRows, compute: Callable[[], None]) -> Iterator[Failure]:
        """The rows of one source that fail, each found by halving what fails."""
        ranges = [(0, held.rows - 1)] if held.rows else []
        while ranges:
            first, last = ranges.pop()
            held.show(self._connection, first, last)
            error = self._fails(compute)
            if error is None:
                continue
            if first == last:
                yield Failure(held.number, first, error)
            else:
                middle = (first + last) // 2
                ranges += [(middle + 1, last), (first, middle)]

    def _fails(self, compute: Callable[[], None]) -> SparkError | None:
        """Why the rows shown cannot be taken; None if they can. Raises what is no row's fault."""
        try:
            compute()
        except Exception as error:
            cause = self._translate(error)
            if not isinstance(cause, SparkError) or not _is_of_a_row(cause):
                raise
            return cause
        return None

    def _keep_failures(self) -> None:
        reasons = pa.table(
            {
                "number": pa.array(range(len(self._failures)), pa.int32()),
                "error_class": pa.array([failure.error.condition for failure in self._failures], pa.string()),
                "reason": pa.array([failure.error.text for failure in self._failures], pa.string()),
            }
        )
        self._connection.register(_REASONS, reasons)
        try:
            letters = _together([held.failures(_REASONS) for held in self._present])
            self._letters.add(self._connection, "failing rows", self._batch_id, letters)
        finally:
            self._connection.unregister(_REASONS)

    @property
    def _number(self) -> int:
        return sum(held.bad for held in self._present) + len(self._failures) + self._known

    def _check_number(self, error: SparkError | None = None) -> None:
        """Raises DEAD_LETTER_LIMIT_EXCEEDED."""
        most, number = self._letters.most, self._number
        if most is None:
            most, number = _MOST_FAILING, len(self._failures)
        if number > most:
            reason = error.text if error else "records that are not of their format"
            raise SparkError("DEAD_LETTER_LIMIT_EXCEEDED", batchId=self._batch_id, most=most, reason=reason)


def _is_of_a_row(error: Exception) -> bool:
    return isinstance(error, SparkError) and error.sql_state.startswith(_OF_ROWS)


def _check(sink: StreamSink, batch: Batch) -> None:
    """Compute the rows as the sink does, and drop them."""
    if isinstance(sink, ChecksRows):
        sink.check(batch)
    else:
        run(batch.connection, create(_PROBE, batch.query))


def _together(queries: Sequence[exp.Query]) -> exp.Query:
    whole = queries[0]
    for query in queries[1:]:
        whole = exp.Union(this=whole, expression=query, distinct=False)
    return whole


def row_queries(stream: Dataflow) -> list[exp.Query]:
    """What a plan computes of the streams' rows before the first of its operators, each by itself."""
    below: list[tuple[str, exp.Query]] = []
    found: list[tuple[str, exp.Query]] = []
    for node in stream.nodes:
        if isinstance(node, OperatorNode):
            found += [("", query) for query in node.reads]
        else:
            found.append((node.output, node.query))
            below.append((node.output, node.query))
    found.append(("", stream.query))
    used = {table.name for _, query in found for table in query.find_all(exp.Table)}
    queries = []
    for output, query in found:
        names = {table.name for table in query.find_all(exp.Table)}
        if output not in used and not any(name.startswith("operator_") for name in names):
            queries.append(_over(query, below))
    return queries


def _over(query: exp.Query, below: Sequence[tuple[str, exp.Query]]) -> exp.Query:
    """A query with the tables below it as common tables."""
    if not below:
        return query
    rows = exp.Subquery(this=query.copy(), alias=exp.TableAlias(this=exp.to_identifier("rows")))
    whole = exp.select(exp.Star()).from_(rows)
    for name, inner in below:
        whole = whole.with_(exp.to_identifier(name), as_=inner.copy(), copy=False)
    return whole
