"""Watermarks: policies, delays, several of them, where they stand, and what event times they see."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
STEPS = [
    [("a", 1, 1), ("b", 12, 2)],
    [("a", 31, 3), ("a", 29, 3)],
    [("b", 3, 4), ("c", None, 5)],
    [("a", 62, 6)],
]


@scenario(EVENTS, STEPS)
def of_a_stateless_query(spark, events):
    """It moves, nothing is dropped, and no batch runs without data."""
    return events.withWatermark("ts", "5 seconds").select("k", "v")


@scenario(EVENTS, STEPS)
def before_a_filter(spark, events):
    late = events.withWatermark("ts", "5 seconds").where("v <> 6")
    return late.groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, STEPS)
def after_a_filter(spark, events):
    late = events.where("v <> 6").withWatermark("ts", "5 seconds")
    return late.groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, STEPS)
def long_delay(spark, events):
    return events.withWatermark("ts", "1 hour").groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, [[("a", 100000, 1)], [("a", 200000, 2)], [("b", 400000, 3)]])
def delay_of_a_day(spark, events):
    return events.withWatermark("ts", "1 day").groupBy(F.window("ts", "1 hour")).count()


@scenario(EVENTS, [[("a", 0.0014, 1)], [("a", 10.0015, 2)], [("a", 10.0015, 3)], [("b", 25.9994, 3)]])
def milliseconds(spark, events):
    return events.withWatermark("ts", "100 milliseconds").groupBy(F.window("ts", "5 seconds")).count()


@scenario(
    {"events": "k STRING, ts STRING, v LONG"},
    [
        [("a", "2024-01-01T00:00:01", 1), ("a", "not a time", 1)],
        [("a", "2024-01-01T00:00:40", 1)],
    ],
)
def of_a_computed_time(spark, events):
    timed = events.withColumn("t", F.try_to_timestamp("ts"))
    return timed.withWatermark("t", "5 seconds").groupBy(F.window("t", "10 seconds")).count()


@scenario(EVENTS, STEPS)
def renamed_time(spark, events):
    late = events.withWatermark("ts", "5 seconds").withColumnRenamed("ts", "time").select("time", "v")
    return late.groupBy(F.window("time", "10 seconds")).agg(F.sum("v").alias("s"))


@scenario(EVENTS, STEPS, mode="update")
def lost_by_an_expression(spark, events):
    """A changed time is no event time any more: nothing is dropped or evicted."""
    late = events.withWatermark("ts", "5 seconds").withColumn("ts", F.expr("ts + INTERVAL 1 SECOND"))
    return late.groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, STEPS)
def defined_twice(spark, events):
    late = events.withWatermark("ts", "5 seconds").withWatermark("ts", "1 second")
    return late.groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, [[("a", 10, 1)], [("a", 10, 2)], [("a", 10, 3)]])
def standing_still(spark, events):
    """No batch without data when the watermark has not moved."""
    return events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, [[], [("a", None, 1)], [("a", 40, 2)], []])
def nothing_and_nulls(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, [[("a", -20, 1)], [("a", -5, 2)], [("a", 20, 3)]])
def before_the_base(spark, events):
    shifted = events.withColumn("ts", F.expr("ts - INTERVAL 54 YEARS"))
    return shifted.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, STEPS)
def in_sql(spark, events):
    events.createOrReplaceTempView("events_of_watermark")
    return spark.sql(
        "SELECT window.end AS e, count(*) AS n "
        "FROM STREAM events_of_watermark WATERMARK ts DELAY OF INTERVAL 5 SECONDS "
        "GROUP BY window(ts, '10 seconds')"
    )


TWO = {"left": "k STRING, lt TIMESTAMP, lv LONG", "right": "rk STRING, rt TIMESTAMP, rv LONG"}
JOINED = [
    {"left": [("a", 10, 1)], "right": [("a", 10, 1)]},
    {"left": [("a", 50, 2)]},
    {"left": [("a", 60, 3)]},
    {"right": [("a", 30, 2)]},
    {"left": [("a", 12, 4)], "right": [("a", 13, 3)]},
    {"left": [("a", 99, 4)], "right": [("a", 99, 3)]},
]


def _joined(left, right):
    left, right = left.withWatermark("lt", "5 seconds"), right.withWatermark("rt", "10 seconds")
    return left.join(right, F.expr("k = rk AND lt BETWEEN rt - INTERVAL 5 SECONDS AND rt + INTERVAL 5 SECONDS"))


@scenario(TWO, JOINED)
def slowest_of_two(spark, left, right):
    """A stream without rows yet holds the watermark at nothing."""
    return _joined(left, right)


@scenario(TWO, JOINED, conf={"spark.sql.streaming.multipleWatermarkPolicy": "max"})
def fastest_of_two(spark, left, right):
    return _joined(left, right)


@scenario(EVENTS, STEPS)
def before_a_projection_and_a_filter(spark, events):
    late = events.withWatermark("ts", "5 seconds").select("ts", (F.col("v") * 2).alias("w"), F.upper("k").alias("u"))
    return late.where("w < 12 AND u <> 'B'").groupBy(F.window("ts", "10 seconds")).agg(F.sum("w"))


@scenario(EVENTS, STEPS)
def before_a_filter_by_time_and_value(spark, events):
    """The condition looks at the event time and stays; that its other column is not null does not."""
    late = events.withWatermark("ts", "5 seconds").where("ts < timestamp_seconds(1704067200 + v * 20)")
    return late.groupBy(F.window("ts", "10 seconds")).count()


@scenario({"one": EVENTS["events"], "two": EVENTS["events"]}, [{"one": rows, "two": rows[:1]} for rows in STEPS])
def before_a_union_and_a_filter(spark, one, two):
    both = one.withWatermark("ts", "5 seconds").union(two.withWatermark("ts", "1 second")).where("k = 'a'")
    return both.groupBy(F.window("ts", "10 seconds"), "k").count()
