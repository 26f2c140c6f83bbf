"""Tumbling and sliding windows: emission, late rows by both thresholds, borders, nulls."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
LATE = [
    [("a", 1, 1), ("a", 6, 2), ("b", 12, 3)],
    [("a", 26, 4)],
    [("a", 2, 5), ("b", 27, 6)],
    [("a", 14, 7), ("b", 3, 8), ("b", 41, 9)],
]


@scenario(EVENTS, LATE, mode="append update complete")
def tumbling(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy(F.window("ts", "10 seconds"), "k").agg(F.sum("v").alias("s"), F.count("*").alias("n"))


@scenario(EVENTS, LATE, mode="append update complete")
def sliding(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy(F.window("ts", "10 seconds", "5 seconds"), "k").agg(F.sum("v").alias("s"))


@scenario(EVENTS, LATE, mode="append")
def sliding_with_offset(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy(F.window("ts", "12 seconds", "4 seconds", "1 second")).count()


@scenario(EVENTS, LATE, mode="update complete")
def without_watermark(spark, events):
    return events.groupBy(F.window("ts", "10 seconds")).agg(F.sum("v").alias("s"))


@scenario(
    EVENTS,
    [
        [("a", 0, 1), ("a", 10, 1), ("a", 20, 1)],
        [("a", 0, 2), ("a", 9.999, 2), ("a", 10, 2), ("a", 15, 2)],
        [("a", 19.999, 3), ("a", 20, 3)],
        [("a", 30, 4)],
        [("a", 20, 5), ("a", 29.999, 5), ("a", 30, 5)],
    ],
    mode="append update",
)
def borders(spark, events):
    """The watermark stands exactly on window ends: a window that ends at it is finished and its rows are late."""
    return events.withWatermark("ts", "0 seconds").groupBy(F.window("ts", "10 seconds")).agg(F.sum("v").alias("s"))


@scenario(
    EVENTS,
    [
        [("a", 100, 1)],
        [("old", 1, 1), ("a", 200, 2)],
        [("old", 2, 1), ("older", 3, 2), ("a", 201, 1)],
        [("old", 160, 1), ("late", 150, 1)],
    ],
    mode="append update",
)
def two_thresholds(spark, events):
    """Late rows are judged by the watermark of the batch before: one far too old still counts in the next batch."""
    return (
        events.withWatermark("ts", "10 seconds").groupBy(F.window("ts", "10 seconds"), "k").agg(F.sum("v").alias("s"))
    )


@scenario(
    EVENTS,
    [[("a", None, 1), ("a", 5, 1)], [("a", 40, 1), (None, 40, 2)], [(None, None, 3), ("a", 3, 3)], [("b", 80, 1)]],
    mode="append update",
)
def null_times_and_keys(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds"), "k").agg(F.sum("v").alias("s"))


@scenario(EVENTS, LATE, mode="append")
def window_parts(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    counts = late.groupBy(F.window("ts", "10 seconds")).count()
    return counts.select(F.col("window.start"), F.col("window.end"), F.window_time("window").alias("t"), "count")


@scenario(EVENTS, LATE, mode="append update")
def in_sql(spark, events):
    events.withWatermark("ts", "5 seconds").createOrReplaceTempView("events_in_sql")
    return spark.sql(
        "SELECT window(ts, '10 seconds') AS w, sum(v) AS s FROM events_in_sql GROUP BY window(ts, '10 seconds')"
    )


@scenario(EVENTS, LATE, mode="append")
def filtered_by_time_first(spark, events):
    late = events.withWatermark("ts", "5 seconds").where("ts > TIMESTAMP '2024-01-01 00:00:05'")
    return late.groupBy(F.window("ts", "10 seconds")).agg(F.max("v").alias("m"))


@scenario(EVENTS, LATE, mode="append")
def collected(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy(F.window("ts", "10 seconds")).agg(F.collect_list("v").alias("l"), F.avg("v").alias("a"))


@scenario({"events": "k STRING, ts TIMESTAMP_NTZ, v LONG"}, LATE, mode="append")
def of_times_without_zone(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, [*LATE, [("a", -1000, 1)], [("a", 1000, 1)]], mode="append")
def watermark_never_goes_back(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, LATE, mode="append")
def pivot(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy(F.window("ts", "10 seconds")).pivot("k", ["a", "b"]).agg(F.sum("v"))


@scenario(EVENTS, LATE, mode="append")
def day_window_of_days(spark, events):
    late = events.withWatermark("ts", "1 second")
    return late.groupBy(F.window("ts", "7 seconds"), F.expr("v % 2").alias("odd")).agg(F.min("v"), F.max("ts"))


@scenario(EVENTS, LATE, mode="update")
def window_of_no_key_filtered_after(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return (
        late.groupBy(F.window("ts", "10 seconds").alias("w"))
        .agg(F.sum("v").alias("s"))
        .where("s > 4")
        .select("s", "w.end")
    )
