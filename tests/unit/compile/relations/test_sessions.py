"""Sessions merged by group; every expected value is genuine Spark 4.3's."""

from __future__ import annotations

import datetime as dt

import pytest

from headwater.errors import UnsupportedError

ROWS = """select * from values
  (timestamp'2024-01-01 10:00:00', 'a', 1), (timestamp'2024-01-01 10:05:00', 'a', 2),
  (timestamp'2024-01-01 10:06:00', 'b', 3), (timestamp'2024-01-01 10:10:00', 'a', 4),
  (null, 'a', 5), (timestamp'1969-12-31 23:58:00', 'a', 6) t(ts, k, v)"""


def at(text):
    return dt.datetime.fromisoformat(f"2024-01-01 {text}").replace(tzinfo=dt.UTC)


@pytest.fixture
def events(session):
    session.views["t"] = session.sql(ROWS, {}, ())
    return session


def sessions(session, gap, keys="k", values="sum(v)"):
    query = f"""select session_window.start, session_window.end, {keys}, {values} from t where v <> 6
                group by session_window(ts, {gap}), {keys} order by start, {keys}"""
    return session.query(query)[1]


def test_sessions_that_touch_are_one(events):
    assert sessions(events, "'5 minutes'") == [(at("10:00"), at("10:15"), "a", 7), (at("10:06"), at("10:11"), "b", 3)]
    assert sessions(events, "'299 seconds'", "'every'") == [
        (at("10:00"), at("10:04:59"), "every", 1),
        (at("10:05"), at("10:14:59"), "every", 9),
    ]


def test_a_gap_may_depend_on_the_row(events):
    gap = "case when v = 1 then '-1 minute' when v = 2 then null when v = 4 then 'abc' else '20 minutes' end"
    assert sessions(events, gap) == [(at("10:06"), at("10:26"), "b", 3)]


def test_rows_of_the_same_time_share_a_session(events):
    events.views["t"] = events.sql(f"{ROWS} union all {ROWS}", {}, ())
    assert sessions(events, "'1 minute'", values="collect_list(v)")[0][3] == [1, 1]


def test_a_gap_of_a_month_goes_by_the_calendar(events):
    assert sessions(events, "'1 month'")[0][1] == dt.datetime(2024, 2, 1, 10, 10, tzinfo=dt.UTC)


@pytest.mark.parametrize("gap", ["'0 minutes'", "'-1 minute'", "'abc'"])
def test_a_gap_that_is_no_length_gives_no_session(events, gap):
    assert sessions(events, gap) == []


def test_a_session_that_is_only_selected_is_its_rows_own(events):
    schema, rows = events.query("select session_window(ts, '5 minutes') from t where v = 2")
    assert schema == "struct<session_window:struct<start:timestamp,end:timestamp>>"
    assert rows[0][0] == {"start": at("10:05"), "end": at("10:10")}


def test_sessions_pivot(events):
    query = """select * from (select session_window(ts, '5 minutes'), k, v from t where v <> 6)
               pivot (sum(v) for k in ('a', 'b'))"""
    assert [row[1:] for row in events.query(query)[1]] == [(7, 3)]


def test_totals_over_sessions_are_refused(events):
    with pytest.raises(UnsupportedError, match="rollup"):
        events.query("select count(*) from t group by rollup(session_window(ts, '5 minutes'), k)")
