"""Runs the scenarios on Headwater, through the genuine client: straight, or restarted before every step.

Invariants: the server runs in this process; the files of a step are written while no trigger runs, so that they land
in one batch; the sink keeps each batch under its id, the last write wins, as an idempotent `foreachBatch` would.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from headwater.clock import Clock, ManualClock
from headwater.connect.server import Server
from headwater.duck import arrow
from headwater.sessions.runtime import Runtime
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks
from headwater.streaming.engine import MicroBatchEngine
from support import scenarios
from support.scenarios import BASE_MS, SECOND_MS, Advance, Run, Scenario
from support.server import connected

WAIT_SECONDS = 30
_collected: dict[str, dict[int, list[list[Any]]]] = {}
_between_triggers = threading.RLock()


class _Collect:
    """A sink that keeps the rows of every batch."""

    description = "ForeachBatchSink"

    def __init__(self, batches: dict[int, list[list[Any]]]) -> None:
        self._batches = batches

    def add_batch(self, batch: Batch) -> SinkResult:
        table = arrow(batch.connection, batch.query)
        batch.ran()
        columns = [table.column(i).to_pylist(maps_as_pydicts="strict") for i in range(table.num_columns)]
        self._batches[batch.batch_id] = scenarios.rendered(list(zip(*columns, strict=True)))
        return SinkResult()

    def stop(self) -> None:
        """Nothing to free."""


class _Provider:
    output_modes: tuple[OutputMode, ...] = ("append", "update", "complete")

    def open(self, request: SinkRequest, _: SinkContext) -> _Collect:
        return _Collect(_collected.setdefault(request.options["key"], {}))


sinks.register("scenario")(_Provider())
_trigger = MicroBatchEngine.trigger


def _held_trigger(engine: MicroBatchEngine, *args: Any, **named: Any) -> Any:
    with _between_triggers:
        return _trigger(engine, *args, **named)


@contextmanager
def scenario_server(warehouse: Path, clock: Clock | None = None) -> Iterator[Server]:
    """A server for scenarios; its triggers wait while files are written."""
    settings = {
        "spark.sql.warehouse.dir": str(warehouse),
        "headwater.durability": "none",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "1",
        "spark.sql.streaming.numRecentProgressUpdates": "1000",
    }
    server = Server(runtime=Runtime.local(settings, clock=clock))
    MicroBatchEngine.trigger = _held_trigger  # type: ignore[method-assign]
    server.start()
    try:
        yield server
    finally:
        MicroBatchEngine.trigger = _trigger  # type: ignore[method-assign]
        server.stop(grace=0)


class Player:
    """A query on Headwater, and what it gave."""

    def __init__(
        self, spark: Any, one: Scenario, folder: Path, clock: ManualClock | None, rows: dict[int, list[list[Any]]]
    ) -> None:
        self.spark, self.one, self.folder, self.clock = spark, one, folder, clock
        for key, value in one.conf.items():
            spark.conf.set(key, value)
        self.columns: str | None = None
        self.rows = _collected[str(folder)] = rows
        self.progress: dict[int, dict[str, Any]] = {}
        self.query: Any = None

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
        writer = self.frame.writeStream.format("scenario").option("key", str(self.folder))
        writer = writer.outputMode(self.one.mode).option("checkpointLocation", str(self.folder / "checkpoint"))
        if self.clock is not None:
            writer = writer.trigger(processingTime="1 second")
        self.query = writer.start()
        if self.clock is not None:
            self._wait(lambda: self.query.status["message"] == "Waiting for next trigger")

    def step(self, number: int) -> None:
        """Give a step's rows and wait until they are in the sink."""
        with _between_triggers:
            scenarios.write(self.folder, self.one, number)
        if self.clock is None:
            self.query.processAllAvailable()
            return
        step = self.one.steps[number]
        before = len(self.query.recentProgress)
        self.clock.advance((step.seconds if isinstance(step, Advance) else 1) * SECOND_MS)
        self._wait(lambda: len(self.query.recentProgress) > before or not self.query.isActive, 3)
        if self.query.exception() is not None:
            raise self.query.exception()

    def _wait(self, done: Any, seconds: float = WAIT_SECONDS) -> None:
        end = time.monotonic() + seconds
        while not done() and time.monotonic() < end:
            time.sleep(0.01)

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

    def run(self) -> Run:
        """What happened."""
        batches = [scenarios.batch(n, rows, self.progress.get(n, {})) for n, rows in sorted(self.rows.items())]
        return {"columns": self.columns, "error": None, "batches": batches}


def play(server: Server, one: Scenario, folder: Path, *, restarted: bool = False) -> Run:
    """Run a scenario in a session of its own."""
    clock = server.runtime.clock if one.clock else None
    assert clock is None or isinstance(clock, ManualClock)
    if clock is not None:
        clock.advance(-(clock.now_ms() - BASE_MS))
    with connected(server) as spark:
        player = Player(spark, one, folder, clock, {})
        error, when = None, "start"
        try:
            player.build()
            player.start()
            when = "run"
            for number in range(len(one.steps)):
                if restarted and number:
                    player.stop()
                    player.start()
                player.step(number)
        except Exception as raised:
            error = scenarios.failure(when, raised)
        finally:
            player.stop()
        return {**player.run(), "error": error}


def main() -> None:
    """`python -m support.scenarios_headwater [--show] file[/name] …`: what runs otherwise than recorded."""
    names = [name for name in sys.argv[1:] if not name.startswith("--")]
    for file in dict.fromkeys(name.split("/")[0] for name in names):
        wanted = [one for one in scenarios.load(file) if {file, one.id} & set(names)]
        for clock in (None, ManualClock(BASE_MS)):
            with tempfile.TemporaryDirectory() as place, scenario_server(Path(place) / "warehouse", clock) as server:
                for one in wanted:
                    if one.clock == (clock is not None):
                        _compare(server, one, Path(place), show="--show" in sys.argv)


def _compare(server: Server, one: Scenario, place: Path, *, show: bool) -> None:
    for variant in scenarios.variants(one):
        folder = place / one.name / variant
        folder.mkdir(parents=True)
        found = play(server, one, folder, restarted=variant == "restarted")
        lines = scenarios.differences(scenarios.expected(one, variant), found)
        print(f"{one.id}/{variant}:", "same" if not lines else "\n   " + "\n   ".join(lines), flush=True)
        if show:
            print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
