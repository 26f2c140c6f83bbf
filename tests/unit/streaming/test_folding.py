"""A column is carried only through queries that give each row of the table below at most once."""

from __future__ import annotations

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from headwater.duck import sql_text
from headwater.streaming.folding import carrying, event_times, figures, is_timed, timed, with_row_number
from headwater.streaming.watermark import EventTimes, WatermarkNode

NODE = WatermarkNode(0, exp.select("ts", "k", "v").from_("stream_0"), exp.column("ts", quoted=True), 0)
LEAF = "(SELECT ts, k, v FROM watermark_0) AS t_1"


def parsed(text: str) -> exp.Query:
    tree = sqlglot.parse_one(text, dialect="duckdb")
    assert isinstance(tree, exp.Query)
    return tree


@pytest.mark.parametrize(
    ("query", "timed"),
    [
        ("SELECT ts, k, v FROM watermark_0", False),
        (f"SELECT t_1.k FROM {LEAF}", False),
        (f"SELECT t_1.k FROM {LEAF} WHERE NOT (t_1.ts IS NULL)", True),
        (f"SELECT a.n FROM (SELECT t_1.k + 1 AS n FROM {LEAF}) AS a", False),
    ],
)
def test_event_times_come_through_projections(query: str, timed: bool) -> None:
    made = carrying(parsed(query), NODE)
    assert made is not None
    assert made.timed == timed
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE watermark_0 AS SELECT make_timestamp(i * 1000) ts, i k, 0 v FROM range(3) t(i)"
        )
        connection.execute("INSERT INTO watermark_0 VALUES (NULL, 9, 9)")
        found = connection.execute(f"SELECT event_ms FROM ({sql_text(made.query)}) ORDER BY 1").fetchall()
    assert found == [(0,), (1,), (2,), (None,)]


@pytest.mark.parametrize(
    "query",
    [
        f"SELECT t_1.k FROM {LEAF} WHERE t_1.k > 1",
        f"SELECT t_1.k FROM {LEAF} WHERE NOT (t_1.k IS NULL)",
        f"SELECT t_1.k FROM {LEAF} WHERE NOT (t_1.ts IS NULL) AND t_1.k > 1",
        f"SELECT t_1.k FROM {LEAF} LIMIT 1",
        f"SELECT DISTINCT t_1.k FROM {LEAF}",
        f"SELECT unnest([t_1.k, t_1.v]) AS x FROM {LEAF}",
        f"SELECT t_1.k FROM {LEAF} CROSS JOIN stream_1",
        f"SELECT count(*) AS n FROM {LEAF}",
        f"SELECT t_1.k FROM {LEAF} UNION ALL SELECT t_1.k FROM {LEAF}",
        f"SELECT t_1.k FROM {LEAF} UNION ALL SELECT 1",
        "SELECT k FROM stream_1 WHERE k IN (SELECT k FROM watermark_0)",
        "SELECT k FROM operator_0",
    ],
)
def test_in_doubt_none_are_carried(query: str) -> None:
    assert carrying(parsed(query), NODE) is None


def test_row_numbers_come_through_filters_too() -> None:
    made = with_row_number(parsed(f"SELECT t_1.k FROM {LEAF} WHERE t_1.k <> 1"), "watermark_0", "place")
    assert made is not None
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE watermark_0 AS SELECT NULL AS ts, i AS k, 0 AS v FROM range(3) t(i)")
        assert connection.execute(sql_text(made)).fetchall() == [(0, 0), (2, 2)]
    assert with_row_number(parsed(f"SELECT t_1.k FROM {LEAF} CROSS JOIN stream_1"), "watermark_0", "place") is None


def test_groups_tell_the_event_times_of_all_rows() -> None:
    groups = exp.select("k", *figures()).from_("input").group_by("k")
    with duckdb.connect() as connection:
        connection.execute("CREATE TABLE input (k INT, event_ms BIGINT)")
        connection.execute("CREATE VIEW groups AS " + sql_text(groups))
        assert event_times(connection.sql("FROM groups").to_arrow_table()) is None
        connection.execute("INSERT INTO input VALUES (1, 10), (1, 20), (2, 30)")
        assert event_times(connection.sql("FROM groups").to_arrow_table()) == EventTimes(30, 10, 20)
        connection.execute("INSERT INTO input VALUES (3, NULL)")
        found = connection.sql("FROM groups ORDER BY k").to_arrow_table()
        assert event_times(found) == EventTimes(30, 0, 15)  # Spark reads a NULL time as 0
        assert timed(found).to_pylist() == [True, True, False]
        shown = sql_text(exp.select("k").from_("groups").where(is_timed()).order_by("k"))
        assert connection.execute(shown).fetchall() == [(1,), (2,)]
