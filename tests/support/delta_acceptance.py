"""Records the Delta acceptance tables: small tables after DAT's recipes and our own, made by genuine Spark and Delta.

`python -m support.delta_acceptance [names]` in `tests/` (with `.venv-spark`, see `make spark`) writes
`data/delta_acceptance/<case>/`: `table/` as Delta left it, `<version>.parquet` with the rows that Spark reads at a
version, and `case.json` (`features` of the protocol, `versions`, `operations` of the log). A path of the recording
machine in a log stands as `ROOT`. DAT: https://github.com/delta-incubator/dat
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from support.delta_recipes import RECIPES
from support.genuine_spark import ask_spark

HOME = Path(__file__).resolve().parents[1] / "data" / "delta_acceptance"
ROOT = "/recorded"
"""Stands in logs for the folder that holds the tables."""

# Small tables are not worth compiling for.
ASK = """
import os, traceback
sys.path.insert(0, {tests!r})
from support.delta_recipes import RECIPES, Maker
for key, value in {{
    "spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    "spark.sql.adaptive.enabled": "false", "spark.databricks.delta.writeChecksumFile.enabled": "false",
}}.items():
    spark.conf.set(key, value)
answer = {{}}
for name in {names!r}:
    maker = Maker(spark, os.path.join(os.getcwd(), name))
    try:
        RECIPES[name](maker)
        maker.keep()
        with open(os.path.join(maker.home, "made"), "w") as done:
            done.write("")
    except Exception:
        answer[name] = traceback.format_exc()[-3000:]
        print(answer[name], file=sys.stderr)
"""


def put(name: str, folder: Path) -> Path:
    """A copy of a recorded table below `folder`; where it lies. Paths in its log lead to the copy."""
    shutil.copytree(HOME / name, folder / name)
    for log in (folder / name).rglob("_delta_log/*.json"):
        text = log.read_text("utf-8")
        if ROOT in text:
            log.write_text(text.replace(ROOT, str(folder)), "utf-8")
    return folder / name / "table"


def told(name: str) -> dict[str, Any]:
    """What `case.json` says."""
    found: dict[str, Any] = json.loads((HOME / name / "case.json").read_text("utf-8"))
    return found


def record(names: list[str], folder: Path) -> None:
    """Make the tables `names` below `folder` in one run of Spark and keep them."""
    os.environ["JAVA_TOOL_OPTIONS"] = "-XX:TieredStopAtLevel=1"
    tests = str(Path(__file__).resolve().parents[1])
    for name, failure in ask_spark(ASK.format(tests=tests, names=names), folder, timeout=3000).items():
        print(f"{name}: {failure}", file=sys.stderr)
    keep(folder)


def keep(folder: Path) -> None:
    """Keep what has been made below `folder`."""
    for done in sorted(folder.glob("*/made")):
        _keep(done.parent)


def _keep(made: Path) -> None:
    kept = HOME / made.name
    shutil.rmtree(kept, ignore_errors=True)
    shutil.copytree(made, kept, ignore=shutil.ignore_patterns("*.crc", "_SUCCESS", "made", "*.rows"))
    versions = sorted(int(rows.stem) for rows in made.glob("*.rows"))
    for version in versions:
        (part,) = (made / f"{version}.rows").glob("*.parquet")
        shutil.copy(part, kept / f"{version}.parquet")
    for log in kept.rglob("_delta_log/*.json"):
        text = log.read_text("utf-8")
        if str(made) in text:
            log.write_text(text.replace(str(made), f"{ROOT}/{made.name}"), "utf-8")
            # It would hold the path as well.
            for checkpoint in (*log.parent.glob("*.checkpoint.parquet"), *log.parent.glob("_last_checkpoint")):
                checkpoint.unlink()
    case = json.dumps({**_told(kept), "versions": versions}, indent=1)
    (kept / "case.json").write_text(case + "\n", "utf-8")


def _told(kept: Path) -> dict[str, Any]:
    """What the commits in the log tell of the table."""
    operations, protocol = {}, {}
    for log in sorted((kept / "table" / "_delta_log").glob("[0-9]*[0-9].json")):
        if "." in log.stem:
            continue
        for line in map(json.loads, log.read_text("utf-8").splitlines()):
            protocol = line.get("protocol", protocol)
            if "commitInfo" in line:
                operations[int(log.stem)] = line["commitInfo"]["operation"]
    features = sorted({*protocol.get("readerFeatures", ()), *protocol.get("writerFeatures", ())})
    return {"features": features, "operations": operations}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        record(sys.argv[1:] or list(RECIPES), Path(scratch))
