"""Joins of a stream with a table, in every form that Spark allows."""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
STEPS = [[("a", 1, 1), ("b", 2, 2), (None, 2, 2)], [("c", 13, 3), ("a", 14, 4)], [("d", 40, 5)]]


def table(spark):
    return spark.createDataFrame(
        [("a", "first"), ("a", "again"), ("c", "third"), (None, "none")], "k STRING, name STRING"
    )


@scenario(EVENTS, STEPS, mode="append update")
def inner(spark, events):
    return events.join(table(spark), "k")


@scenario(EVENTS, STEPS)
def left_outer(spark, events):
    return events.join(table(spark), "k", "left_outer")


@scenario(EVENTS, STEPS)
def left_semi(spark, events):
    return events.join(table(spark), "k", "left_semi")


@scenario(EVENTS, STEPS)
def left_anti(spark, events):
    return events.join(table(spark), "k", "left_anti")


@scenario(EVENTS, STEPS)
def cross(spark, events):
    return events.crossJoin(table(spark).select("name"))


@scenario(EVENTS, STEPS)
def by_range_only(spark, events):
    limits = spark.createDataFrame([(0, 2, "low"), (2, 9, "high")], "low LONG, high LONG, name STRING")
    return events.join(limits, F.expr("v >= low AND v < high"))


@scenario(EVENTS, STEPS)
def table_first_inner(spark, events):
    return table(spark).join(events, "k")


@scenario(EVENTS, STEPS)
def table_first_right_outer(spark, events):
    return table(spark).join(events, "k", "right_outer")


@scenario(EVENTS, STEPS)
def table_first_cross(spark, events):
    return table(spark).select("name").crossJoin(events.select("v"))


@scenario(EVENTS, STEPS, mode="append update complete")
def then_windows(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return late.join(table(spark), "k").groupBy(F.window("ts", "10 seconds"), "name").agg(F.sum("v").alias("s"))


@scenario(EVENTS, STEPS)
def after_windows(spark, events):
    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy(F.window("ts", "10 seconds"), "k").count().join(table(spark), "k", "left_outer")


@scenario(EVENTS, STEPS)
def broadcast_in_sql(spark, events):
    events.createOrReplaceTempView("events_of_static")
    table(spark).createOrReplaceTempView("names_of_static")
    return spark.sql(
        "SELECT /*+ BROADCAST(n) */ e.k, v, name FROM events_of_static e LEFT JOIN names_of_static n ON e.k = n.k"
    )
