"""The micro-batch driver. One trigger is these eight steps, in this order; the order is the contract.

    step  what                                                              a crash right after it means
    1     read the logs, ask `protocol` what is next                        nothing happened
    2     sources report end offsets under the rate limits; watermark fixed nothing happened
    3     `offsets/N` created, no overwrite, flushed while 4 runs           N is run again with exactly these offsets
    4     plan bound to the offset ranges and run in DuckDB                 as 3; nothing has left the process
    5     3 is waited for; state version N+1 is being written beside N      as 3; the replay starts from N, rewrites N+1
    6     sink commits batch N under (query id, N)                          replay finds N in the sink, adds nothing
    7     state N+1 is durable, then `commits/N` with the next watermark    N is done
    8     sources told, old logs and versions purged, progress published    purge is repeated

State version v is the state before batch v. A stateless plan runs inside the sink's statement, so step 4 only binds it.
The points of steps 3 to 5 are passed together, when 3 and 4 are both done. Where batches follow each other at once, and
the sources write nothing before their batch is planned, a batch does not wait for its step 7: the next one does in its
step 5, or the trigger that finds none. Whoever lost the query to another run finds out before he writes anything more.

Invariants: the plan is compiled before the first trigger, never in one; a failed trigger ends the run, so nothing that
memory holds has to be undone; the query's own thread does all work on its connection, and waits for what others flush.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import cast

from sqlglot import exp

from headwater.clock import Clock
from headwater.crash import crash_point
from headwater.duck import Connection, Database, Dialect, Reader
from headwater.plan.commands import Trigger
from headwater.sinks.base import Batch, OutputMode, SinkResult, StreamSink
from headwater.sinks.dead_letters import DeadLetters
from headwater.sources.base import BatchInput, Offset, ReadLimit, ReadsAhead, RecordsOffsets, StreamSource
from headwater.streaming import profile
from headwater.streaming.binding import Binding
from headwater.streaming.checkpoint import Checkpoint
from headwater.streaming.dataflow import BatchTime, Dataflow, DataflowRun
from headwater.streaming.latency import rtm_metrics
from headwater.streaming.logs import CommitEntry, OffsetEntry
from headwater.streaming.naming import unique_names
from headwater.streaming.parallelism import Parallelism
from headwater.streaming.planned import PlannedBatch
from headwater.streaming.progress import BatchReport, StateReport, Status, Stopwatch
from headwater.streaming.protocol import Action, Facts, Position, must_ask_sources, next_instruction
from headwater.streaming.read_ahead import ReadAhead, Reading, first_queries
from headwater.streaming.sieve import Sieve
from headwater.streaming.views import create_view
from headwater.streaming.writing import AsyncWriter, DirectWriter, LogWriter

_POLICY = "spark.sql.streaming.multipleWatermarkPolicy"
OUTPUT = "stream_output"
"""The temporary view that stands for the whole plan."""


@dataclass(frozen=True)
class Parts:
    """What an engine drives, opened by `start`."""

    stream: Dataflow
    sources: tuple[StreamSource, ...]
    sink: StreamSink
    checkpoint: Checkpoint
    database: Database
    connection: Connection
    clock: Clock
    output_mode: OutputMode
    trigger: Trigger
    retain: int
    conf: dict[str, str]
    without_data: bool = True
    """Whether batches without new data may run (`spark.sql.streaming.noDataMicroBatches.enabled`)."""
    async_ms: int | None = None
    """The interval of asynchronous progress tracking; None: every batch is logged before and after it runs."""
    letters: DeadLetters | None = None
    """Where rows go that cannot be taken; None: they end the query."""
    translate: Callable[[Exception], Exception] = lambda error: error
    """Turns any failure into Spark's error."""


class MicroBatchEngine:
    """Runs triggers one by one; `prepare` and `open` first.

    Args:
        parts: what to drive.
        on_status: told of every change of the query's status.
        on_batch: told of every finished batch.
    """

    def __init__(
        self, parts: Parts, on_status: Callable[[Status], None], on_batch: Callable[[BatchReport], None]
    ) -> None:
        self._parts = parts
        self._on_status = on_status
        self._on_batch = on_batch
        self._position = Position(0, False)
        self._offsets: tuple[Offset | None, ...] = ()
        self._replay: OffsetEntry | None = None
        self._conf = parts.conf
        self._late_ms = 0
        self._due = False
        self._finished = 0
        self._purged = 0
        self._previous_ms: int | None = None
        self._binding = Binding(parts.connection, parts.sources, parts.stream.leaves)
        self._dataflow: DataflowRun | None = None
        self._ahead: ReadAhead | None = None
        self._sieve: Sieve | None = None
        self._parallelism = Parallelism(parts.database)
        self._writer: LogWriter = DirectWriter(parts.checkpoint)
        recorded = all(isinstance(one, RecordsOffsets) for one in parts.sources)
        self._overlaps = recorded and _at_once(parts.trigger) and parts.async_ms is None
        self._unsettled: list[tuple[int, tuple[Offset | None, ...]]] = []
        names = [exp.column(name, quoted=True) for name in unique_names(parts.stream.schema)]
        self._output = exp.select(*names).from_(OUTPUT)
        self._reader = Reader(parts.connection, self._output)
        self.available: tuple[Offset | None, ...] = ()

    @property
    def committed(self) -> tuple[Offset | None, ...]:
        """Each source's offset up to which rows are in the sink."""
        return self._offsets

    @property
    def batch_id(self) -> int:
        """The batch that runs, or is next."""
        return self._position.batch_id

    # ── start ───────────────────────────────────────────────────────────────────────────────────────────────

    def open(self) -> None:
        """Find the position in the logs and restore state."""
        parts = self._parts
        self._position = parts.checkpoint.position()
        batch = self._position.batch_id
        self._offsets = (None,) * len(parts.sources)
        ids: Mapping[int, Sequence[str]] = {}
        done = parts.checkpoint.before(batch)
        if done is not None:
            ids = self._resume(done, self._logged(done))
        if self._position.planned:
            self._replay = self._logged(batch)
            self._conf = {**self._conf, **self._replay.conf}
            self._flow.tracker.set(self._replay.watermark_ms)
        if parts.trigger.kind == "available_now":
            for source in parts.sources:
                source.prepare_available_now()
        if parts.async_ms is not None:
            self._writer = AsyncWriter(parts.checkpoint, parts.clock, parts.async_ms)
        kept = parts.checkpoint.offsets.ids(gaps=parts.checkpoint.gaps)
        self._purged = kept[0] if kept else 0
        self._flow.tracker.policy = self._conf[_POLICY]
        self._flow.restore(batch, ids)

    def _logged(self, batch: int) -> OffsetEntry:
        entry = self._parts.checkpoint.offsets.get(batch)
        if entry is None:
            msg = f"offsets/{batch} vanished while the query was starting"
            raise FileNotFoundError(msg)
        self._parts.checkpoint.check_sources(entry, len(self._parts.sources))
        return entry

    def _resume(self, batch: int, done: OffsetEntry) -> Mapping[int, Sequence[str]]:
        """Take over a finished batch; returns what its state is written as."""
        commit = self._parts.checkpoint.commits.get(batch)
        self._offsets = done.offsets
        self._late_ms = done.watermark_ms
        self._flow.tracker.set(commit.next_watermark_ms if commit else done.watermark_ms)
        self._conf = {**self._conf, **done.conf}
        return commit.state_ids if commit else {}

    @property
    def _flow(self) -> DataflowRun:
        assert self._dataflow is not None, "prepare first"
        return self._dataflow

    def prepare(self) -> None:
        """Bind the plan to no rows: whatever DuckDB refuses is refused here."""
        connection, stream = self._parts.connection, self._parts.stream
        profile.enable(connection)
        for name, data in stream.inputs.items():
            connection.register(name, data)
        for index in range(len(self._parts.sources)):
            self._binding.bind(index, None)
        self._dataflow = DataflowRun(stream, connection, self._conf[_POLICY])
        create_view(connection, OUTPUT, stream.query.copy(), unique_names(stream.schema))
        if self._parts.letters is not None:
            parts = self._parts
            self._sieve = Sieve(connection, stream, parts.sources, self._parts.letters, parts.translate)
        elif _at_once(self._parts.trigger) and isinstance(self._parts.sources[0], ReadsAhead) and first_queries(stream):
            self._ahead = ReadAhead(connection, stream)

    # ── one trigger ─────────────────────────────────────────────────────────────────────────────────────────

    def trigger(self, stopping: bool = False) -> Action:
        """One trigger; returns what was done."""
        watch = Stopwatch()
        started = self._parts.clock.now_ms()
        with watch.part("triggerExecution"):
            action, planned = self._decide(stopping, watch)
            if planned is None:
                self._previous_ms = started
                self._settle()
                return action
            if action is not Action.REPLAY:
                self._log(planned, watch)
            with self._parallelism.batch():
                result, states = self._run(planned, action, watch)
            self._parallelism.saw(sum(planned.rows.values()), sum(one.rows_total for one in states))
            with watch.part("commitOffsets"):
                self._commit(planned, states)
        self._finish(planned)
        if not self._overlaps:
            crash_point("step7")
            self._settle()
        self._report(planned, started, watch, result, states)
        if not self._overlaps:
            crash_point("step8")
        return action

    def _commit(self, planned: PlannedBatch, states: Sequence[StateReport]) -> None:
        self._flow.see()
        numbers = sorted(node.number for node in self._parts.stream.operators)
        ids = {number: report.ids for number, report in zip(numbers, states, strict=True) if report.ids}
        entry = CommitEntry(self._flow.tracker.watermark_ms, ids)

        def durable() -> None:
            for report in states:
                report.wait()

        self._writer.commit(planned.batch_id, entry, durable)
        if not self._overlaps:
            self._writer.wait()

    def _decide(self, stopping: bool, watch: Stopwatch) -> tuple[Action, PlannedBatch | None]:
        kind = self._parts.trigger.kind
        facts = Facts(self._position, kind, self._finished, None, False, stopping)
        crash_point("step1")
        ends: tuple[Offset | None, ...] = ()
        if must_ask_sources(facts):
            ends = self._ask(watch)
            self.available = ends
            facts = Facts(self._position, kind, self._finished, ends != self._starts(), self._due, stopping)
        instruction = next_instruction(facts)
        if instruction.action is Action.REPLAY and self._replay is not None:
            again = self._replay
            self.available = again.offsets
            batch = PlannedBatch(
                instruction.batch_id, self._starts(), again.offsets, again.watermark_ms, again.timestamp_ms
            )
        elif instruction.action in (Action.RUN, Action.RUN_WITHOUT_DATA):
            watermark, now = self._flow.tracker.watermark_ms, self._parts.clock.now_ms()
            batch = PlannedBatch(instruction.batch_id, self._starts(), ends, watermark, now)
        else:
            return instruction.action, None
        return instruction.action, batch

    def _starts(self) -> tuple[Offset | None, ...]:
        return tuple(
            offset if offset is not None else source.initial_offset()
            for source, offset in zip(self._parts.sources, self._offsets, strict=True)
        )

    def _ask(self, watch: Stopwatch) -> tuple[Offset | None, ...]:
        """Step 2. A source without news keeps its offset."""
        limit = ReadLimit(all=self._parts.trigger.kind == "once")
        ends = []
        with watch.part("latestOffset"):
            for source, start in zip(self._parts.sources, self._starts(), strict=True):
                self._on_status(Status(f"Getting offsets from {source.description}", False, True))
                end = source.latest_offset(start, limit)
                ends.append(start if end is None else end)
        return tuple(ends)

    def _log(self, planned: PlannedBatch, watch: Stopwatch) -> None:
        crash_point("step2")
        self._on_status(Status("Writing offsets to log", False, True))
        with watch.part("walCommit"):
            entry = OffsetEntry(planned.ends, planned.watermark_ms, planned.timestamp_ms, self._conf)
            self._writer.plan(planned.batch_id, entry, partial(self._record, planned.ends))

    def _record(self, ends: Sequence[Offset | None]) -> None:
        for source, end in zip(self._parts.sources, ends, strict=True):
            if isinstance(source, RecordsOffsets) and end is not None:
                source.record(end)

    # ── steps 4 to 6 ────────────────────────────────────────────────────────────────────────────────────────

    def _run(self, planned: PlannedBatch, action: Action, watch: Stopwatch) -> tuple[SinkResult, list[StateReport]]:
        self._on_status(Status("Processing new data", True, True))
        with watch.part("getBatch"):
            if self._sieve is not None:
                self._sieve.hold(planned, self._binding)
            else:
                planned.open(self._parts.sources, self._parts.connection)
            read = self._take(planned)
        with watch.part("queryPlanning"):
            if read is None or not read.all:
                for index, rows in enumerate(planned.inputs):
                    self._binding.bind(index, rows)
            self._read_ahead(planned)
        planned.read_ms = _now_ms()
        count = partial(planned.count, self._parts.connection)
        with watch.part("addBatch"):
            moment = BatchTime(planned.batch_id, planned.timestamp_ms, self._late_ms, planned.watermark_ms)
            if self._sieve is not None:
                self._flow.begin(moment)
                self._sieve.begin(again=action is Action.REPLAY)
            self._flow.advance(moment, count, read.first if read else {})
        with watch.part("walCommit"):
            self._settle()
        for point in ("step3", "step4", "step5"):
            crash_point(point)
        with watch.part("addBatch"):
            batch = partial(self._batch, planned)
            sink, sieve = self._parts.sink, self._sieve
            result = sink.add_batch(batch()) if sieve is None else sieve.add(sink, batch)
            count()
            planned.written_ms = _now_ms()
            crash_point("step6")
            states = self._flow.commit(planned.batch_id + 1)
        self._binding.release(planned.inputs)
        if self._sieve is not None:
            self._sieve.release()
        return result, states

    def _take(self, planned: PlannedBatch) -> Reading | None:
        """What was read of this batch before."""
        read = self._ahead.take(planned.inputs[0]) if self._ahead is not None else None
        if read is not None:
            planned.rows[0] = read.count
        return read

    def _read_ahead(self, planned: PlannedBatch) -> None:
        """Begin to read what will most likely be the next batches."""
        if self._ahead is None:
            return
        source = cast(ReadsAhead, self._parts.sources[0])

        def following(skip: int, most: int) -> list[BatchInput]:
            batches = source.ahead(planned.ends[0], skip, most)
            return [rows for rows in batches if self._binding.is_bound(0, rows.query)]

        self._ahead.begin(following)

    def _batch(self, planned: PlannedBatch) -> Batch:
        return Batch(
            planned.batch_id,
            self._parts.connection,
            self._output.copy(),
            self._parts.stream.schema,
            self._parts.output_mode,
            reader=self._reader,
            ran=partial(planned.count, self._parts.connection),
        )

    # ── steps 7 and 8 ───────────────────────────────────────────────────────────────────────────────────────

    def _finish(self, planned: PlannedBatch) -> None:
        self._offsets = planned.ends
        self._replay = None
        self._late_ms = planned.watermark_ms
        self._due = self._parts.without_data and self._flow.due(by_clock=self._parts.trigger.kind != "available_now")
        self._finished += 1
        self._position = Position(planned.batch_id + 1, False)
        self._unsettled.append((planned.batch_id, planned.ends))

    def _settle(self) -> None:
        """Wait for the logs; what has ended for good needs neither its sources' rows nor old entries."""
        self._writer.wait()
        settled = self._writer.settled
        while self._unsettled and self._unsettled[0][0] <= settled:
            if self._overlaps:
                crash_point("step7")
            _, ends = self._unsettled.pop(0)
            for source, end in zip(self._parts.sources, ends, strict=True):
                if end is not None:
                    source.commit(end)
            self._purge(settled - self._parts.retain)
            if self._overlaps:
                crash_point("step8")

    def _purge(self, before: int) -> None:
        if before <= self._purged:
            return
        checkpoint, known, self._purged = self._parts.checkpoint, self._purged, before
        self._later(lambda: checkpoint.purge(before, known))
        self._flow.purge(before)

    def _later(self, work: Callable[[], None]) -> None:
        """Do what follows from the end of a batch once it has ended."""
        if self._overlaps:
            self._writer.tidy(work)
        else:
            work()

    def _report(
        self, planned: PlannedBatch, started: int, watch: Stopwatch, result: SinkResult, states: Sequence[StateReport]
    ) -> None:
        report = BatchReport(
            planned.batch_id,
            started,
            self._previous_ms,
            watch.milliseconds(),
            planned.source_reports(self._parts.sources),
            (self._parts.sink.description, result.rows, result.metrics),
            tuple(states),
            self._event_time(planned),
            self._flow.observed(),
            self._latencies(planned),
        )
        self._previous_ms = started
        self._later(partial(self._on_batch, report))

    def _latencies(self, planned: PlannedBatch) -> dict[str, dict[str, int]]:
        if self._parts.trigger.kind != "real_time":
            return {}
        arrivals = [each for rows in planned.inputs if rows is not None for each in rows.arrivals]
        return rtm_metrics(arrivals, planned.read_ms, planned.written_ms)

    def _event_time(self, planned: PlannedBatch) -> dict[str, int]:
        if not self._flow.has_watermark:
            return {}
        times = self._flow.event_times()
        seen = {} if times is None else {"avg": times.avg_ms, "max": times.max_ms, "min": times.min_ms}
        return {**seen, "watermark": planned.watermark_ms}

    def explain(self, extended: bool) -> str:
        """The plan as text: the DuckDB query over the sources' views, with `extended` its schema too."""
        text = self._parts.stream.query.sql(dialect=Dialect, pretty=True)
        physical = f"== Physical Plan ==\n{text}\n"
        if not extended:
            return physical
        columns = "\n".join(f"{field.name}: {field.dataType.simpleString()}" for field in self._parts.stream.schema)
        return f"== Analyzed Logical Plan ==\n{columns}\n\n{physical}"

    def interrupt(self) -> None:
        """End the statement that is running."""
        self._parts.connection.interrupt()
        if self._ahead is not None:
            self._ahead.interrupt()

    def close(self) -> None:
        """Free the sources, the sink and the connection."""
        self._writer.close()
        if self._ahead is not None:
            self._ahead.close()
        for source in self._parts.sources:
            source.stop()
        self._parts.sink.stop()
        self._parts.stream.close()
        self._parts.connection.close()


def _at_once(trigger: Trigger) -> bool:
    """Whether batches follow each other as long as there is something to read."""
    return not trigger.interval_ms and trigger.kind != "once"


def _now_ms() -> int:
    """The clock of sources' arrivals, which is never a test's."""
    return time.time_ns() // 1_000_000
