"""Keeps the medallion's streams running: starts each when its input exists, restarts it when its schema grew.

Auto Loader and Delta sources stop a stream when new columns appear, having noted them; starting it again goes on
with the wider schema and loses nothing. Any other failure ends the demonstration.

Invariants: a stream is started at most once at a time; rows are counted once per batch and run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from headwater.demo.medallion import Layout, Medallion, start_bronze, start_gold, start_silver

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

SCHEMA_GREW = ("UnknownFieldException", "UNKNOWN_FIELD_EXCEPTION", "DELTA_SCHEMA_CHANGED")


@dataclass
class Stage:
    """One stream of the medallion and what is known of it."""

    name: str
    start: Callable[[], StreamingQuery]
    ready: Callable[[], bool]
    query: StreamingQuery | None = None
    restarts: int = 0
    rows: dict[tuple[str, int], int] = field(default_factory=dict)
    last: Any = None

    @property
    def total(self) -> int:
        """Input rows of all batches so far."""
        return sum(self.rows.values())

    @property
    def state(self) -> str:
        """waiting, running or stopped."""
        if self.query is None:
            return "waiting"
        return "running" if self.query.isActive else "stopped"


class Supervisor:
    """The three stages of one medallion."""

    def __init__(self, spark: SparkSession, layout: Layout, pipeline: Medallion) -> None:
        def written(table: str) -> Callable[[], bool]:
            log = Path(layout.table(table)) / "_delta_log"
            return lambda: log.is_dir() and any(log.glob("*.json"))

        self.stages = [
            Stage("bronze", lambda: start_bronze(spark, layout, pipeline), lambda: any(layout.landing.iterdir())),
            Stage("silver", lambda: start_silver(spark, layout, pipeline), written("bronze")),
            Stage("gold", lambda: start_gold(spark, layout, pipeline), written("silver")),
        ]

    def look(self) -> None:
        """Start what can start, restart what grew, note the newest progress. Raises the error of a failed stream."""
        for stage in self.stages:
            if stage.query is not None:
                self._note(stage)
            if stage.query is None and stage.ready():
                stage.query = stage.start()
            elif stage.query is not None and not stage.query.isActive:
                self._restart(stage)

    def drain(self) -> None:
        """Let every stage work off what has arrived, in order."""
        for stage in self.stages:
            while stage.query is None or not self._drained(stage):
                self.look()
            self._note(stage)

    def stop(self) -> None:
        """Stop all streams."""
        for stage in reversed(self.stages):
            if stage.query is not None and stage.query.isActive:
                stage.query.stop()

    def _drained(self, stage: Stage) -> bool:
        from pyspark.errors import PySparkException

        assert stage.query is not None
        try:
            stage.query.processAllAvailable()
        except PySparkException:
            return False
        return bool(stage.query.isActive)

    def _restart(self, stage: Stage) -> None:
        assert stage.query is not None
        error = stage.query.exception()
        if error is not None and not any(name in str(error) for name in SCHEMA_GREW):
            raise error
        stage.query = stage.start()
        stage.restarts += 1

    def _note(self, stage: Stage) -> None:
        assert stage.query is not None
        for progress in stage.query.recentProgress:
            stage.rows[(str(progress["runId"]), progress["batchId"])] = progress["numInputRows"]
            if progress["numInputRows"]:
                stage.last = progress
