"""Streaming aggregation without time windows: keys, global, rollup and cube, every output mode, late rows."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
PLAIN = [[("a", 1, 1), ("b", 2, 2)], [("a", 3, 3), (None, 3, 5)], [("c", 4, 4), ("a", 5, None), (None, None, None)]]
LATE = [
    [("a", 10, 1), ("a", 10, 2), ("b", 12, 3)],
    [("a", 26, 4)],
    [("a", 10, 5), ("b", 27, 6)],
    [("a", 12, 7), ("b", 26, 8), ("b", 41, 9), ("c", None, 1)],
]


@scenario(EVENTS, PLAIN, mode="update complete")
def sum_by_key(spark, events):
    return events.groupBy("k").agg(F.sum("v").alias("s"), F.count("*").alias("n"))


@scenario(EVENTS, PLAIN, mode="update complete")
def global_sum(spark, events):
    return events.agg(F.sum("v").alias("s"), F.count("*").alias("n"))


@scenario(EVENTS, [[], PLAIN[0], []], mode="update complete")
def global_count_and_nothing(spark, events):
    return events.where("v > 1").agg(F.count("*").alias("n"), F.max("v").alias("m"))


@scenario(EVENTS, PLAIN, mode="update complete")
def measures(spark, events):
    return events.groupBy("k").agg(
        F.sum("v").alias("sum"),
        F.avg("v").alias("avg"),
        F.min("ts").alias("min"),
        F.max("v").alias("max"),
        F.count("v").alias("count"),
        F.first("v").alias("first"),
        F.last("v", ignorenulls=True).alias("last"),
        F.stddev("v").alias("stddev"),
        F.approx_count_distinct("v").alias("about"),
        F.collect_list("v").alias("list"),
    )


@scenario(EVENTS, PLAIN, mode="complete")
def sorted_measures(spark, events):
    return events.groupBy("k").agg(
        F.sort_array(F.collect_set("v")).alias("set"), F.max_by("v", "ts").alias("newest"), F.bool_or(F.col("v") > 3)
    )


@scenario(EVENTS, PLAIN, mode="update")
def filtered_before_and_after(spark, events):
    sums = events.where("v IS NOT NULL").groupBy("k").agg(F.sum("v").alias("s"))
    return sums.where("s > 2").select("k", (F.col("s") * 10).alias("tens"))


@scenario(EVENTS, PLAIN, mode="update complete")
def having_in_sql(spark, events):
    events.createOrReplaceTempView("events_of_having")
    return spark.sql("SELECT k, count(*) AS n FROM events_of_having GROUP BY k HAVING count(*) > 1")


@scenario(EVENTS, PLAIN, mode="complete")
def sorted_complete(spark, events):
    return events.groupBy("k").agg(F.sum("v").alias("s")).orderBy(F.desc("s"))


@scenario(EVENTS, LATE, mode="append update complete")
def by_watermarked_time(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy("ts", "k").agg(F.sum("v").alias("s"))


@scenario(EVENTS, LATE, mode="update complete")
def watermark_not_in_key(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy("k").agg(F.sum("v").alias("s"), F.max("ts").alias("t"))


@scenario(EVENTS, LATE, mode="append")
def no_groups_of_null_time(spark, events):
    return events.withWatermark("ts", "0 seconds").groupBy("ts").count()


@scenario(EVENTS, PLAIN, mode="update complete")
def rollup(spark, events):
    return events.rollup("k", (F.col("v") % 2).alias("odd")).agg(F.count("*").alias("n"))


@scenario(EVENTS, PLAIN, mode="complete")
def cube_with_grouping(spark, events):
    return events.cube("k", (F.col("v") % 2).alias("odd")).agg(F.grouping_id().alias("g"), F.count("*").alias("n"))


@scenario(EVENTS, LATE, mode="append update")
def rollup_of_window(spark, events):
    late = events.withWatermark("ts", "5 seconds").withColumn("w", F.window("ts", "10 seconds"))
    return late.rollup("w", "k").agg(F.sum("v").alias("s"))


@scenario(EVENTS, PLAIN, mode="update complete")
def distinct_sum_by_key(spark, events):
    return events.groupBy("k").agg(F.sum_distinct("v").alias("s"))


@scenario(EVENTS, PLAIN, mode="update")
def distinct_rows_are_counted_once(spark, events):
    return events.select("k").distinct().groupBy().count()


@scenario(
    {"events": "k STRING, d DECIMAL(10,2), f DOUBLE, b BOOLEAN"},
    [
        [("a", 1.25, 0.1, True), ("a", 2.5, 0.2, None)],
        [("a", 0.01, 0.7, False), ("b", None, None, None)],
    ],
    mode="update",
)
def decimals_and_doubles(spark, events):
    return events.groupBy("k").agg(
        F.sum("d").alias("sum"), F.avg("d").alias("avg"), F.sum("f").alias("float"), F.every("b").alias("every")
    )


@scenario(EVENTS, LATE, mode="update", conf={"spark.sql.streaming.noDataMicroBatches.enabled": "false"})
def no_batches_without_data(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, LATE, mode="append", conf={"spark.sql.streaming.noDataMicroBatches.enabled": "false"})
def windows_without_no_data_batches(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, PLAIN, mode="complete")
def limit_of_complete(spark, events):
    return events.groupBy("k").agg(F.sum("v").alias("s")).orderBy(F.desc_nulls_last("s"), "k").limit(2)
