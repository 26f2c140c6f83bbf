"""Outer joins of two streams: unmatched rows after the watermark, late matches, windows, conditions on one side."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

SIDES = {"left": "k STRING, lt TIMESTAMP, lv LONG", "right": "rk STRING, rt TIMESTAMP, rv LONG"}
RANGE = [
    {"left": [("a", 10, 1), ("b", 12, 2), (None, 12, 3)], "right": [("a", 12, 10), ("z", 11, 90), (None, 12, 91)]},
    {"right": [("a", 14, 11), ("b", 20, 20), ("a", 16, 12)]},
    {"left": [("a", 40, 3), ("c", 41, 3)], "right": [("x", 42, 0)]},
    {"left": [("a", 11, 4), ("c", 30, 4)], "right": [("a", 43, 13), ("b", 13, 21)]},
    {"left": [("a", 60, 5)], "right": [("a", 44, 14), ("c", 41, 30), ("x", 70, 0)]},
    {"left": [("a", 44, 6), ("x", 80, 7)], "right": [("a", 46, 15)]},
    {"left": [("y", 120, 8)], "right": [("y", 120, 16)]},
]
BETWEEN = "k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"
TIMES = [
    {"left": [("a", 10, 1), ("b", 10, 2)], "right": [("a", 10, 10), ("c", 11, 11)]},
    {"left": [("a", 25, 3)], "right": [("b", 10, 20), ("d", 25, 12)]},
    {"left": [("b", 10, 4), ("a", 40, 5)], "right": [("b", 10, 21), ("a", 40, 13)]},
    {"left": [("c", 11, 6), ("a", 40, 7)], "right": [("a", 60, 14), ("a", 25, 15)]},
    {"left": [("a", 60, 8), ("a", 80, 9)], "right": [("a", 80, 15)]},
]


def both(left, right, left_delay="5 seconds", right_delay="3 seconds"):
    return left.withWatermark("lt", left_delay), right.withWatermark("rt", right_delay)


@scenario(SIDES, RANGE)
def left_range(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "left_outer")


@scenario(SIDES, RANGE)
def right_range(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "right_outer")


@scenario(SIDES, RANGE)
def full_range(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "full_outer")


@scenario(SIDES, TIMES)
def left_equal_times(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr("k = rk AND lt = rt"), "left_outer")


@scenario(SIDES, TIMES)
def full_equal_times(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr("k = rk AND lt = rt"), "full_outer")


def windowed(left, right):
    left, right = both(left, right)
    left = left.select("k", F.window("lt", "10 seconds").alias("w"), "lv")
    return left, right.select(F.col("rk").alias("k"), F.window("rt", "10 seconds").alias("w"), "rv")


@scenario(SIDES, TIMES)
def left_windows(spark, left, right):
    left, right = windowed(left, right)
    return left.join(right, ["k", "w"], "left_outer")


@scenario(SIDES, TIMES)
def right_windows(spark, left, right):
    left, right = windowed(left, right)
    return left.join(right, ["k", "w"], "right_outer")


@scenario(SIDES, TIMES)
def full_windows(spark, left, right):
    left, right = windowed(left, right)
    return left.join(right, ["k", "w"], "full_outer")


@scenario(SIDES, RANGE)
def left_with_a_condition_on_the_left(spark, left, right):
    """A row that the condition excludes is given at once, without waiting for the watermark."""
    left, right = both(left, right)
    return left.join(right, F.expr(f"{BETWEEN} AND lv <> 1"), "left_outer")


@scenario(SIDES, RANGE)
def left_with_a_condition_on_the_right(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(f"{BETWEEN} AND rv > 11"), "left_outer")


@scenario(SIDES, RANGE)
def full_with_conditions_on_both(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(f"{BETWEEN} AND lv <> 1 AND rv > 11 AND lv < rv"), "full_outer")


@scenario(SIDES, RANGE)
def left_filtered_after(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "left_outer").where("rv IS NULL").select("k", "lv")


@scenario(SIDES, RANGE)
def left_by_the_rights_watermark_only(spark, left, right):
    return left.join(right.withWatermark("rt", "3 seconds"), F.expr(BETWEEN), "left_outer")


@scenario(SIDES, RANGE, conf={"spark.sql.streaming.multipleWatermarkPolicy": "max"})
def full_range_under_policy_max(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "full_outer")


LATE_MATCH = [
    {"left": [("a", 10, 1)], "right": [("b", 10, 9)]},
    {"left": [("x", 14, 0)], "right": [("x", 14, 0)]},
    {"left": [("b", 9, 2)], "right": [("a", 12, 10)]},
    {"left": [("x", 30, 0)], "right": [("x", 30, 0)]},
    {"left": [("b", 10, 3)], "right": [("a", 13, 11)]},
    {"left": [("x", 50, 0)], "right": [("x", 50, 0)]},
]


@scenario(SIDES, LATE_MATCH)
def full_with_late_matches(spark, left, right):
    """A row that matched long after it came is not given as unmatched; one that comes too late matches nothing."""
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "full_outer")


@scenario(SIDES, LATE_MATCH)
def left_of_sql(spark, left, right):
    left, right = both(left, right)
    left.createOrReplaceTempView("l_outer")
    right.createOrReplaceTempView("r_outer")
    return spark.sql(f"SELECT k, lv, rv FROM l_outer LEFT JOIN r_outer ON {BETWEEN}")


@scenario(SIDES, RANGE)
def left_that_a_filter_makes_inner(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "left_outer").where("rv > 11").select("k", "lv", "rv")


@scenario(SIDES, RANGE)
def full_that_a_filter_makes_left(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "full_outer").where("lv > 1")


@scenario(SIDES, RANGE)
def left_filtered_by_key_after(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "left_outer").where("k IN ('a', 'c') AND k <> 'z'")


@scenario(SIDES, RANGE)
def right_with_conditions_on_both(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(f"{BETWEEN} AND lv <> 1 AND rv <> 12"), "right_outer")
