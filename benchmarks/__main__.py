"""`python -m benchmarks`: measure the budgets and write the table.

    python -m benchmarks                      every case, once
    python -m benchmarks --only P1,P3 --repeat 3
    python -m benchmarks --spark ''         leave Apache Spark out

Each case runs Headwater and its floor in turn, in processes of their own; ratios are what counts.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import data, nexmark, nexmark_check
from benchmarks.measure import PYTHON, Run, run

HERE = Path(__file__).resolve().parent
OUT = HERE / "out"
ROWS = 2_000_000


@dataclass(frozen=True)
class Line:
    """One line of the table."""

    case: str
    work: str
    figure: str
    floor: str
    ratio: str
    budget: str
    spark: str = "–"


class Bench:
    """Runs cases in a scratch folder, `repeat` times each, and keeps the medians."""

    def __init__(self, scratch: Path, repeat: int, spark: str | None) -> None:
        self.scratch, self.repeat, self.spark = scratch, repeat, spark
        self._number = 0

    def fresh(self) -> Path:
        """A path that does not exist yet."""
        self._number += 1
        return self.scratch / f"run-{self._number}"

    def floor(self, kind: str, source: Path, batches: int) -> Run:
        """The hand-written loop."""
        return self._median(
            lambda: run([PYTHON, "-m", "benchmarks.floor", kind, str(source), str(self.fresh()), str(batches)])
        )

    def headwater(self, source: Path, files_per_batch: int, query: str = "ingest", sink: str = "delta") -> Run:
        """The job on Headwater."""
        return self._median(lambda: self.once(self.fresh(), source, query, str(files_per_batch), sink))

    def once(self, output: Path, source: Path, *arguments: str) -> Run:
        """One run of the job on Headwater. `arguments`: query, and what `job.py` takes after the output."""
        query, *others = arguments
        command = [PYTHON, "-m", "headwater.cli.main", "run", "--warehouse", f"{output}-warehouse"]
        watch = {"first commit": Path(f"{output}-checkpoint/commits/0")}
        return run(
            [*command, str(HERE / "job.py"), query, str(source), str(output), *others], watch=watch, timeout=1800
        )

    def run_to_delta(self, source: Path, query: str) -> Path:
        """Run a query once on Headwater into a Delta table; its path."""
        output = self.fresh()
        self.once(output, source, query, "1", "delta")
        return output

    def genuine(self, source: Path, files_per_batch: int, query: str = "ingest", sink: str = "parquet") -> float | None:
        """Wall seconds of the same job on Apache Spark, if it is installed."""
        if not self.spark:
            return None
        command = [self.spark, str(HERE / "job.py"), query, str(source), str(self.fresh()), str(files_per_batch), sink]
        return float(run(command).printed["seconds"])

    def measured(self, command: list[str]) -> Run:
        """The median run of a command; what ends in the path of this run is made anew for each."""
        return self._median(lambda: run([self._anew(part) for part in command], timeout=1800))

    def _anew(self, part: str) -> str:
        return str(self.fresh()) if part.startswith(f"{self.scratch}/run-") and not Path(part).exists() else part

    def _median(self, once: Callable[[], Run]) -> Run:
        runs = sorted((once() for _ in range(self.repeat)), key=lambda r: r.printed.get("seconds", r.wall))
        return runs[len(runs) // 2]


def p1(bench: Bench) -> Iterator[Line]:
    """2 M events in one batch."""
    source = data.events(OUT / "data", ROWS, 20)
    floor, ours = bench.floor("delta", source, 1), bench.headwater(source, 20)
    yield _ratio("P1", "2 M JSON events → Delta, one batch", ours, floor, "≤ 1.3 × floor", bench.genuine(source, 20))


def p2(bench: Bench) -> Iterator[Line]:
    """The same in 20 and 200 batches; P8 is the memory of the first."""
    source = data.events(OUT / "data", ROWS, 20)
    floor, ours = bench.floor("delta", source, 20), bench.headwater(source, 1)
    yield _ratio("P2", "the same in 20 batches", ours, floor, "≤ 1.4 × floor", bench.genuine(source, 1))
    yield Line("P8", "peak RSS of P2", f"{ours.peak_mb:.0f} MB", f"{floor.peak_mb:.0f} MB", "", "≤ 500 MB")
    source = data.events(OUT / "data", ROWS, 200)
    floor, ours = bench.floor("parquet", source, 200), bench.headwater(source, 1)
    yield _ratio(
        "P2", "the same in 200 batches (floor: Parquet loop)", ours, floor, "≤ 1.7 × floor", bench.genuine(source, 1)
    )


def p3(bench: Bench) -> Iterator[Line]:
    """1,000-row batches, and P6: start-up to the first committed batch."""
    source = data.events(OUT / "data", 200_000, 200)
    floor, ours = bench.floor("delta", source, 200), bench.headwater(source, 1)
    for name, pick, budget in (("median", 0.5, "≤ 25 ms"), ("p99", 0.99, "≤ 80 ms")):
        mine, theirs = _quantile(ours, pick), _quantile(floor, pick)
        yield Line(
            "P3", f"1,000-row batch, {name}", f"{mine:.1f} ms", f"{theirs:.1f} ms", f"{mine / theirs:.2f}", budget
        )
    first = ours.seen.get("first commit")
    yield Line("P6", "process start → first commit", f"{first:.2f} s" if first else "not seen", "", "", "≤ 2.0 s")


def p4(bench: Bench) -> Iterator[Line]:
    """Counts and sums per minute and two keys, update mode, in 20 and 200 batches."""
    for files in (20, 200):
        source = data.events(OUT / "data", ROWS, files)
        floor, ours = bench.floor("windows", source, files), bench.headwater(source, 1, "windows", "noop")
        spark = bench.genuine(source, 1, "windows", "noop")
        yield _ratio("P4", f"windowed aggregation, {files} batches", ours, floor, "≤ 1.5 × floor", spark)
        exact = bench.floor("exact_windows", source, files)
        yield _ratio("P4", f"the same, {files} batches (floor: exactly once by hand)", ours, exact, "–", None)


def p5(bench: Bench) -> Iterator[Line]:
    """Batches of random keys against a million known ones."""
    for rows, files, budget in ((100_000, 30, 150), (1_000, 100, 40)):
        source = data.keyed(OUT / "data", 1_000_000, rows, files)
        floor, ours = bench.floor("keys", source, files + 1), bench.headwater(source, 1, "keys", "noop")
        mine, theirs = (statistics.median(each.printed["batch_ms"][1:]) for each in (ours, floor))
        work = f"1 M keys of state, batches of {rows:,} rows, median"
        yield Line("P5", work, f"{mine:.0f} ms", f"{theirs:.0f} ms", f"{mine / theirs:.2f}", f"≤ {budget} ms")


def p7(bench: Bench) -> Iterator[Line]:
    """Ten thousand batches of 20 rows to Delta."""
    source = data.events(OUT / "data", 200_000, 10_000)
    ours = bench.headwater(source, 1)
    times = ours.printed["batch_ms"]
    first, last = statistics.median(times[:100]), statistics.median(times[-100:])
    ratio = f"{last / first:.2f}"
    yield Line(
        "P7", "10,000 batches: last 100 against first 100", f"{last:.1f} ms", f"{first:.1f} ms", ratio, "≤ 1.3 ×"
    )
    yield from p7_kept(bench, source)


def p7_kept(bench: Bench, source: Path) -> Iterator[Line]:
    """What ten thousand batches leave in memory and on disk, in a job that keeps no reports of its own."""
    output = bench.fresh()
    memory = bench.once(output, source, "ingest", "1", "delta", "100").memory_mb
    tenth = len(memory) // 10
    early, late = (statistics.median(part) for part in (memory[2 * tenth : 3 * tenth], memory[-tenth:]))
    grown = f"{late - early:+.0f} MB"
    yield Line("P7", "10,000 batches: RSS at the end, after 2,000", f"{late:.0f} MB", f"{early:.0f} MB", grown, "flat")
    files = sum(1 for path in Path(f"{output}-checkpoint").rglob("*") if path.is_file())
    yield Line("P7", "files in the checkpoint after 10,000 batches", f"{files:,}", "", "", "bounded")


def p9(bench: Bench) -> Iterator[Line]:
    """Nexmark, 1 M events in 20 batches, each query's rows held against one shot of DuckDB."""
    source = nexmark.events(OUT / "data", 1_000_000, 20)
    for query in nexmark.ANSWERS:
        wrong = nexmark_check.wrong_rows(bench, source, query)
        ours = bench.headwater(source, 1, query, "noop")
        spark = bench.genuine(source, 1, query, "noop")
        yield _against_spark("P9", f"Nexmark {query} ({wrong})", ours, spark, "≥ 5 × Spark")


def joins(bench: Bench) -> Iterator[Line]:
    """An inner join by key and time of two sides of half a million rows."""
    source = data.sides(OUT / "data", 500_000, 20)
    ours, spark = bench.headwater(source, 1, "sides", "noop"), bench.genuine(source, 1, "sides", "noop")
    yield _against_spark("join", "stream–stream join, 2 × 500k rows, 20 batches", ours, spark, "≥ 8 × Spark")


def duplicates(bench: Bench) -> Iterator[Line]:
    """Duplicates dropped from 2 M events, one in 20 delivered twice."""
    source = data.redelivered(OUT / "data", ROWS, 20)
    ours, spark = bench.headwater(source, 1, "duplicates", "noop"), bench.genuine(source, 1, "duplicates", "noop")
    yield _against_spark("dedup", "dropDuplicatesWithinWatermark, 2 M rows, 20 batches", ours, spark, "≥ 8 × Spark")


def state(bench: Bench) -> Iterator[Line]:
    """Ten million keys of state."""
    source = data.keyed(OUT / "data", 10_000_000, 100_000, 10)
    ours = bench.headwater(source, 1, "keys", "noop")
    kept = ours.printed["state_rows"]
    yield Line("state", f"peak RSS with {kept:,} keys of state", f"{ours.peak_mb:,.0f} MB", "", "", "≤ 4,096 MB")


def reads(bench: Bench) -> Iterator[Line]:
    """Delta tables: full scans, a point query on a Z-ordered table, and a log of 10,000 commits."""
    command = [PYTHON, "-m", "benchmarks.delta_reads"]
    for partitions in (0, 16, 400):
        found = run([*command, "scan", str(bench.fresh()), str(partitions), str(10_000_000)]).printed
        mine, theirs = found["seconds"], found["floor"]
        work = f"full scan of 10 M rows, {partitions or 'no'} partitions (floor: DuckDB on the same files)"
        yield Line("R1", work, f"{mine:.2f} s", f"{theirs:.2f} s", f"{mine / theirs:.2f}", "≤ 1.25 × floor")
    found = run([*command, "point", str(bench.fresh()), str(10_000_000)]).printed
    files, read = found["files"], found["read"]
    share = f"{100 * read / files:.0f} %"
    yield Line("R2", "files for one id of 10 M rows, Z-ordered by two columns", str(read), str(files), share, "≤ 10 %")
    folder = str(bench.fresh())
    run([*command, "log", folder, str(10_000)])
    spent = run([*command, "log", folder, str(10_000)]).printed["milliseconds"]
    yield Line("R3", "log of 10,000 commits until the newest version is known", f"{spent:.0f} ms", "", "", "≤ 200 ms")


def auto_loader(bench: Bench) -> Iterator[Line]:
    """Auto Loader: finding files, what a batch costs when many were seen, tiny files, typed scans with rescue."""
    floors, jobs = [PYTHON, "-m", "benchmarks.auto_loader"], str(HERE / "auto_loader_job.py")
    job = [PYTHON, "-m", "headwater.cli.main", "run", jobs]
    million = data.tree(OUT / "data", 1_000_000)
    found = bench.measured([*floors, "list", str(million)]).printed
    mine, theirs = (found["files"] / found[one] / 1000 for one in ("seconds", "floor"))
    yield Line("A1", "1 M files found, thousands a second", f"{mine:.0f}", f"{theirs:.0f}", "", "≥ 100")
    empty = bench.fresh()
    empty.mkdir()
    few, many = (
        bench.measured([*job, "arrive", str(place), str(bench.fresh()), "100"]).printed for place in (empty, million)
    )
    for key, work in (("batch", "a batch of one tiny file"), ("waited", "the same from the file's arrival")):
        ratio = f"{many[key] / few[key]:.2f}"
        work = f"{work}, 1 M files seen (floor: none seen)"
        yield Line("A2", work, f"{many[key]:.0f} ms", f"{few[key]:.0f} ms", ratio, "≤ 1.3 ×" if key == "batch" else "–")
    yield Line("A2", "a start beside 1 M files", f"{many['ready']:.1f} s", f"{few['ready']:.1f} s", "", "–")
    tiny = data.tree(OUT / "data", 100_000)
    ours = bench.measured([*job, "tiny", str(tiny), str(bench.fresh()), "parquet"])
    floor = bench.measured([*floors, "tiny", str(tiny), str(bench.fresh())])
    yield _ratio("A3", "100,000 files of one row → Parquet, 1,000 a batch", ours, floor, "–", None)
    yield Line("A3", "peak RSS of it", f"{ours.peak_mb:.0f} MB", f"{floor.peak_mb:.0f} MB", "", "≤ 500 MB")
    for kind, clean in (("json", data.events), ("csv", data.events_csv)):
        source = clean(OUT / "data", ROWS, 20)
        floor = bench.measured([*floors, "scan", kind, str(source)])
        for mode in ("rescue", "addNewColumns"):
            ours = bench.measured([*job, "load", str(source), str(bench.fresh()), kind, mode, "noop"])
            yield _ratio(
                "A4", f"2 M rows of clean {kind}, {mode} (floor: typed scan)", ours, floor, "≤ 2 × floor", None
            )
        bad = data.spoiled(OUT / "data", ROWS, 20, kind)
        ours = bench.measured([*job, "load", str(bad), str(bench.fresh()), kind, "rescue", "noop"])
        yield _ratio(
            "A5", f"2 M rows of {kind}, 1 % bad, rescue (floor: clean, typed)", ours, floor, "≤ 3 × floor", None
        )


CASES = {
    "P1": p1, "P2": p2, "P3": p3, "P4": p4, "P5": p5, "P7": p7, "P9": p9,
    "join": joins, "dedup": duplicates, "state": state, "R": reads, "A": auto_loader,
}  # fmt: skip


def _quantile(result: Run, pick: float) -> float:
    times = sorted(result.printed["batch_ms"])
    return statistics.median(times) if pick == 0.5 else times[int(len(times) * pick)]


def _ratio(case: str, work: str, ours: Run, floor: Run, budget: str, spark: float | None) -> Line:
    mine, theirs = ours.printed["seconds"], floor.printed["seconds"]
    return Line(case, work, f"{mine:.2f} s", f"{theirs:.2f} s", f"{mine / theirs:.2f}", budget, _seconds(spark))


def _against_spark(case: str, work: str, ours: Run, spark: float | None, budget: str) -> Line:
    mine = ours.printed["seconds"]
    ratio = f"Spark × {spark / mine:.1f}" if spark else "–"
    return Line(case, work, f"{mine:.2f} s", "", ratio, budget, _seconds(spark))


def _seconds(spark: float | None) -> str:
    return "–" if spark is None else f"{spark:.1f} s"


def table(lines: list[Line]) -> str:
    """The lines as Markdown."""
    rows = [f"| {x.case} | {x.work} | {x.figure} | {x.floor} | {x.ratio} | {x.budget} | {x.spark} |" for x in lines]
    head = "| id | work | Headwater | floor | ratio | budget | Spark |"
    return "\n".join([head, "|---|---|---:|---:|---:|---|---:|", *rows])


def main() -> None:
    """Parse the arguments, run, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default=",".join(CASES), help="comma-separated cases; P8 comes with P2, P6 with P3")
    parser.add_argument("--repeat", type=int, default=1, help="runs per case; the median counts")
    installed = HERE.parent / ".venv-spark" / "bin" / "python"
    parser.add_argument(
        "--spark",
        default=str(installed) if installed.exists() else None,
        help="a Python with full pyspark, to measure Apache Spark too; default: that of `make spark`, if any",
    )
    given = parser.parse_args()
    scratch = Path(tempfile.mkdtemp(prefix="headwater-bench-"))
    lines: list[Line] = []
    try:
        bench = Bench(scratch, given.repeat, given.spark)
        for name in given.only.split(","):
            print(f"{name} …", flush=True)
            lines.extend(CASES[name](bench))
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    OUT.mkdir(exist_ok=True)
    (OUT / "table.md").write_text(table(lines) + "\n", "utf-8")
    print(table(lines))


if __name__ == "__main__":
    main()
