"""Chains of stateful operators: each sees the watermark that its inputs leave to it."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
STEPS = [
    [("a", 1, 1), ("b", 6, 2), ("b", 12, 3)],
    [("a", 26, 4)],
    [("a", 2, 5), ("b", 27, 6)],
    [("a", 34, 7), ("b", 41, 9)],
    [("c", 70, 10)],
    [("c", 130, 11)],
]
SIDES = {"left": "k STRING, lt TIMESTAMP, lv LONG", "right": "rk STRING, rt TIMESTAMP, rv LONG"}
BOTH = [
    {"left": [("a", 10, 1), ("b", 12, 2)], "right": [("a", 12, 10), ("z", 11, 90)]},
    {"right": [("a", 14, 11), ("b", 20, 20)]},
    {"left": [("a", 40, 3), ("c", 41, 3)], "right": [("x", 42, 0), ("c", 43, 30)]},
    {"left": [("a", 11, 4), ("c", 38, 4)], "right": [("a", 43, 13), ("b", 13, 21)]},
    {"left": [("a", 80, 5)], "right": [("a", 82, 14), ("x", 84, 0)]},
    {"left": [("y", 120, 8)], "right": [("y", 120, 16)]},
    {"left": [("y", 150, 9)], "right": [("y", 150, 17)]},
]
BETWEEN = "k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"


def watermarked(left, right):
    return left.withWatermark("lt", "5 seconds"), right.withWatermark("rt", "3 seconds")


@scenario(EVENTS, STEPS)
def windows_of_windows(spark, events):
    small = events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "5 seconds"), "k").agg(F.sum("v").alias("s"))
    return small.groupBy(F.window("window", "20 seconds")).agg(F.sum("s").alias("s"), F.count("*").alias("n"))


@scenario(EVENTS, STEPS)
def windows_of_window_time(spark, events):
    small = events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "5 seconds"), "k").agg(F.sum("v").alias("s"))
    timed = small.select(F.window_time("window").alias("t"), "s")
    return timed.groupBy(F.window("t", "15 seconds")).agg(F.max("s").alias("m"))


@scenario(EVENTS, STEPS)
def three_levels(spark, events):
    one = events.withWatermark("ts", "2 seconds").groupBy(F.window("ts", "5 seconds"), "k").agg(F.sum("v").alias("s"))
    two = one.groupBy(F.window("window", "10 seconds"), "k").agg(F.sum("s").alias("s"))
    return two.groupBy(F.window("window", "20 seconds")).agg(F.sum("s").alias("s"), F.count("*").alias("n"))


@scenario(EVENTS, STEPS)
def dedup_of_windows(spark, events):
    small = events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "5 seconds"), "k").count()
    return small.dropDuplicates(["window"]).select("window", "count")


@scenario(EVENTS, STEPS)
def windows_of_dedup(spark, events):
    late = events.withWatermark("ts", "5 seconds").dropDuplicates(["k", "ts"])
    return late.groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, STEPS)
def windows_of_dedup_within_watermark(spark, events):
    late = events.withWatermark("ts", "5 seconds").dropDuplicatesWithinWatermark(["k"])
    return late.groupBy(F.window("ts", "10 seconds")).agg(F.count("*").alias("n"), F.sum("v").alias("s"))


@scenario(EVENTS, STEPS)
def dedup_of_dedup(spark, events):
    return events.withWatermark("ts", "5 seconds").dropDuplicates(["k", "ts"]).dropDuplicates(["v"])


@scenario(EVENTS, STEPS)
def windows_of_sessions(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    sessions = late.groupBy("k", F.session_window("ts", "3 seconds").alias("w")).agg(F.sum("v").alias("s"))
    return sessions.groupBy(F.window("w", "20 seconds")).agg(F.sum("s").alias("s"))


@scenario(SIDES, BOTH)
def windows_joined(spark, left, right):
    left, right = watermarked(left, right)
    left = left.groupBy("k", F.window("lt", "10 seconds").alias("w")).agg(F.sum("lv").alias("ls"))
    right = right.groupBy(F.col("rk").alias("k"), F.window("rt", "10 seconds").alias("w")).agg(F.sum("rv").alias("rs"))
    return left.join(right, ["k", "w"])


@scenario(SIDES, BOTH)
def windows_joined_outer(spark, left, right):
    left, right = watermarked(left, right)
    left = left.groupBy("k", F.window("lt", "10 seconds").alias("w")).agg(F.sum("lv").alias("ls"))
    right = right.groupBy(F.col("rk").alias("k"), F.window("rt", "10 seconds").alias("w")).agg(F.sum("rv").alias("rs"))
    return left.join(right, ["k", "w"], "full_outer")


@scenario(SIDES, BOTH, mode="append update")
def windows_of_inner_join(spark, left, right):
    left, right = watermarked(left, right)
    joined = left.join(right, F.expr(BETWEEN))
    return joined.groupBy(F.window("lt", "10 seconds")).agg(F.sum("rv").alias("s"), F.count("*").alias("n"))


@scenario(SIDES, BOTH)
def windows_of_left_join(spark, left, right):
    left, right = watermarked(left, right)
    joined = left.join(right, F.expr(BETWEEN), "left_outer")
    return joined.groupBy(F.window("lt", "10 seconds")).agg(F.count("rv").alias("matched"), F.count("*").alias("n"))


@scenario(SIDES, BOTH)
def windows_of_full_join(spark, left, right):
    left, right = watermarked(left, right)
    joined = left.join(right, F.expr(BETWEEN), "full_outer")
    return joined.groupBy(F.window("lt", "10 seconds")).agg(F.count("rv").alias("matched"), F.count("*").alias("n"))


@scenario(SIDES, BOTH)
def windows_of_joined_windows(spark, left, right):
    left, right = watermarked(left, right)
    left = left.select("k", F.window("lt", "10 seconds").alias("w"), "lv")
    right = right.select(F.col("rk").alias("k"), F.window("rt", "10 seconds").alias("w"), "rv")
    return left.join(right, ["k", "w"]).groupBy("w").agg(F.sum("rv").alias("s"))


@scenario(SIDES, BOTH)
def windows_joined_then_windows(spark, left, right):
    left, right = watermarked(left, right)
    left = left.groupBy(F.window("lt", "5 seconds").alias("w")).agg(F.sum("lv").alias("ls"))
    right = right.groupBy(F.window("rt", "5 seconds").alias("w")).agg(F.sum("rv").alias("rs"))
    return (
        left.join(right, "w").groupBy(F.window("w", "10 seconds")).agg(F.sum("ls").alias("ls"), F.sum("rs").alias("rs"))
    )


@scenario(SIDES, BOTH)
def join_of_windows_and_rows(spark, left, right):
    left, right = watermarked(left, right)
    left = left.groupBy("k", F.window("lt", "10 seconds").alias("w")).agg(F.sum("lv").alias("ls"))
    left = left.select("k", F.window_time("w").alias("lt"), "ls")
    return left.join(right, F.expr("k = rk AND rt >= lt - INTERVAL 10 SECONDS AND rt <= lt"), "left_outer")


@scenario(SIDES, BOTH)
def dedup_of_join(spark, left, right):
    left, right = watermarked(left, right)
    return left.join(right, F.expr(BETWEEN)).dropDuplicates(["k", "lt"]).select("k", "lt", "lv")


@scenario(SIDES, BOTH)
def join_of_dedups(spark, left, right):
    left, right = watermarked(left, right)
    return left.dropDuplicates(["k", "lt"]).join(right.dropDuplicates(["rk", "rt"]), F.expr(BETWEEN))


@scenario(
    {**SIDES, "third": "tk STRING, tt TIMESTAMP, tv LONG"},
    [
        {"left": [("a", 10, 1), ("b", 10, 2)], "right": [("a", 12, 10)], "third": [("a", 13, 100)]},
        {"left": [("b", 14, 3)], "third": [("b", 15, 101), ("c", 14, 102)]},
        {"left": [("c", 40, 4)], "right": [("c", 41, 11)], "third": [("c", 42, 103)]},
        {"left": [("d", 80, 5)], "right": [("d", 81, 12)], "third": [("d", 82, 104)]},
        {"left": [("e", 120, 6)], "right": [("e", 120, 13)], "third": [("e", 120, 105)]},
    ],
)
def outer_joins_of_three(spark, left, right, third):
    left, right = watermarked(left, right)
    two = left.join(right, F.expr(BETWEEN), "left_outer")
    third = third.withWatermark("tt", "2 seconds")
    return two.join(third, F.expr("k = tk AND tt >= lt AND tt <= lt + INTERVAL 4 SECONDS"), "left_outer")


@scenario(EVENTS, STEPS)
def limit_of_dedup_of_windows(spark, events):
    small = events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "5 seconds"), "k").count()
    return small.dropDuplicates(["window"]).limit(3)


@scenario(EVENTS, STEPS, mode="update complete")
def sums_of_dedup(spark, events):
    return events.dropDuplicates(["k", "v"]).groupBy("k").agg(F.sum("v").alias("s"))


@scenario(EVENTS, STEPS)
def windows_filtered_by_key(spark, events):
    """Groups that the filter drops are no rows of the state, and their rows do not move the watermark."""
    small = (
        events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds"), "k").agg(F.sum("v").alias("s"))
    )
    return small.where("k <> 'b' AND s > 4")


@scenario(EVENTS, STEPS)
def dedup_filtered_after(spark, events):
    return events.withWatermark("ts", "5 seconds").dropDuplicates(["k", "ts"]).where("v > 3")
