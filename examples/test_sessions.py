"""How a streaming query is tested with Headwater: `pytest examples/test_sessions.py`, no cluster, no sleeping.

The query counts each user's clicks and keeps the newest page; the sink is a Delta table that foreachBatch updates.
"""

from pyspark.sql import functions as F

from headwater.testing import Add, Check, CheckNew, Crash, ExpectFailure, Restart, Target


def summary(clicks):
    """Clicks and newest page of each user."""
    return clicks.groupBy("user").agg(F.count("*").alias("clicks"), F.max("page").alias("last"))


def test_counts_go_on_after_a_restart(memory_stream, run_stream):
    clicks = memory_stream("user STRING, page INT")
    run_stream(
        summary(clicks.to_df()),
        [
            Add(clicks, [("ann", 1), ("bob", 1), ("ann", 2)]),
            CheckNew([("ann", 2, 2), ("bob", 1, 1)]),
            Restart(),
            Add(clicks, [("ann", 3)]),
            CheckNew([("ann", 3, 3)]),
        ],
        output_mode="update",
    )


def test_the_table_is_right_whenever_the_process_dies(headwater_session, memory_stream, run_stream):
    spark = headwater_session
    spark.sql("CREATE TABLE users (user STRING, clicks BIGINT, last INT) USING delta")
    clicks = memory_stream("user STRING, page INT")

    def replace_all(batch, _):
        batch.write.format("delta").mode("overwrite").saveAsTable("users")

    steps = [Add(clicks, [("ann", 1)])]
    for number, point in enumerate(["step3", "step5", "step6", "step7"]):
        steps += [Crash(point), Check([("ann", number + 1, number + 1)]), Add(clicks, [("ann", number + 2)])]
    run_stream(
        summary(clicks.to_df()),
        steps,
        output_mode="complete",
        target=Target(lambda writer: writer.foreachBatch(replace_all), lambda: spark.table("users")),
    )


def test_a_bad_page_number_stops_the_stream(memory_stream, run_stream):
    clicks = memory_stream("user STRING, page STRING")
    pages = clicks.to_df().select("user", F.col("page").cast("int"))
    run_stream(pages, [Add(clicks, [("ann", "first")]), ExpectFailure("CAST_INVALID_INPUT")])
