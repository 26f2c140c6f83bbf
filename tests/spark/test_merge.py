"""Genuine Spark reads the tables that MERGE, UPDATE and DELETE change here, and changes them in turn."""

from __future__ import annotations

from pathlib import Path

from support.command import headwater
from support.genuine_spark import ask_spark

FIRST = """
schema = "id BIGINT, v STRING, d DATE, part STRING"
spark.sql(f"CREATE TABLE t ({schema}) USING delta PARTITIONED BY (part) LOCATION 'out/t'")
spark.sql("INSERT INTO t SELECT id, 'v' || id, DATE '2026-01-01', 'p' || (id % 3) FROM range(9)")

def upsert(batch, batch_id):
    batch.createOrReplaceTempView("u")
    counts = batch.sparkSession.sql('''
        MERGE INTO t USING u ON t.id = u.id AND t.part = u.part
        WHEN MATCHED AND u.v IS NULL THEN DELETE
        WHEN MATCHED THEN UPDATE SET *
        WHEN NOT MATCHED THEN INSERT *
        WHEN NOT MATCHED BY SOURCE AND t.id = 8 THEN UPDATE SET v = 'old'
    ''').collect()
    print("COUNTS", counts[0].asDict())

rows = spark.readStream.schema(schema).json("in")
query = rows.writeStream.foreachBatch(upsert).option("checkpointLocation", "ck").trigger(availableNow=True).start()
query.awaitTermination()
spark.sql("UPDATE t SET v = upper(v) WHERE part = 'p2'")
spark.sql("DELETE FROM t WHERE id = 7")
"""

ASK = """
import os
path = f"delta.`{os.getcwd()}/out/t`"
def rows():
    return sorted([r.id, r.v, str(r.d), r.part] for r in spark.sql(f"SELECT * FROM {path}").collect())
answer = {"rows": rows(), "history": [r.operation for r in spark.sql(f"DESCRIBE HISTORY {path}").collect()]}
answer["pruned"] = spark.sql(f"SELECT count(*) FROM {path} WHERE id > 90 AND part = 'p0'").collect()[0][0]
spark.sql(f"MERGE INTO {path} t USING (SELECT 0L AS id) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET v = 'spark'")
answer["then"] = rows()
"""

IN = """\
{"id": 0, "v": "new", "d": "2026-02-02", "part": "p0"}
{"id": 1, "part": "p1"}
{"id": 99, "v": "more", "d": "2026-03-03", "part": "p0"}
{"id": 98, "v": null, "part": null}
"""

SECOND = """
print("ROWS", sorted(tuple(row)[:2] for row in spark.read.format("delta").load("out/t").collect()))
"""


def test_spark_finds_the_rows_that_a_merge_left(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "0.json").write_text(IN)
    (tmp_path / "job.py").write_text(FIRST)
    done = headwater("run", tmp_path / "job.py", cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "'num_updated_rows': 2, 'num_deleted_rows': 1, 'num_inserted_rows': 2" in done.stdout

    answer = ask_spark(ASK, tmp_path, timeout=600)

    day = "2026-01-01"
    expected = [
        [0, "new", "2026-02-02", "p0"], [2, "V2", day, "p2"], [3, "v3", day, "p0"], [4, "v4", day, "p1"],
        [5, "V5", day, "p2"], [6, "v6", day, "p0"], [8, "OLD", day, "p2"], [98, None, "None", None],
        [99, "more", "2026-03-03", "p0"],
    ]  # fmt: skip
    assert answer["rows"] == expected
    assert answer["history"][:4] == ["DELETE", "UPDATE", "MERGE", "WRITE"]
    assert answer["pruned"] == 1
    assert answer["then"][0] == [0, "spark", "2026-02-02", "p0"]

    (tmp_path / "second.py").write_text(SECOND)
    again = headwater("run", tmp_path / "second.py", cwd=tmp_path, timeout=60)
    assert "(0, 'spark')" in again.stdout, again.stderr
