"""Holds the rows that a streamed Nexmark query wrote against its one-shot answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import duckdb
from deltalake import DeltaTable

from benchmarks import nexmark

if TYPE_CHECKING:
    from benchmarks.__main__ import Bench

_CLOSED = {
    "q0": "ts < TIMESTAMPTZ '2029-01-01'",
    "q1": "ts < TIMESTAMPTZ '2029-01-01'",
    "q2": "auction >= 0",
    "q13": "ts < TIMESTAMPTZ '2029-01-01'",
    "q5": "start < TIMESTAMPTZ '2029-01-01'",
}
_SUMMED = {
    "q12": 'SELECT bidder, sum(most)::BIGINT AS bids FROM (SELECT bidder, "window", max(bids) AS most FROM written '
    "WHERE bidder >= 0 GROUP BY ALL) GROUP BY bidder"
}
"""q12 counts per window of processing time: only the sum over all windows is known."""


def wrong_rows(bench: Bench, source: Path, query: str) -> str:
    """`rows as in one shot`, or how many are missing and how many too many."""
    output = bench.run_to_delta(source, query)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        expected = nexmark.answer(connection, source, query)
        connection.register("all_written", DeltaTable(str(output)).to_pyarrow_table())
        closed = _CLOSED.get(query, "true")
        connection.execute(f"CREATE TEMP VIEW written AS SELECT * FROM all_written WHERE {closed}")
        found = _SUMMED.get(query, "SELECT * FROM written")
        missing, extra = (
            connection.execute(f"SELECT count(*) FROM (({one}) EXCEPT ALL ({other}))").fetchall()[0][0]
            for one, other in ((expected, found), (found, expected))
        )
    return "rows as in one shot" if not missing + extra else f"{missing} rows missing, {extra} too many"
