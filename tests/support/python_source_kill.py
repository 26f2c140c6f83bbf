"""Real kills of a query from a Python data source into a Python data source.

A parent imports Headwater once and forks one child per run; a child dies by SIGKILL at a named point, another finishes.

Invariant: the only things that outlive a child are the checkpoint and the files that the sink has written.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pyspark.sql.datasource import (
    DataSource,
    DataSourceStreamReader,
    DataSourceStreamWriter,
    InputPartition,
    SimpleDataSourceStreamReader,
    WriterCommitMessage,
)
from pyspark.sql.streaming.datasource import ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow

ROWS, STEP = 10, 3


class Numbers(DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Ten numbers, three a batch."""

    def initialOffset(self) -> dict[str, int]:
        return {"n": 0}

    def getDefaultReadLimit(self) -> ReadLimit:
        return ReadMaxRows(STEP)

    def prepareForTriggerAvailableNow(self) -> None:
        pass

    def latestOffset(self, start: dict[str, int], limit: ReadLimit) -> dict[str, int]:
        return {"n": min(start["n"] + STEP, ROWS)}

    def partitions(self, start: dict[str, int], end: dict[str, int]) -> list[InputPartition]:
        return [InputPartition(n) for n in range(start["n"], end["n"])]

    def read(self, partition: Any) -> Iterator[Any]:
        yield (partition.value,)


class SimpleNumbers(SimpleDataSourceStreamReader, SupportsTriggerAvailableNow):
    """The same, in the simple way."""

    def initialOffset(self) -> dict[str, int]:
        return {"n": 0}

    def prepareForTriggerAvailableNow(self) -> None:
        pass

    def read(self, start: dict[str, int]) -> tuple[Iterator[Any], dict[str, int]]:
        end = {"n": min(start["n"] + STEP, ROWS)}
        return self.readBetweenOffsets(start, end), end

    def readBetweenOffsets(self, start: dict[str, int], end: dict[str, int]) -> Iterator[Any]:
        return iter([(n,) for n in range(start["n"], end["n"])])


class Rows(WriterCommitMessage):
    """The rows of one write."""

    def __init__(self, rows: list[int]) -> None:
        self.rows = rows


class Files(DataSourceStreamWriter):
    """One file per batch, put in place whole."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def write(self, rows: Iterator[Any]) -> Rows:
        return Rows([row.n for row in rows])

    def commit(self, messages: list[Any], batch_id: int) -> None:
        temporary = Path(self.folder, f"{batch_id}.tmp")
        temporary.write_text(json.dumps(messages[0].rows))
        temporary.rename(Path(self.folder, f"{batch_id}.json"))


class Source(DataSource):
    """Both ends: the options `simple` and `path` choose."""

    @classmethod
    def name(cls) -> str:
        return "numbers"

    def schema(self) -> str:
        return "n INT"

    def streamReader(self, schema: Any) -> Any:
        return super().streamReader(schema) if self.options.get("simple") == "true" else Numbers()

    def simpleStreamReader(self, schema: Any) -> Any:
        return SimpleNumbers()

    def streamWriter(self, schema: Any, overwrite: bool) -> Any:
        return Files(self.options["path"])


def run(folder: str, simple: bool) -> None:
    """Run the query to its end in this process."""
    from pyspark.cloudpickle import dumps

    from headwater.io.python_data_source import PythonDataSource
    from headwater.plan.commands import StartStream, Trigger
    from headwater.plan.relations import ReadSource
    from headwater.sessions.runtime import Runtime
    from headwater.sessions.session import Session
    from headwater.streaming.start import start_query

    settings = {"spark.sql.warehouse.dir": f"{folder}/warehouse", "headwater.durability": "none"}
    session = Session(Runtime.local(settings))
    session.data_sources.register(PythonDataSource("numbers", dumps(Source)))
    read = ReadSource("numbers", None, (("simple", str(simple).lower()),), streaming=True)
    options = (("checkpointLocation", f"{folder}/checkpoint"),)
    start = StartStream(read, "numbers", options, "append", Trigger("available_now"), path=f"{folder}/out")
    start_query(start, session).await_termination()  # type: ignore[arg-type]


def main(folder: str, points: list[str]) -> None:
    """For each kind of reader and each point: a child that dies there, a child that finishes; prints what came out."""
    from headwater.sinks.base import sinks
    from headwater.sources.base import sources

    sources.names(), sinks.names()
    for simple in (False, True):
        for point in points:
            place = f"{folder}/{simple}-{point.replace(':', '-')}"
            Path(place, "out").mkdir(parents=True)
            statuses = [_child(place, simple, point), _child(place, simple, None)]
            files = sorted(Path(place, "out").glob("*.json"), key=lambda file: int(file.stem))
            print(json.dumps([simple, point, statuses, [json.loads(file.read_text()) for file in files]]), flush=True)


def _child(folder: str, simple: bool, point: str | None) -> int:
    from headwater import crash

    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    status = 3
    try:
        if point:
            crash.set_trap(crash._Trap(point))
        run(folder, simple)
        status = 0
    finally:
        os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
