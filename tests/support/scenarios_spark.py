"""Records the scenarios on genuine Spark: `make scenarios`, which runs this with the oracle's Python.

    python -m support.scenarios_spark [--only file[/name]] …

Invariants: one JVM for all scenarios; the files of a step are written while the query's own lock keeps it from looking
at its sources, so that they land in one batch; a scenario run straight and restarted before every step is recorded
twice only if Spark itself tells the two apart ("same" otherwise; nothing: not asked).
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
from support.scenarios import BASE_MS, RECORDED, SECOND_MS, Advance, Run, Scenario

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


class _Recorder:
    """A query on Spark, and what it gave."""

    def __init__(self, spark: SparkSession, one: Scenario, folder: Path, sink: str | None) -> None:
        self.one, self.folder, self.sink = one, folder, sink
        self.spark = spark.newSession()
        self.spark.conf.set("spark.sql.streaming.numRecentProgressUpdates", "1000")
        if one.file.startswith("transform_with_state"):
            self.spark.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)
        for key, value in one.conf.items():
            self.spark.conf.set(key, value)
        self.patience = 60  # seconds until a trigger has made no batch; the first one starts workers
        self.columns: str | None = None
        self.rows: dict[int, list[list[Any]]] = {}
        self.progress: dict[int, dict[str, Any]] = {}
        self.query: Any = None
        self.clock = self.spark._jvm.org.apache.spark.util.ManualClock(BASE_MS) if one.clock else None  # type: ignore

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
        writer = self.frame.writeStream.outputMode(self.one.mode)
        writer = writer.format(self.sink) if self.sink else writer.foreachBatch(self._take)
        writer = writer.option("checkpointLocation", str(self.folder / "checkpoint"))
        if self.clock is None:
            self.query = writer.start()
            return
        self.query = self._clocked(writer)
        self._wait(lambda: self.query.status["message"] == "Waiting for next trigger", 30)

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

    def step(self, number: int) -> None:
        """Give a step's rows and wait until they are in the sink."""
        with self._held():
            scenarios.write(self.folder, self.one, number)
        if self.clock is None:
            self.query.processAllAvailable()
            return
        step = self.one.steps[number]
        before = len(self.query.recentProgress)
        self.clock.advance((step.seconds if isinstance(step, Advance) else 1) * SECOND_MS)
        self._wait(lambda: len(self.query.recentProgress) > before or not self.query.isActive, self.patience)
        if self.query.exception() is not None:
            raise self.query.exception()

    @contextmanager
    def _held(self) -> Iterator[None]:
        lock = self.query._jsq.streamingQuery().awaitProgressLock()
        lock.lock()
        try:
            yield
        finally:
            lock.unlock()

    def _wait(self, done: Any, seconds: float) -> None:
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


def _run(spark: SparkSession, one: Scenario, *, restarted: bool, sink: str | None = None) -> Run:
    """One run; `sink`: another one than `foreachBatch`, which hides the error of the query behind its own."""
    with tempfile.TemporaryDirectory(prefix="scenario-", dir=MEMORY if MEMORY.is_dir() else None) as place:
        recorder = _Recorder(spark, one, Path(place), sink)
        error, when = None, "start"
        try:
            recorder.build()
            recorder.start()
            when = "run"
            for number in range(len(one.steps)):
                if restarted and number:
                    recorder.patience = 5
                    recorder.stop()
                    recorder.start()
                recorder.step(number)
        except Exception as raised:
            error = scenarios.failure(when, raised)
        finally:
            recorder.stop()
        told = {**recorder.run(), "error": error}
    if error and error.get("cause") == "FOREACH_BATCH_USER_FUNCTION_ERROR" and sink is None:
        return {**told, "error": _run(spark, one, restarted=restarted, sink="noop")["error"]}
    return told


if __name__ == "__main__":
    main()
