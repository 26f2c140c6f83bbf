"""Plays a scenario on a session of either engine: straight, or restarted before every step.

Invariants: neither engine is imported here; the files of a step are written while no trigger runs, so that they land
in one batch; a batch that runs again takes the place of its first run.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from support import scenarios
from support.scenarios import SECOND_MS, Advance, Run, Scenario

START_SECONDS = 30


class Player:
    """A query, and what it gave.

    Args:
        spark: the session. one: what is played. folder: for the input and the checkpoint, which nothing else uses.
        clock: the session's clock, if it is moved by hand; it has `advance(ms)`.
        rows: of every batch, filled by the sink.
    """

    patience = 3.0
    """Seconds until a trigger counts as one that has made no batch."""

    def __init__(self, spark: Any, one: Scenario, folder: Path, clock: Any, rows: dict[int, list[list[Any]]]) -> None:
        self.spark, self.one, self.folder, self.clock, self.rows = spark, one, folder, clock, rows
        for key, value in one.conf.items():
            spark.conf.set(key, value)
        self.columns: str | None = None
        self.progress: dict[int, dict[str, Any]] = {}
        self.query: Any = None

    # ── what differs between the engines ────────────────────────────────────────────────────────────────────

    def started(self) -> Any:
        """The query `self.frame` over the checkpoint `folder/checkpoint`, just started."""
        raise NotImplementedError

    def held(self) -> AbstractContextManager[Any]:
        """While it is open, the query does not look at its sources."""
        raise NotImplementedError

    # ── what happens ────────────────────────────────────────────────────────────────────────────────────────

    def build(self) -> None:
        """The DataFrame."""
        frames = []
        for name, ddl in self.one.inputs.items():
            (self.folder / name).mkdir(exist_ok=True)
            frames.append(self.spark.readStream.schema(ddl).json(str(self.folder / name)))
        self.frame = self.one.build(self.spark, *frames)
        self.columns = self.frame.schema.simpleString()

    def start(self) -> None:
        """Start the query, or start it again."""
        self.query = self.started()
        if self.clock is not None:
            _wait(lambda: self.query.status["message"] == "Waiting for next trigger", START_SECONDS)

    def step(self, number: int) -> None:
        """Give a step's rows and wait until they are in the sink."""
        with self.held():
            scenarios.write(self.folder, self.one, number)
        if self.clock is None:
            self.query.processAllAvailable()
            return
        step = self.one.steps[number]
        before = len(self.query.recentProgress)
        self.clock.advance((step.seconds if isinstance(step, Advance) else 1) * SECOND_MS)
        _wait(lambda: len(self.query.recentProgress) > before or not self.query.isActive, self.patience)
        if self.query.exception() is not None:
            raise self.query.exception()

    def stop(self) -> None:
        """Keep the progress and stop."""
        if self.query is None:
            return
        for one in self.query.recentProgress:
            told = json.loads(one.json)
            if told["batchId"] in self.rows:
                self.progress[told["batchId"]] = told
        self.query.stop()
        self.query = None

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def play(self, *, restarted: bool) -> Run:
        """All steps; what happened."""
        error, when = None, "start"
        try:
            self.build()
            self.start()
            when = "run"
            for number in range(len(self.one.steps)):
                if restarted and number:
                    self.restart()
                self.step(number)
        except Exception as raised:
            error = scenarios.failure(when, raised)
        finally:
            self.stop()
        batches = [scenarios.batch(n, rows, self.progress.get(n, {})) for n, rows in sorted(self.rows.items())]
        return {"columns": self.columns, "error": error, "batches": batches}


def _wait(done: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not done() and time.monotonic() < end:
        time.sleep(0.01)
