"""Genuine Spark finds the rows and the history of tables that the genuine DeltaTable made and changed here."""

from __future__ import annotations

from pathlib import Path

from support.command import headwater
from support.genuine_spark import ask_spark

JOB = """
from delta.tables import DeltaTable
table = (DeltaTable.create(spark).tableName("t").location("out/t")
    .addColumn("id", "BIGINT", nullable=False, comment="key")
    .addColumn("v", "STRING").addColumn("part", "STRING").partitionedBy("part").property("owner", "me").comment("made")
    .execute())
table.alias("t").merge(spark.sql("SELECT id, 'v' || id AS v, 'p' || (id % 3) AS part FROM range(9)").alias("s"),
    "t.id = s.id").whenNotMatchedInsertAll().execute()
table.update("id = 8", {"v": "'eight'"})
table.delete("part = 'p0'")
table.optimize().executeCompaction()
table.vacuum()
table.addFeatureSupport("timestampNtz")
path = DeltaTable.createOrReplace(spark).location("out/p").addColumn("id", "INT").execute()
path = DeltaTable.replace(spark).location("out/p").addColumn("name", "STRING").execute()
path.merge(spark.sql("SELECT 'x' AS name"), "false").whenNotMatchedInsertAll().execute()
"""

ASK = """
import os
KEYS = ("description", "partitionColumns", "tableFeatures", "numFiles", "properties")
def of(name):
    path = f"delta.`{os.getcwd()}/out/{name}`"
    detail = spark.sql(f"DESCRIBE DETAIL {path}").first().asDict()
    return {
        "rows": sorted(list(r) for r in spark.sql(f"SELECT * FROM {path}").collect()),
        "history": [r.operation for r in spark.sql(f"DESCRIBE HISTORY {path}").collect()],
        "schema": [[f.name, f.dataType.simpleString(), f.nullable] for f in spark.table(path).schema],
        "detail": {k: detail[k] for k in KEYS},
    }
answer = {"t": of("t"), "p": of("p")}
"""


def test_spark_reads_what_delta_table_made(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(JOB)
    done = headwater("run", tmp_path / "job.py", cwd=tmp_path, timeout=120)
    assert done.returncode == 0, done.stderr
    told = ask_spark(ASK, tmp_path, timeout=600)
    made = told["t"]
    assert made["rows"] == [[i, "eight" if i == 8 else f"v{i}", f"p{i % 3}"] for i in (1, 2, 4, 5, 7, 8)]
    assert made["history"][-4:] == ["DELETE", "UPDATE", "MERGE", "CREATE TABLE"]
    assert made["history"][:3] == ["SET TBLPROPERTIES", "VACUUM END", "VACUUM START"]
    assert made["schema"] == [["id", "bigint", False], ["v", "string", True], ["part", "string", True]]
    assert made["detail"] == {
        "description": "made",
        "partitionColumns": ["part"],
        "tableFeatures": ["appendOnly", "invariants", "timestampNtz"],
        "numFiles": 2,
        "properties": {"owner": "me"},
    }
    assert told["p"]["rows"] == [["x"]]
    assert told["p"]["history"] == ["MERGE", "REPLACE TABLE", "CREATE TABLE"]
