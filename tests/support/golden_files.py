"""Golden checkpoints of Auto Loader: what a build wrote, kept in the repository, for every later build to go on from.

    cd tests && python -m support.golden_files         writes tests/golden/cloud_files/<version>-<n>/ for this build

The input is `s3://golden/in`, a mounted folder, so that a checkpoint names no folder of this machine. One file is
read in each batch.

Invariant: a folder that is there is never written again: it is what that build wrote.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, cast

from pyspark.sql.types import LongType, StructField, StructType

from headwater import __version__
from headwater.plan.commands import StartStream, Trigger
from headwater.plan.relations import ReadSource
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.streaming.start import start_query

FOLDER = Path(__file__).resolve().parents[1] / "golden" / "cloud_files"
BATCHES = 23
T0 = 1_700_000_000


def put(folder: Path, number: int) -> None:
    """Input file `number`: one row of that number; some names are written in another way in a log."""
    path = folder / "in" / ("a b%é" if number % 5 == 0 else "") / f"{number:03}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'{{"id":{number}}}\n')
    os.utime(path, (T0 + number, T0 + number))


def run(folder: Path) -> int:
    """Read what is new of `folder/in` under `folder/checkpoint`; how many rows that was."""
    runtime = Runtime.local({"headwater.durability": "none", "spark.headwater.mounts.s3://golden": str(folder)})
    session = Session(runtime)
    options = (("cloudFiles.format", "json"), ("cloudFiles.maxFilesPerTrigger", "1"))
    schema = StructType([StructField("id", LongType())])
    plan = ReadSource("cloudFiles", schema, options, ("s3://golden/in",), streaming=True)
    checkpoint = (("checkpointLocation", str(folder / "checkpoint")),)
    try:
        command = StartStream(plan, "noop", checkpoint, cast(Any, "append"), Trigger("available_now"))
        query = start_query(command, cast(Any, session))
        query.await_termination()
        return sum(int(json.loads(text)["numInputRows"]) for text in query.recent_progress)
    finally:
        session.close()
        runtime.close()


def main() -> None:
    """Write the checkpoint of this build."""
    number = len(list(FOLDER.glob(f"{__version__}-*")))
    with tempfile.TemporaryDirectory() as folder:
        for each in range(BATCHES):
            put(Path(folder), each)
        run(Path(folder))
        shutil.copytree(Path(folder) / "checkpoint", FOLDER / f"{__version__}-{number}")


if __name__ == "__main__":
    main()
