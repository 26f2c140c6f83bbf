"""Delta tables for tests: rows in by SQL text, rows out by three readers.

Invariant: `by_deltalake` and `by_duckdb` do not use Headwater's own reading of the log.
"""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from deltalake import DeltaTable
from sqlglot import exp

from headwater.duck import Connection, Database, sql_text
from headwater.io.s3 import delta_options
from headwater.lake.snapshot import Snapshot
from headwater.lake.table import LakeTable


def query(text: str) -> exp.Query:
    """A DuckDB query as a tree."""
    tree = sqlglot.parse_one(text, dialect="duckdb")
    assert isinstance(tree, exp.Query)
    return tree


def numbers(count: int, start: int = 0) -> exp.Query:
    """Rows (id bigint, name string) from `start`."""
    return query(f"SELECT i AS id, 'row ' || i AS name FROM range({start}, {start + count}) r(i)")


def connection(time_zone: str = "UTC") -> Connection:
    """A connection to a database of its own."""
    return Database(threads=1).connect(time_zone)


def rows(table: LakeTable | Snapshot, time_zone: str = "UTC") -> list[tuple[Any, ...]]:
    """All rows by Headwater's own query, sorted."""
    snapshot = table if isinstance(table, Snapshot) else table.snapshot()
    return sorted(connection(time_zone).execute(sql_text(snapshot.query())).fetchall(), key=repr)


def by_deltalake(path: str, version: int | None = None) -> list[tuple[Any, ...]]:
    """All rows as delta-rs reads them, sorted."""
    table = pa.table(DeltaTable(path, version=version, storage_options=delta_options(path)).scan())
    return sorted(zip(*(column.to_pylist() for column in table.columns), strict=True), key=repr)


def by_duckdb(path: str) -> list[tuple[Any, ...]]:
    """All rows of the files that delta-rs names, as plain Parquet (no partition columns), sorted."""
    files = [uri.removeprefix("file://") for uri in DeltaTable(path).file_uris()]
    if not files:
        return []
    return sorted(duckdb.connect().execute("SELECT * FROM read_parquet(?)", [files]).fetchall(), key=repr)


def junk(path: str) -> list[str]:
    """Names under the table that are neither data, log, nor checkpoint."""
    found = []
    for _, _, names in os.walk(path):
        found += [name for name in names if name.startswith(".") or "#" in name or name.endswith(".tmp")]
    return found


def unnamed_files(path: str) -> list[str]:
    """Data files that the newest version does not name."""
    named = {os.path.realpath(uri.removeprefix("file://")) for uri in DeltaTable(path).file_uris()}
    there = {
        os.path.realpath(os.path.join(folder, name))
        for folder, _, names in os.walk(path)
        for name in names
        if name.endswith(".parquet") and "_delta_log" not in folder
    }
    return sorted(there - named)


def age(path: str, seconds: float) -> None:
    """Make everything below a table's folder as it would be had it been written so many seconds ago."""
    for folder, _, names in os.walk(path):
        for name in names:
            file = os.path.join(folder, name)
            then = os.stat(file).st_mtime - seconds
            os.utime(file, (then, then))


def duplicated(values: list[Any]) -> list[Any]:
    """The values that are there more than once."""
    return [value for value, count in Counter(values).items() if count > 1]
