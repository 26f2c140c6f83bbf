"""The changes of a table as a stream, asked for by the genuine client in each of its ways."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession

UPDATE = [(1, "a", "update_preimage", 2), (1, "c", "update_postimage", 2)]
DELETE = [(2, "b", "delete", 3)]
ASKED: dict[str, Callable[[SparkSession], DataFrame]] = {
    "changes": lambda spark: spark.readStream.option("startingVersion", "2").changes("changed"),
    "with_options": lambda spark: spark.sql(
        "SELECT * FROM STREAM changed WITH (readChangeFeed = 'true', startingVersion = '2')"
    ),
    "changes_from": lambda spark: spark.sql("SELECT * FROM STREAM changed CHANGES FROM VERSION 2"),
}


@pytest.mark.parametrize("name", ASKED)
def test_a_stream_gets_the_changes_since_a_version(spark: SparkSession, tmp_path: Path, name: str) -> None:
    spark.sql(
        f"CREATE TABLE changed (id INT, v STRING) USING delta LOCATION '{tmp_path}/t' "
        "TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')"
    )
    try:
        spark.sql("INSERT INTO changed VALUES (1, 'a'), (2, 'b')")
        spark.sql("UPDATE changed SET v = 'c' WHERE id = 1")
        spark.sql("DELETE FROM changed WHERE id = 2")
        rows = ASKED[name](spark)
        writer = rows.writeStream.format("memory").queryName(name).option("checkpointLocation", f"{tmp_path}/ck")
        writer.trigger(availableNow=True).start().awaitTermination()
        found = [tuple(row) for row in spark.table(name).drop("_commit_timestamp").collect()]
        assert sorted(found, key=str) == sorted([*UPDATE, *DELETE], key=str)
    finally:
        spark.sql("DROP TABLE changed")
