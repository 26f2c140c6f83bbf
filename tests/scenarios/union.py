"""Unions of streams, with state above and below them."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

DDL = "k STRING, ts TIMESTAMP, v LONG"
TWO = {"first": DDL, "second": DDL}
STEPS = [
    {"first": [("a", 1, 1), ("b", 12, 2)], "second": [("a", 2, 10)]},
    {"second": [("a", 30, 11)]},
    {"first": [("a", 3, 3), ("c", 31, 4)]},
    {"first": [("a", 4, 5)], "second": [("c", 60, 12)]},
    {"first": [("d", 61, 6)], "second": [("c", 5, 13)]},
]


@scenario(TWO, STEPS, mode="append update")
def plain(spark, first, second):
    return first.union(second)


@scenario(TWO, STEPS)
def by_name_with_missing(spark, first, second):
    return first.unionByName(second.select("v", "k", (F.col("v") * 2).alias("w")), allowMissingColumns=True)


@scenario(TWO, STEPS, mode="append update")
def then_windows_of_the_slowest(spark, first, second):
    both = first.withWatermark("ts", "5 seconds").union(second.withWatermark("ts", "2 seconds"))
    return both.groupBy(F.window("ts", "10 seconds")).agg(F.sum("v").alias("s"), F.count("*").alias("n"))


@scenario(TWO, STEPS, conf={"spark.sql.streaming.multipleWatermarkPolicy": "max"})
def then_windows_of_the_fastest(spark, first, second):
    both = first.withWatermark("ts", "5 seconds").union(second.withWatermark("ts", "2 seconds"))
    return both.groupBy(F.window("ts", "10 seconds")).agg(F.sum("v").alias("s"), F.count("*").alias("n"))


@scenario(TWO, STEPS)
def one_watermark_above(spark, first, second):
    both = first.union(second).withWatermark("ts", "5 seconds")
    return both.groupBy(F.window("ts", "10 seconds"), "k").agg(F.sum("v").alias("s"))


@scenario(TWO, STEPS)
def then_dedup(spark, first, second):
    return first.union(second).withWatermark("ts", "5 seconds").dropDuplicates(["k", "ts"])


@scenario(TWO, STEPS, mode="update complete")
def then_sums(spark, first, second):
    return first.union(second).groupBy("k").agg(F.sum("v").alias("s"))


@scenario(TWO, STEPS)
def of_dedups(spark, first, second):
    return first.dropDuplicates(["k"]).union(second.dropDuplicates(["k"]))


@scenario(TWO, STEPS)
def of_windows(spark, first, second):
    """Two aggregations side by side, each under the one watermark of the query."""
    counts = [
        one.withWatermark("ts", delay).groupBy(F.window("ts", "10 seconds")).count()
        for one, delay in ((first, "5 seconds"), (second, "2 seconds"))
    ]
    return counts[0].union(counts[1])


@scenario({"events": DDL}, [[("a", 1, 1), ("b", 2, 2)], [("a", 3, 3)]])
def of_a_stream_with_itself(spark, events):
    return events.where("v > 1").union(events.select("k", "ts", (-F.col("v")).alias("v")))
