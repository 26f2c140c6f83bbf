"""Identity columns under SIGKILL and races of processes: no number twice, no row lost."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from support.command import run_job
from support.forked import run_files
from support.kill import KILLED
from support.sql_session import Sql

JOB = """
path = "{folder}/t"
for number in range(5):
    rows = spark.range(3).selectExpr("CAST({first} + 3 * {{}} + id AS INT) AS v".format(number))
    write = rows.write.format("delta").mode("append").option("txnAppId", "{name}").option("txnVersion", number)
    while True:
        try:
            write.save(path)
            break
        except Exception as error:
            if "DELTA_METADATA_CHANGED" not in str(error):
                raise
"""
CREATE = (
    "CREATE TABLE t (id BIGINT GENERATED ALWAYS AS IDENTITY (START WITH 10 INCREMENT BY 10), v INT) "
    "USING delta LOCATION '{folder}/t'"
)


def job(folder: Path, name: str, first: int) -> Path:
    place = folder / name
    place.mkdir()
    (place / "job.py").write_text(JOB.format(folder=folder, name=name, first=first))
    return place


def test_numbers_are_given_once_whoever_dies_and_whoever_else_writes(tmp_path: Path) -> None:
    sql = Sql(str(tmp_path / "warehouse"))
    sql(CREATE.format(folder=tmp_path))
    sql.close()
    one = job(tmp_path, "one", 0)
    for step in ("lake.data_written:2", "lake.committed:2"):
        assert run_job(one, step) == KILLED, step
    for other in run_files("job.py", one, job(tmp_path, "two", 100)):
        assert other.status == 0, other.error

    found = pa.table(DeltaTable(str(tmp_path / "t")).scan()).to_pylist()
    assert sorted(row["v"] for row in found) == [*range(15), *range(100, 115)]
    assert sorted(row["id"] for row in found) == [10 * number for number in range(1, 31)]
