"""Genuine Spark reads the change data feed of tables changed here, and the changes it makes are read here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pyarrow.parquet as pq

from support.command import headwater
from support.genuine_spark import ask_spark

FIRST = """
for name, parts in (("plain", ""), ("parted", "PARTITIONED BY (p)")):
    spark.sql(f"CREATE TABLE {name} (id INT, v STRING, p STRING) USING delta {parts} LOCATION 'out/{name}' "
        "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.sql(f"INSERT INTO {name} VALUES (1, 'a', 'x'), (2, 'b', 'a b/c'), (3, 'c', NULL), (4, 'd', 'x')")
    spark.sql(f"UPDATE {name} SET v = uuid() WHERE id = 2")
    spark.sql(f"DELETE FROM {name} WHERE id = 3")
    spark.sql(f'''MERGE INTO {name} t USING (SELECT * FROM VALUES (1, 'm', 'y'), (9, 'n', NULL) s(id, v, p)) s
        ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *
        WHEN NOT MATCHED BY SOURCE AND t.id = 4 THEN DELETE''')
    rows = spark.sql("SELECT 2 AS id, 'r' AS v, 'q' AS p")
    rows.write.format("delta").mode("overwrite").option("replaceWhere", "id = 2").save(f"out/{name}")
    spark.sql(f"INSERT OVERWRITE {name} VALUES (5, 'o', 'x')")
"""

FEED = """
import json
def feed(name):
    reader = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    rows = reader.load("out/" + name).drop("_commit_timestamp").collect()
    return sorted(([str(value) for value in row] for row in rows), key=str)
"""

ASK = (
    FEED
    + """
import os
answer = {name: feed(name) for name in ("plain", "parted")}
path = os.getcwd() + "/out/plain"
spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ('delta.enableDeletionVectors' = 'true')")
spark.sql(f"INSERT INTO delta.`{path}` SELECT CAST(id AS INT), 's', 'p' FROM range(10, 20)")
spark.sql(f"OPTIMIZE delta.`{path}`")
spark.sql(f"DELETE FROM delta.`{path}` WHERE id = 12")
spark.sql(f"UPDATE delta.`{path}` SET v = 'S' WHERE id IN (13, 5)")
spark.sql(f"RESTORE delta.`{path}` TO VERSION AS OF 8")
answer["then"] = feed("plain")
"""
)

SECOND = (
    FEED
    + """
print("FEED", json.dumps(feed("plain")))
query = (spark.readStream.format("delta").option("readChangeFeed", "true").option("startingVersion", 0)
    .option("maxFilesPerTrigger", 1).load("out/parted").drop("_commit_timestamp").writeStream.format("parquet")
    .option("checkpointLocation", "ck/ours").trigger(availableNow=True).start("ours"))
query.awaitTermination()
"""
)


def test_spark_and_headwater_read_each_others_changes(tmp_path: Path) -> None:
    (tmp_path / "job.py").write_text(FIRST + FEED + 'print("FEED", json.dumps([feed("plain"), feed("parted")]))')
    done = headwater("run", "job.py", cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    plain, parted = json.loads(re.findall("^FEED (.*)$", done.stdout, re.MULTILINE)[0])
    assert [row[-2:] for row in plain if row[0] == "9"] == [["insert", "4"], ["delete", "6"]][::-1]
    assert len(plain) == len(parted) == 17

    answer = ask_spark(ASK, tmp_path, timeout=900)

    assert answer["plain"] == plain
    assert answer["parted"] == parted

    (tmp_path / "job.py").write_text(SECOND)
    done = headwater("run", "job.py", cwd=tmp_path, timeout=240)
    assert done.returncode == 0, done.stderr
    assert json.loads(re.findall("^FEED (.*)$", done.stdout, re.MULTILINE)[0]) == answer["then"]
    ours = pq.read_table(tmp_path / "ours").to_pylist()
    assert sorted(([str(value) for value in row.values()] for row in ours), key=str) == parted
