"""Session windows: merging, bridging, gaps given by the row, late rows."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
STEPS = [
    [("a", 10, 1), ("a", 12, 2), ("b", 11, 3), ("a", 30, 4)],
    [("a", 16, 5), ("b", 40, 6)],
    [("a", 11, 7), ("b", 36, 8), ("a", 39, 9)],
    [("b", 70, 10), ("a", 34, 11)],
    [("b", 100, 12), (None, 99, 13)],
]


@scenario(EVENTS, STEPS, mode="append complete")
def by_key(spark, events):
    late = events.withWatermark("ts", "10 seconds")
    return late.groupBy(F.session_window("ts", "5 seconds"), "k").agg(F.sum("v").alias("s"), F.count("*").alias("n"))


BRIDGE = [
    [("a", 10, 1), ("a", 18, 2), ("a", 26, 3)],
    [("a", 14, 4)],
    [("a", 22, 5)],
    [("a", 31, 6), ("a", 9, 7)],
    [("z", 60, 0)],
    [("z", 90, 0)],
]


@scenario(EVENTS, BRIDGE)
def bridged(spark, events):
    """A row between two sessions makes them one; a row exactly the gap after a session begins another."""
    late = events.withWatermark("ts", "30 seconds")
    return late.groupBy("k", F.session_window("ts", "5 seconds").alias("w")).agg(
        F.sum("v").alias("s"), F.min("v").alias("m")
    )


@scenario(EVENTS, BRIDGE, mode="complete")
def bridged_without_watermark(spark, events):
    return events.groupBy("k", F.session_window("ts", "5 seconds").alias("w")).agg(F.sum("v").alias("s"))


@scenario(EVENTS, STEPS)
def gap_of_the_row(spark, events):
    gap = F.when(F.col("k") == "a", "5 seconds").when(F.col("v") == 3, "-1 seconds").otherwise("20 seconds")
    late = events.withWatermark("ts", "10 seconds")
    return late.groupBy("k", F.session_window("ts", gap)).agg(F.sum("v").alias("s"))


@scenario(EVENTS, [[("a", 10, 1), ("a", None, 2)], [("a", 30, 3), (None, None, 4)], [("a", 50, 5)]])
def null_times(spark, events):
    late = events.withWatermark("ts", "10 seconds")
    return late.groupBy("k", F.session_window("ts", "5 seconds")).agg(F.sum("v").alias("s"))


@scenario(EVENTS, [[("a", 100, 1)], [("a", 50, 2), ("b", 200, 3)], [("a", 51, 4), ("b", 150, 5)], [("c", 300, 6)]])
def two_thresholds(spark, events):
    late = events.withWatermark("ts", "10 seconds")
    return late.groupBy("k", F.session_window("ts", "5 seconds")).agg(F.sum("v").alias("s"))


@scenario(EVENTS, STEPS, conf={"spark.sql.streaming.sessionWindow.merge.sessions.in.local.partition": "true"})
def merged_before_the_shuffle(spark, events):
    late = events.withWatermark("ts", "10 seconds")
    return late.groupBy("k", F.session_window("ts", "5 seconds")).agg(F.sum("v").alias("s"))


@scenario(EVENTS, STEPS)
def parts_and_lists(spark, events):
    late = events.withWatermark("ts", "10 seconds")
    sessions = late.groupBy("k", F.session_window("ts", "5 seconds")).agg(F.sort_array(F.collect_list("v")).alias("l"))
    return sessions.select("k", "session_window.start", "session_window.end", "l")


@scenario(EVENTS, STEPS)
def two_keys(spark, events):
    late = events.withWatermark("ts", "10 seconds")
    return late.groupBy("k", F.session_window("ts", "5 seconds"), (F.col("v") % 2).alias("odd")).count()
