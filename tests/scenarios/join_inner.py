"""Inner joins of two streams: with and without watermarks, time ranges, windows, conditions, nulls in keys."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

SIDES = {"left": "k STRING, lt TIMESTAMP, lv LONG", "right": "k STRING, rt TIMESTAMP, rv LONG"}
PLAIN = [
    {"left": [("a", 1, 1), ("b", 2, 2)], "right": [("a", 1, 10)]},
    {"right": [("b", 9, 20), ("a", 9, 11), (None, 1, 1)]},
    {"left": [("a", 3, 3), (None, 1, 1), ("c", 1, 1)]},
    {"left": [("a", 4, 4)], "right": [("a", 4, 12), ("c", 5, 5)]},
]
RANGE = [
    {"left": [("a", 10, 1), ("b", 12, 2)], "right": [("a", 12, 10)]},
    {"right": [("a", 14, 11), ("b", 20, 20), ("a", 16, 12)]},
    {"left": [("a", 40, 3), ("c", 41, 3)], "right": [("x", 42, 0)]},
    {"left": [("a", 11, 4), ("c", 30, 4)], "right": [("a", 43, 13), ("b", 13, 21)]},
    {"left": [("a", 60, 5)], "right": [("a", 44, 14), ("c", 41, 30), ("x", 70, 0)]},
    {"left": [("a", 44, 6), ("x", 80, 7)], "right": [("a", 46, 15)]},
]


def both(left, right, left_delay="5 seconds", right_delay="3 seconds"):
    return left.withWatermark("lt", left_delay), right.withWatermark("rt", right_delay)


@scenario(SIDES, PLAIN, mode="append update")
def by_key(spark, left, right):
    return left.join(right, "k")


@scenario(SIDES, PLAIN)
def by_condition(spark, left, right):
    right = right.withColumnRenamed("k", "rk")
    return left.join(right, (F.col("k") == F.col("rk")) & (F.col("rv") > F.col("lv") * 4)).select("k", "lv", "rv")


@scenario(SIDES, PLAIN)
def null_safe(spark, left, right):
    right = right.withColumnRenamed("k", "rk")
    return left.join(right, F.col("k").eqNullSafe(F.col("rk"))).select("k", "lv", "rv")


@scenario(SIDES, PLAIN)
def by_two_keys(spark, left, right):
    return left.join(right.withColumnRenamed("rt", "lt"), ["k", "lt"])


@scenario(SIDES, PLAIN)
def watermark_on_one_side(spark, left, right):
    return left.withWatermark("lt", "1 second").join(right, "k")


@scenario(SIDES, RANGE, mode="append update")
def range_of_both_bounds(spark, left, right):
    left, right = both(left, right.withColumnRenamed("k", "rk"))
    return left.join(right, F.expr("k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"))


@scenario(SIDES, RANGE)
def range_with_lower_bound(spark, left, right):
    left, right = both(left, right.withColumnRenamed("k", "rk"))
    return left.join(right, F.expr("k = rk AND rt > lt - INTERVAL 2 SECONDS"))


@scenario(SIDES, RANGE)
def range_with_upper_bound(spark, left, right):
    left, right = both(left, right.withColumnRenamed("k", "rk"))
    return left.join(right, F.expr("k = rk AND rt < lt + INTERVAL 4 SECONDS"))


@scenario(SIDES, RANGE)
def range_written_the_other_way(spark, left, right):
    left, right = both(left, right.withColumnRenamed("k", "rk"))
    return left.join(right, F.expr("k = rk AND lt BETWEEN rt - INTERVAL 5 SECONDS AND rt + INTERVAL 1 SECOND"))


@scenario(SIDES, RANGE)
def range_by_difference_of_times(spark, left, right):
    left, right = both(left, right.withColumnRenamed("k", "rk"))
    return left.join(right, F.expr("k = rk AND rt - lt <= INTERVAL 5 SECONDS AND rt >= lt"))


@scenario(SIDES, RANGE)
def watermarks_without_range(spark, left, right):
    """Nothing is ever evicted: the condition says nothing about time. Late rows are dropped all the same."""
    left, right = both(left, right)
    return left.join(right, "k")


@scenario(SIDES, RANGE, conf={"spark.sql.streaming.multipleWatermarkPolicy": "max"})
def range_under_policy_max(spark, left, right):
    left, right = both(left, right.withColumnRenamed("k", "rk"))
    return left.join(right, F.expr("k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"))


@scenario(SIDES, RANGE)
def range_with_watermark_on_the_right(spark, left, right):
    right = right.withColumnRenamed("k", "rk").withWatermark("rt", "3 seconds")
    return left.join(right, F.expr("k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"))


TIMES = [
    {"left": [("a", 10, 1), ("b", 10, 2)], "right": [("a", 10, 10), ("a", 11, 11)]},
    {"left": [("a", 25, 3)], "right": [("b", 10, 20), ("a", 25, 12)]},
    {"left": [("b", 10, 4), ("a", 40, 5)], "right": [("b", 10, 21), ("a", 40, 13)]},
    {"left": [("b", 10, 6), ("a", 40, 7)], "right": [("a", 60, 14), ("a", 25, 15)]},
    {"left": [("a", 60, 8), ("a", 40, 9)], "right": [("a", 40, 15)]},
]


@scenario(SIDES, TIMES)
def equal_times(spark, left, right):
    left, right = both(left, right.withColumnRenamed("k", "rk"))
    return left.join(right, F.expr("k = rk AND lt = rt"))


@scenario(SIDES, TIMES, mode="append update")
def windows(spark, left, right):
    left, right = both(left, right)
    left = left.select("k", F.window("lt", "10 seconds").alias("w"), "lv")
    return left.join(right.select("k", F.window("rt", "10 seconds").alias("w"), "rv"), ["k", "w"])


@scenario(SIDES, TIMES)
def sliding_windows(spark, left, right):
    left, right = both(left, right)
    left = left.select(F.window("lt", "10 seconds", "5 seconds").alias("w"), "lv")
    return left.join(right.select(F.window("rt", "10 seconds", "5 seconds").alias("w"), "rv"), "w")


@scenario(
    SIDES,
    [
        {"left": [("a", 10, 1)] * 3, "right": [("a", 10, 5)] * 2},
        {"left": [("a", 10, 1)]},
        {"right": [("a", 12, 5), ("a", 12, 5)]},
    ],
)
def equal_rows_are_counted(spark, left, right):
    return left.join(right, "k").select("k", "lv", "rv")


@scenario(SIDES, PLAIN)
def filtered_and_projected(spark, left, right):
    joined = left.where("lv > 1").join(right.select("k", (F.col("rv") + 1).alias("more")), "k")
    return joined.where("more > 12").select(F.upper("k").alias("key"), (F.col("lv") + F.col("more")).alias("sum"))


@scenario(
    {"events": "k STRING, ts TIMESTAMP, v LONG"},
    [[("a", 1, 1), ("a", 2, 2)], [("b", 3, 3)], [("a", 20, 4), ("b", 4, 5)]],
)
def with_itself(spark, events):
    late = events.withWatermark("ts", "2 seconds")
    other = late.select(F.col("k").alias("ok"), F.col("ts").alias("ot"), F.col("v").alias("ov"))
    return late.join(other, F.expr("k = ok AND ot > ts AND ot <= ts + INTERVAL 5 SECONDS"))


@scenario(
    {**SIDES, "third": "k STRING, tt TIMESTAMP, tv LONG"},
    [
        {"left": [("a", 1, 1)], "right": [("a", 1, 2)], "third": [("a", 1, 3)]},
        {"left": [("b", 1, 1)]},
        {"third": [("b", 2, 3)]},
        {"right": [("b", 9, 2), ("a", 2, 5)]},
    ],
)
def three_streams(spark, left, right, third):
    return left.join(right, "k").join(third, "k").select("k", "lv", "rv", "tv")


@scenario(SIDES, RANGE)
def list_of_tables_in_sql(spark, left, right):
    left, right = both(left, right)
    left.createOrReplaceTempView("l_of_list")
    right.createOrReplaceTempView("r_of_list")
    return spark.sql(
        "SELECT l.k, lv, rv FROM l_of_list l, r_of_list r WHERE l.k = r.k "
        "AND rt BETWEEN lt AND lt + INTERVAL 5 SECONDS AND rv > 10 AND lv <> 4"
    )


@scenario(SIDES, RANGE)
def filtered_on_one_side_by_key(spark, left, right):
    """What holds for one side's key holds for the other's: rows of other keys do not move its watermark."""
    left, right = both(left, right.withColumnRenamed("k", "rk"))
    return left.where("k <= 'b'").join(right, F.expr("k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"))


@scenario(SIDES, RANGE)
def filtered_after_by_dataframe(spark, left, right):
    left, right = both(left, right)
    joined = left.join(right, (left["k"] == right["k"]) & (right["rt"] >= left["lt"]))
    return joined.where((left["lv"] > 1) & (right["rv"] > 10)).select(left["k"], left["lv"], right["rv"])
