"""Runs a streaming query through the steps of a test.

The clock is held, so the query does something only when a step lets it: between steps it is parked, and what a batch
holds never depends on how fast the test is.

Invariants: every step drives the real engine behind a genuine client; a failed step tells the story of all steps so
far; whatever happens, the query is stopped and the clock runs again at the end.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from headwater.testing.rows import plain, plain_rows
from headwater.testing.sessions import clock_of, holder_of
from headwater.testing.steps import POINTS, Step

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming import DataStreamWriter

    from headwater.sinks.memory_batches import MemoryBatches
    from headwater.streaming.query import StreamingQuery

_CRASH_SECONDS = 30.0


class StreamTestError(AssertionError):
    """A step did not hold; the message is the story."""


@dataclass(frozen=True)
class Target:
    """Where a query writes, if not into the test's own sink.

    Attributes:
        write: sets the sink, as in `lambda writer: writer.foreachBatch(upsert)`.
        read: gives what is there now, as in `lambda: spark.table("totals")`; `Check` compares it.
    """

    write: Callable[[DataStreamWriter], DataStreamWriter]
    read: Callable[[], DataFrame] | None = None


def run_stream(
    df: DataFrame,
    steps: Sequence[Step],
    output_mode: str = "append",
    checkpoint: str | None = None,
    trigger: Mapping[str, Any] | None = None,
    target: Target | None = None,
) -> list[dict[str, Any]]:
    """Start a query, run it through the steps, stop it.

    Args:
        df: a streaming DataFrame of a session of `headwater.testing.session()` or of the fixture.
        steps: what happens, in order. The query is running when the first one is taken.
        output_mode: `append`, `update` or `complete`.
        checkpoint: a folder that stays; default: a temporary one.
        trigger: arguments of `writeStream.trigger`.
        target: where to write, instead of into memory.

    Returns:
        The progress of every batch, oldest first.
    """
    folder = checkpoint or tempfile.mkdtemp(prefix="headwater-checkpoint-")
    run = StreamRun(df, (output_mode, folder, trigger), target)
    run.clock.hold()
    try:
        run.start()
        for step in steps:
            run.take(step)
        return run.progress
    finally:
        try:
            run.close()
        finally:
            run.clock.release()
            if checkpoint is None:
                shutil.rmtree(folder, ignore_errors=True)


class StreamRun:
    """One query under test; what the steps act on.

    Args:
        df: the query's rows. how: output mode, checkpoint folder and trigger. target: see `run_stream`.
    """

    def __init__(self, df: DataFrame, how: tuple[str, str, Mapping[str, Any] | None], target: Target | None) -> None:
        from headwater.sinks.memory_batches import MemoryBatches, memory_batches

        self._df = df
        self._mode, self._checkpoint, self._trigger = how
        self._target = target
        self._id = str(uuid.uuid4())
        self._batches: MemoryBatches = memory_batches.setdefault(self._id, MemoryBatches())
        self._checked = -1
        self._done: list[Step] = []
        self._query: Any = None
        self._past: list[dict[str, Any]] = []
        self._dead: list[tuple[StreamingQuery, Abandon]] = []
        self.clock = clock_of(df.sparkSession)

    def take(self, step: Step) -> None:
        """Take one step. Raises StreamTestError."""
        self._done.append(step)
        try:
            step.run(self)
        except StreamTestError:
            raise
        except Exception as error:
            raise StreamTestError(self._story(str(error))) from error

    # ── the query's life ────────────────────────────────────────────────────────────────────────────────────

    def start(self) -> None:
        """Start the query and let it do what there is to do."""
        writer = self._df.writeStream.outputMode(self._mode).option("checkpointLocation", self._checkpoint)
        if self._trigger:
            writer = writer.trigger(**self._trigger)
        if self._target is None:
            writer = writer.format("headwater-memory").option("id", self._id)
        else:
            writer = self._target.write(writer)
        self._query = writer.start()
        self._park()

    def stop(self) -> None:
        """Stop the query, if it runs."""
        if self._query is not None and self._server_side().is_active:
            self._query.stop()
        self._keep_progress()

    def settle(self) -> None:
        """Wait until everything there is has been processed. Raises the query's error."""
        if self._query is None:
            msg = "the query is not running: Restart() first"
            raise StreamTestError(self._story(msg))
        self._query.processAllAvailable()

    def crash(self, at: str) -> None:
        """Let the next batch run to a point, and leave it there until everything is over."""
        from headwater import crash

        if at not in POINTS:
            msg = f"Crash(at={at!r}): the points are {', '.join(POINTS)}"
            raise ValueError(msg)
        if self._query is None:
            raise StreamTestError(self._story("the query is not running: Restart() first"))
        dying = self._server_side()
        trap = Abandon(at, dying.run_id)
        crash.set_trap(trap)
        try:
            dying.wake()
            while not trap.sprung.wait(0.005):
                self._check_dying(dying, trap)
        except BaseException:
            trap.release()
            raise
        finally:
            crash.set_trap(None)
        dying.abandon()
        self._dead.append((dying, trap))
        self._keep_progress()

    def expect_failure(self, condition: str) -> None:
        """Process until the query fails."""
        from pyspark.errors import PySparkException

        try:
            self.settle()
        except PySparkException as error:
            if condition not in str(error):
                raise StreamTestError(self._story(f"it failed, but not with {condition}: {error}")) from error
            self._keep_progress()
            return
        raise StreamTestError(self._story(f"it did not fail; expected {condition}"))

    def close(self) -> None:
        """Stop the query, forget its rows, and free what crashes have left."""
        from headwater.sinks.memory_batches import memory_batches

        memory_batches.pop(self._id, None)
        try:
            self.stop()
        finally:
            for query, trap in self._dead:
                trap.release()
                query.free()

    # ── what came out ───────────────────────────────────────────────────────────────────────────────────────

    @property
    def progress(self) -> list[dict[str, Any]]:
        """The progress of every batch of every run, oldest first."""
        running = [] if self._query is None else [json.loads(one.json) for one in self._query.recentProgress]
        return [*self._past, *running]

    def output(self) -> list[tuple[Any, ...]]:
        """The whole output."""
        self._checked = self._batches.last_id()
        if self._target is None:
            return plain_rows(self._batches.after(-1), self._batches.schema)
        if self._target.read is None:
            raise StreamTestError(self._story("nobody said how to read the output: Target(write, read)"))
        return [plain(row) for row in self._target.read().collect()]

    def new_output(self) -> list[tuple[Any, ...]]:
        """The batches since the last check."""
        before, self._checked = self._checked, self._batches.last_id()
        return plain_rows(self._own().after(before), self._batches.schema)

    def last_output(self) -> list[tuple[Any, ...]]:
        """The newest batch."""
        self._checked = self._batches.last_id()
        return plain_rows(self._own().after(self._checked - 1), self._batches.schema)

    def compare(self, wanted: Sequence[Any], found: Sequence[tuple[Any, ...]]) -> None:
        """Raises StreamTestError with the difference."""
        rows = [plain(row) for row in wanted]
        missing, extra = Counter(rows) - Counter(found), Counter(found) - Counter(rows)
        if missing or extra:
            lines = [*(f"   missing     {row}" for row in missing.elements())]
            lines += [f"   unexpected  {row}" for row in extra.elements()]
            raise StreamTestError(self._story("the rows differ\n" + "\n".join(lines)))

    # ── inside ──────────────────────────────────────────────────────────────────────────────────────────────

    def _own(self) -> MemoryBatches:
        if self._target is not None:
            raise StreamTestError(self._story("with a target of your own only Check() can look at the output"))
        return self._batches

    def _park(self) -> None:
        """Let it come to rest; what fails meanwhile is told by the next step that looks."""
        from pyspark.errors import PySparkException

        try:
            self._query.processAllAvailable()
        except PySparkException:
            return

    def _server_side(self) -> StreamingQuery:
        _, holder = holder_of(self._df.sparkSession)
        return holder.queries[self._query.runId]

    def _check_dying(self, dying: StreamingQuery, trap: Abandon) -> None:
        if not dying.is_active:
            raise StreamTestError(self._story(f"the query ended before {trap.name}: {dying.exception()}"))
        if trap.expired():
            raise StreamTestError(self._story(f"no batch came to {trap.name}: is there anything to process?"))

    def _keep_progress(self) -> None:
        self._past = self.progress
        self._query = None

    def _story(self, what: str) -> str:
        steps = "\n".join(f"   {step}" for step in self._done[:-1])
        told = f"{what}\n\nsteps:\n{steps}\n=> {self._done[-1] if self._done else 'start'}"
        last = self.progress[-1:]
        return f"{told}\n\nlast progress: {json.dumps(last[0], indent=2)}" if last else told


class Abandon:
    """A trap (`headwater.crash`) that keeps the thread of one run.

    The thread sleeps until `release`, when the test is over: until then no `finally` of the engine runs, as if the
    process had died. At the points no code of a user or of a sink is on the thread's stack.
    """

    def __init__(self, name: str, run_id: str) -> None:
        import time

        self.name = name
        self.sprung = threading.Event()
        self._released = threading.Event()
        self._run_id = run_id
        self._now = time.monotonic
        self._end = self._now() + _CRASH_SECONDS

    def spring(self, name: str) -> None:
        """Sleep, and never go on from here, if it is the run's thread at the point."""
        if name == self.name and self._run_id in threading.current_thread().name:
            self.sprung.set()
            self._released.wait()
            raise SystemExit

    def release(self) -> None:
        """Let the thread end."""
        self._released.set()

    def expired(self) -> bool:
        """Whether the wait for it makes no sense any more."""
        return self._now() > self._end
