"""`applyInPandasWithState`: state per key, timeouts by event time and by processing time.

Functions stand inside their scenarios so that they are pickled whole.
"""

from __future__ import annotations

from pyspark.sql import functions as F

from support.scenarios import Advance, scenario

EVENTS = {"events": "k STRING, ts TIMESTAMP, v LONG"}
PLAIN = [[("a", 1, 1), ("b", 2, 2), ("a", 2, 5)], [("a", 3, 3), (None, 3, 7)], [("c", 4, None), (None, 9, 1)]]
TIMED = [
    [("a", 10, 1), ("b", 12, 2)],
    [("a", 26, 3)],
    [("b", 11, 4), ("b", 27, 4)],
    [("c", 60, 5)],
    [("a", 61, 6), ("b", 100, 7)],
    [("d", 200, 8)],
]


@scenario(EVENTS, PLAIN, mode="update")
def running_sum(spark, events):
    return _running_sum(events, "update")


@scenario(EVENTS, PLAIN, mode="append")
def running_sum_appended(spark, events):
    return _running_sum(events, "append")


def _running_sum(events, mode):
    def total(key, frames, state):
        import pandas as pd

        rows, sum_ = state.getOption or (0, 0)
        for frame in frames:
            rows += len(frame)
            sum_ += int(frame["v"].fillna(0).sum())
        state.update((rows, sum_))
        yield pd.DataFrame({"k": [key[0]], "n": [rows], "s": [sum_]})

    return events.groupBy("k").applyInPandasWithState(
        total, "k STRING, n LONG, s LONG", "n LONG, s LONG", mode, "NoTimeout"
    )


@scenario(EVENTS, PLAIN, mode="update")
def several_rows_and_none(spark, events):
    """A group may give many rows or nothing; a state that is only read is not updated."""

    def echo(key, frames, state):
        for frame in frames:
            if key[0] == "a":
                yield frame[["k", "v"]]
        if not state.exists and key[0] is not None:
            state.update((1,))

    return events.groupBy("k").applyInPandasWithState(echo, "k STRING, v LONG", "n LONG", "update", "NoTimeout")


@scenario(EVENTS, [*PLAIN, [("a", 5, 1)], [("a", 6, 2)]], mode="update")
def removed_and_made_again(spark, events):
    def count(key, frames, state):
        import pandas as pd

        before = state.get[0] if state.exists else 0
        after = before + sum(len(frame) for frame in frames)
        if after >= 3:
            state.remove()
        else:
            state.update((after,))
        yield pd.DataFrame({"k": [key[0]], "before": [before], "exists": [state.exists]})

    return events.groupBy("k").applyInPandasWithState(
        count, "k STRING, before LONG, exists BOOLEAN", "n LONG", "update", "NoTimeout"
    )


@scenario(EVENTS, TIMED, mode="append")
def event_time_timeout_appended(spark, events):
    return _event_time_timeout(events, "append")


@scenario(EVENTS, TIMED, mode="update")
def event_time_timeout(spark, events):
    return _event_time_timeout(events, "update")


def _event_time_timeout(events, mode):
    def session(key, frames, state):
        import pandas as pd

        if state.hasTimedOut:
            (n,) = state.get
            state.remove()
            yield pd.DataFrame({"k": [key[0]], "n": [n], "watermark": [state.getCurrentWatermarkMs()], "out": [True]})
            return
        n, newest = (state.get[0] if state.exists else 0), 0
        for frame in frames:
            n += len(frame)
            newest = max(newest, int(frame["ts"].max().timestamp() * 1000))
        state.update((n,))
        state.setTimeoutTimestamp(max(newest, state.getCurrentWatermarkMs()) + 10_000)
        yield pd.DataFrame({"k": [key[0]], "n": [n], "watermark": [state.getCurrentWatermarkMs()], "out": [False]})

    return (
        events.withWatermark("ts", "5 seconds")
        .groupBy("k")
        .applyInPandasWithState(
            session, "k STRING, n LONG, watermark LONG, out BOOLEAN", "n LONG", mode, "EventTimeTimeout"
        )
    )


@scenario(EVENTS, TIMED, mode="update")
def event_time_timeout_kept_after(spark, events):
    """A timed-out state that is neither removed nor given a new timeout stays without one."""

    def keep(key, frames, state):
        import pandas as pd

        n = (state.get[0] if state.exists else 0) + (100 if state.hasTimedOut else 0)
        for frame in frames:
            n += len(frame)
        state.update((n,))
        if not state.hasTimedOut and key[0] != "c":
            state.setTimeoutTimestamp(
                state.getCurrentWatermarkMs() + 1_000 if state.getCurrentWatermarkMs() else 20_000
            )
        yield pd.DataFrame({"k": [key[0]], "n": [n]})

    return (
        events.withWatermark("ts", "5 seconds")
        .groupBy("k")
        .applyInPandasWithState(keep, "k STRING, n LONG", "n LONG", "update", "EventTimeTimeout")
    )


@scenario(
    EVENTS,
    [[("a", 1, 1)], [("b", 2, 2)], Advance(2), Advance(3), [("a", 3, 3), ("b", 9, 9)], Advance(4), Advance(1)],
    mode="update",
    clock=True,
)
def processing_time_timeout(spark, events):
    def session(key, frames, state):
        import pandas as pd

        now = state.getCurrentProcessingTimeMs() % 100_000
        if state.hasTimedOut:
            (n,) = state.get
            state.remove()
            yield pd.DataFrame({"k": [key[0]], "n": [n], "now": [now], "out": [True]})
            return
        n = (state.get[0] if state.exists else 0) + sum(len(frame) for frame in frames)
        state.update((n,))
        state.setTimeoutDuration(3_000)
        yield pd.DataFrame({"k": [key[0]], "n": [n], "now": [now], "out": [False]})

    return events.groupBy("k").applyInPandasWithState(
        session, "k STRING, n LONG, now LONG, out BOOLEAN", "n LONG", "update", "ProcessingTimeTimeout"
    )


@scenario(EVENTS, PLAIN, mode="update")
def two_keys_and_a_text(spark, events):
    def remember(key, frames, state):
        import pandas as pd

        seen, when = state.get if state.exists else ("", None)
        for frame in frames:
            seen += "".join(str(int(v)) for v in frame["v"].dropna())
            when = frame["ts"].max().to_pydatetime()
        state.update((seen, when))
        yield pd.DataFrame({"k": [key[0]], "odd": [key[1]], "seen": [seen]})

    return (
        events.withColumn("odd", F.coalesce("v", F.lit(0)) % 2 == 1)
        .groupBy("k", "odd")
        .applyInPandasWithState(
            remember,
            "k STRING, odd BOOLEAN, seen STRING",
            "seen STRING, last TIMESTAMP",
            "update",
            "NoTimeout",
        )
    )


@scenario(EVENTS, TIMED, mode="append")
def late_rows_are_dropped(spark, events):
    def count(key, frames, state):
        import pandas as pd

        n = (state.get[0] if state.exists else 0) + sum(len(frame) for frame in frames)
        state.update((n,))
        yield pd.DataFrame({"k": [key[0]], "n": [n]})

    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy("k").applyInPandasWithState(count, "k STRING, n LONG", "n LONG", "append", "NoTimeout")


@scenario(EVENTS, TIMED, mode="append")
def fails_by_its_function(spark, events):
    def fail(key, frames, state):
        raise ValueError(f"no group {key[0]}")
        yield

    return events.groupBy("k").applyInPandasWithState(fail, "k STRING", "n LONG", "append", "NoTimeout")


@scenario(EVENTS, TIMED, mode="append")
def timeout_in_the_past(spark, events):
    def past(key, frames, state):
        import pandas as pd

        state.update((1,))
        if state.getCurrentWatermarkMs() > 0:
            state.setTimeoutTimestamp(1)
        yield pd.DataFrame({"k": [key[0]]})

    late = events.withWatermark("ts", "5 seconds")
    return late.groupBy("k").applyInPandasWithState(past, "k STRING", "n LONG", "append", "EventTimeTimeout")


@scenario(EVENTS, PLAIN, mode="append update complete")
def mode_differs(spark, events):
    return _running_sum(events, "append")


@scenario(EVENTS, PLAIN, mode="update")
def event_time_without_watermark(spark, events):
    return _event_time_timeout_plain(events)


def _event_time_timeout_plain(events):
    def nothing(key, frames, state):
        yield from ()

    return events.groupBy("k").applyInPandasWithState(nothing, "k STRING", "n LONG", "update", "EventTimeTimeout")


@scenario(EVENTS, TIMED, mode="update")
def after_an_aggregation(spark, events):
    sums = events.withWatermark("ts", "5 seconds").groupBy(F.window("ts", "10 seconds"), "k").count()

    def nothing(key, frames, state):
        yield from ()

    return sums.groupBy("k").applyInPandasWithState(nothing, "k STRING", "n LONG", "update", "NoTimeout")
