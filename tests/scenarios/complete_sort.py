"""Sorting, which needs the whole result of an aggregation: complete mode only."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
STEPS = [[("a", 1, 1), ("b", 2, 2)], [("c", 13, 3), ("a", 14, 4), (None, 5, 5)], [("c", 26, -6)]]


@scenario(EVENTS, STEPS, mode="complete")
def by_sum(spark, events):
    return events.groupBy("k").agg(F.sum("v").alias("s")).orderBy(F.asc_nulls_last("s"))


@scenario(EVENTS, STEPS, mode="complete")
def top_two(spark, events):
    return events.groupBy("k").agg(F.sum("v").alias("s")).orderBy(F.desc("s")).limit(2)


@scenario(EVENTS, STEPS, mode="complete")
def windows_in_order(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy(F.window("ts", "10 seconds")).agg(F.max("v").alias("m")).orderBy("window").limit(2)


@scenario(EVENTS, STEPS, mode="complete")
def sorted_then_projected(spark, events):
    counts = events.groupBy("k").count().orderBy(F.desc("count"), F.asc_nulls_first("k"))
    return counts.select(F.coalesce("k", F.lit("none")).alias("key"), "count").where("count > 1")
