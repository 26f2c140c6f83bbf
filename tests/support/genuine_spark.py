"""Genuine Apache Spark with Delta Lake, asked as an oracle: runs a piece of PySpark in an environment of its own.

`make spark` sets the environment up where Java and Maven are. Where they are missing the tests that need it are
skipped and say so; in CI (`CI=true`) they fail instead, so that a gap cannot hide.
"""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

HOME = Path(__file__).resolve().parents[2] / ".venv-spark"
PRELUDE = """
import json, sys
from pyspark.sql import SparkSession
jars = {jars!r}
spark = (SparkSession.builder.master("local[1]").config("spark.jars", jars)
    .config("spark.ui.enabled", "false").config("spark.ui.showConsoleProgress", "false")
    .config("spark.databricks.delta.snapshotPartitions", "1")
    .config("spark.sql.shuffle.partitions", "1").config("spark.default.parallelism", "1")
    .config("spark.sql.sources.parallelPartitionDiscovery.parallelism", "1")
    .config("spark.sql.session.timeZone", "UTC").config("spark.driver.host", "localhost")
    .config("spark.driver.bindAddress", "127.0.0.1")
    .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
    .config("spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog").getOrCreate())
spark.sparkContext.setLogLevel("OFF")
answer = None
{code}
print("ANSWER " + json.dumps(answer, default=str))
spark.stop()
"""


def ask_spark(code: str, folder: Path, *, timeout: float = 300) -> Any:
    """Run `code` (which sets `answer`) on genuine Spark, in `folder`; the answer comes back through JSON."""
    python = HOME / "bin" / "python"
    if not (HOME / ".ready").exists():
        if os.environ.get("CI"):
            pytest.fail("genuine Spark is missing: run `make spark` (it needs Java and Maven)")
        pytest.skip("genuine Spark is not set up: `make spark` needs Java and Maven")
    jars = ",".join(str(jar) for jar in sorted((HOME / "jars").glob("*.jar")))
    script = folder / "ask_spark.py"
    script.write_text(PRELUDE.format(jars=jars, code=code), "utf-8")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("SPARK_", "PYSPARK_"))}
    done = subprocess.run(
        [str(python), str(script)], cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("ANSWER ")]
    assert lines, f"Spark gave no answer:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return json.loads(lines[-1].removeprefix("ANSWER "))
