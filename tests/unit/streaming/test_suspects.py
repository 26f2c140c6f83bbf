"""Rows that may fail are found in one pass: all that do in a chain of projections and filters, and few that do not."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp, parse_one

from headwater.duck import Connection, Database, DuckError, sql_text
from headwater.streaming.suspects import Chain

ROWS = "SELECT i, k, rowid AS __row FROM stream_0"
CAST = "CAST(t.k AS INT)"
CHECKED = "CASE WHEN t.i % 4 = 3 THEN error('HEADWATER ' || t.k) ELSE t.i END"
VALUES = (
    "t.i",
    "t.k",
    CAST,
    f"100 / {CAST}",
    CHECKED,
    "NULL",
    "TRY_CAST(t.k AS INT) + 1",
    "CASE WHEN t.i = 2 THEN error('two') END",
)
CONDITIONS = ("TRUE", "t.i % 2 = 0", f"{CAST} > 1", f"{CHECKED} < 6", "NULL", "t.k IS NOT NULL")


@pytest.fixture(scope="module")
def connection() -> Connection:
    made = Database(threads=2).connect()
    made.execute("CREATE TEMP TABLE stream_0 (i BIGINT, k VARCHAR)")
    return made


def parsed(text: str) -> exp.Query:
    return cast(exp.Query, parse_one(text, dialect="duckdb"))


def suspects(connection: Connection, text: str) -> list[int]:
    chain = Chain.of(parsed(text))
    assert chain is not None
    found = connection.execute(sql_text(chain.suspects(cast(exp.Select, parsed(ROWS))))).fetchall()
    return sorted(row for (row,) in found)


def failing(connection: Connection, text: str, count: int) -> list[int]:
    """Each row by itself."""
    found = []
    for row in range(count):
        single = text.replace("FROM stream_0", f"FROM (SELECT * FROM stream_0 WHERE rowid = {row})")
        try:
            connection.execute(f"CREATE OR REPLACE TEMP TABLE one AS {single}")
        except DuckError:
            found.append(row)
    return found


_row = st.tuples(st.integers(0, 9), st.sampled_from(["1", "7", "x", "0", None]))
_level = st.tuples(st.sampled_from(VALUES), st.sampled_from(VALUES), st.sampled_from(CONDITIONS))


@settings(max_examples=60, deadline=None)
@given(st.lists(_row, min_size=1, max_size=6), st.lists(_level, min_size=1, max_size=3))
def test_all_that_fail(
    connection: Connection, rows: list[tuple[int, str | None]], levels: list[tuple[str, str, str]]
) -> None:
    """What a column that nobody asks for would be makes a suspect, too, of a row that then does not fail."""
    connection.execute("CREATE OR REPLACE TEMP TABLE stream_0 (i BIGINT, k VARCHAR)")
    connection.executemany("INSERT INTO stream_0 VALUES (?, ?)", rows)
    text = "SELECT i, k FROM stream_0"
    for one, other, condition in levels:
        text = f"SELECT t.i, t.k, {one} AS a, {other} AS b FROM ({text}) AS t WHERE {condition}"
    found = suspects(connection, text)
    assert set(failing(connection, text, len(rows))) <= set(found)
    if len(levels) == 1:
        assert failing(connection, text, len(rows)) == found


@pytest.mark.parametrize(
    "text",
    [
        "SELECT i FROM stream_0 UNION ALL SELECT i FROM stream_1",
        "SELECT a.i FROM stream_0 AS a JOIN stream_1 AS b ON a.i = b.i",
        "SELECT sum(i) AS s FROM stream_0",
        "SELECT i FROM stream_0 GROUP BY i",
        "SELECT DISTINCT i FROM stream_0",
        "SELECT unnest([i]) AS i FROM stream_0",
        "SELECT i FROM stream_0 LIMIT 3",
        "SELECT row_number() OVER () AS n FROM stream_0",
        "SELECT (SELECT max(i) FROM stream_1) AS m FROM stream_0",
        "SELECT i, k AS i FROM stream_0",
        "SELECT i FROM operator_0",
        "WITH a AS (SELECT 1) SELECT i FROM stream_0",
    ],
)
def test_what_is_no_chain(text: str) -> None:
    assert Chain.of(parsed(text)) is None


def test_what_changes_each_time_is_refused_by_duckdb(connection: Connection) -> None:
    with pytest.raises(DuckError, match="volatile"):
        suspects(connection, "SELECT random() AS r FROM stream_0")
