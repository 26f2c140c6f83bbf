"""The measured job as a user would write it: JSON files to a table, all that is there now, then end.

Run by `headwater run` or, for comparison, by genuine Spark's Python with `SPARK_REMOTE` unset. Arguments: INPUT
OUTPUT FILES_PER_BATCH FORMAT. Prints one JSON line with the wall seconds and the milliseconds of each batch.
"""

import json
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

source, output, files_per_batch, target = sys.argv[1:5]
schema = Path(__file__).with_name("events.ddl").read_text("utf-8")
spark = (
    SparkSession.builder.master("local[2]")
    .config("spark.sql.shuffle.partitions", "2")
    .config("spark.sql.streaming.numRecentProgressUpdates", "100000")
    .getOrCreate()
)
rows = spark.readStream.schema(schema).option("maxFilesPerTrigger", files_per_batch).json(source)
began = time.perf_counter()
query = (
    rows.writeStream.format(target)
    .option("checkpointLocation", output + "-checkpoint")
    .trigger(availableNow=True)
    .start(output)
)
query.awaitTermination()
seconds = time.perf_counter() - began
times = [p["durationMs"]["triggerExecution"] for p in query.recentProgress if p["numInputRows"]]
print(json.dumps({"seconds": seconds, "batch_ms": times}))
