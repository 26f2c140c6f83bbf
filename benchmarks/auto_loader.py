"""The floor of Auto Loader's cases, and what is measured of its parts: listing folders, the log of seen files.

    python -m benchmarks.auto_loader scan FORMAT INPUT     DuckDB's typed scan alone, every row computed
    python -m benchmarks.auto_loader list INPUT            a hand-written walk beside the queue of new files
    python -m benchmarks.auto_loader tiny INPUT OUTPUT     1,000 files a batch, read by DuckDB, appended to Parquet

Prints one JSON line.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import duckdb

from benchmarks.data import COLUMNS
from headwater.io.file_queue import FileQueue, Take
from headwater.io.mounts import Mounts

_ROWS = 131_072


def scan(kind: str, source: str) -> dict[str, float]:
    """`read_json` or `read_csv` with the columns' types, drained through Arrow."""
    kinds = {**COLUMNS, "ctx": COLUMNS["ctx"] if kind == "json" else "VARCHAR"}
    columns = ", ".join(f"{name}: '{each}'" for name, each in kinds.items())
    form = "format = 'newline_delimited'" if kind == "json" else "header = true, auto_detect = false"
    files = sorted(map(str, Path(source).glob(f"*.{kind}")))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        began = time.perf_counter()
        query = f"SELECT * FROM read_{kind}({files!r}, columns = {{{columns}}}, {form}, ignore_errors = true)"
        rows = sum(batch.num_rows for batch in connection.sql(query).to_arrow_reader(_ROWS))
        return {"seconds": time.perf_counter() - began, "rows": rows}


def listing(source: str) -> dict[str, float]:
    """Files a second of a warm folder tree: walked, looked at and put in order by hand; by the queue; and once more."""
    _walked(source)  # warms the caches of the file system
    began = time.perf_counter()
    count = len(sorted(_walked(source)))
    floor = time.perf_counter() - began
    queue = FileQueue(Mounts(), [source])
    began = time.perf_counter()
    queue.refresh()
    first = len(queue.take(Take(1000)))
    found = time.perf_counter() - began
    taken = len(queue.take())
    began = time.perf_counter()
    queue.refresh()
    again = time.perf_counter() - began
    return {"files": first + taken, "walked": count, "seconds": found, "floor": floor, "again": again}


def _walked(path: str) -> list[tuple[int, str, int]]:
    return list(_below(path))


def _below(path: str) -> Iterator[tuple[int, str, int]]:
    with os.scandir(path) as entries:
        for entry in entries:
            if entry.is_dir():
                yield from _below(entry.path)
            else:
                stat = entry.stat()
                yield stat.st_mtime_ns, entry.path, stat.st_size


def tiny(source: str, output: str) -> dict[str, object]:
    """A loop over DuckDB: a thousand files into one Parquet file, again and again."""
    began, times = time.perf_counter(), []
    files = [path for _, path, _ in sorted(_walked(source))]
    Path(output).mkdir()
    with duckdb.connect() as connection:
        for batch in range(0, len(files), 1000):
            start = time.perf_counter()
            rows = f"read_json({files[batch : batch + 1000]!r}, columns = {{id: 'BIGINT', name: 'VARCHAR'}})"
            connection.execute(f"COPY (FROM {rows}) TO '{output}/{batch}.parquet'")
            times.append((time.perf_counter() - start) * 1000)
    return {"seconds": time.perf_counter() - began, "batch_ms": times}


if __name__ == "__main__":
    work, *rest = sys.argv[1:]
    print(json.dumps({"scan": scan, "list": listing, "tiny": tiny}[work](*rest)))  # type: ignore[operator]
