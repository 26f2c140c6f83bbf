"""Benchmark data: e-commerce events as JSON lines, every value a function of the event's number.

Invariant: the same arguments give the same bytes; data made once is kept and used again.
"""

from __future__ import annotations

from pathlib import Path

import duckdb

COLUMNS = {
    "event_id": "BIGINT",
    "user_id": "VARCHAR",
    "event_type": "VARCHAR",
    "event_time": "TIMESTAMPTZ",
    "price": "DOUBLE",
    "product": "VARCHAR",
    "ctx": "STRUCT(country VARCHAR, device VARCHAR)",
}
"""The columns for DuckDB's `read_json`; `events.ddl` beside this file is the same for Spark."""

_EVENTS = """
SELECT i AS event_id,
       'user_' || hash(i) % 100000 AS user_id,
       ['view', 'cart', 'purchase', 'remove'][(1 + hash(i, 1) % 4)::BIGINT] AS event_type,
       strftime(TIMESTAMP '2026-01-01' + to_milliseconds(i * 10), '%Y-%m-%dT%H:%M:%S.%gZ') AS event_time,
       (hash(i, 2) % 10000) / 100.0 AS price,
       'SKU-' || hash(i, 3) % 5000 AS product,
       {'country': ['US', 'DE', 'IN', 'BR', 'JP'][(1 + hash(i, 4) % 5)::BIGINT],
        'device': ['ios', 'android', 'web'][(1 + hash(i, 5) % 3)::BIGINT]} AS ctx
FROM range($first, $last) numbers(i)
"""


def events(folder: Path, rows: int, files: int) -> Path:
    """A folder with `rows` events in `files` equal JSON-lines files; made if it is not there."""
    target = folder / f"events-{rows}-{files}"
    if (target / "_SUCCESS").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    each = rows // files
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for number in range(files):
            text = _EVENTS.replace("$first", str(number * each)).replace("$last", str((number + 1) * each))
            connection.execute(f"COPY ({text}) TO '{target}/events-{number:05d}.json' (FORMAT json)")
    (target / "_SUCCESS").touch()
    return target
