"""COPY INTO under SIGKILL and beside another COPY INTO: each file once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from support.command import run_job
from support.forked import run_files
from support.kill import KILLED

JOB = """
import json, pathlib
source = pathlib.Path("{folder}/in")
source.mkdir(exist_ok=True)
spark.sql("CREATE TABLE IF NOT EXISTS t{name} (id BIGINT) USING delta LOCATION '{folder}/t'")
for number in range({files}):
    temporary = source / f".{{number}}.tmp{name}"
    temporary.write_text(json.dumps({{"id": number}}))
    temporary.rename(source / f"{{number}}.json")
    spark.sql("COPY INTO t{name} FROM '{folder}/in' FILEFORMAT = JSON")
"""


def job(folder: Path, name: str, files: int) -> Path:
    place = folder / f"job{name}"
    place.mkdir()
    (place / "job.py").write_text(JOB.format(folder=folder, name=name, files=files))
    return place


def test_each_file_is_loaded_once_whoever_dies_and_whoever_else_loads(tmp_path: Path) -> None:
    one = job(tmp_path, "1", 6)
    for step in ("copy.listed:1", "lake.data_written:2", "lake.committed:2"):
        assert run_job(one, step) == KILLED, step
    for other in run_files("job.py", one, job(tmp_path, "2", 8)):
        assert other.status == 0, other.error

    found = pa.table(DeltaTable(str(tmp_path / "t")).scan())
    assert sorted(found.column("id").to_pylist()) == list(range(8))
