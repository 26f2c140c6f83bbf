"""The one door to DuckDB: databases, connections, and the settings that make DuckDB keep Spark's rules.

Only this module imports `duckdb`. A `Database` is one in-memory DuckDB that spills to a temporary folder;
`connect()` gives an independent connection to it (own transaction, own temporary views, own interrupt).

Invariants: extensions are never installed or downloaded; every connection runs in the session time zone it was
opened for; text comparison is binary.
"""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from weakref import WeakSet

import duckdb
import pyarrow as pa
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB

Connection = duckdb.DuckDBPyConnection
DuckError = duckdb.Error
Interrupted = duckdb.InterruptException

__all__ = [
    "Connection",
    "Database",
    "Dialect",
    "DuckError",
    "ExportState",
    "Interrupted",
    "Printed",
    "Reader",
    "sql_text",
]


class ExportState(exp.Expression, exp.Func):
    """`aggregate(x) EXPORT_STATE`: the aggregate's state in place of its value."""

    arg_types = {"this": True}  # noqa: RUF012 (sqlglot's way)


class Printed(exp.Expression):
    """SQL text that was printed from a tree before: a query that runs for every batch is printed once."""

    arg_types = {"this": True}  # noqa: RUF012 (sqlglot's way)


class Dialect(DuckDB):
    """DuckDB's dialect and the nodes that sqlglot lacks."""

    class Generator(DuckDB.Generator):  # type: ignore[valid-type,misc]
        TRANSFORMS = {  # noqa: RUF012 (sqlglot's way)
            **DuckDB.Generator.TRANSFORMS,
            Printed: lambda _self, node: node.this,
            ExportState: lambda self, node: f"{self.sql(node, 'this')} EXPORT_STATE",
        }


def sql_text(tree: exp.Expr) -> str:
    """The DuckDB text of a sqlglot tree."""
    return tree.sql(dialect=Dialect)


class Database:
    """One in-memory DuckDB shared by all sessions of a server.

    Args:
        threads: DuckDB worker threads; default: DuckDB's own choice (one per core).
        memory_limit: such as `"4GB"`; default: DuckDB's own choice (80 % of the machine).
        spill: folder for what does not fit in memory; default: a fresh temporary folder.
    """

    def __init__(
        self, *, threads: int | None = None, memory_limit: str | None = None, spill: Path | None = None
    ) -> None:
        self._spill = spill or Path(tempfile.gettempdir()) / f"headwater-{os.getpid()}"
        settings: dict[str, str | bool | int | float | list[str]] = {
            "temp_directory": str(self._spill),
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
            "preserve_insertion_order": True,
            "max_expression_depth": 10_000,
            "python_enable_replacements": False,  # a name in a query never means a variable of our own code
        }
        if threads is not None:
            settings["threads"] = threads
        if memory_limit is not None:
            settings["memory_limit"] = memory_limit
        self._root = duckdb.connect(":memory:", config=settings)
        self._threads = int(self._root.execute("SELECT current_setting('threads')").fetchall()[0][0])
        self._turning = threading.Lock()
        self._users, self._last_use, self._narrow = 0, 0.0, False
        with _registering:
            _databases.add(self)
            for filesystem in _filesystems.values():
                self._root.register_filesystem(filesystem)

    def connect(self, time_zone: str = "UTC") -> Connection:
        """A new connection whose SQL functions work in `time_zone` (an IANA name)."""
        connection = self._root.cursor()
        connection.execute("SET TimeZone = ?", [time_zone])
        return connection

    @contextmanager
    def wide(self) -> Iterator[None]:
        """Within, statements run on all threads: their size is not known, or worth it."""
        self.widen()
        try:
            yield
        finally:
            self.done()

    def widen(self) -> None:
        """Begin a use of all threads, to be ended by `done`."""
        with self._turning:
            self._users += 1
            if self._narrow:
                self._turn(narrow=False)

    def done(self) -> None:
        """End a use of all threads."""
        with self._turning:
            self._users -= 1
            self._last_use = time.monotonic()

    def narrow(self) -> None:
        """Statements so small are about to run that threads would take longer to agree than to do the work.

        Each runs on the thread that asks for it, until somebody needs all threads. Nothing happens if somebody does,
        or just did: to turn costs more than it gains if it does not last.
        """
        if self._narrow or self._users or self._threads == 1 or time.monotonic() - self._last_use < _QUIET_SECONDS:
            return
        with self._turning:
            if not self._users:
                self._turn(narrow=True)

    def _turn(self, *, narrow: bool) -> None:
        self._root.cursor().execute(f"SET threads = {1 if narrow else self._threads}")
        self._narrow = narrow

    def read_through(self, filesystem: Any) -> None:
        """Read the paths of a filesystem's protocol through it."""
        self._root.register_filesystem(filesystem)

    def close(self) -> None:
        """Close the database; connections still open keep it alive until they close."""
        with _registering:
            _databases.discard(self)
        self._root.close()


_QUIET_SECONDS = 0.25
_databases: WeakSet[Database] = WeakSet()
_filesystems: dict[str, Any] = {}
_registering = threading.Lock()


def register_filesystem(filesystem: Any) -> None:
    """Let every database, open now or later, read the paths of an fsspec filesystem's protocol through it.

    The first one for a protocol stays.
    """
    with _registering:
        if filesystem.protocol in _filesystems:
            return
        _filesystems[filesystem.protocol] = filesystem
        for database in list(_databases):
            database.read_through(filesystem)


def run(connection: Connection, text: str) -> list[Any]:
    """Run one statement and return its rows.

    A text that comes again is kept parsed: DuckDB's parser takes about 1 ms a kB.
    """
    return connection.execute(_PARSED.of(connection, text)).fetchall()


class Reader:
    """A query that is read again and again: DuckDB is asked only once what its columns are.

    Args:
        query: its columns never change; what it reads exists.
    """

    def __init__(self, connection: Connection, query: exp.Expr | str) -> None:
        self._connection = connection
        self._text = query if isinstance(query, str) else sql_text(query)
        self._relation: duckdb.DuckDBPyRelation | None = None

    def table(self) -> pa.Table:
        """All its rows of this moment."""
        return self._opened().to_arrow_table()

    def batches(self, rows: int) -> pa.RecordBatchReader:
        """Its rows as DuckDB makes them, about `rows` at a time."""
        return self._opened().to_arrow_reader(rows)

    def _opened(self) -> duckdb.DuckDBPyRelation:
        if self._relation is None:
            self._relation = self._connection.sql(self._text)
        return self._relation


class _Parsed:
    """The statements of texts that came more than once."""

    _MOST, _LONGEST = 4096, 65_536

    def __init__(self) -> None:
        self._statements: dict[str, duckdb.Statement | None] = {}

    def of(self, connection: Connection, text: str) -> duckdb.Statement | str:
        """The statement; the text itself when it comes for the first time, and if it is not one statement."""
        if len(text) > self._LONGEST:
            return text
        if text not in self._statements:
            if len(self._statements) >= self._MOST:
                self._statements.clear()
            self._statements[text] = None
            return text
        statement = self._statements.get(text)
        if statement is None:
            statements = connection.extract_statements(text)
            if len(statements) != 1:
                return text
            statement = self._statements[text] = statements[0]
        return statement


_PARSED = _Parsed()


def arrow(connection: Connection, query: exp.Expr | str) -> pa.Table:
    """Run a query and return all its rows."""
    text = query if isinstance(query, str) else sql_text(query)
    return connection.sql(text).to_arrow_table()


def arrow_batches(connection: Connection, text: str, rows: int) -> pa.RecordBatchReader:
    """Run a query and return its rows as DuckDB makes them, about `rows` at a time."""
    return connection.sql(text).to_arrow_reader(rows)
