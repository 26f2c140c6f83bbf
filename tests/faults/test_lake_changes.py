"""Changes of a Delta table under SIGKILL: each is recorded once, and a stream of them gives each once."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import DeltaTable

from support.command import run_job
from support.kill import KILLED

JOB = """
spark.sql('''CREATE TABLE IF NOT EXISTS t (id BIGINT, n BIGINT) USING delta LOCATION '{folder}/t'
    TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')''')
spark.conf.set("spark.databricks.delta.write.txnAppId", "job")
for number in range(4):
    spark.conf.set("spark.databricks.delta.write.txnVersion", str(number))
    spark.sql(f'''
        MERGE INTO t USING (SELECT id + {{number}} AS id FROM range(3)) s ON t.id = s.id
        WHEN MATCHED AND s.id = 2 THEN DELETE
        WHEN MATCHED THEN UPDATE SET n = t.n + 1
        WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 1)
    ''')
spark.conf.unset("spark.databricks.delta.write.txnAppId")
spark.conf.unset("spark.databricks.delta.write.txnVersion")

changes = (spark.readStream.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    .option("maxFilesPerTrigger", 1).load("{folder}/t"))
(changes.drop("_commit_timestamp").writeStream.format("delta").option("checkpointLocation", "{folder}/ck")
    .trigger(availableNow=True).start("{folder}/copy").awaitTermination())
"""


def rows(found: object, *names: str) -> list[tuple[object, ...]]:
    return sorted(tuple(row[name] for name in names) for row in pa.table(found).to_pylist())


def test_changes_are_recorded_and_streamed_once_whatever_is_killed(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB.format(folder=tmp_path))
    for step in ("lake.rows_written:1", "lake.data_written:2", "lake.committed:3", "step4:2", "step6:2", "step7:2"):
        assert run_job(tmp_path, step) == KILLED, step
    assert run_job(tmp_path) == 0
    table = DeltaTable(str(tmp_path / "t"))
    # 2 is inserted, taken away and inserted again.
    assert rows(table.scan(), "id", "n") == [(0, 1), (1, 2), (2, 1), (3, 3), (4, 2), (5, 1)]
    names = ("_commit_version", "_change_type", "id", "n")
    feed = rows(table.load_cdf(0).read_all(), *names)
    state = {(key, n) for _, kind, key, n in feed if kind in ("insert", "update_postimage")}
    assert set(rows(table.scan(), "id", "n")) <= state
    assert len(feed) == len(set(feed))
    assert rows(DeltaTable(str(tmp_path / "copy")).scan(), *names) == feed
