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


_REDELIVERED = "SELECT CASE WHEN i > 1000 AND hash(i, 9) % 20 = 0 THEN i - 1 - hash(i, 8) % 1000 ELSE i END AS i FROM range($first, $last) numbers(i)"  # noqa: E501
"""Numbers of which 5 % are among the 1,000 before."""

_KEYED = "SELECT hash(i, $salt) % $keys AS k, i AS v FROM range($first, $last) numbers(i)"
_ALL_KEYS = "SELECT i AS k, i AS v FROM range($first, $last) numbers(i)"
_SIDE = """
SELECT hash(i, $salt) % 100000 AS k, i AS $name,
       strftime(TIMESTAMP '2026-01-01' + to_milliseconds(i), '%Y-%m-%dT%H:%M:%S.%gZ') AS ts
FROM range($first, $last) numbers(i)
"""


def events(folder: Path, rows: int, files: int) -> Path:
    """A folder with `rows` events in `files` equal JSON-lines files; made if it is not there."""
    return _made(folder / f"events-{rows}-{files}", _parts("events", _EVENTS, rows, files))


def redelivered(folder: Path, rows: int, files: int) -> Path:
    """As `events`; 5 % of them are deliveries of one of the 1,000 before once more."""
    text = _EVENTS.replace("FROM range($first, $last) numbers(i)", f"FROM ({_REDELIVERED})")
    return _made(folder / f"redelivered-{rows}-{files}", _parts("events", text, rows, files))


def keyed(folder: Path, keys: int, rows: int, files: int) -> Path:
    """A file with every one of `keys` keys (10 M: ten files), then `files` files of `rows` rows of random keys each."""
    first = max(keys // 1_000_000, 1)
    known = _parts("00", _ALL_KEYS, keys, first)
    text = _KEYED.replace("$keys", str(keys)).replace("$salt", "7")
    return _made(folder / f"keyed-{keys}-{rows}-{files}", {**known, **_parts("keyed", text, rows * files, files)})


def sides(folder: Path, rows: int, files: int) -> Path:
    """Two sides of `rows` rows in `files` files each, 100,000 keys, a row a millisecond."""
    left = _parts("left", _SIDE.replace("$salt", "1").replace("$name", "a"), rows, files)
    right = _parts("right", _SIDE.replace("$salt", "2").replace("$name", "b"), rows, files)
    return _made(folder / f"sides-{rows}-{files}", {**left, **right})


def events_csv(folder: Path, rows: int, files: int) -> Path:
    """As `events` in CSV files with a header; `ctx` is its JSON text."""
    text = f"SELECT * REPLACE (ctx::JSON::VARCHAR AS ctx) FROM ({_EVENTS})"
    return _made(folder / f"events-csv-{rows}-{files}", _parts("events", text, rows, files, "csv"))


def spoiled(folder: Path, rows: int, files: int, kind: str) -> Path:
    """As `events`, but of a hundred lines one is bad: in turn a wrong type, an unknown field or cell, and no record."""
    source = events(folder, rows, files) if kind == "json" else events_csv(folder, rows, files)
    target = folder / f"spoiled-{kind}-{rows}-{files}"
    if (target / "_SUCCESS").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(source.glob(f"*.{kind}")):
        lines = path.read_text("utf-8").split("\n")
        for at in range(50, len(lines) - 1, 100):
            lines[at] = _spoiled(lines[at], at // 100 % 3, kind)
        (target / path.name).write_text("\n".join(lines), "utf-8")
    (target / "_SUCCESS").touch()
    return target


def _spoiled(line: str, way: int, kind: str) -> str:
    if kind == "json":
        return [line.replace('"price":', '"price":"n/a","old_price":'), line[:-1] + ',"extra":1}', line[:40]][way]
    return ["x" + line, line + ",surplus", line[:20]][way]


def tree(folder: Path, files: int) -> Path:
    """A tree with `files` JSON files of one row, a thousand in each folder; made if it is not there."""
    target = folder / f"tree-{files}"
    if (target / "_SUCCESS").exists():
        return target
    for number in range(files):
        if number % 1000 == 0:
            place = target / f"{number // 100_000:03}" / f"{number // 1000 % 100:02}"
            place.mkdir(parents=True, exist_ok=True)
        (place / f"{number:08}.json").write_text(f'{{"id":{number},"name":"row {number}"}}\n')
    (target / "_SUCCESS").touch()
    return target


def _parts(stem: str, text: str, rows: int, files: int, kind: str = "json") -> dict[str, str]:
    """Queries by file name: `rows` numbers in equal parts."""
    each = rows // files
    return {
        f"{stem}-{number:05d}.{kind}": text.replace("$first", str(number * each)).replace(
            "$last", str((number + 1) * each)
        )
        for number in range(files)
    }


def _made(target: Path, parts: dict[str, str]) -> Path:
    """The folder with its files; made if it is not there."""
    if (target / "_SUCCESS").exists():
        return target
    target.mkdir(parents=True, exist_ok=True)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, text in parts.items():
            connection.execute(f"COPY ({text}) TO '{target}/{name}' (FORMAT {name.rpartition('.')[2]})")
    (target / "_SUCCESS").touch()
    return target
