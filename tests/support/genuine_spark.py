"""Genuine Apache Spark with Delta Lake, asked as an oracle: runs pieces of PySpark in an environment of its own.

One Spark process serves all tests of a worker, for starting one takes longer than most questions; each question has a
session of its own (settings, temporary views), and its folder as working directory. `make spark` sets the environment
up where Java and Maven are. Where they are missing the tests that need it are skipped and say so; in CI (`CI=true`)
they fail instead, so that a gap cannot hide.

Invariants: a question that takes too long fails, and its process ends with all it has started; the next one gets a new
process; no question sees what another one set.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).resolve().parents[2] / ".venv-spark"
SERVER = """
import json, os, sys, traceback
from pyspark.sql import SparkSession
root = (SparkSession.builder.master("local[1]").config("spark.jars", {jars!r})
    .config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    .config("spark.databricks.delta.snapshotPartitions", "1")
    .config("spark.sql.shuffle.partitions", "1").config("spark.default.parallelism", "1")
    .config("spark.sql.sources.parallelPartitionDiscovery.parallelism", "1")
    .config("spark.sql.session.timeZone", "UTC").config("spark.driver.host", "localhost")
    .config("spark.driver.bindAddress", "127.0.0.1").config("spark.sql.warehouse.dir", {warehouse!r})
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog").getOrCreate())
root.sparkContext.setLogLevel("OFF")
hadoop = root._jvm.org.apache.hadoop.fs
files = hadoop.FileSystem.get(root._jsc.hadoopConfiguration())
for line in sys.stdin:
    question = json.loads(line)
    os.chdir(question["folder"])
    files.setWorkingDirectory(hadoop.Path(question["folder"]))
    spark = root.newSession()
    scope = {{"__name__": "__main__", "spark": spark, "json": json, "sys": sys, "answer": None}}
    SparkSession._instantiatedSession = spark
    root._jvm.SparkSession.setActiveSession(spark._jsparkSession)
    root._jvm.SparkSession.setDefaultSession(spark._jsparkSession)
    try:
        exec(compile(question["code"], "question", "exec"), scope)
        told = json.dumps([scope["answer"], None], default=str)
    except BaseException:
        told = json.dumps([None, traceback.format_exc()])
    for database in spark.sql("SHOW DATABASES").collect():
        if database[0] != "default":
            spark.sql(f"DROP DATABASE `{{database[0]}}` CASCADE")
    for table in spark.catalog.listTables("default"):
        if not table.isTemporary:
            spark.sql(f"DROP {{'VIEW' if table.tableType == 'VIEW' else 'TABLE'}} default.`{{table.name}}`")
    aside = question["answer"] + ".tmp"
    with open(aside, "w") as file:
        file.write(told)
    os.rename(aside, question["answer"])
"""


class _Spark:
    """A running Spark that is asked one question after the other."""

    def __init__(self) -> None:
        self._home = tempfile.TemporaryDirectory(prefix="genuine-spark-")
        home = Path(self._home.name)
        jars = ",".join(str(jar) for jar in sorted((HOME / "jars").glob("*.jar")))
        script = home / "server.py"
        script.write_text(SERVER.format(jars=jars, warehouse=str(home / "warehouse")), "utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_"))}
        self._log = home / "log"
        self._asked = 0
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [str(HOME / "bin" / "python"), str(script)],
                cwd=home,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        atexit.register(self.close)

    def ask(self, code: str, folder: Path, timeout: float) -> Any:
        """The answer. Raises AssertionError with what Spark said if there is none."""
        self._asked += 1
        place = Path(self._home.name) / f"answer-{self._asked}"
        question = {"code": code, "folder": str(folder), "answer": str(place)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(question).encode() + b"\n")
        self._process.stdin.flush()
        end = time.monotonic() + timeout
        while not place.exists():
            assert self._process.poll() is None, f"Spark ended:\n{self._said()}"
            assert time.monotonic() < end, f"Spark gave no answer in {timeout} s:\n{self._said()}"
            time.sleep(0.02)
        answer, failure = json.loads(place.read_text())
        assert failure is None, f"Spark failed:\n{failure}"
        return answer

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-6000:]

    def close(self) -> None:
        """End it and what it started."""
        atexit.unregister(self.close)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._home.cleanup()


_running: list[_Spark] = []


def ask_spark(code: str, folder: Path, *, timeout: float = 300) -> Any:
    """Run `code` (which sets `answer`) on genuine Spark, in `folder`; the answer comes back through JSON."""
    if not (HOME / ".ready").exists():
        if os.environ.get("CI"):
            pytest.fail("genuine Spark is missing: run `make spark` (it needs Java and Maven)")
        pytest.skip("genuine Spark is not set up: `make spark` needs Java and Maven")
    if not _running:
        _running.append(_Spark())
    try:
        return _running[0].ask(code, folder, timeout)
    except BaseException:
        _running.pop().close()
        raise
