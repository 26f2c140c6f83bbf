"""The floor: the same work by hand with DuckDB and delta-rs, no engine around it.

Run as a program: `python -m benchmarks.floor delta|parquet|windows|exact_windows|keys INPUT OUTPUT BATCHES` prints one
JSON line with the wall seconds and the milliseconds of each batch. `delta` keeps one table handle; `parquet` renames a
file into place and an offsets file beside it; `exact_windows` keeps the promises of a stream, `windows` does not.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from benchmarks.data import COLUMNS


def scan(files: list[str]) -> str:
    """The typed scan of one batch."""
    columns = ", ".join(f"{name}: '{kind}'" for name, kind in COLUMNS.items())
    return f"SELECT * FROM read_json({files!r}, columns = {{{columns}}}, format = 'newline_delimited')"


def delta(connection: duckdb.DuckDBPyConnection, output: Path) -> Callable[[int, list[str]], None]:
    """A step that appends one batch to a Delta table under a transaction id."""
    table: list[DeltaTable] = []

    def step(batch: int, files: list[str]) -> None:
        rows = connection.sql(scan(files)).to_arrow_reader(100_000)
        properties = CommitProperties(app_transactions=[Transaction("floor", batch)])
        write_deltalake(table[0] if table else str(output), rows, mode="append", commit_properties=properties)
        if not table:
            table.append(DeltaTable(str(output)))

    return step


def parquet(connection: duckdb.DuckDBPyConnection, output: Path) -> Callable[[int, list[str]], None]:
    """A step that renames one Parquet file and one offsets file into place."""
    (output / "offsets").mkdir(parents=True, exist_ok=True)

    def step(batch: int, files: list[str]) -> None:
        aside = output / f".{batch}.tmp"
        connection.execute(f"COPY ({scan(files)}) TO '{aside}' (FORMAT parquet, COMPRESSION snappy)")
        os.replace(aside, output / f"part-{batch:05d}.parquet")
        aside.write_text(json.dumps(files))
        os.replace(aside, output / "offsets" / str(batch))

    return step


def windows(connection: duckdb.DuckDBPyConnection, output: Path) -> Callable[[int, list[str]], None]:
    """A step that adds one batch to counts and sums per minute and keys, kept in a DuckDB file, and an offsets file."""
    (output / "offsets").mkdir(parents=True, exist_ok=True)
    connection.execute(f"ATTACH '{output}/state.duckdb' AS kept")
    columns = "start TIMESTAMPTZ, country VARCHAR, kind VARCHAR, n BIGINT, s DOUBLE"
    connection.execute(f"CREATE TABLE kept.state ({columns}, PRIMARY KEY (start, country, kind))")

    def step(batch: int, files: list[str]) -> None:
        sums = "SELECT time_bucket(INTERVAL 1 MINUTE, event_time), ctx.country, event_type, count(*), sum(price)"
        update = "ON CONFLICT DO UPDATE SET n = n + excluded.n, s = s + excluded.s"
        connection.execute(f"INSERT INTO kept.state {sums} FROM ({scan(files)}) GROUP BY ALL {update}")
        aside = output / f".{batch}.tmp"
        aside.write_text(json.dumps(files))
        os.replace(aside, output / "offsets" / str(batch))

    return step


def exact_windows(connection: duckdb.DuckDBPyConnection, output: Path) -> Callable[[int, list[str]], None]:
    """The same sums as a stream has to keep them: late rows left out, finished groups removed, and after a crash at any
    moment the batch can be repeated, for its files, its offsets, what it changed and its end are flushed one by one."""
    for log in ("sources", "offsets", "state", "commits"):
        (output / log).mkdir(parents=True)
    columns = "start TIMESTAMPTZ, country VARCHAR, kind VARCHAR, n BIGINT, s DOUBLE"
    connection.execute(f"CREATE TABLE state ({columns}, PRIMARY KEY (start, country, kind))")
    late = watermark = 0

    def step(batch: int, files: list[str]) -> None:
        nonlocal late, watermark
        _flushed(output / "sources" / str(batch), json.dumps(files).encode())
        _flushed(output / "offsets" / str(batch), json.dumps([batch, watermark]).encode())
        sums = "time_bucket(INTERVAL 1 MINUTE, event_time) start, ctx.country country, event_type kind, count(*) n"
        groups = f"SELECT {sums}, sum(price) s, max(epoch_ms(event_time)) newest FROM ({scan(files)}) GROUP BY ALL"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE batch AS {groups}")
        connection.execute(
            "CREATE OR REPLACE TEMP TABLE changes AS SELECT b.start, b.country, b.kind, b.n + coalesce(o.n, 0) n,"
            " b.s + coalesce(o.s, 0) s, false gone FROM batch b LEFT JOIN state o USING (start, country, kind)"
            f" WHERE epoch_ms(b.start) + 60000 > {late}"
            f" UNION ALL SELECT *, true FROM state WHERE epoch_ms(start) + 60000 <= {watermark}"
        )
        newest = connection.execute("SELECT max(newest) FROM batch").fetchall()[0][0]
        changelog = io.BytesIO()
        pq.write_table(connection.sql("FROM changes").to_arrow_table(), changelog)
        _flushed(output / "state" / str(batch), changelog.getvalue())
        gone = "s.start = c.start AND s.country = c.country AND s.kind = c.kind"
        connection.execute(f"DELETE FROM state s USING changes c WHERE c.gone AND {gone}")
        connection.execute("INSERT OR REPLACE INTO state SELECT * EXCLUDE gone FROM changes WHERE NOT gone")
        late, watermark = watermark, max(watermark, newest - 60000)
        _flushed(output / "commits" / str(batch), json.dumps([watermark]).encode())

    return step


def _flushed(path: Path, data: bytes) -> None:
    """A file that is there whole, or not at all, also after the machine has lost its power."""
    aside = path.with_suffix(".tmp")
    with aside.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.link(aside, path)
    aside.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def keys(connection: duckdb.DuckDBPyConnection, output: Path) -> Callable[[int, list[str]], None]:
    """A step that merges one batch into count, sum and maximum per key, kept in memory only."""
    del output
    connection.execute("CREATE TABLE state (k BIGINT PRIMARY KEY, n BIGINT, s HUGEINT, m BIGINT)")

    def step(batch: int, files: list[str]) -> None:
        del batch
        rows = f"read_json({files!r}, columns = {{k: 'BIGINT', v: 'BIGINT'}}, format = 'newline_delimited')"
        update = "ON CONFLICT DO UPDATE SET n = n + excluded.n, s = s + excluded.s, m = greatest(m, excluded.m)"
        connection.execute(f"INSERT INTO state SELECT k, count(*), sum(v), max(v) FROM {rows} GROUP BY k {update}")

    return step


STEPS = {"delta": delta, "parquet": parquet, "windows": windows, "exact_windows": exact_windows, "keys": keys}


def main(kind: str, source: Path, output: Path, batches: int) -> None:
    """Do the work and print the figures."""
    files = sorted(str(path) for path in source.glob("*.json"))
    each = len(files) // batches
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        step = STEPS[kind](connection, output)
        began, times = time.perf_counter(), []
        for batch in range(batches):
            start = time.perf_counter()
            step(batch, files[batch * each : (batch + 1) * each])
            times.append((time.perf_counter() - start) * 1000)
    print(json.dumps({"seconds": time.perf_counter() - began, "batch_ms": times}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))
