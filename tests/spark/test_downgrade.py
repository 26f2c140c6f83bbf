"""Genuine Spark reads and writes the tables that features were dropped from here, and reads their past."""

from __future__ import annotations

from pathlib import Path

from support.genuine_spark import ask_spark
from support.sql_session import Sql

TABLES = {
    "columnMapping": "'delta.columnMapping.mode' = 'name'",
    "deletionVectors": "'delta.enableDeletionVectors' = 'true'",
    "v2Checkpoint": "'delta.checkpointPolicy' = 'v2'",
}
ASK = """
import os
answer = {}
for name in ("columnMapping", "deletionVectors", "v2Checkpoint"):
    path = f"delta.`{os.getcwd()}/{name}`"
    past = sorted(list(row) for row in spark.sql(f"SELECT * FROM {path} VERSION AS OF 2").collect())
    spark.sql(f"INSERT INTO {path} VALUES (9, 'spark', 'q')")
    rows = sorted(list(row) for row in spark.sql(f"SELECT * FROM {path}").collect())
    detail = spark.sql(f"DESCRIBE DETAIL {path}").first()
    answer[name] = [past, rows, [detail.minReaderVersion, detail.minWriterVersion, detail.tableFeatures]]
"""


def test_spark_goes_on_with_what_is_left(tmp_path: Path) -> None:
    sql = Sql(str(tmp_path / "warehouse"))
    first, second = [1, "a", "p"], [2, None, "q"]
    for feature, properties in TABLES.items():
        name = f"delta.`{tmp_path}/{feature}`"
        columns = "id INT, v STRING, p STRING"
        sql(f"CREATE TABLE {name} ({columns}) USING delta PARTITIONED BY (p) TBLPROPERTIES ({properties})")
        sql(f"INSERT INTO {name} VALUES (1, 'a', 'p')")
        sql(f"INSERT INTO {name} VALUES (2, NULL, 'q')")
        if feature == "columnMapping":
            sql(f"ALTER TABLE {name} RENAME COLUMN p TO part")
        sql(f"ALTER TABLE {name} DROP FEATURE {feature}")
    sql.close()
    protocol = [1, 7, ["appendOnly", "checkpointProtection", "invariants"]]
    told = ask_spark(ASK, tmp_path, timeout=600)
    assert told == {name: [[first, second], [first, second, [9, "spark", "q"]], protocol] for name in TABLES}
