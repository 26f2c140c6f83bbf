"""The durable list of databases, tables and stored views: one SQLite file in the warehouse.

SQLite because it is in Python's standard library, keeps several objects in one transaction (a schema and all its
tables), locks against other processes, and rolls a killed writer back when the file is next opened.

Invariants: reading never creates the file; every change is one transaction, synced to disk before it returns; a
connection lives for one operation, so threads and forks never share one.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from typing import Any
from urllib.parse import quote

from pyspark.sql.types import StructType

from headwater.catalog.model import DEFAULT_DATABASE, INFORMATION_SCHEMA, Database, Table
from headwater.io.storage import Storage

_FOLDER = ".headwater"
_FILE = "catalog.db"
_LAYOUT = 2
_BUSY_SECONDS = 60.0
_CLAIM_SECONDS = 3600.0
_TABLES = """
CREATE TABLE IF NOT EXISTS databases (name TEXT PRIMARY KEY, body TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tables (
    database TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (database, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS making (
    database TEXT NOT NULL, name TEXT NOT NULL, location TEXT NOT NULL, PRIMARY KEY (database, name)) WITHOUT ROWID;
"""
"""`making`: the folders of managed tables that are being made; what a killed maker left there belongs to nobody."""


class Metastore:
    """Databases and tables of one warehouse folder.

    Args:
        warehouse: absolute path of the folder; made when the first object is stored.
    """

    def __init__(self, warehouse: str) -> None:
        self.warehouse = warehouse
        self._path = os.path.join(warehouse, _FOLDER, _FILE)

    # ── databases ───────────────────────────────────────────────────────────────────────────────────────────

    def databases(self) -> list[Database]:
        """All databases by name; `default` is always there."""
        found = {row[0]: _database(row[1]) for row in self._rows("SELECT name, body FROM databases")}
        found.setdefault(DEFAULT_DATABASE, self._default())
        return [found[name] for name in sorted(found)]

    def database(self, name: str) -> Database | None:
        """The database, or None."""
        for (body,) in self._rows("SELECT body FROM databases WHERE name = ?", name):
            return _database(body)
        return self._default() if name == DEFAULT_DATABASE else None

    def add_database(self, database: Database) -> bool:
        """Store a new database; False if the name is taken."""
        if database.name in (DEFAULT_DATABASE, INFORMATION_SCHEMA):
            return False
        return self._change("INSERT OR IGNORE INTO databases VALUES (?, ?)", database.name, _text(database))

    def drop_database(self, name: str, *, cascade: bool) -> list[Table] | None:
        """Forget a database and return the tables that went with it.

        None if it still holds tables and `cascade` is false; then nothing changes.
        """
        with self._write() as connection:
            rows = connection.execute("SELECT body FROM tables WHERE database = ?", (name,)).fetchall()
            if rows and not cascade:
                return None
            connection.execute("DELETE FROM tables WHERE database = ?", (name,))
            connection.execute("DELETE FROM databases WHERE name = ?", (name,))
        return [_table(body) for (body,) in rows]

    # ── tables ──────────────────────────────────────────────────────────────────────────────────────────────

    def tables(self, database: str) -> list[Table]:
        """Tables and stored views of a database by name."""
        rows = self._rows("SELECT body FROM tables WHERE database = ? ORDER BY name", database)
        return [_table(body) for (body,) in rows]

    def table(self, database: str, name: str) -> Table | None:
        """The table or stored view, or None."""
        for (body,) in self._rows("SELECT body FROM tables WHERE database = ? AND name = ?", database, name):
            return _table(body)
        return None

    def add_table(self, table: Table) -> bool:
        """Store a new table; False if the name is taken. Its making is over."""
        return self._store("INSERT OR IGNORE INTO tables VALUES (?, ?, ?)", table)

    def put_table(self, table: Table) -> None:
        """Store a table in place of whatever had its name. Its making is over."""
        self._store("INSERT OR REPLACE INTO tables VALUES (?, ?, ?)", table)

    def _store(self, sql: str, table: Table) -> bool:
        with self._write() as connection:
            stored = connection.execute(sql, (table.database, table.name, _text(table))).rowcount > 0
            connection.execute("DELETE FROM making WHERE database = ? AND name = ?", (table.database, table.name))
        return stored

    def drop_table(self, database: str, name: str) -> bool:
        """Forget a table; False if it was not there."""
        return self._change("DELETE FROM tables WHERE database = ? AND name = ?", database, name)

    def begin_table(self, table: Table) -> None:
        """Note that the table's folder, in which there is nothing, is its maker's until the table is stored."""
        sql = "INSERT OR REPLACE INTO making VALUES (?, ?, ?)"
        self._change(sql, table.database, table.name, table.location or "")

    def clear(self, database: str, name: str, storage: Storage) -> None:
        """Take away what a maker of the table, which is not stored, has left. For who has the name's claim."""
        folder = self._unfinished(database, name)
        if folder is None:
            return
        if self.table(database, name) is None:
            storage.delete(folder)
        self._change("DELETE FROM making WHERE database = ? AND name = ?", database, name)

    def _unfinished(self, database: str, name: str) -> str | None:
        if not os.path.exists(self._path):
            return None
        with self._write() as connection:
            sql = "SELECT location FROM making WHERE database = ? AND name = ?"
            row = connection.execute(sql, (database, name)).fetchone()
        return None if row is None else str(row[0])

    @contextmanager
    def claim(self, database: str, name: str, storage: Storage) -> Iterator[None]:
        """Keep other processes and threads from making or dropping that table meanwhile; a kill ends it.

        What a killed maker of the name has left in `storage` is taken away first. What a table's maker writes into its
        folder is seen only when its row is stored, so two makers of one name would write into one folder. The lock is
        SQLite's, on an empty file of the name's own.
        """
        folder = os.path.join(self.warehouse, _FOLDER, "claims")
        os.makedirs(folder, exist_ok=True)
        path = os.path.join(folder, quote(f"{database}.{name}", safe=""))
        with closing(sqlite3.connect(path, timeout=_CLAIM_SECONDS, isolation_level=None)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            self.clear(database, name, storage)
            yield

    # ── SQLite ──────────────────────────────────────────────────────────────────────────────────────────────

    def _default(self) -> Database:
        return Database(DEFAULT_DATABASE, self.warehouse, "default database")

    def _rows(self, sql: str, *values: str) -> list[tuple[str, ...]]:
        if not os.path.exists(self._path):
            return []
        with closing(self._open()) as connection:
            return connection.execute(sql, values).fetchall()

    def _change(self, sql: str, *values: str) -> bool:
        with self._write() as connection:
            return connection.execute(sql, values).rowcount > 0

    @contextmanager
    def _write(self) -> Iterator[sqlite3.Connection]:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        with closing(self._open()) as connection:
            if connection.execute("PRAGMA user_version").fetchone()[0] < _LAYOUT:
                connection.executescript(f"{_TABLES} PRAGMA user_version = {_LAYOUT};")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, isolation_level=None)
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _text(thing: Database | Table) -> str:
    row: dict[str, Any] = {key: value for key, value in asdict(thing).items() if value not in (None, "", (), {})}
    row.pop("cluster_by", None)
    if isinstance(thing, Table) and thing.schema is not None:
        row["schema"] = thing.schema.jsonValue()
    return json.dumps(row, separators=(",", ":"))


def _database(body: str) -> Database:
    return Database(**json.loads(body))


def _table(body: str) -> Table:
    row = json.loads(body)
    if "schema" in row:
        row["schema"] = StructType.fromJson(row["schema"])
    for name in ("partition_by", "view_columns"):
        row[name] = tuple(row.get(name, ()))
    return Table(**row)
