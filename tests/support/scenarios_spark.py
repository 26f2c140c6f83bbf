"""Records the scenarios on genuine Spark: `make scenarios`, which runs this with the oracle's Python.

    python -m support.scenarios_spark [--only file[/name]] …

Invariants: one JVM for all scenarios; a scenario run straight and restarted before every step is recorded twice only if
Spark itself tells the two apart ("same" otherwise; nothing: not asked).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ["TZ"] = "UTC"
os.environ["PYTHONPATH"] = str(Path(__file__).resolve().parents[1])
os.environ["PYSPARK_PYTHON"] = sys.executable

import pyspark
from pyspark.sql import SparkSession

from support import scenarios
from support.scenarios import BASE_MS, RECORDED, SECOND_MS, Run, Scenario
from support.scenarios_player import Player

STREAMING = "org.apache.spark.sql.execution.streaming"
ROCKSDB = f"{STREAMING}.state.RocksDBStateStoreProvider"
MEMORY = Path("/dev/shm")
SETTINGS = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.shuffle.partitions": "1",
    "spark.sql.session.timeZone": "UTC",
    "spark.driver.host": "localhost",
    "spark.driver.bindAddress": "127.0.0.1",
    "spark.sql.streaming.numRecentProgressUpdates": "1000",
    "spark.sql.streaming.stopTimeout": "20000",
    "spark.sql.codegen.wholeStage": "false",
    "spark.log.level": "OFF",
    # Recording is many small batches: a JVM that starts fast, and checkpoints with fewer side files and links.
    "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xshare:auto",
    "spark.sql.streaming.checkpointFileManagerClass": f"{STREAMING}.checkpointing.FileSystemBasedCheckpointFileManager",
    "spark.sql.streaming.checkpoint.fileChecksum.enabled": "false",
    "spark.sql.json.filterPushdown.enabled": "false",  # `numInputRows` would count what the JSON reader left over
}


def main() -> None:
    """Record the scenarios asked for, and keep what else is recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", action="append", default=[], help="file or file/name")
    parser.add_argument("--straight", action="store_true", help="do not run restarted too")
    arguments = parser.parse_args()
    only = arguments.only
    known = {name for file in scenarios.files() for one in scenarios.load(file) for name in (file, one.id)}
    if unknown := set(only) - known:
        parser.error(f"there is no scenario {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder:
        spark = _session(Path(folder))
        try:
            for file in dict.fromkeys(one.split("/")[0] for one in only or scenarios.files()):
                whole = not only or file in only
                _record(
                    spark,
                    file,
                    set() if whole else {one.split("/")[1] for one in only if one.startswith(f"{file}/")},
                    arguments.straight,
                )
        finally:
            spark.stop()


def _session(folder: Path) -> SparkSession:
    """Spark, from a home without `pyspark.zip`: its workers then import compiled files, in a tenth of the time."""
    home = folder / "spark"
    home.mkdir()
    for part in Path(pyspark.__file__).parent.iterdir():
        if part.name != "python":
            (home / part.name).symlink_to(part)
    os.environ["SPARK_HOME"] = str(home)
    builder = SparkSession.builder.master("local[1]").config("spark.sql.warehouse.dir", str(folder / "warehouse"))
    for key, value in SETTINGS.items():
        builder = builder.config(key, value)
    return builder.getOrCreate()


def _record(spark: SparkSession, file: str, names: set[str], only_straight: bool) -> None:
    ours = scenarios.load(file)
    runs = dict(scenarios.recording(file))
    for one in ours:
        if names and one.name not in names:
            continue
        begin = time.monotonic()
        straight = _run(spark, one, restarted=False)
        runs[one.name] = {"straight": straight}
        if straight["error"] is None and len(one.steps) > 1 and not only_straight:
            again = _run(spark, one, restarted=True)
            runs[one.name]["restarted"] = "same" if again == straight else again
        _tell(one, runs[one.name], time.monotonic() - begin)
        ordered = {one.name: runs[one.name] for one in ours if one.name in runs}
        _write(RECORDED / f"{file}.json", {"spark": spark.version, "scenarios": ordered})


def _tell(one: Scenario, runs: dict[str, Run], seconds: float) -> None:
    straight = runs["straight"]
    error = straight["error"]
    what = f"{error['when']}: {error['condition']} {error.get('cause') or ''}" if error else ""
    flag = " (restarted differs)" if runs.get("restarted", "same") != "same" else ""
    split = _split(one, straight)
    print(f"{seconds:5.1f} s  {one.id}: {len(straight['batches'])} batches {what}{flag}{split}", flush=True)


def _split(one: Scenario, run: Run) -> str:
    """A flag where a step did not become exactly one batch with data."""
    wanted = sum(1 for step in one.steps if any(scenarios.data(one, step).values()))
    found = sum(1 for batch in run["batches"] if batch["input_rows"])
    return "" if run["error"] or wanted == found else f"  !! {wanted} steps with rows, {found} batches with rows"


def _write(path: Path, told: dict[str, Any]) -> None:
    """One line per batch: small files whose differences can be read."""
    path.parent.mkdir(exist_ok=True)
    text = json.dumps(told, indent=1, sort_keys=False, ensure_ascii=False)
    path.write_text(_folded(told) if told["scenarios"] else text, "utf-8")


def _folded(told: dict[str, Any]) -> str:
    lines = ["{", f' "spark": {json.dumps(told["spark"])},', ' "scenarios": {']
    for name, runs in told["scenarios"].items():
        lines.append(f"  {json.dumps(name)}: {{")
        for variant, run in runs.items():
            if isinstance(run, str):
                lines.append(f"   {json.dumps(variant)}: {json.dumps(run)},")
                continue
            lines += [f"   {json.dumps(variant)}: {{", f'    "columns": {json.dumps(run["columns"])},']
            lines += [f'    "error": {json.dumps(run["error"], ensure_ascii=False)},', '    "batches": [']
            lines += [f"     {json.dumps(one, ensure_ascii=False)}," for one in run["batches"]]
            lines = _closed(lines, "    ]", "   },")
        lines = _closed(lines, "  },")
    return "\n".join(_closed(lines, " }", "}")) + "\n"


def _closed(lines: list[str], *ends: str) -> list[str]:
    return [*lines[:-1], lines[-1].removesuffix(","), *ends]


# ── one run ─────────────────────────────────────────────────────────────────────────────────────────────────


class SparkPlayer(Player):
    """A query on Spark; `sink`: another one than `foreachBatch`, which hides the error of the query behind its own."""

    patience = 60.0  # the first trigger starts workers

    def __init__(self, spark: SparkSession, one: Scenario, folder: Path, sink: str | None) -> None:
        session = spark.newSession()
        session.conf.set("spark.sql.streaming.numRecentProgressUpdates", "1000")
        if one.file.startswith("transform_with_state"):
            session.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)
        clock = session._jvm.org.apache.spark.util.ManualClock(BASE_MS) if one.clock else None  # type: ignore
        super().__init__(session, one, folder, clock, {})
        self._sink = sink

    def started(self) -> Any:
        """The function of `foreachBatch` keeps the rows of every batch."""
        writer = self.frame.writeStream.outputMode(self.one.mode)
        writer = writer.format(self._sink) if self._sink else writer.foreachBatch(self._take)
        writer = writer.option("checkpointLocation", str(self.folder / "checkpoint"))
        return writer.start() if self.clock is None else self._clocked(writer)

    def restart(self) -> None:
        """Now the workers run."""
        self.patience = 5
        super().restart()

    def _clocked(self, writer: Any) -> Any:
        """As `writer.start()`, with our clock: Spark offers it to its own tests only."""
        from pyspark.sql.streaming.query import StreamingQuery

        jvm = self.spark._jvm
        frame = self.frame._jdf
        field = writer._jwrite.getClass().getDeclaredField("foreachBatchWriter")
        field.setAccessible(True)
        sinks = jvm.org.apache.spark.sql.execution.streaming.sources
        sink = sinks.ForeachBatchSink(field.get(writer._jwrite), frame.exprEnc())
        manager = self.spark._jsparkSession.streams()
        none = jvm.scala.Option.empty()
        options = jvm.PythonUtils.toScalaMap(jvm.java.util.HashMap())
        mode = jvm.org.apache.spark.sql.catalyst.streaming.InternalOutputModes.apply(self.one.mode)
        place = jvm.scala.Option.apply(str(self.folder / "checkpoint"))
        trigger = jvm.org.apache.spark.sql.streaming.Trigger.ProcessingTime(SECOND_MS)
        query = manager.startQuery(
            none, none, place, frame, options, sink, mode, False, True, trigger, self.clock, none, none
        )
        return StreamingQuery(query)

    def _take(self, frame: Any, batch_id: int) -> None:
        self.rows[batch_id] = scenarios.rendered([tuple(row) for row in frame.collect()])

    @contextmanager
    def held(self) -> Iterator[None]:
        """The query's own lock, which it takes for a trigger."""
        lock = self.query._jsq.streamingQuery().awaitProgressLock()
        lock.lock()
        try:
            yield
        finally:
            lock.unlock()


def _run(spark: SparkSession, one: Scenario, *, restarted: bool, sink: str | None = None) -> Run:
    with tempfile.TemporaryDirectory(prefix="scenario-", dir=MEMORY if MEMORY.is_dir() else None) as place:
        told = SparkPlayer(spark, one, Path(place), sink).play(restarted=restarted)
    error = told["error"]
    if error and error.get("cause") == "FOREACH_BATCH_USER_FUNCTION_ERROR" and sink is None:
        return {**told, "error": _run(spark, one, restarted=restarted, sink="noop")["error"]}
    return told


if __name__ == "__main__":
    main()
