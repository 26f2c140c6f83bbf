"""The measured queries in plain PySpark: the same for Headwater and for Apache Spark.

Each takes the session, the input folder and the files per batch, and gives (DataFrame, output mode).
"""

from pathlib import Path

from pyspark.sql import functions as F

EVENTS = Path(__file__).with_name("events.ddl").read_text("utf-8")
NEXMARK = Path(__file__).with_name("nexmark.ddl").read_text("utf-8")


class Input:
    """The streams of a folder."""

    def __init__(self, spark, folder, files):
        self.spark, self.folder, self.files = spark, folder, files

    def stream(self, schema, glob="*.json"):
        options = {"maxFilesPerTrigger": self.files, "pathGlobFilter": glob}
        return self.spark.readStream.schema(schema).options(**options).json(self.folder)

    def of(self, kind, late=None):
        number = ("person", "auction", "bid").index(kind)
        rows = self.stream(NEXMARK).where(f"kind = {number}").select(f"{kind}.*")
        return rows.withWatermark("ts", late) if late else rows


def ingest(i):
    return i.stream(EVENTS), "append"


def windows(i):
    rows = i.stream(EVENTS).withWatermark("event_time", "1 minute")
    keys = (F.window("event_time", "1 minute"), "ctx.country", "event_type")
    return rows.groupBy(*keys).agg(F.count("*").alias("n"), F.sum("price").alias("s")), "update"


def keys(i):
    rows = i.stream("k BIGINT, v BIGINT")
    return rows.groupBy("k").agg(F.count("*").alias("n"), F.sum("v").alias("s"), F.max("v").alias("m")), "update"


def duplicates(i):
    rows = i.stream(EVENTS).withWatermark("event_time", "1 minute")
    return rows.dropDuplicatesWithinWatermark(["event_id"]), "append"


def sides(i):
    left = i.stream("k BIGINT, ts TIMESTAMP, a BIGINT", "left-*").withWatermark("ts", "10 seconds")
    right = i.stream("k BIGINT, ts TIMESTAMP, b BIGINT", "right-*").withWatermark("ts", "10 seconds")
    left, right = left.withColumnsRenamed({"k": "lk", "ts": "lt"}), right.withColumnsRenamed({"k": "rk", "ts": "rt"})
    near = "lk = rk AND rt BETWEEN lt - INTERVAL 10 SECONDS AND lt + INTERVAL 10 SECONDS"
    return left.join(right, F.expr(near)).select("lk", "lt", "rt", "a", "b"), "append"


def q0(i):
    return i.of("bid").select("auction", "bidder", "price", "ts", "extra"), "append"


def q1(i):
    return i.of("bid").selectExpr("auction", "bidder", "0.908 * price AS price", "ts", "extra"), "append"


def q2(i):
    return i.of("bid").where("auction % 123 = 0").select("auction", "price"), "append"


def q3(i):
    auctions = i.of("auction").where("category = 10").select("id", "seller")
    persons = i.of("person").where("state IN ('OR', 'ID', 'CA')").selectExpr("id AS person", "name", "city", "state")
    return auctions.join(persons, F.expr("seller = person")).select("name", "city", "state", "id"), "append"


def q4(i):
    """Per window of 10 s: Spark has no aggregation of an aggregation without event time."""
    auctions = i.of("auction", "4 seconds").selectExpr("id", "category", "ts AS opened", "expires")
    bids = i.of("bid", "4 seconds").selectExpr("auction", "price", "ts AS placed")
    within = (
        "id = auction AND placed BETWEEN opened AND expires AND placed BETWEEN opened AND opened + INTERVAL 5 SECONDS"
    )
    won = auctions.join(bids, F.expr(within)).groupBy(F.window("placed", "10 seconds"), "id", "category")
    best = won.agg(F.max("price").alias("final"))
    means = best.groupBy(F.window(F.window_time("window"), "10 seconds"), "category").agg(F.avg("final").alias("final"))
    return means.select("window.start", "category", "final"), "append"


def q5(i):
    counts = i.of("bid", "4 seconds").groupBy(F.window("ts", "10 seconds", "2 seconds"), "auction")
    counts = counts.agg(F.count("*").alias("num"))
    best = counts.groupBy("window").agg(
        F.max("num").alias("most"), F.collect_list(F.struct("auction", "num")).alias("all")
    )
    hot = F.filter("all", lambda one: one["num"] >= F.col("most"))
    return best.select("window.start", F.explode(hot).alias("one")).select("start", "one.auction", "one.num"), "append"


def q7(i):
    best = i.of("bid", "4 seconds").groupBy(F.window("ts", "10 seconds")).agg(F.max("price").alias("most"))
    best = best.select("most", F.window_time("window").alias("closed"), "window.start", "window.end")
    bids = i.of("bid", "4 seconds").select("auction", "price", "bidder", "ts")
    same = "price = most AND ts >= closed - INTERVAL 10 SECONDS AND ts <= closed + INTERVAL 1 SECOND"
    rows = bids.join(best, F.expr(f"{same} AND ts >= start AND ts < end"))
    return rows.select("auction", "price", "bidder", "ts"), "append"


def q8(i):
    persons = i.of("person", "4 seconds").groupBy(F.window("ts", "10 seconds").alias("pw"), "id", "name")
    sellers = i.of("auction", "4 seconds").groupBy(F.window("ts", "10 seconds").alias("aw"), "seller")
    persons, sellers = persons.agg(F.count("*").alias("pn")), sellers.agg(F.count("*").alias("an"))
    return persons.join(sellers, F.expr("id = seller AND pw = aw")).select("id", "name", "pw.start"), "append"


def q11(i):
    sessions = i.of("bid", "4 seconds").groupBy(F.session_window("ts", "10 seconds"), "bidder")
    sessions = sessions.agg(F.count("*").alias("bids"))
    return sessions.select("bidder", "bids", "session_window.start", "session_window.end"), "append"


def q12(i):
    bids = i.of("bid").select("bidder", F.current_timestamp().alias("now"))
    return bids.groupBy("bidder", F.window("now", "10 seconds")).agg(F.count("*").alias("bids")), "update"


def q13(i):
    side = i.spark.read.schema("key BIGINT, value STRING").json(f"{i.folder}/_side/side.json")
    bids = i.of("bid").selectExpr("*", "auction % 10000 AS k").join(F.broadcast(side), F.expr("k = key"))
    return bids.select("auction", "bidder", "price", "ts", "value"), "append"
