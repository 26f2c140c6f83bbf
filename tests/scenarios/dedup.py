"""`dropDuplicates`, `distinct` and `dropDuplicatesWithinWatermark`."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
PLAIN = [
    [("a", 1, 1), ("a", 1, 1), ("b", 2, 2), (None, 2, 2)],
    [("a", 3, 9), ("c", 4, 4), (None, 9, 9)],
    [("b", 2, 2), ("c", None, 4), ("d", 5, 5)],
]
LATE = [
    [("a", 10, 1), ("a", 10, 1), ("b", 12, 3)],
    [("a", 26, 4), ("a", 10, 1)],
    [("a", 10, 5), ("b", 27, 6), ("b", 12, 3)],
    [("a", 26, 4), ("b", 26, 8), ("b", 41, 9), ("c", None, 1)],
    [("a", 26, 4), ("c", None, 1), ("b", 41, 9)],
]


@scenario(EVENTS, PLAIN, mode="append update")
def by_key(spark, events):
    return events.dropDuplicates(["k"])


@scenario(EVENTS, PLAIN, mode="append update")
def distinct(spark, events):
    return events.distinct()


@scenario(EVENTS, PLAIN, mode="append")
def distinct_of_some(spark, events):
    return events.select("k", "v").distinct()


@scenario(EVENTS, LATE, mode="append update")
def time_in_the_key(spark, events):
    return events.withWatermark("ts", "5 seconds").dropDuplicates(["k", "ts"])


@scenario(EVENTS, LATE, mode="append update")
def time_not_in_the_key(spark, events):
    """State is never evicted, late rows are dropped all the same."""
    return events.withWatermark("ts", "5 seconds").dropDuplicates(["k"])


@scenario(EVENTS, LATE, mode="append")
def all_columns_with_watermark(spark, events):
    return events.withWatermark("ts", "5 seconds").dropDuplicates()


@scenario(EVENTS, LATE, mode="append")
def filtered_after(spark, events):
    return events.withWatermark("ts", "5 seconds").dropDuplicates(["k", "ts"]).where("v > 1").select("k", "v")


@scenario(
    {"events": "k STRING, ts TIMESTAMP, x DOUBLE"},
    [
        [("a", 1, 0.0), ("a", 1, -0.0), ("a", 1, 1.5)],
        [("a", 2, -0.0), ("b", 2, None)],
        [("b", 3, None), ("b", 3, 0.0)],
    ],
    mode="append",
)
def doubles(spark, events):
    return events.select("k", "x").dropDuplicates(["k", "x"])


@scenario(
    {"events": "k STRUCT<a: STRING, b: LONG>, l ARRAY<LONG>, v LONG"},
    [
        [({"a": "x", "b": 1}, [1, 2], 1), ({"a": "x", "b": 1}, [1, 2], 2)],
        [({"a": "x", "b": None}, [1, 2], 3), ({"a": "x", "b": 1}, [2, 1], 4), (None, None, 5)],
        [({"a": "x", "b": None}, [1, 2], 6), (None, None, 7)],
    ],
    mode="append",
)
def nested_keys(spark, events):
    return events.dropDuplicates(["k", "l"])


WITHIN = [
    [("a", 10, 1), ("a", 12, 2), ("b", 12, 3)],
    [("a", 14, 4), ("b", 21, 5), ("c", 30, 6)],
    [("a", 26, 7), ("b", 27, 8), ("c", 19, 9), ("c", 20, 9)],
    [("d", 60, 10)],
    [("a", 50, 11), ("d", 61, 12), ("c", 56, 13)],
    [("d", 75, 14)],
]


@scenario(EVENTS, WITHIN, mode="append update")
def within_watermark(spark, events):
    return events.withWatermark("ts", "10 seconds").dropDuplicatesWithinWatermark(["k"])


@scenario(EVENTS, WITHIN, mode="append")
def within_watermark_all_columns(spark, events):
    return events.withWatermark("ts", "10 seconds").select("k", "ts").dropDuplicatesWithinWatermark()


@scenario(
    EVENTS,
    [
        [("a", 10, 1)],
        [("a", 19, 2)],
        [("a", 25, 3), ("z", 31, 0)],
        [("a", 30, 4)],
        [("a", 29, 5), ("z", 45, 0)],
        [("a", 36, 6)],
    ],
    mode="append",
)
def within_watermark_is_not_prolonged(spark, events):
    """A duplicate does not put off the end of its key; the first row's time decides."""
    return events.withWatermark("ts", "10 seconds").dropDuplicatesWithinWatermark(["k"])


@scenario(
    EVENTS,
    [[("a", 10, 1), (None, 10, 1)], [(None, 15, 2), ("a", None, 3)], [(None, 40, 3), ("b", None, 4)], [("b", 41, 5)]],
)
def within_watermark_of_nulls(spark, events):
    return events.withWatermark("ts", "10 seconds").dropDuplicatesWithinWatermark(["k"])


@scenario(EVENTS, LATE, mode="append update complete")
def then_counted(spark, events):
    late = events.withWatermark("ts", "5 seconds").dropDuplicates(["k", "ts"])
    return late.groupBy(F.window("ts", "10 seconds")).agg(F.count("*").alias("n"), F.sum("v").alias("s"))


# ── SQL's words: an aggregation by all columns ──────────────────────────────────────────────────────────────


@scenario(EVENTS, LATE, mode="append update complete")
def select_distinct(spark, events):
    events.withWatermark("ts", "5 seconds").createOrReplaceTempView("events_of_distinct")
    return spark.sql("SELECT DISTINCT k, ts FROM events_of_distinct")


@scenario(EVENTS, PLAIN, mode="update complete")
def select_distinct_of_equal_names(spark, events):
    events.createOrReplaceTempView("events_of_names")
    return spark.sql("SELECT DISTINCT k AS x, v AS x FROM events_of_names")


@scenario(
    {"one": EVENTS["events"], "two": EVENTS["events"]},
    [
        {"one": [("a", 1, 1), ("a", 2, 1)], "two": [("a", 1, 1), ("b", 3, 3)]},
        {"two": [("c", 1, 1)]},
        {"one": [("c", 2, 2), ("b", 9, 9)]},
    ],
    mode="update complete",
)
def union_in_sql(spark, one, two):
    one.createOrReplaceTempView("one_of_union")
    two.createOrReplaceTempView("two_of_union")
    return spark.sql("SELECT k FROM one_of_union UNION SELECT k FROM two_of_union")


@scenario(EVENTS, PLAIN, mode="update")
def without_the_rows_of_a_batch(spark, events):
    events.createOrReplaceTempView("events_of_except")
    return spark.sql("SELECT k FROM events_of_except EXCEPT VALUES ('a')")


@scenario(EVENTS, PLAIN, mode="complete")
def counted_in_a_common_table(spark, events):
    events.createOrReplaceTempView("events_of_cte")
    return spark.sql("WITH t AS (SELECT k, v FROM events_of_cte) SELECT k, count(*) AS n FROM t GROUP BY k")
