"""A measured job as a user would write it: a query of `queries.py` over JSON files, all there are now, then end.

Run by `headwater run` or, for comparison, by genuine Spark's Python with `SPARK_REMOTE` unset. Arguments: QUERY INPUT
OUTPUT FILES_PER_BATCH FORMAT [REPORTS]. Prints one JSON line with the wall seconds and the milliseconds of each batch,
or of the last REPORTS.
"""

import json
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import queries

name, source, output, files_per_batch, target, kept = [*sys.argv[1:], "100000"][:6]
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.sql.session.timeZone", "UTC")
    .config("spark.sql.streaming.numRecentProgressUpdates", kept)
    .config(
        "spark.sql.streaming.stateStore.providerClass",
        "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider",
    )
    .config("spark.sql.streaming.stateStore.rocksdb.changelogCheckpointing.enabled", "true")
    .getOrCreate()
)
rows, mode = getattr(queries, name)(queries.Input(spark, source, files_per_batch))
began = time.perf_counter()
writer = rows.writeStream.outputMode(mode).option("checkpointLocation", output + "-checkpoint")
if mode == "update" and target != "noop":  # a table has no update mode: what changed is appended
    writer = writer.foreachBatch(lambda batch, _: batch.write.format(target).mode("append").save(output))
    query = writer.trigger(availableNow=True).start()
else:
    query = writer.format(target).trigger(availableNow=True).start(None if target == "noop" else output)
query.awaitTermination()
seconds = time.perf_counter() - began
reports = [p for p in query.recentProgress if p["numInputRows"]]
state = sum(operator["numRowsTotal"] for operator in reports[-1]["stateOperators"]) if reports else 0
times = [p["durationMs"]["triggerExecution"] for p in reports]
print(json.dumps({"seconds": seconds, "batch_ms": times, "state_rows": state}))
