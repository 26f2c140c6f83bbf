"""Time windows as columns; every expected value is genuine Spark 4.3's."""

from __future__ import annotations

import datetime as dt

import pytest

from headwater.compile import compile_relation
from headwater.errors import AnalysisError, IllegalArgumentError, UnsupportedError
from headwater.plan import relations as plan
from support.plans import call, col, lit, named

ROWS = """select * from values
  (timestamp'2024-01-01 10:00:00', 'a', 1), (timestamp'2024-01-01 10:05:00', 'a', 2),
  (timestamp'2024-01-01 10:06:00', 'b', 3), (timestamp'2024-01-01 10:10:00', 'a', 4),
  (null, 'a', 5), (timestamp'1969-12-31 23:58:00', 'a', 6) t(ts, k, v)"""


def at(text):
    return dt.datetime.fromisoformat(f"2024-01-01 {text}").replace(tzinfo=dt.UTC)


def bounds(row):
    return row["start"], row["end"]


@pytest.fixture
def events(session):
    session.views["t"] = session.sql(ROWS, {}, ())
    return session


def window(*arguments):
    return call("window", col("ts"), *(lit(a) for a in arguments))


def test_rows_without_a_time_have_no_window(events):
    schema, rows = events.query("select v, window(ts, '5 minutes') from t")
    assert schema == "struct<v:int,window:struct<start:timestamp,end:timestamp>>"
    assert [row[0] for row in rows] == [1, 2, 3, 4, 6]
    assert bounds(rows[1][1]) == (at("10:05"), at("10:10"))


def test_times_before_1970_lie_on_the_same_grid(events):
    rows = events.query("select window(ts, '10 minutes').end from t where v = 6")[1]
    assert rows == [(dt.datetime(1970, 1, 1, tzinfo=dt.UTC),)]


def test_a_sliding_window_gives_a_row_per_window_newest_first(events):
    rows = events.query("select v, window(ts, '10 minutes', '5 minutes') w from t where v < 3")[1]
    assert [(v, *bounds(w)) for v, w in rows] == [
        (1, at("10:00"), at("10:10")),
        (1, at("09:55"), at("10:05")),
        (2, at("10:05"), at("10:15")),
        (2, at("10:00"), at("10:10")),
    ]


def test_windows_that_do_not_divide_leave_out_those_without_the_time(events):
    rows = events.query("select window(ts, '10 minutes', '4 minutes').start from t where v = 1 or v = 4")[1]
    assert [row[0] for row in rows] == [at("10:00"), at("09:56"), at("09:52"), at("10:08"), at("10:04")]


def test_the_grid_may_start_elsewhere(events):
    rows = events.query("select window(ts, '5 minutes', '5 minutes', '2 minutes').start from t where v = 1")[1]
    assert rows == [(at("09:57"),)]


def test_the_column_is_named_typed_and_marked_as_in_spark(events):
    read = plan.ReadTable(("t",))
    tumbling = plan.Aggregate(read, "groupby", (window("5 minutes"),), (named(call("count", lit(1)), "n"),))
    field = compile_relation(tumbling, events).schema["window"]
    assert (field.nullable, field.metadata) == (False, {"spark.timeWindow": True})
    sliding = plan.Project(
        read, (named(window("10 minutes", "5 minutes"), "w"), named(window("10 minutes", "5 minutes"), "x"))
    )
    schema = compile_relation(sliding, events).schema
    assert [(f.name, f.nullable, f.metadata) for f in schema] == [
        ("w", True, {"spark.timeWindow": True}),
        ("x", True, {"spark.timeWindow": True}),
    ]
    start = compile_relation(events.sql("select window(ts, '5 minutes').start from t", {}, ()), events).schema
    assert [(f.name, f.metadata) for f in start] == [("window.start", {})]


def test_sql_groups_by_a_window_and_names_it(events):
    query = """select window.start, count(*) c from t group by window(ts, '5 minutes')
               having window.start > '2000-01-01' order by 1"""
    assert events.query(query)[1] == [(at("10:00"), 1), (at("10:05"), 2), (at("10:10"), 1)]
    by_alias = "select window(ts, '5 minutes') as w, count(*) c from t group by w order by w"
    assert [row[1] for row in events.query(by_alias)[1]] == [1, 1, 2, 1]


def test_rollup_over_a_window(events):
    query = "select window.end, k, sum(v) s from t group by rollup(window(ts, '1 hour'), k) order by s desc, k"
    assert events.query(query)[1][:3] == [(None, None, 16), (at("11:00"), None, 10), (at("11:00"), "a", 7)]


def test_a_filter_by_a_window_shows_it_as_spark_does(events):
    condition = call(">", call("window_time", window("10 minutes")), lit("2024-01-01"))
    with pytest.raises(UnsupportedError, match="window"):
        compile_relation(plan.Filter(plan.ReadTable(("t",)), condition), events)
    tested = call("isnotnull", window("10 minutes"))
    assert compile_relation(plan.Filter(plan.ReadTable(("t",)), tested), events).schema.names == [
        "window",
        "ts",
        "k",
        "v",
    ]


def test_window_time_is_the_last_microsecond(events):
    schema, rows = events.query("select window_time(window) from (select window(ts, '5 minutes') from t where v = 1)")
    assert schema == "struct<window_time(window):timestamp>"
    assert rows == [(at("10:04:59.999999"),)]
    with pytest.raises(AnalysisError, match="_LEGACY_ERROR_TEMP_3101"):
        events.query("select window_time(struct(ts as start, ts as end)) from t")


@pytest.mark.parametrize("time", ["window", "window_time(window)"])
def test_windows_of_windows(events, time):
    query = f"""select window({time}, '10 minutes').start, sum(n)
                from (select window, count(*) n from t group by window(ts, '5 minutes'))
                group by window({time}, '10 minutes') order by 1"""
    assert events.query(query)[1][1:] == [(at("10:00"), 3), (at("10:10"), 1)]


@pytest.mark.parametrize(
    ("query", "condition"),
    [
        ("select window(ts, '5 minutes'), window(ts, '1 hour') from t", "_LEGACY_ERROR_TEMP_1039"),
        ("select window(v, '5 minutes') from t", "DATATYPE_MISMATCH.UNEXPECTED_INPUT_TYPE"),
        ("select window(ts, 'abc') from t", "CANNOT_PARSE_INTERVAL"),
        ("select window(ts, interval 5 minutes) from t", "_LEGACY_ERROR_TEMP_1207"),
        ("select window(ts, '0 minutes') from t", "DATATYPE_MISMATCH.VALUE_OUT_OF_RANGE"),
        ("select window(ts, '5 minutes', '10 minutes') from t", "DATATYPE_MISMATCH.PARAMETER_CONSTRAINT_VIOLATION"),
        ("select session_window(ts, v) from t", "_LEGACY_ERROR_TEMP_1040"),
    ],
)
def test_lengths_that_make_no_grid_are_refused_in_sparks_words(events, query, condition):
    with pytest.raises(AnalysisError) as caught:
        events.query(query)
    assert caught.value.condition == condition


def test_months_are_no_grid(events):
    with pytest.raises(IllegalArgumentError, match="greater than a month"):
        events.query("select window(ts, '1 month') from t")
