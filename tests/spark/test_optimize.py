"""Genuine Spark reads tables that OPTIMIZE, clustering and auto-compaction leave here, and optimizes them in turn."""

from __future__ import annotations

import json
from pathlib import Path

from support.command import headwater
from support.genuine_spark import ask_spark

JOB = """
spark.sql("CREATE TABLE t (id BIGINT, v STRING, part STRING) USING delta PARTITIONED BY (part) LOCATION 'out/t'")
for start in (0, 20, 40):
    spark.sql(f"INSERT INTO t SELECT id, 'v' || id, 'p' || (id % 2) FROM range({start}, {start + 20})")
spark.sql("OPTIMIZE t WHERE part = 'p1'")
spark.sql("OPTIMIZE t ZORDER BY (id, v)")

spark.conf.set("spark.databricks.delta.autoCompact.enabled", "true")
spark.conf.set("spark.databricks.delta.autoCompact.minNumFiles", "3")
rows = spark.readStream.schema("id BIGINT, v STRING").option("maxFilesPerTrigger", 1).json("in")
(rows.writeStream.format("delta").clusterBy("id").option("maxRecordsPerFile", 4)
    .option("checkpointLocation", "ck").trigger(availableNow=True).start("out/c").awaitTermination())
spark.sql("OPTIMIZE delta.`out/c`")
"""

ASK = """
import os
def path(name): return f"delta.`{os.getcwd()}/out/{name}`"
def ids(name): return sorted(row.id for row in spark.sql(f"SELECT id FROM {path(name)}").collect())
def history(name): return [
    [r.operation, dict(r.operationParameters), r.isolationLevel, sorted(r.operationMetrics)]
    for r in spark.sql(f"DESCRIBE HISTORY {path(name)}").collect()]
def optimized(text):
    found = spark.sql(text).collect()[0].metrics
    return [found.numFilesAdded, found.numFilesRemoved]
detail = spark.sql(f"DESCRIBE DETAIL {path('c')}").collect()[0]
answer = {
    "t": ids("t"), "c": ids("c"), "history t": history("t"), "history c": history("c"),
    "columns": detail.clusteringColumns, "features": detail.tableFeatures,
    "point": spark.sql(f"SELECT v FROM {path('t')} WHERE id = 33").collect()[0].v,
    "again t": optimized(f"OPTIMIZE {path('t')}"),
    "again c": optimized(f"OPTIMIZE {path('c')}"),
    "full c": optimized(f"OPTIMIZE {path('c')} FULL"),
}
spark.sql(f"INSERT INTO {path('c')} VALUES (1000, 'spark')")
answer["then"] = ids("c")
"""


def test_spark_reads_optimizes_and_goes_on(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for file in range(4):
        lines = [json.dumps({"id": file * 10 + row, "v": f"v{row}"}) for row in range(10)]
        (tmp_path / "in" / f"{file}.json").write_text("\n".join(lines) + "\n")
    (tmp_path / "job.py").write_text(JOB)
    done = headwater("run", tmp_path / "job.py", cwd=tmp_path, timeout=300)
    assert done.returncode == 0, done.stderr

    answer = ask_spark(ASK, tmp_path, timeout=600)

    assert answer["t"] == list(range(60))
    assert answer["c"] == list(range(40))
    assert answer["point"] == "v33"
    operations = [entry[0] for entry in answer["history t"]]
    assert operations[:3] == ["OPTIMIZE", "OPTIMIZE", "WRITE"]
    _, parameters, isolation, metrics = answer["history t"][0]
    assert parameters == {"predicate": "[]", "zOrderBy": '["id","v"]', "clusterBy": "[]", "auto": "false"}
    assert isolation == "SnapshotIsolation"
    assert metrics == [
        "maxFileSize", "minFileSize", "numAddedBytes", "numAddedFiles", "numDeletionVectorsRemoved",
        "numRemovedBytes", "numRemovedFiles", "p25FileSize", "p50FileSize", "p75FileSize",
    ]  # fmt: skip
    assert [entry[1]["auto"] for entry in answer["history c"] if entry[0] == "OPTIMIZE"][1:] != []
    assert all(entry[1]["auto"] == "true" for entry in answer["history c"][1:] if entry[0] == "OPTIMIZE")
    assert answer["columns"] == ["id"]
    assert {"clustering", "domainMetadata"} <= set(answer["features"])
    assert (answer["again t"], answer["again c"], answer["full c"]) == ([0, 0], [0, 0], [0, 0])
    assert answer["then"] == [*range(40), 1000]
