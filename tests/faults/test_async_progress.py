"""Asynchronous progress tracking under kills: rows may come twice, none is lost."""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

from support.command import run_job
from support.kill import KILLED

SEED = 20_261_122
JOB = """
import os, json, sys

def keep(batch, batch_id):
    rows = [row.id for row in batch.collect()]
    with open("{folder}/out", "a") as file:
        file.write(json.dumps([batch_id, rows]) + "\\n")
        file.flush()
        os.fsync(file.fileno())

rows = spark.readStream.schema("id BIGINT").option("maxFilesPerTrigger", 1).json("{folder}/in")
query = (
    rows.writeStream.foreachBatch(keep)
    .option("checkpointLocation", "{folder}/ck")
    .option("asyncProgressTrackingEnabled", "true")
    .option("asyncProgressTrackingCheckpointIntervalMs", "{interval}")
    .option("_asyncProgressTrackingOverrideSinkSupportCheck", "true")
    .start()
)
query.processAllAvailable()
query.stop()
"""


def batches(folder: Path) -> list[tuple[int, list[int]]]:
    return [tuple(json.loads(line)) for line in (folder / "out").read_text().splitlines()]


def test_kills_lose_nothing_and_a_stop_doubles_nothing(tmp_path: Path) -> None:
    generator = random.Random(SEED)
    (tmp_path / "in").mkdir()
    for number in range(12):
        (tmp_path / "in" / f"{number:02}.json").write_text(json.dumps({"id": number}) + "\n")
    (tmp_path / "job.py").write_text(JOB.format(folder=tmp_path, interval=3_600_000))
    for step in ("step3:2", "step6:3", "step7:4"):
        assert run_job(tmp_path, step) == KILLED
    assert run_job(tmp_path, f"step6:{generator.randrange(2, 6)}") == KILLED
    assert run_job(tmp_path) == 0
    rows = [row for _, found in batches(tmp_path) for row in found]
    assert sorted(set(rows)) == list(range(12)), "a row was lost"
    logged = sorted(int(name) for name in os.listdir(tmp_path / "ck" / "offsets") if name.isdecimal())
    assert len(logged) < len(batches(tmp_path)), "not every batch is written to the log"

    before = len(batches(tmp_path))
    (tmp_path / "in" / "99.json").write_text(json.dumps({"id": 99}) + "\n")
    assert run_job(tmp_path) == 0
    assert [found for _, found in batches(tmp_path)[before:]] == [[99]], "a stopped query runs nothing again"


def test_the_query_goes_on_without_it(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(6):
        (tmp_path / "in" / f"{number:02}.json").write_text(json.dumps({"id": number}) + "\n")
    text = JOB.format(folder=tmp_path, interval=3_600_000)
    (tmp_path / "job.py").write_text(text)
    assert run_job(tmp_path, "step6:4") == KILLED
    (tmp_path / "job.py").write_text(text.replace('"asyncProgressTrackingEnabled", "true"', '"x", "y"'))
    assert run_job(tmp_path) == 0
    assert {row for _, found in batches(tmp_path) for row in found} == set(range(6))
