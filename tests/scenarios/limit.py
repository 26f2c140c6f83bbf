"""`limit` over streams: in append mode, and after a complete aggregation."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
STEPS = [[("a", 1, 1), ("b", 2, 2)], [("c", 3, 3), ("d", 4, 4), ("e", 5, 5)], [("f", 6, 6)], [("g", 7, 7)]]


@scenario(EVENTS, STEPS)
def four(spark, events):
    return events.limit(4)


@scenario(EVENTS, STEPS)
def zero(spark, events):
    return events.limit(0)


@scenario(EVENTS, STEPS)
def after_a_filter(spark, events):
    return events.where("v % 2 = 1").limit(2).select("k")


@scenario(EVENTS, STEPS)
def of_a_limit(spark, events):
    return events.limit(5).where("v > 1").limit(2)


@scenario(EVENTS, [[("a", 1, 1), ("a", 2, 2)], [("b", 3, 3), ("c", 4, 4)], [("d", 5, 5)]])
def after_dedup(spark, events):
    return events.dropDuplicates(["k"]).limit(2)


@scenario(EVENTS, [[("a", 1, 1), ("b", 2, 2)], [("c", 30, 3)], [("d", 60, 4)], [("d", 90, 4)]])
def after_windows(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds"), "k").count().limit(2)


@scenario(EVENTS, STEPS, mode="complete")
def after_complete(spark, events):
    return events.groupBy((F.col("v") % 3).alias("m")).agg(F.sum("v").alias("s")).orderBy("m").limit(2)


@scenario(EVENTS, STEPS, mode="append")
def in_sql(spark, events):
    events.createOrReplaceTempView("events_of_limit")
    return spark.sql("SELECT k FROM events_of_limit LIMIT 3")
