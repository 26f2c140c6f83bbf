"""Observed metrics: per batch, also in batches without data."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
STEPS = [[("a", 1, 1), ("b", 12, 2)], [("a", 31, 3), ("c", 32, None)], [("b", 3, 4)]]


@scenario(EVENTS, STEPS)
def of_input(spark, events):
    return events.observe("input", F.count("*").alias("n"), F.sum("v").alias("s"), F.max("k").alias("m"))


@scenario(EVENTS, STEPS)
def twice(spark, events):
    filtered = events.observe("before", F.count("*").alias("n")).where("v > 1")
    return filtered.observe("after", F.count("*").alias("n"), F.avg("v").alias("a"))


@scenario(EVENTS, STEPS)
def around_windows(spark, events):
    late = events.withWatermark("ts", "5 seconds").observe("rows", F.count("*").alias("n"), F.min("v").alias("m"))
    counts = late.groupBy(F.window("ts", "10 seconds")).count()
    return counts.observe("windows", F.count("*").alias("n"), F.sum("count").alias("s"))


@scenario(EVENTS, STEPS, mode="update")
def above_sums(spark, events):
    return (
        events.groupBy("k").agg(F.sum("v").alias("s")).observe("groups", F.count("*").alias("n"), F.sum("s").alias("s"))
    )
