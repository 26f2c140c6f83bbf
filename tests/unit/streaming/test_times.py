"""A batch's times, as a query reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlglot import exp

from headwater.duck import Database, sql_text
from headwater.streaming import times


def test_what_was_set_is_read_in_any_zone() -> None:
    moment = 1_767_225_600_123
    query = sql_text(exp.select(times.time(times.BATCH), times.time("late_0"), times.time("evict_0")))
    for zone in ("UTC", "America/New_York"):
        connection = Database().connect(zone)
        connection.execute(times.setting({times.BATCH: moment, "late_0": None, "evict_0": -1}))
        batch, late, evict = connection.execute(query).fetchall()[0]
        assert batch == datetime.fromtimestamp(moment / 1000, UTC)
        assert late is None
        assert evict == datetime(1969, 12, 31, 23, 59, 59, 999_000, UTC)


def test_a_view_that_names_a_time_sees_the_next_one() -> None:
    connection = Database().connect()
    connection.execute(times.setting({times.BATCH: 0, "late_0": None}))
    connection.execute("CREATE VIEW late AS " + sql_text(exp.select(times.time("late_0").as_("t"))))
    assert connection.execute("SELECT t FROM late").fetchall() == [(None,)]
    connection.execute(times.setting({times.BATCH: 1, "late_0": 1000}))
    assert connection.execute("SELECT epoch_ms(t) FROM late").fetchall() == [(1000,)]
