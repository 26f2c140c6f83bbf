"""`transformWithState` and `transformWithStateInPandas`: value, list and map state, timers, TTL, initial state, chains.

Processors stand inside their scenarios so that they are pickled whole.
"""

from __future__ import annotations

from pyspark.sql import Row
from pyspark.sql import functions as F
from pyspark.sql.streaming import StatefulProcessor

from support.scenarios import Advance, scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
PLAIN = [[("a", 1, 1), ("b", 2, 2), ("a", 2, 5)], [("a", 3, 3), (None, 3, 7)], [("c", 4, 4), (None, 9, 1), ("b", 4, 4)]]
TIMED = [
    [("a", 10, 1), ("b", 12, 2)],
    [("a", 26, 3)],
    [("b", 11, 4), ("b", 27, 4)],
    [("c", 60, 5)],
    [("a", 61, 6), ("b", 100, 7)],
    [("d", 200, 8)],
]


def summing():
    class Summing(StatefulProcessor):
        def init(self, handle):
            self.sum = handle.getValueState("sum", "n LONG, s LONG")

        def handleInputRows(self, key, rows, timerValues):
            n, s = self.sum.get() or (0, 0)
            for row in rows:
                n, s = n + 1, s + row.v
            self.sum.update((n, s))
            yield Row(k=key[0], n=n, s=s)

        def close(self):
            pass

    return Summing()


@scenario(EVENTS, PLAIN, mode="append update")
def value_state(spark, events):
    return _value_state(events, "update")


@scenario(EVENTS, PLAIN, mode="append update")
def value_state_of_an_append_processor(spark, events):
    return _value_state(events, "append")


def _value_state(events, mode):
    return events.groupBy("k").transformWithState(summing(), "k STRING, n LONG, s LONG", mode, "None")


@scenario(EVENTS, PLAIN, mode="update")
def value_state_in_pandas(spark, events):
    class Summing(StatefulProcessor):
        def init(self, handle):
            self.sum = handle.getValueState("sum", "n LONG, s LONG")

        def handleInputRows(self, key, rows, timerValues):
            import pandas as pd

            n, s = self.sum.get() if self.sum.exists() else (0, 0)
            for frame in rows:
                n, s = n + len(frame), s + int(frame["v"].sum())
            self.sum.update((n, s))
            yield pd.DataFrame({"k": [key[0]], "n": [n], "s": [s]})

    return events.groupBy("k").transformWithStateInPandas(Summing(), "k STRING, n LONG, s LONG", "update", "None")


@scenario(EVENTS, [*PLAIN, [("a", 9, 1), ("b", 9, 1)], [("a", 9, 9)]], mode="update")
def value_cleared(spark, events):
    class Clearing(StatefulProcessor):
        def init(self, handle):
            self.count = handle.getValueState("count", "n LONG")

        def handleInputRows(self, key, rows, timerValues):
            n = (self.count.get()[0] if self.count.exists() else 0) + len(list(rows))
            if n >= 3:
                self.count.clear()
            else:
                self.count.update((n,))
            yield Row(k=key[0], n=n, exists=self.count.exists())

    return events.groupBy("k").transformWithState(Clearing(), "k STRING, n LONG, exists BOOLEAN", "update", "None")


@scenario(EVENTS, [*PLAIN, [("a", 9, 9), ("b", 9, -1)], [("b", 9, 9)]], mode="update")
def list_state(spark, events):
    class Listing(StatefulProcessor):
        def init(self, handle):
            self.seen = handle.getListState("seen", "v LONG")

        def handleInputRows(self, key, rows, timerValues):
            for row in rows:
                if row.v == 9:
                    self.seen.put([(90,), (91,)])
                elif row.v < 0:
                    self.seen.clear()
                else:
                    self.seen.appendValue((row.v,))
            if key[0] == "c":
                self.seen.appendList([(7,), (8,)])
            yield Row(k=key[0], seen=[one[0] for one in self.seen.get()], exists=self.seen.exists())

    return events.groupBy("k").transformWithState(
        Listing(), "k STRING, seen ARRAY<LONG>, exists BOOLEAN", "update", "None"
    )


@scenario(EVENTS, [*PLAIN, [("a", 9, 1), ("b", 9, -1)], [("b", 9, 9)]], mode="update")
def map_state(spark, events):
    class Mapping(StatefulProcessor):
        def init(self, handle):
            self.counts = handle.getMapState("counts", "v LONG", "n LONG")

        def handleInputRows(self, key, rows, timerValues):
            for row in rows:
                if row.v < 0:
                    self.counts.removeKey((2,))
                elif row.v == 9:
                    self.counts.clear()
                else:
                    n = self.counts.getValue((row.v,))[0] if self.counts.containsKey((row.v,)) else 0
                    self.counts.updateValue((row.v,), (n + 1,))
            pairs = sorted([key[0], value[0]] for key, value in self.counts.iterator())
            keys = sorted(k[0] for k in self.counts.keys())  # noqa: SIM118
            values = sorted(v[0] for v in self.counts.values())
            yield Row(k=key[0], pairs=pairs, keys=keys, values=values, exists=self.counts.exists())

    ddl = "k STRING, pairs ARRAY<ARRAY<LONG>>, keys ARRAY<LONG>, values ARRAY<LONG>, exists BOOLEAN"
    return events.groupBy("k").transformWithState(Mapping(), ddl, "update", "None")


@scenario(EVENTS, PLAIN, mode="update")
def several_states(spark, events):
    class Several(StatefulProcessor):
        def init(self, handle):
            self.first = handle.getValueState("first", "v LONG")
            self.all = handle.getListState("all", "v LONG, t TIMESTAMP")
            self.by_parity = handle.getMapState("by_parity", "odd BOOLEAN", "s LONG")

        def handleInputRows(self, key, rows, timerValues):
            for row in rows:
                if not self.first.exists():
                    self.first.update((row.v,))
                self.all.appendValue((row.v, row.ts))
                odd = row.v % 2 == 1
                before = self.by_parity.getValue((odd,))
                self.by_parity.updateValue((odd,), ((before[0] if before else 0) + row.v,))
            odd = self.by_parity.getValue((True,))
            yield Row(k=key[0], first=self.first.get()[0], n=len(list(self.all.get())), odd=odd[0] if odd else None)

    return events.groupBy("k").transformWithState(Several(), "k STRING, first LONG, n LONG, odd LONG", "update", "None")


@scenario(EVENTS, PLAIN, mode="update")
def state_deleted_if_it_exists(spark, events):
    class Deleting(StatefulProcessor):
        def init(self, handle):
            self.sum = handle.getValueState("sum", "s LONG")
            handle.getValueState("old", "s LONG")
            handle.deleteIfExists("old")

        def handleInputRows(self, key, rows, timerValues):
            before = self.sum.get()
            s = (before[0] if before else 0) + sum(row.v for row in rows)
            self.sum.update((s,))
            yield Row(k=key[0], s=s)

    return events.groupBy("k").transformWithState(Deleting(), "k STRING, s LONG", "update", "None")


def timing(mode):
    class Timing(StatefulProcessor):
        def init(self, handle):
            self.handle = handle
            self.count = handle.getValueState("count", "n LONG")

        def handleInputRows(self, key, rows, timerValues):
            n = self.count.get()[0] if self.count.exists() else 0
            for row in rows:
                n += 1
                at = int(row.ts.timestamp() * 1000) + 10_000
                self.handle.registerTimer(at)
            self.count.update((n,))
            timers = sorted((int(t) // 1000) % 100_000 for t in self.handle.listTimers())
            yield Row(k=key[0], what="rows", n=n, at=timerValues.getCurrentWatermarkInMs(), timers=timers)

        def handleExpiredTimer(self, key, timerValues, expiredTimerInfo):
            n = self.count.get()[0] if self.count.exists() else None
            at = expiredTimerInfo.getExpiryTimeInMs()
            timers = sorted((int(t) // 1000) % 100_000 for t in self.handle.listTimers())
            self.count.clear()
            yield Row(k=key[0], what="timer", n=n, at=at, timers=timers)

    return Timing(), "k STRING, what STRING, n LONG, at LONG, timers ARRAY<LONG>", mode, "EventTime"


@scenario(EVENTS, TIMED, mode="update")
def event_time_timers(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy("k").transformWithState(*timing("update"))


@scenario(EVENTS, TIMED, mode="append")
def event_time_timers_appended(spark, events):
    return events.withWatermark("ts", "5 seconds").groupBy("k").transformWithState(*timing("append"))


@scenario(EVENTS, TIMED, mode="update")
def timers_deleted_and_set_again(spark, events):
    class Extending(StatefulProcessor):
        def init(self, handle):
            self.handle = handle
            self.at = handle.getValueState("at", "t LONG")

        def handleInputRows(self, key, rows, timerValues):
            if self.at.exists():
                self.handle.deleteTimer(self.at.get()[0])
            at = max(int(row.ts.timestamp() * 1000) for row in rows) + 20_000
            self.handle.registerTimer(at)
            self.at.update((at,))
            yield Row(k=key[0], at=at, timer=False)

        def handleExpiredTimer(self, key, timerValues, expiredTimerInfo):
            self.at.clear()
            yield Row(k=key[0], at=expiredTimerInfo.getExpiryTimeInMs(), timer=True)

    return (
        events.withWatermark("ts", "5 seconds")
        .groupBy("k")
        .transformWithState(Extending(), "k STRING, at LONG, timer BOOLEAN", "update", "EventTime")
    )


@scenario(
    EVENTS,
    [[("a", 1, 1)], [("b", 2, 2)], Advance(2), Advance(3), [("a", 3, 3)], Advance(4), Advance(5)],
    mode="update",
    clock=True,
)
def processing_time_timers(spark, events):
    class Timing(StatefulProcessor):
        def init(self, handle):
            self.handle = handle
            self.count = handle.getValueState("count", "n LONG")

        def handleInputRows(self, key, rows, timerValues):
            n = (self.count.get()[0] if self.count.exists() else 0) + len(list(rows))
            self.count.update((n,))
            self.handle.registerTimer(timerValues.getCurrentProcessingTimeInMs() + 3_000)
            yield Row(k=key[0], n=n, at=timerValues.getCurrentProcessingTimeInMs() % 100_000, timer=False)

        def handleExpiredTimer(self, key, timerValues, expiredTimerInfo):
            n = self.count.get()[0] if self.count.exists() else -1
            self.count.clear()
            yield Row(k=key[0], n=n, at=expiredTimerInfo.getExpiryTimeInMs() % 100_000, timer=True)

    ddl = "k STRING, n LONG, at LONG, timer BOOLEAN"
    return events.groupBy("k").transformWithState(Timing(), ddl, "update", "ProcessingTime")


TTL = [
    [("a", 1, 1), ("b", 1, 2)],
    Advance(2),
    [("a", 2, 3)],
    Advance(2),
    [("b", 3, 4)],
    [("a", 4, 5), ("b", 4, 6)],
    Advance(6),
    [("a", 5, 7)],
]


@scenario(EVENTS, TTL, mode="update", clock=True)
def value_with_ttl(spark, events):
    class Remembering(StatefulProcessor):
        def init(self, handle):
            self.last = handle.getValueState("last", "v LONG", 4_000)

        def handleInputRows(self, key, rows, timerValues):
            before = self.last.get()[0] if self.last.exists() else None
            last = [row.v for row in rows][-1]
            self.last.update((last,))
            yield Row(k=key[0], before=before, last=last)

    return events.groupBy("k").transformWithState(
        Remembering(), "k STRING, before LONG, last LONG", "update", "ProcessingTime"
    )


@scenario(EVENTS, TTL, mode="update", clock=True)
def list_with_ttl(spark, events):
    class Remembering(StatefulProcessor):
        def init(self, handle):
            self.seen = handle.getListState("seen", "v LONG", 4_000)

        def handleInputRows(self, key, rows, timerValues):
            for row in rows:
                self.seen.appendValue((row.v,))
            yield Row(k=key[0], seen=[one[0] for one in self.seen.get()])

    return events.groupBy("k").transformWithState(
        Remembering(), "k STRING, seen ARRAY<LONG>", "update", "ProcessingTime"
    )


@scenario(EVENTS, TTL, mode="update", clock=True)
def map_with_ttl(spark, events):
    class Remembering(StatefulProcessor):
        def init(self, handle):
            self.seen = handle.getMapState("seen", "v LONG", "n LONG", 4_000)

        def handleInputRows(self, key, rows, timerValues):
            for row in rows:
                self.seen.updateValue((row.v,), (row.v * 10,))
            yield Row(k=key[0], seen=sorted(k[0] for k in self.seen.keys()))  # noqa: SIM118

    return events.groupBy("k").transformWithState(
        Remembering(), "k STRING, seen ARRAY<LONG>", "update", "ProcessingTime"
    )


def starting():
    class Starting(StatefulProcessor):
        def init(self, handle):
            self.sum = handle.getValueState("sum", "s LONG")

        def handleInitialState(self, key, initialState, timerValues):
            self.sum.update((initialState.start,))

        def handleInputRows(self, key, rows, timerValues):
            s = (self.sum.get()[0] if self.sum.exists() else 0) + sum(row.v for row in rows)
            self.sum.update((s,))
            yield Row(k=key[0], s=s)

    return Starting()


@scenario(EVENTS, PLAIN, mode="update")
def initial_state(spark, events):
    initial = spark.createDataFrame([("a", 1000), ("z", 5000)], "k STRING, start LONG").groupBy("k")
    return events.groupBy("k").transformWithState(
        starting(), "k STRING, s LONG", "update", "None", initialState=initial
    )


@scenario(EVENTS, PLAIN, mode="update")
def initial_state_in_pandas(spark, events):
    class Starting(StatefulProcessor):
        def init(self, handle):
            self.sum = handle.getValueState("sum", "s LONG")

        def handleInitialState(self, key, initialState, timerValues):
            self.sum.update((int(initialState["start"].iloc[0]),))

        def handleInputRows(self, key, rows, timerValues):
            import pandas as pd

            s = (self.sum.get()[0] if self.sum.exists() else 0) + sum(int(frame["v"].sum()) for frame in rows)
            self.sum.update((s,))
            yield pd.DataFrame({"k": [key[0]], "s": [s]})

    initial = spark.createDataFrame([("a", 1000), ("z", 5000)], "k STRING, start LONG").groupBy("k")
    return events.groupBy("k").transformWithStateInPandas(
        Starting(), "k STRING, s LONG", "update", "None", initialState=initial
    )


@scenario(EVENTS, TIMED, mode="append")
def followed_by_windows(spark, events):
    class Passing(StatefulProcessor):
        def init(self, handle):
            self.count = handle.getValueState("count", "n LONG")

        def handleInputRows(self, key, rows, timerValues):
            n = self.count.get()[0] if self.count.exists() else 0
            for row in rows:
                n += 1
                yield Row(k=key[0], t=row.ts, n=n)
            self.count.update((n,))

    timed = (
        events.withWatermark("ts", "5 seconds")
        .groupBy("k")
        .transformWithState(Passing(), "k STRING, t TIMESTAMP, n LONG", "append", "EventTime", eventTimeColumnName="t")
    )
    return timed.groupBy(F.window("t", "10 seconds")).agg(F.sum("n").alias("s"), F.count("*").alias("c"))


@scenario(EVENTS, TIMED, mode="append")
def rows_older_than_the_watermark(spark, events):
    class Aging(StatefulProcessor):
        def init(self, handle):
            pass

        def handleInputRows(self, key, rows, timerValues):
            from datetime import timedelta

            for row in rows:
                yield Row(k=key[0], t=row.ts - timedelta(seconds=60 if row.v == 6 else 0))

    timed = (
        events.withWatermark("ts", "5 seconds")
        .groupBy("k")
        .transformWithState(Aging(), "k STRING, t TIMESTAMP", "append", "EventTime", eventTimeColumnName="t")
    )
    return timed.groupBy(F.window("t", "10 seconds")).count()


@scenario(EVENTS, TIMED, mode="update")
def late_rows_are_dropped(spark, events):
    return _value_state(events.withWatermark("ts", "5 seconds"), "update")


@scenario(EVENTS, PLAIN, mode="update")
def chained(spark, events):
    first = _value_state(events, "update")
    return first.groupBy("n").transformWithState(_counting(), "n LONG, c LONG", "update", "None")


def _counting():
    class Counting(StatefulProcessor):
        def init(self, handle):
            self.count = handle.getValueState("count", "c LONG")

        def handleInputRows(self, key, rows, timerValues):
            c = (self.count.get()[0] if self.count.exists() else 0) + len(list(rows))
            self.count.update((c,))
            yield Row(n=key[0], c=c)

    return Counting()


@scenario(EVENTS, PLAIN, mode="complete")
def complete_mode(spark, events):
    return _value_state(events, "complete")


@scenario(EVENTS, PLAIN, mode="update")
def event_time_without_watermark(spark, events):
    return events.groupBy("k").transformWithState(*timing("update"))


@scenario(EVENTS, PLAIN, mode="update")
def timer_without_time_mode(spark, events):
    processor, ddl, mode, _ = timing("update")
    return events.groupBy("k").transformWithState(processor, ddl, mode, "None")


@scenario(EVENTS, PLAIN, mode="update")
def ttl_without_processing_time(spark, events):
    class Remembering(StatefulProcessor):
        def init(self, handle):
            self.last = handle.getValueState("last", "v LONG", 4_000)

        def handleInputRows(self, key, rows, timerValues):
            yield Row(k=key[0])

    return events.groupBy("k").transformWithState(Remembering(), "k STRING", "update", "None")


@scenario(EVENTS, PLAIN, mode="update")
def fails_by_its_processor(spark, events):
    class Failing(StatefulProcessor):
        def init(self, handle):
            pass

        def handleInputRows(self, key, rows, timerValues):
            raise ValueError(f"no key {key[0]}")
            yield

    return events.groupBy("k").transformWithState(Failing(), "k STRING", "update", "None")
