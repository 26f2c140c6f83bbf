"""Left semi joins of two streams."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

SIDES = {"left": "k STRING, lt TIMESTAMP, lv LONG", "right": "rk STRING, rt TIMESTAMP, rv LONG"}
RANGE = [
    {"left": [("a", 10, 1), ("b", 12, 2), (None, 12, 3)], "right": [("a", 12, 10), ("a", 13, 11), (None, 12, 91)]},
    {"right": [("a", 14, 11), ("b", 15, 20), ("b", 16, 12)]},
    {"left": [("a", 40, 3), ("c", 41, 3)], "right": [("x", 42, 0)]},
    {"left": [("a", 11, 4), ("c", 38, 4), ("c", 41, 5)], "right": [("a", 43, 13), ("b", 13, 21)]},
    {"left": [("a", 60, 5)], "right": [("a", 44, 14), ("c", 42, 30), ("x", 70, 0)]},
    {"left": [("a", 66, 6), ("x", 80, 7)], "right": [("a", 67, 15)]},
]
BETWEEN = "k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"


def both(left, right):
    return left.withWatermark("lt", "5 seconds"), right.withWatermark("rt", "3 seconds")


@scenario(SIDES, RANGE, mode="append update")
def by_range(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(BETWEEN), "left_semi")


@scenario(SIDES, RANGE)
def by_equal_times(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr("k = rk AND lt = rt"), "left_semi")


@scenario(SIDES, RANGE)
def with_conditions(spark, left, right):
    left, right = both(left, right)
    return left.join(right, F.expr(f"{BETWEEN} AND rv > 11 AND lv <> 2"), "left_semi")


@scenario(SIDES, RANGE)
def by_windows(spark, left, right):
    left, right = both(left, right)
    left = left.select("k", F.window("lt", "10 seconds").alias("w"), "lv")
    return left.join(
        right.select(F.col("rk").alias("k"), F.window("rt", "10 seconds").alias("w")), ["k", "w"], "left_semi"
    )
