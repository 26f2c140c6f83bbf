"""Genuine Spark reads tables that were vacuumed, restored, cloned and converted here, and goes on with them."""

from __future__ import annotations

import json
from pathlib import Path

from support.genuine_spark import ask_spark
from support.sql_session import Sql

ASK = """
import os, json
from datetime import datetime
def t(name): return f"delta.`{os.getcwd()}/out/{name}`"
def rows(name): return sorted(([r[0], r[1]] for r in spark.sql(f"SELECT * FROM {t(name)}").collect()), key=str)
def told(name):
    found = spark.sql(f"DESCRIBE HISTORY {t(name)}").collect()
    return [[r.operation, r.operationParameters, r.operationMetrics, r.isolationLevel, r.isBlindAppend] for r in found]
names = ["source", "clone", "converted"]
answer = {"rows": {name: rows(name) for name in names}, "history": {name: told(name) for name in names}}
answer["pruned"] = spark.sql(f"SELECT count(*) FROM {t('converted')} WHERE id = 2 AND p = 'b c'").collect()[0][0]
spark.conf.set("spark.databricks.delta.retentionDurationCheck.enabled", "false")
spark.sql(f"DELETE FROM {t('clone')} WHERE id = 1")
spark.sql(f"VACUUM {t('clone')} RETAIN 0 HOURS")
spark.sql(f"INSERT INTO {t('source')} VALUES (9, 'spark')")
waste = spark.sql(f"VACUUM {t('source')} LITE RETAIN 0 HOURS DRY RUN").collect()
answer["waste"] = [os.path.basename(r.path) for r in waste]
spark.sql(f"RESTORE {t('source')} TO VERSION AS OF 7")
answer["then"] = {name: rows(name) for name in names}
answer["told"] = {name: told(name)[0] for name in names}
"""

METRICS = {
    "VACUUM START": {"numFilesToDelete", "sizeOfDataToDelete"},
    "VACUUM END": {"numDeletedFiles", "numVacuumedDirectories"},
    "RESTORE": {
        "numRestoredFiles", "removedFilesSize", "numRemovedFiles", "restoredFilesSize", "numOfFilesAfterRestore",
        "tableSizeAfterRestore",
    },
    "CLONE": {
        "removedFilesSize", "numRemovedFiles", "sourceTableSize", "numCopiedFiles", "copiedFilesSize",
        "sourceNumOfFiles",
    },
    "CONVERT": {"numConvertedFiles"},
}  # fmt: skip


def test_spark_goes_on_with_what_upkeep_left(tmp_path: Path) -> None:
    out = tmp_path / "out"
    sql = Sql(str(tmp_path / "warehouse"))
    sql(f"CREATE TABLE source (id INT, p STRING) USING delta PARTITIONED BY (p) LOCATION '{out / 'source'}'")
    sql("INSERT INTO source VALUES (1, 'a'), (2, 'b c')")
    sql("INSERT OVERWRITE source VALUES (3, 'a')")
    sql("RESTORE source TO VERSION AS OF 1")
    sql("INSERT OVERWRITE source VALUES (4, 'a'), (1, 'a'), (5, NULL)")
    sql("SET spark.databricks.delta.retentionDurationCheck.enabled = false")
    sql("VACUUM source RETAIN 0 HOURS")
    sql("INSERT INTO source VALUES (6, 'x%y z')")
    sql(f"CREATE TABLE delta.`{out / 'clone'}` SHALLOW CLONE source")
    files = f"USING parquet PARTITIONED BY (p) LOCATION '{out / 'converted'}'"
    sql(f"CREATE TABLE files {files} AS SELECT * FROM VALUES (1, 'a'), (2, 'b c'), (3, NULL) AS v(id, p)")
    sql("CONVERT TO DELTA files")
    sql.close()

    answer = ask_spark(ASK, tmp_path, timeout=900)

    source = [[1, "a"], [4, "a"], [5, None], [6, "x%y z"]]
    converted = [[1, "a"], [2, "b c"], [3, None]]
    assert answer["rows"] == {"source": source, "clone": source, "converted": converted}
    history = answer["history"]["source"]
    assert [row[0] for row in history] == [
        "WRITE", "VACUUM END", "VACUUM START", "WRITE", "RESTORE", "WRITE", "WRITE", "CREATE TABLE",
    ]  # fmt: skip
    assert history[1][1] == {"status": "COMPLETED"}
    assert history[1][2] == {"numDeletedFiles": "3", "numVacuumedDirectories": "4"}
    assert json.loads(history[2][1]["specifiedRetentionMillis"]) == 0
    assert history[4][1] == {"version": "1", "timestamp": None}
    assert answer["history"]["clone"][0][1] == {"source": "spark_catalog.default.source", "sourceVersion": "7"}
    assert answer["history"]["converted"][0][1]["numFiles"] == "3"
    for row in (*history, *answer["history"]["clone"], *answer["history"]["converted"]):
        if row[0] in METRICS:
            assert set(row[2]) == METRICS[row[0]], row
            assert row[3:] == ["SnapshotIsolation" if row[0].startswith("VACUUM") else "Serializable",
                               row[0].startswith("VACUUM")], row  # fmt: skip
    assert answer["pruned"] == 1
    assert answer["waste"] == [], "what was removed before our VACUUM is gone"
    assert answer["then"] == {"source": source, "clone": source[1:], "converted": converted}
    assert answer["told"]["source"][0] == "RESTORE"
