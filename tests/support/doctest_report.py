"""`python -m support.doctest_report`: run PySpark's own doctests on Headwater, publish the counts, extend the record.

Each module runs in a process of its own, through the genuine client, in a fresh folder; its server is another
process, as for PySpark's own runs, so that what the server prints is no part of an example's output. The record holds
the names of the doctests that pass; a run that loses one fails and writes nothing, unless `--accept` is given.

`python -m support.doctest_report <module> [name]` runs one module (or one doctest) and shows its failures.
"""

from __future__ import annotations

import doctest
import importlib
import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
RECORD = ROOT / "tests" / "spark" / "doctests_passing.txt"
PAGE = ROOT / "docs" / "reference" / "doctests.md"
MODULES = (
    "pyspark.sql.connect.functions.builtin",
    "pyspark.sql.column",
    "pyspark.sql.dataframe",
    "pyspark.sql.connect.group",
    "pyspark.sql.connect.readwriter",
    "pyspark.sql.connect.streaming.readwriter",
    "pyspark.sql.connect.streaming.query",
    "pyspark.sql.connect.catalog",
    "pyspark.sql.types",
    "pyspark.sql.window",
)
_FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE | doctest.IGNORE_EXCEPTION_DETAIL
_SECONDS = 20


@cache
def recorded() -> frozenset[str]:
    """Names of the doctests that passed when the record was last written."""
    return frozenset(RECORD.read_text("utf-8").split()) if RECORD.exists() else frozenset()


class _TooSlowError(Exception):
    """A doctest took longer than it may."""


def _expire(_number: int, _frame: FrameType | None) -> None:
    raise _TooSlowError(f"no answer in {_SECONDS} s")


def run_module(name: str, only: str = "") -> dict[str, str]:
    """Each doctest of the module: empty if it passes, else the first failure."""
    from pyspark.sql import SparkSession

    module = importlib.import_module(name)
    with _server() as url:
        spark = SparkSession.builder.remote(url).config("spark.sql.shuffle.partitions", "1").getOrCreate()
        globs: dict[str, Any] = {**module.__dict__, "spark": spark}
        signal.signal(signal.SIGALRM, _expire)
        found: dict[str, str] = {}
        for test in doctest.DocTestFinder(exclude_empty=True).find(module, name, globs=globs):
            if test.examples and (not only or test.name.endswith(only)):
                found[test.name] = _run(test)
    return found


@contextmanager
def _server() -> Iterator[str]:
    """A server in another process; its address."""
    with tempfile.TemporaryDirectory() as folder:
        token = Path(folder) / "token"
        command = [sys.executable, "-m", "headwater.cli.main", "serve", "--port", "0", "--token-file", str(token)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        assert process.stdout is not None
        url = next(line.strip() for line in process.stdout if line.strip().startswith("sc://"))
        threading.Thread(target=process.stdout.read, daemon=True).start()
        try:
            yield url
        finally:
            process.kill()
            process.wait()


def _run(test: doctest.DocTest) -> str:
    out = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=_FLAGS, verbose=False)
    signal.alarm(_SECONDS)
    try:
        runner.run(test, out=out.write)
    except _TooSlowError as slow:
        return str(slow)
    finally:
        signal.alarm(0)
    return out.getvalue()


def run_all(modules: tuple[str, ...] = MODULES) -> dict[str, dict[str, str]]:
    """All modules, each in its own process; a module that dies counts as one failure."""
    return {name: _in_process(name) for name in modules}


def _in_process(name: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "support.doctest_report", "--json", str(answer), name]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests"), "TZ": "UTC"}
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=400)
        if not answer.exists():
            return {name: done.stderr[-2000:] or "no answer"}
        found: dict[str, str] = json.loads(answer.read_text("utf-8"))
        return found


def page(found: dict[str, dict[str, str]]) -> str:
    """The published table."""
    rows = [f"| `{name}` | {sum(not why for why in tests.values())} | {len(tests)} |" for name, tests in found.items()]
    passed = sum(not why for tests in found.values() for why in tests.values())
    return "\n".join(
        [
            "# PySpark's doctests",
            "",
            "The examples in PySpark's own documentation, run through the genuine client on Headwater. Written by",
            "`make doctests`.",
            "",
            "| module | pass | of |",
            "|---|---|---|",
            *rows,
            f"| **all** | **{passed}** | **{sum(map(len, found.values()))}** |",
            "",
        ]
    )


def main(arguments: list[str]) -> int:
    """Run, compare with the record, write."""
    if arguments[:1] == ["--json"]:
        Path(arguments[1]).write_text(json.dumps(run_module(arguments[2])), "utf-8")
        os._exit(0)
    if arguments and arguments[0] != "--accept":
        for name, why in run_module(*arguments[:2]).items():
            print(f"{'ok  ' if not why else 'FAIL'} {name}\n{why}")
        os._exit(0)
    found = run_all()
    passing = {name for tests in found.values() for name, why in tests.items() if not why}
    lost = sorted(recorded() - passing)
    for name in lost:
        print(f"lost {name}")
    if lost and "--accept" not in arguments:
        return 1
    RECORD.write_text("\n".join(sorted(passing)) + "\n", "utf-8")
    PAGE.write_text(page(found), "utf-8")
    print(f"{len(passing)} of {sum(map(len, found.values()))} pass, {len(passing - recorded())} of them new")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
