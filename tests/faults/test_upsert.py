"""The upsert of every Delta guide: MERGE inside foreachBatch, killed between the batch and its commit."""

from __future__ import annotations

import json
from pathlib import Path

from deltalake import DeltaTable

from support.command import run_job
from support.kill import KILLED

JOB = """
spark.sql("CREATE TABLE IF NOT EXISTS t (id BIGINT, v STRING, n BIGINT) USING delta LOCATION '{folder}/t'")

def upsert(batch, batch_id):
    batch.dropDuplicates(["id"]).createOrReplaceTempView("updates")
    batch.sparkSession.sql('''
        MERGE INTO t USING updates u ON t.id = u.id
        WHEN MATCHED AND u.v = 'gone' THEN DELETE
        WHEN MATCHED THEN UPDATE SET v = u.v, n = t.n + 1
        WHEN NOT MATCHED THEN INSERT (id, v, n) VALUES (u.id, u.v, 1)
    ''')

rows = spark.readStream.schema("id BIGINT, v STRING").option("maxFilesPerTrigger", 1).json("{folder}/in")
query = rows.writeStream.foreachBatch(upsert).option("checkpointLocation", "{folder}/ck").trigger(availableNow=True)
query.start().awaitTermination()
"""


def put(folder: Path, number: int, rows: list[tuple[int, str]]) -> None:
    (folder / "in").mkdir(exist_ok=True)
    lines = (json.dumps({"id": key, "v": value}) for key, value in rows)
    (folder / "in" / f"{number}.json").write_text("\n".join(lines) + "\n")


def table(folder: Path) -> list[tuple[int, str, int]]:
    import pyarrow as pa

    found = pa.table(DeltaTable(str(folder / "t")).scan()).to_pylist()
    return sorted((row["id"], row["v"], row["n"]) for row in found)


def test_an_upsert_runs_again_after_a_kill(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB.format(folder=tmp_path).replace("n = t.n + 1", "n = t.n"))
    put(tmp_path, 0, [(1, "a"), (2, "b"), (2, "b")])
    for step in ("lake.data_written:1", "step6:1", "step7:1"):
        assert run_job(tmp_path, step) == KILLED
    put(tmp_path, 1, [(2, "c"), (3, "d")])
    assert run_job(tmp_path, "lake.committed:1") == KILLED
    put(tmp_path, 2, [(1, "gone"), (4, "e")])
    assert run_job(tmp_path) == 0
    assert table(tmp_path) == [(2, "c", 1), (3, "d", 1), (4, "e", 1)]


def test_a_merge_with_the_batch_id_as_counter_counts_each_batch_once(tmp_path: Path) -> None:
    counted = """
    batch.sparkSession.conf.set("spark.databricks.delta.write.txnAppId", "upsert")
    batch.sparkSession.conf.set("spark.databricks.delta.write.txnVersion", str(batch_id))
    batch.dropDuplicates"""
    (tmp_path / "job.py").write_text(JOB.format(folder=tmp_path).replace("\n    batch.dropDuplicates", counted))
    for number in range(3):
        put(tmp_path, number, [(1, "a"), (2, "b")])
    for step in ("lake.committed:2", "step6:2", "step4:1"):
        run_job(tmp_path, step)
    assert run_job(tmp_path) == 0
    assert table(tmp_path) == [(1, "a", 3), (2, "b", 3)]
