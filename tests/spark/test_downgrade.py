"""Genuine Spark reads and writes the tables that features were dropped from here, and reads their past."""

from __future__ import annotations

import os
import time
from pathlib import Path

from support.genuine_spark import ask_spark
from support.sql_session import Sql

TABLES = {
    "columnMapping": "'delta.columnMapping.mode' = 'name'",
    "deletionVectors": "'delta.enableDeletionVectors' = 'true'",
    "typeWidening": "'delta.enableTypeWidening' = 'true'",
    "v2Checkpoint": "'delta.checkpointPolicy' = 'v2'",
}
PLACES = {
    **{feature: feature for feature in ("columnMapping", "deletionVectors", "v2Checkpoint")},
    "columnMapping_alone": "columnMapping",
    "typeWidening_alone": "typeWidening",
}
"""The feature that is dropped from the table in each folder: with the past or, of other names, without."""
LONG_AGO = time.time() - 3 * 86_400
WAIT = "DELTA_FEATURE_DROP_WAIT_FOR_RETENTION_PERIOD"
CHANGES = {"columnMapping": "RENAME COLUMN p TO part", "typeWidening": "ALTER COLUMN id TYPE BIGINT"}
ASK = """
import os
answer = {}
for name in sorted(os.listdir()):
    if not os.path.isdir(name + "/_delta_log"):
        continue
    path = f"delta.`{os.getcwd()}/{name}`"
    try:
        past = sorted(list(row) for row in spark.sql(f"SELECT * FROM {path} VERSION AS OF 2").collect())
    except Exception as error:
        past = error.getCondition()
    spark.sql(f"INSERT INTO {path} VALUES (9, 'spark', 'q')")
    rows = sorted(list(row) for row in spark.sql(f"SELECT * FROM {path}").collect())
    detail = spark.sql(f"DESCRIBE DETAIL {path}").first()
    answer[name] = [past, rows, [detail.minReaderVersion, detail.minWriterVersion, detail.tableFeatures]]
"""


def test_spark_goes_on_with_what_is_left(tmp_path: Path) -> None:
    """Once with the past, which Spark reads, and once without, where nothing but the rows is left of the feature."""
    sql = Sql(str(tmp_path / "warehouse"))
    first, second = [1, "a", "p"], [2, None, "q"]
    for place, feature in PLACES.items():
        history, properties = " TRUNCATE HISTORY" if place != feature else "", TABLES[feature]
        name = f"delta.`{tmp_path}/{place}`"
        columns = "id INT, v STRING, p STRING"
        sql(f"CREATE TABLE {name} ({columns}) USING delta PARTITIONED BY (p) TBLPROPERTIES ({properties})")
        sql(f"INSERT INTO {name} VALUES (1, 'a', 'p')")
        sql(f"INSERT INTO {name} VALUES (2, NULL, 'q')")
        if feature in CHANGES:
            sql(f"ALTER TABLE {name} {CHANGES[feature]}")
        if history:
            sql.refused(f"ALTER TABLE {name} DROP FEATURE {feature}{history}", WAIT)
            for file in (tmp_path / place / "_delta_log").iterdir():
                os.utime(file, (LONG_AGO, LONG_AGO))
        sql(f"ALTER TABLE {name} DROP FEATURE {feature}{history}")
    sql.close()
    told = ask_spark(ASK, tmp_path, timeout=600)
    protocol, plain = [1, 7, ["appendOnly", "checkpointProtection", "invariants"]], [1, 2, ["appendOnly", "invariants"]]
    rows = [first, second, [9, "spark", "q"]]
    gone = "DELTA_VERSION_NOT_FOUND"
    expected = {True: [[first, second], rows, protocol], False: [gone, rows, plain]}
    assert told == {place: expected[place == feature] for place, feature in PLACES.items()}
