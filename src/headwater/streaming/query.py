"""A running streaming query: one thread that drives the engine, and what other threads may ask of it.

A run may start itself again after a failure (`restart`): sources, state and sink are opened anew, as a new run would.

Invariants: exactly one `started` and one `terminated` event per run; after `terminated` no batch runs and the
exception, if any, stays the same; `stop` lets a running batch finish for a moment, then interrupts it, and returns
when the thread has ended. An interrupted batch is in the offset log and runs again at the next start.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from headwater.duck import Interrupted
from headwater.errors import SparkError, StreamingQueryError
from headwater.log import logger
from headwater.streaming.engine import MicroBatchEngine, Parts
from headwater.streaming.logs import compact
from headwater.streaming.progress import BatchReport, ProgressLog, Status, timestamp
from headwater.streaming.protocol import Action
from headwater.streaming.restart import RestartPolicy, Restarts
from headwater.streaming.trigger import TriggerClock
from headwater.threads import start_deep_thread

_log = logger("streaming")
_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class StreamEvent:
    """What listeners are told; `json` is Spark's text of the event."""

    kind: Literal["started", "progress", "idle", "terminated"]
    json: str


@dataclass(frozen=True)
class Identity:
    """Who a run is. `id` lives as long as the checkpoint, `run_id` as long as the run."""

    id: str
    run_id: str
    name: str | None = None


class StreamingQuery:
    """One run of a streaming query.

    Args:
        identity: see `Identity`.
        parts: what the engine drives.
        opened: opens all of `parts` anew.
        trigger: when it triggers.
        progress: where reports are kept.
        publish: told of every event, from the query's thread.
        idle_ms: pause between idle events.
        translate: turns any failure into Spark's error.
        cleanup: called at the end, with whether the run failed.
        restart: whether it starts itself again.
    """

    def __init__(
        self,
        identity: Identity,
        parts: Parts,
        opened: Callable[[], Parts],
        trigger: TriggerClock,
        progress: ProgressLog,
        publish: Callable[[StreamingQuery, StreamEvent], None],
        *,
        idle_ms: int = 10_000,
        stop_timeout_ms: int = 0,
        translate: Callable[[Exception], Exception] = lambda error: error,
        cleanup: Callable[[bool], None] = lambda _: None,
        restart: RestartPolicy,
    ) -> None:
        self.id, self.run_id, self.name = identity.id, identity.run_id, identity.name
        self._parts, self._opened = parts, opened
        self._trigger = trigger
        self._progress = progress
        self._publish = publish
        self._idle_ms = idle_ms
        self._stop_timeout_ms = stop_timeout_ms
        self._translate = translate
        self._cleanup = cleanup
        self._restarts = Restarts(restart)
        self._engine = MicroBatchEngine(parts, self._set_status, self._on_batch)
        self._freed: MicroBatchEngine | None = None
        self._stopping = threading.Event()
        self._ended = threading.Event()
        self._moved = threading.Condition()
        self._asked = 0
        self._answered = 0
        self._idle_since_ms = 0
        self._error: StreamingQueryError | None = None
        self._thread: threading.Thread | None = None

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────────

    def prepare(self) -> None:
        """Bind the plan. Raises what is wrong with it; the query is closed then."""
        try:
            self._engine.prepare()
        except Exception as error:
            self._engine.close()
            translated = self._translate(error)
            if translated is error:
                raise
            raise translated from error

    def start(self) -> str:
        """Start the thread; returns the JSON of the started event."""
        started = {"id": self.id, "runId": self.run_id, "name": self.name}
        text = compact({**started, "timestamp": timestamp(self._parts.clock.now_ms()), "jobTags": []})
        self._publish(self, StreamEvent("started", text))
        name = f"stream execution thread for {self.name or ''} [id = {self.id}, runId = {self.run_id}]"
        self._thread = start_deep_thread(self._run, name)
        return text

    def _run(self) -> None:
        try:
            error = self._attempt(self._engine)
            while error is not None and self._pauses(error):
                error = self._attempt(None)
            if error is not None and self.is_active and not self._was_stopped(error):
                self._fail(error)
        finally:
            if self.is_active:  # an abandoned run has no end of its own
                self._end()

    def _attempt(self, engine: MicroBatchEngine | None) -> BaseException | None:
        """Run batches until the end; why they ended if that was not it.

        Args:
            engine: what runs them; None opens a new one.
        """
        try:
            self._set_status(Status("Initializing sources"))
            if engine is None:
                self._parts = self._opened()
                self._engine = MicroBatchEngine(self._parts, self._set_status, self._on_batch)
                self._engine.prepare()
            self._engine.open()
            self._loop()
        except BaseException as error:
            return error
        return None

    def _pauses(self, error: BaseException) -> bool:
        """Whether the run is to start again; the pause before that is over then."""
        if not isinstance(error, Exception) or not self.is_active or self._stopping.is_set():
            return False
        cause = self._translate(error)
        if cause is not error:
            cause.__cause__ = error
        seconds = self._restarts.after(cause, self._engine.batch_id)
        if seconds is None:
            return False
        attempt = f"attempt {self._restarts.attempt} in {seconds:.1f} s"
        _log.warning("query %s run %s starts again, %s, after %s", self.id, self.run_id, attempt, cause)
        self._free()
        self._set_status(Status(f"Starting again ({attempt}): {cause}"))
        return not self._stopping.wait(seconds)

    def _was_stopped(self, error: BaseException) -> bool:
        """Whether it ended for that was asked of it, be it between two attempts."""
        return self._stopping.is_set() and (isinstance(error, Interrupted) or self._freed is self._engine)

    def _loop(self) -> None:
        before = Action.WAIT
        while True:
            asked = self._asked
            fired = self._parts.clock.now_ms()
            action = self._engine.trigger(self._stopping.is_set())
            if action is Action.STOP:
                return
            idle = action is Action.WAIT
            if idle:
                self._note_idle(asked)
            waiting = self._trigger.waiting
            if idle or self._trigger.interval_ms:
                self._set_status(Status(waiting))
            if not self._stopping.is_set() and (idle or self._answered == self._asked):
                # processing time makes one batch without data after another: they need not follow at full speed
                self._trigger.pause(fired, idle or action is before is Action.RUN_WITHOUT_DATA)
            before = action

    def _note_idle(self, asked: int) -> None:
        now = self._parts.clock.now_ms()
        if now - self._idle_since_ms >= self._idle_ms:
            self._idle_since_ms = now
            self._tell("idle", {"timestamp": timestamp(now)})
        with self._moved:
            self._answered = asked
            self._moved.notify_all()

    def _fail(self, error: BaseException) -> None:
        cause = self._translate(error) if isinstance(error, Exception) else error
        message = str(cause) or type(cause).__name__
        _log.error("query %s run %s failed", self.id, self.run_id, exc_info=error)
        failure = StreamingQueryError("STREAM_FAILED", id=self.id, runId=self.run_id, message=message)
        failure.__cause__ = cause
        failure.query_id, failure.run_id = self.id, self.run_id  # type: ignore[attr-defined]
        failure.details = self._describe()  # type: ignore[attr-defined]
        self._error = failure
        self._set_status(Status(f"Terminated with exception: {message}"))

    def _describe(self) -> str:
        """What Spark adds below the message: who failed, and how far it had come."""
        who = f"{self.name or ''} [id = {self.id}, runId = {self.run_id}]".lstrip()
        return (
            f"=== Streaming Query ===\nIdentifier: {who}\n"
            f"Current Committed Offsets: {self._named(self._engine.committed)}\n"
            f"Current Available Offsets: {self._named(self._engine.available)}"
        )

    def _named(self, offsets: tuple[str | None, ...]) -> str:
        pairs = zip(self._parts.sources, offsets, strict=False)
        return "{" + ", ".join(f"{s.description}: {offset}" for s, offset in pairs if offset is not None) + "}"

    def _free(self) -> None:
        """Free the parts, once."""
        if self._freed is self._engine:
            return
        self._freed = self._engine
        try:
            self._engine.close()
        except Exception as error:
            _log.warning("query %s: freeing its parts failed: %s", self.id, error)

    def _end(self) -> None:
        self._free()
        if self._error is None:
            self._set_status(Status("Stopped"))
        self._cleanup(self._error is not None)
        self._ended.set()
        with self._moved:
            self._moved.notify_all()
        cause = self._error.__cause__ if self._error else None
        condition = cause.condition if isinstance(cause, SparkError) else None
        text = str(self._error) if self._error else None
        self._tell("terminated", {"exception": text, "errorClassOnException": condition})

    # ── what the engine tells ───────────────────────────────────────────────────────────────────────────────

    def _set_status(self, status: Status) -> None:
        self._progress.status = status

    def _on_batch(self, report: BatchReport) -> None:
        self._idle_since_ms = self._parts.clock.now_ms()
        text = self._progress.add({**report.json((self.id, self.run_id, self.name)), **self._restarts.report()})
        self._publish(self, StreamEvent("progress", f'{{"progress":{text}}}'))

    def _tell(self, kind: Literal["idle", "terminated"], body: dict[str, str | None]) -> None:
        self._publish(self, StreamEvent(kind, compact({"id": self.id, "runId": self.run_id, **body})))

    # ── what the user asks ──────────────────────────────────────────────────────────────────────────────────

    @property
    def is_active(self) -> bool:
        """Whether the run has not ended."""
        return not self._ended.is_set()

    def status(self) -> Status:
        """What it is doing now."""
        return self._progress.status

    @property
    def last_progress(self) -> str | None:
        """The newest progress as JSON text."""
        return self._progress.last()

    @property
    def recent_progress(self) -> list[str]:
        """The progress reports kept, oldest first, as JSON text."""
        return self._progress.recent()

    def exception(self) -> StreamingQueryError | None:
        """Why the run ended, if it failed."""
        return self._error

    def stop(self) -> None:
        """End the run and wait for it. Raises STREAMING_QUERY_STOP_TIMEOUT after `spark.sql.streaming.stopTimeout`."""
        self._stopping.set()
        self._trigger.wake.set()
        begin = time.monotonic()
        while self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_GRACE_SECONDS)
            if not self._thread.is_alive():
                return
            self._interrupt()
            if self._stop_timeout_ms and (time.monotonic() - begin) * 1000 > self._stop_timeout_ms:
                raise StreamingQueryError("STREAMING_QUERY_STOP_TIMEOUT", milliseconds=self._stop_timeout_ms)

    def _interrupt(self) -> None:
        if not self._ended.is_set():
            self._engine.interrupt()

    def wake(self) -> None:
        """Trigger now, whatever the clock says."""
        self._trigger.wake.set()

    def abandon(self) -> None:
        """Count as ended, though nothing was stopped, freed or told: what is left when the process dies (for tests)."""
        self._ended.set()
        with self._moved:
            self._moved.notify_all()

    def free(self) -> None:
        """Free what an abandoned run holds, once its thread is let go."""
        if self._thread is not None:
            self._thread.join(_GRACE_SECONDS)
        self._engine.close()

    def await_termination(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; whether it has come. Raises the query's exception if it failed."""
        ended = self._ended.wait(timeout_s)
        if ended and self._error is not None:
            raise self._error
        return ended

    def process_all_available(self) -> None:
        """Wait until all data that was there at the call is in the sink. Raises the query's exception if it fails.

        Until then the query does not wait for its trigger's time.
        """
        with self._moved:
            self._asked += 1
            mine = self._asked
            self.wake()
            self._moved.wait_for(lambda: self._answered >= mine or self._ended.is_set())
        if self._error is not None:
            raise self._error

    def explain(self, extended: bool = False) -> str:
        """The plan, as text."""
        return self._engine.explain(extended)
