"""Runs the scenarios on Headwater, through the genuine client: straight, or restarted before every step.

Invariants: the server runs in this process; the sink keeps each batch under its id, the last write wins, as an
idempotent `foreachBatch` would.
"""

from __future__ import annotations

import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from headwater.clock import Clock, ManualClock
from headwater.connect.server import Server
from headwater.duck import arrow
from headwater.sessions.runtime import Runtime
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks
from headwater.streaming.engine import MicroBatchEngine
from support import scenarios
from support.scenarios import BASE_MS, Run, Scenario
from support.scenarios_player import Player
from support.server import connected

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


class HeadwaterPlayer(Player):
    """A query on Headwater."""

    def __init__(
        self, spark: Any, one: Scenario, folder: Path, clock: ManualClock | None, rows: dict[int, list[list[Any]]]
    ) -> None:
        super().__init__(spark, one, folder, clock, rows)
        _collected[str(folder)] = rows

    def started(self) -> Any:
        """The sink keeps the rows of every batch."""
        writer = self.frame.writeStream.format("scenario").option("key", str(self.folder))
        writer = writer.outputMode(self.one.mode).option("checkpointLocation", str(self.folder / "checkpoint"))
        if self.clock is not None:
            writer = writer.trigger(processingTime="1 second")
        return writer.start()

    def held(self) -> AbstractContextManager[Any]:
        """Triggers of all queries wait."""
        return _between_triggers


def play(server: Server, one: Scenario, folder: Path, *, restarted: bool = False) -> Run:
    """Run a scenario in a session of its own."""
    clock = server.runtime.clock if one.clock else None
    assert clock is None or isinstance(clock, ManualClock)
    if clock is not None:
        clock.advance(-(clock.now_ms() - BASE_MS))
    with connected(server) as spark:
        return HeadwaterPlayer(spark, one, folder, clock, {}).play(restarted=restarted)


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
