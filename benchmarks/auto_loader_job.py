"""Measured Auto Loader jobs as a user would write them, run by `headwater run`. Each prints one JSON line.

load INPUT OUTPUT FORMAT MODE SINK   all there is in one batch; typed columns by hints, MODE is the evolution mode
tiny INPUT OUTPUT SINK               files of one row by the thousand, as many a batch as Auto Loader takes by default
arrive INPUT OUTPUT BATCHES          what lies there is passed over; then one file after the other arrives
"""

import json
import statistics
import sys
import time
from pathlib import Path

from pyspark.sql import SparkSession

HERE = Path(__file__).resolve().parent
work, source, output, *rest = sys.argv[1:]
spark = SparkSession.builder.config("spark.sql.session.timeZone", "UTC").getOrCreate()


def stream(kind, **options):
    named = {f"cloudFiles.{name}": value for name, value in {"format": kind, **options}.items()}
    reader = spark.readStream.format("cloudFiles").options(**named).option("header", "true")
    return reader.option("pathGlobFilter", f"*.{kind}")


def write(rows, sink):
    writer = rows.writeStream.format(sink).option("checkpointLocation", f"{output}-checkpoint")
    return writer if sink == "noop" else writer.option("path", output)


def batches(query):
    return [p["durationMs"]["triggerExecution"] for p in query.recentProgress if p["numInputRows"]]


def load(kind, mode, sink):
    types = (HERE / "events.ddl").read_text("utf-8").strip().replace("\n", " ")
    hints = types if kind == "json" else types.replace("ctx STRUCT<country: STRING, device: STRING>", "ctx STRING")
    rows = stream(
        kind, schemaHints=hints, schemaEvolutionMode=mode, schemaLocation=f"{output}-schema", maxFilesPerTrigger="1000"
    ).load(source)
    began = time.perf_counter()
    query = write(rows, sink).trigger(availableNow=True).start()
    query.awaitTermination()
    (milliseconds,) = batches(query)
    read = query.recentProgress[-1]["numInputRows"] if query.recentProgress else 0
    return {"seconds": milliseconds / 1000, "whole": time.perf_counter() - began, "rows": read}


def tiny(sink):
    rows = stream("json").schema("id BIGINT, name STRING").load(source)
    began = time.perf_counter()
    query = write(rows, sink).trigger(availableNow=True).start()
    query.awaitTermination()
    taken = [p["numInputRows"] for p in query.recentProgress]
    return {"seconds": time.perf_counter() - began, "rows": sum(taken), "batch_ms": batches(query)}


def arrive(count):
    rows = stream("json", includeExistingFiles="false").schema("id BIGINT, name STRING").load(source)
    began = time.perf_counter()
    query = write(rows, "noop").trigger(processingTime="0 seconds").start()
    folder = Path(source) / f"arriving-{time.time_ns()}"
    folder.mkdir()
    query.processAllAvailable()
    ready = time.perf_counter() - began
    waited = []
    for number in range(int(count)):
        aside = folder / ".next"
        aside.write_text('{"id": 1, "name": "one"}\n')
        put = time.perf_counter()
        aside.rename(folder / f"{number:06}.json")
        query.processAllAvailable()
        waited.append((time.perf_counter() - put) * 1000)
    times = batches(query)
    query.stop()
    return {"ready": ready, "batch_ms": times, "batch": statistics.median(times), "waited": statistics.median(waited)}


print(json.dumps({"load": load, "tiny": tiny, "arrive": arrive}[work](*rest)))
