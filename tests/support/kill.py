"""Real kills: children that run one streaming query each and die by SIGKILL, and the truth they are held against.

A nursery process imports all of Headwater once and forks a child per run, so that a run costs a fraction of a second. A
child is killed by itself at a named point (`crash.py`), or by the nursery after some milliseconds.

Invariants: a child is a process of its own with nothing of an earlier one's memory; the expected rows are computed in
plain Python.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from support import killed_scripts, law_kills

KILLED = -signal.SIGKILL
FAILED = 3
RUN_SECONDS = 60
KEYS = 29
LIMIT = 17


@dataclass(frozen=True)
class Job:
    """One query: a source of JSON files or a Delta table, into a Delta table or files, until nothing is left.

    Attributes:
        folder: holds `in` (or the Delta table `in`), `out`, `checkpoint`.
        options: of the source, beside those that all have.
        place: holds `out` and `checkpoint` instead, if given, such as `s3://bucket/x`.
        reads: where the source reads instead of `in`, if given.
        source: `json`, `cloudFiles` or `delta`.
        mode: `append`, or `complete` for a count by `k`.
        crash: named point, `name:hit`.
        kill_after_ms: when the nursery kills it.
        sink: `delta`, or a file format.
        operator: `dedupe` (one row per `id % 29`) or `limit` (the first 17 rows),
            `applyInPandasWithState` or `transformWithState` (all rows, if the state is exact);
            `law:<name>` for a law of `laws`, over the folders `a` and `b`.
        script: what to run in place of a query: a function of `killed_scripts`, or a PySpark file in the folder.
        code: Python code to run in place of a query, and the arguments it finds in `sys.argv`.
    """

    folder: str
    source: str
    mode: str = "append"
    crash: str | None = None
    kill_after_ms: int | None = None
    sink: str = "delta"
    operator: str = ""
    place: str = ""
    reads: str = ""
    script: str = ""
    options: tuple[tuple[str, str], ...] = ()
    code: Sequence[str] = ()


@dataclass(frozen=True)
class Outcome:
    """How a child ended: exit status (negative: signal), error text, seconds."""

    status: int
    error: str
    seconds: float


class Nursery:
    """The process that forks children; use as a context manager."""

    def __enter__(self) -> Nursery:
        here = Path(__file__).resolve().parent.parent
        environment = {**os.environ, "PYTHONPATH": str(here)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "support.kill"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=here,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(RUN_SECONDS)

    def run(self, *jobs: Job) -> list[Outcome]:
        """Run jobs side by side, to their ends."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([asdict(job) for job in jobs]) + "\n")
        self._process.stdin.flush()
        return [Outcome(**one) for one in json.loads(self._process.stdout.readline())]


# ── the nursery's side ──────────────────────────────────────────────────────────────────────────────────────


def main() -> None:
    """Fork a child per job of each line of stdin; answer with their outcomes."""
    from headwater.functions.base import functions
    from headwater.io.formats.base import formats
    from headwater.sinks.base import sinks
    from headwater.sources.base import sources

    for names in (sources.names, sinks.names, formats.names, functions.names):
        names()
    killed_scripts.prepare()
    answers = os.dup(1)
    os.dup2(2, 1)
    for line in sys.stdin:
        outcomes = _run_all([Job(**one) for one in json.loads(line)])
        os.write(answers, (json.dumps([asdict(one) for one in outcomes]) + "\n").encode())


def _run_all(jobs: list[Job]) -> list[Outcome]:
    begin = time.monotonic()
    children: dict[int, tuple[int, Job, int]] = {}
    for index, job in enumerate(jobs):
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reader)
            _child(job, writer)
        os.close(writer)
        children[child] = (index, job, reader)
    outcomes: dict[int, Outcome] = {}
    while children:
        now = (time.monotonic() - begin) * 1000
        for child, (_, job, _) in children.items():
            if now > RUN_SECONDS * 1000 or (job.kill_after_ms is not None and now >= job.kill_after_ms):
                os.kill(child, signal.SIGKILL)
        found, status = os.waitpid(-1, os.WNOHANG)
        if found == 0:
            time.sleep(0.002)
            continue
        index, _, reader = children.pop(found)
        error = os.read(reader, 60_000).decode("utf-8", "replace")
        os.close(reader)
        outcomes[index] = Outcome(os.waitstatus_to_exitcode(status), error, time.monotonic() - begin)
    return [outcomes[index] for index in sorted(outcomes)]


def _child(job: Job, errors: int) -> None:
    status = 0
    try:
        run_job(job)
    except BaseException as error:
        status = FAILED
        os.write(errors, f"{type(error).__name__}: {error}"[:50_000].encode())
    finally:
        os._exit(status)


def run_job(job: Job) -> None:
    """Run a job to its end in this process. Raises the query's or the script's exception."""
    from headwater import crash
    from headwater.sessions.runtime import Runtime
    from headwater.sessions.session import Session
    from headwater.streaming.start import start_query

    if job.crash:
        crash._trap = crash._Trap(job.crash)
    if job.script or job.code:
        killed_scripts.run(job.script, job.folder, job.code)
        return
    runtime = Runtime.local({"spark.sql.warehouse.dir": f"{job.folder}/warehouse"})
    query = start_query(command(job), Session(runtime))  # type: ignore[arg-type]
    query.await_termination()


def command(job: Job) -> Any:
    """The start command of a job."""
    if job.operator.startswith(law_kills.PREFIX):
        return law_kills.command(job)
    from pyspark.sql.types import LongType, StringType, StructField, StructType

    from headwater.plan.commands import StartStream, Trigger
    from headwater.plan.expressions import Alias, Call, Column, Literal
    from headwater.plan.relations import Aggregate, Deduplicate, Limit, ReadSource, Relation, WithColumns
    from support.joining import JOINS, joined_with_itself

    schema = StructType([StructField("id", LongType()), StructField("k", StringType())])
    one_by_one = {"json": "maxFilesPerTrigger", "delta": "maxFilesPerTrigger"}
    options = [(one_by_one.get(job.source, "cloudFiles.maxFilesPerTrigger"), "1")]
    if job.source == "cloudFiles":
        options.append(("cloudFiles.format", "json"))
    options += [(name, value) for name, value in job.options]
    plan: Relation = ReadSource(
        job.source,
        None if job.source == "delta" else schema,
        tuple(options),
        (job.reads or f"{job.folder}/in",),
        streaming=True,
    )
    if job.mode == "complete":
        count = Call("count", (Literal(1, LongType()),))
        plan = Aggregate(plan, "groupby", (Column(("k",)),), (Alias(count, ("n",)),))
    if job.operator == "dedupe":
        key = Call("%", (Column(("id",)), Literal(KEYS, LongType())))
        plan = Deduplicate(WithColumns(plan, (Alias(key, ("key",)),)), ("key",))
    if job.operator == "limit":
        plan = Limit(plan, LIMIT)
    if job.operator.endswith("WithState"):
        from support.stateful import STEPPING

        plan = STEPPING[job.operator](plan)
    if job.operator in JOINS:
        plan = joined_with_itself(plan, job.operator)
    place = job.place or job.folder
    checkpoint = (("checkpointLocation", f"{place}/checkpoint"),)
    trigger = Trigger("available_now")
    return StartStream(plan, job.sink, checkpoint, job.mode, trigger, path=f"{place}/out")  # type: ignore[arg-type]


# ── the truth ───────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Feed:
    """Input of a job, and what must come out of it."""

    folder: Path
    source: str
    rows: int = 5
    written: list[tuple[int, str]] = field(default_factory=list)
    chunks: int = 0

    def add(self) -> None:
        """One more file (or table commit) of rows with new ids."""
        begin = len(self.written)
        new = [(begin + i, f"k{(begin + i) % 3}") for i in range(self.rows)]
        if self.source == "delta":
            self._commit(new)
        else:
            self._file(new)
        self.written += new
        self.chunks += 1

    def _file(self, rows: list[tuple[int, str]]) -> None:
        target = self.folder / "in" / f"{self.chunks:05}.json"
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.folder / f"{self.chunks:05}.tmp"
        temporary.write_text("".join(json.dumps({"id": i, "k": k}) + "\n" for i, k in rows))
        temporary.rename(target)

    def _commit(self, rows: list[tuple[int, str]]) -> None:
        import pyarrow as pa
        from deltalake import write_deltalake

        ids, keys = zip(*rows, strict=True)
        table = pa.table({"id": pa.array(ids, pa.int64()), "k": pa.array(keys, pa.string())})
        write_deltalake(str(self.folder / "in"), table, mode="append")

    def check(self, mode: str = "append", sink: str = "delta", operator: str = "", place: str = "") -> None:
        """The output holds exactly what was fed: nothing lost, nothing doubled, nothing changed."""
        from support.joining import JOINS, answer

        read = read_delta if sink == "delta" else read_logged
        found = Counter(read(f"{place or self.folder}/out", ("id", "k") if mode == "append" else ("k", "n")))
        first = {"dedupe": KEYS, "limit": LIMIT}.get(operator, len(self.written))
        rows = answer(self.written, operator) if operator in JOINS else self.written[:first]
        wanted = Counter(rows if mode == "append" else Counter(k for _, k in self.written).items())
        lost, doubled = wanted - found, found - wanted
        assert not lost, f"lost {sorted(lost)[:10]} ({len(lost)})"
        assert not doubled, f"doubled or changed {sorted(doubled)[:10]} ({len(doubled)})"


def read_delta(path: str | Path, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """The rows of a Delta table as another library reads it."""
    from deltalake import DeltaTable

    from headwater.io.s3 import delta_options

    table = DeltaTable(str(path), storage_options=delta_options(str(path))).to_pyarrow_table()
    return list(zip(*(table.column(name).to_pylist() for name in columns), strict=True))


def read_logged(path: str | Path, columns: tuple[str, ...]) -> list[tuple[Any, ...]]:
    """The rows of the Parquet files that the log `_spark_metadata` of a folder names."""
    import pyarrow.parquet as pq

    log = Path(path) / "_spark_metadata"
    named: set[str] = set()
    for entry in log.iterdir():
        if not entry.name.startswith("."):
            named.update(json.loads(line)["path"] for line in entry.read_text().splitlines()[1:])
    tables = [pq.read_table(one.removeprefix("file://")) for one in sorted(named)]
    return [row for table in tables for row in zip(*(table.column(name).to_pylist() for name in columns), strict=True)]


def killed_after_each_step(folder: Path, operator: str) -> None:
    """A query that is killed after each step of a batch and carried on gives exactly what was fed."""
    feed = Feed(folder, "json")
    with Nursery() as nursery:
        for step in range(1, 9):
            feed.add()
            (outcome,) = nursery.run(Job(str(folder), "json", crash=f"step{step}:1", operator=operator))
            assert outcome.status == KILLED, (step, outcome)
        (outcome,) = nursery.run(Job(str(folder), "json", operator=operator))
    assert outcome.status == 0, outcome.error
    feed.check(operator=operator)


if __name__ == "__main__":
    main()
