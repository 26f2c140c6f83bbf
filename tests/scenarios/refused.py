"""The matrix of operators and output modes, and of joins: what Spark refuses, at the start or in the first batch.

What it allows stands here with one step of data, so that neither side of the border can move unseen.
"""

from __future__ import annotations

from pyspark.sql import Window
from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
ROWS = [[("a", 1, 1), ("b", 12, 2)]]
SIDES = {"left": "k STRING, lt TIMESTAMP, lv LONG", "right": "rk STRING, rt TIMESTAMP, rv LONG"}
BOTH = [{"left": [("a", 1, 1)], "right": [("a", 2, 2)]}]
EVERY = "append update complete"
BETWEEN = "k = rk AND rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"


def late(events):
    return events.withWatermark("ts", "5 seconds")


def windowed(events):
    return late(events).groupBy(F.window("ts", "10 seconds")).agg(F.sum("v").alias("s"))


# ── operators × output modes ────────────────────────────────────────────────────────────────────────────────


@scenario(EVENTS, ROWS, mode="complete")
def map_filter(spark, events):
    return events.where("v > 0").select("k")


@scenario({"one": EVENTS["events"], "two": EVENTS["events"]}, [{"one": ROWS[0]}], mode="complete")
def union(spark, one, two):
    return one.union(two)


@scenario(EVENTS, ROWS, mode="append")
def aggregation_without_watermark(spark, events):
    return events.groupBy("k").count()


@scenario(EVENTS, ROWS, mode="append")
def aggregation_with_the_watermark_not_in_the_key(spark, events):
    return late(events).groupBy("k").count()


@scenario(EVENTS, ROWS, mode="append")
def global_aggregation(spark, events):
    return events.agg(F.count("*"))


@scenario(EVENTS, ROWS, mode="append")
def rollup_without_window(spark, events):
    return late(events).rollup("k").count()


@scenario(EVENTS, ROWS, mode="append")
def window_without_watermark(spark, events):
    return events.groupBy(F.window("ts", "10 seconds")).count()


@scenario(EVENTS, ROWS, mode="append")
def watermark_after_the_aggregation(spark, events):
    return events.groupBy("ts").count().withWatermark("ts", "5 seconds")


@scenario(EVENTS, ROWS, mode=EVERY)
def session_with_key(spark, events):
    return late(events).groupBy(F.session_window("ts", "5 seconds"), "k").count()


@scenario(EVENTS, ROWS, mode=EVERY)
def session_alone(spark, events):
    return late(events).groupBy(F.session_window("ts", "5 seconds")).count()


@scenario(EVENTS, ROWS, mode="append")
def session_without_watermark(spark, events):
    return events.groupBy(F.session_window("ts", "5 seconds"), "k").count()


@scenario(EVENTS, ROWS, mode="complete")
def drop_duplicates(spark, events):
    return events.dropDuplicates(["k"])


@scenario(EVENTS, ROWS, mode=EVERY)
def drop_duplicates_within_no_watermark(spark, events):
    return events.dropDuplicatesWithinWatermark(["k"])


@scenario(EVENTS, ROWS, mode="complete")
def drop_duplicates_within_watermark(spark, events):
    return late(events).dropDuplicatesWithinWatermark(["k"])


@scenario(EVENTS, ROWS, mode="update complete")
def limit(spark, events):
    return events.limit(1)


@scenario(EVENTS, ROWS, mode="update")
def limit_of_aggregation(spark, events):
    return events.groupBy("k").count().limit(1)


@scenario(EVENTS, ROWS, mode=EVERY)
def offset(spark, events):
    return events.offset(1)


@scenario(EVENTS, ROWS, mode=EVERY)
def tail_of_sort(spark, events):
    return events.orderBy("v")


@scenario(EVENTS, ROWS, mode="append update")
def sort_of_aggregation(spark, events):
    return windowed(events).orderBy("s")


@scenario(EVENTS, ROWS, mode=EVERY)
def count_distinct(spark, events):
    return late(events).groupBy(F.window("ts", "10 seconds")).agg(F.countDistinct("k"))


@scenario(EVENTS, ROWS, mode="append update")
def row_number(spark, events):
    return events.withColumn("n", F.row_number().over(Window.partitionBy("k").orderBy("ts")))


@scenario(EVENTS, ROWS, mode="append")
def sum_over_rows(spark, events):
    return events.withColumn("n", F.sum("v").over(Window.partitionBy("k")))


@scenario(EVENTS, ROWS, mode="update complete")
def pivot(spark, events):
    return late(events).groupBy(F.window("ts", "10 seconds")).pivot("k", ["a", "b"]).agg(F.sum("v"))


@scenario(EVENTS, ROWS, mode="append update")
def union_with_a_table(spark, events):
    return events.select("k").union(spark.createDataFrame([("t",)], "k STRING"))


@scenario(EVENTS, ROWS, mode="append")
def except_a_table(spark, events):
    return events.select("k").subtract(spark.createDataFrame([("t",)], "k STRING"))


@scenario(EVENTS, ROWS, mode="append")
def table_except_the_stream(spark, events):
    return spark.createDataFrame([("t",)], "k STRING").subtract(events.select("k"))


@scenario(EVENTS, ROWS, mode="append")
def intersect_with_a_table(spark, events):
    return events.select("k").intersect(spark.createDataFrame([("a",)], "k STRING"))


@scenario({"one": EVENTS["events"], "two": EVENTS["events"]}, [{"one": ROWS[0]}], mode="append")
def except_of_streams(spark, one, two):
    return one.exceptAll(two)


@scenario({"one": EVENTS["events"], "two": EVENTS["events"]}, [{"one": ROWS[0], "two": ROWS[0]}], mode="append")
def intersect_of_streams(spark, one, two):
    return one.select("k").intersect(two.select("k"))


@scenario(EVENTS, ROWS, mode="append")
def sample(spark, events):
    return events.sample(1.0, seed=1)


@scenario(EVENTS, ROWS, mode="append")
def in_subquery(spark, events):
    events.createOrReplaceTempView("events_of_subquery")
    spark.createDataFrame([("a",)], "k STRING").createOrReplaceTempView("keys_of_subquery")
    return spark.sql("SELECT * FROM events_of_subquery WHERE k IN (SELECT k FROM keys_of_subquery)")


@scenario(EVENTS, ROWS, mode="append")
def not_in_subquery(spark, events):
    events.createOrReplaceTempView("events_of_subquery")
    spark.createDataFrame([("a",)], "k STRING").createOrReplaceTempView("keys_of_subquery")
    return spark.sql("SELECT * FROM events_of_subquery WHERE k NOT IN (SELECT k FROM keys_of_subquery)")


@scenario(EVENTS, ROWS, mode="append")
def streaming_subquery(spark, events):
    events.createOrReplaceTempView("events_of_subquery")
    return spark.sql("SELECT * FROM VALUES ('a') AS t(k) WHERE k IN (SELECT k FROM events_of_subquery)")


@scenario(EVENTS, ROWS, mode="append")
def two_windows(spark, events):
    return late(events).select(F.window("ts", "10 seconds").alias("a"), F.window("ts", "5 seconds").alias("b"))


@scenario(EVENTS, ROWS, mode="append")
def watermark_on_a_string(spark, events):
    return events.withWatermark("k", "5 seconds")


@scenario(EVENTS, ROWS, mode="append")
def watermark_on_no_column(spark, events):
    return events.withWatermark("nothing", "5 seconds")


@scenario(EVENTS, ROWS, mode="append")
def watermark_of_no_interval(spark, events):
    return events.withWatermark("ts", "soon")


@scenario(EVENTS, ROWS, mode="append")
def watermark_of_negative_delay(spark, events):
    return events.withWatermark("ts", "-5 seconds")


@scenario(EVENTS, ROWS, mode="append")
def generator_of_rows(spark, events):
    return events.select("k", F.explode(F.sequence(F.lit(1), F.col("v"))).alias("i"))


@scenario({"one": EVENTS["events"], "two": EVENTS["events"]}, [{"one": ROWS[0]}], mode=EVERY)
def aggregation_above_a_union_of_aggregations(spark, one, two):
    return windowed(one).union(windowed(two)).groupBy("window").count()


# ── chains × output modes ───────────────────────────────────────────────────────────────────────────────────


@scenario(EVENTS, ROWS, mode=EVERY)
def aggregation_of_aggregation(spark, events):
    return windowed(events).groupBy(F.window("window", "20 seconds")).agg(F.sum("s"))


@scenario(EVENTS, ROWS, mode=EVERY)
def aggregation_of_aggregation_by_another_key(spark, events):
    return windowed(events).groupBy("s").count()


@scenario(EVENTS, ROWS, mode="update complete")
def plain_aggregation_of_aggregation(spark, events):
    return events.groupBy("k", "v").count().groupBy("k").count()


@scenario(EVENTS, ROWS, mode=EVERY)
def dedup_of_aggregation(spark, events):
    return windowed(events).dropDuplicates(["window"])


@scenario(EVENTS, ROWS, mode=EVERY)
def aggregation_of_dedup(spark, events):
    return late(events).dropDuplicates(["k", "ts"]).groupBy(F.window("ts", "10 seconds")).count()


def sides(left, right):
    return left.withWatermark("lt", "5 seconds"), right.withWatermark("rt", "3 seconds")


@scenario(SIDES, BOTH, mode=EVERY)
def join_of_aggregations(spark, left, right):
    left, right = sides(left, right)
    left = left.groupBy(F.window("lt", "10 seconds").alias("w")).agg(F.sum("lv"))
    return left.join(right.groupBy(F.window("rt", "10 seconds").alias("w")).agg(F.sum("rv")), "w")


@scenario(SIDES, BOTH, mode=EVERY)
def aggregation_of_inner_join(spark, left, right):
    left, right = sides(left, right)
    return left.join(right, F.expr(BETWEEN)).groupBy(F.window("lt", "10 seconds")).count()


@scenario(SIDES, BOTH, mode=EVERY)
def aggregation_of_left_join(spark, left, right):
    left, right = sides(left, right)
    return left.join(right, F.expr(BETWEEN), "left_outer").groupBy(F.window("lt", "10 seconds")).count()


@scenario(SIDES, BOTH, mode=EVERY)
def aggregation_of_window_join(spark, left, right):
    left, right = sides(left, right)
    left = left.select("k", F.window("lt", "10 seconds").alias("w"))
    right = right.select(F.col("rk").alias("k"), F.window("rt", "10 seconds").alias("w"))
    return left.join(right, ["k", "w"]).groupBy("w").count()


@scenario(SIDES, BOTH, mode=EVERY, conf={"spark.sql.streaming.statefulOperator.checkCorrectness.enabled": "false"})
def aggregation_of_left_join_unchecked(spark, left, right):
    left, right = sides(left, right)
    return left.join(right, F.expr(BETWEEN), "left_outer").groupBy(F.window("lt", "10 seconds")).count()


@scenario(EVENTS, ROWS, mode="append")
def limit_of_limit_of_aggregation(spark, events):
    return windowed(events).limit(3).limit(1)


@scenario(EVENTS, ROWS, mode="append")
def dedup_of_limit(spark, events):
    return events.limit(3).dropDuplicates(["k"])


# ── joins ───────────────────────────────────────────────────────────────────────────────────────────────────


def joined(kind):
    """A time-range join of that kind with both watermarks."""

    def build(spark, left, right):
        left, right = sides(left, right)
        return left.join(right, F.expr(BETWEEN), kind)

    build.__name__ = f"range_{kind}"
    return build


for kind in ("inner", "left_outer", "right_outer", "full_outer", "left_semi", "left_anti"):
    scenario(SIDES, BOTH, mode=EVERY)(joined(kind))


def joined_without_watermark(kind):
    def build(spark, left, right):
        return left.join(right, F.expr(BETWEEN), kind)

    build.__name__ = f"no_watermark_{kind}"
    return build


for kind in ("left_outer", "right_outer", "full_outer", "left_semi", "left_anti"):
    scenario(SIDES, BOTH)(joined_without_watermark(kind))


def joined_without_range(kind):
    def build(spark, left, right):
        left, right = sides(left, right)
        return left.join(right, F.expr("k = rk"), kind)

    build.__name__ = f"no_range_{kind}"
    return build


for kind in ("left_outer", "right_outer", "full_outer", "left_semi"):
    scenario(SIDES, BOTH)(joined_without_range(kind))


def joined_with_one_watermark(kind, side):
    def build(spark, left, right):
        if side == "left":
            left = left.withWatermark("lt", "5 seconds")
        else:
            right = right.withWatermark("rt", "5 seconds")
        return left.join(right, F.expr(BETWEEN), kind)

    build.__name__ = f"{side}_watermark_{kind}"
    return build


for kind in ("left_outer", "right_outer", "full_outer", "left_semi"):
    for side in ("left", "right"):
        scenario(SIDES, BOTH)(joined_with_one_watermark(kind, side))


@scenario(SIDES, BOTH)
def cross_of_streams(spark, left, right):
    return left.crossJoin(right)


@scenario(SIDES, BOTH)
def range_only(spark, left, right):
    left, right = sides(left, right)
    return left.join(right, F.expr("rt >= lt AND rt <= lt + INTERVAL 5 SECONDS"))


@scenario(SIDES, BOTH)
def inner_on_or(spark, left, right):
    return left.join(right, F.expr("k = rk OR lv = rv"))


@scenario(
    {"first": SIDES["left"], "second": SIDES["right"], "third": "tk STRING, tt TIMESTAMP"}, [{"first": BOTH[0]["left"]}]
)
def outer_joins_of_three(spark, first, second, third):
    first, second = first.withWatermark("lt", "5 seconds"), second.withWatermark("rt", "5 seconds")
    two = first.join(second, F.expr(BETWEEN), "left_outer")
    return two.join(
        third.withWatermark("tt", "1 second"),
        F.expr("k = tk AND tt >= lt AND tt <= lt + INTERVAL 5 SECONDS"),
        "left_outer",
    )


@scenario(
    {"first": SIDES["left"], "second": SIDES["right"], "third": "tk STRING, tt TIMESTAMP"},
    [{"first": BOTH[0]["left"]}],
    mode=EVERY,
)
def inner_joins_of_three(spark, first, second, third):
    first, second = first.withWatermark("lt", "5 seconds"), second.withWatermark("rt", "5 seconds")
    two = first.join(second, F.expr(BETWEEN))
    return two.join(
        third.withWatermark("tt", "1 second"), F.expr("k = tk AND tt >= lt AND tt <= lt + INTERVAL 5 SECONDS")
    )


def table(spark):
    return spark.createDataFrame([("a", 1)], "rk STRING, n LONG")


def with_table(kind, first):
    def build(spark, events):
        pair = (events, table(spark)) if first == "stream" else (table(spark), events)
        return pair[0].join(pair[1], F.expr("k = rk"), kind)

    build.__name__ = f"{first}_first_{kind}"
    return build


for kind in ("inner", "left_outer", "right_outer", "full_outer", "left_semi", "left_anti"):
    for first in ("stream", "table"):
        scenario(EVENTS, ROWS)(with_table(kind, first))


@scenario(EVENTS, ROWS, mode="complete")
def join_with_table(spark, events):
    return events.join(table(spark), F.expr("k = rk"))


# ── DataFrame calls that make no sense on a stream ──────────────────────────────────────────────────────────


@scenario(EVENTS, ROWS)
def collected(spark, events):
    events.collect()
    return events


@scenario(EVENTS, ROWS)
def counted(spark, events):
    events.count()
    return events


@scenario(EVENTS, ROWS)
def written_as_a_batch(spark, events):
    events.write.format("noop").mode("overwrite").save()
    return events


@scenario(EVENTS, ROWS)
def a_table_as_a_stream(spark, events):
    return spark.range(3)


@scenario(EVENTS, ROWS)
def pivot_without_values(spark, events):
    return late(events).groupBy(F.window("ts", "10 seconds")).pivot("k").agg(F.sum("v"))


@scenario(EVENTS, ROWS, mode="append")
def monotonic_ids(spark, events):
    return events.withColumn("id", F.monotonically_increasing_id())
