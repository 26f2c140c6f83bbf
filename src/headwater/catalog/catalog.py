"""A session's catalog: current database and temporary views over the metastore all sessions share.

Invariants: a one-part name means a temporary view first, then a table of the current database; `global_temp` is
the only name of the global temporary views; the one catalog is `spark_catalog`; names are compared without case;
nothing can be made in `information_schema`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from dataclasses import dataclass

from pyspark.sql.types import StructType

from headwater.catalog import information_schema
from headwater.catalog.metastore import Metastore
from headwater.catalog.model import (
    CATALOG,
    DEFAULT_DATABASE,
    GLOBAL_TEMP,
    INFORMATION_SCHEMA,
    Database,
    PathTable,
    Table,
    quoted,
)
from headwater.errors import AnalysisError, unsupported
from headwater.plan.relations import Relation

PATH_FORMATS = frozenset({"delta", "parquet", "csv", "json", "text", "binaryfile"})


@dataclass(frozen=True)
class View:
    """A temporary view: a name for a plan."""

    name: str
    plan: Relation
    text: str | None = None
    is_global: bool = False


Found = View | Table | PathTable


class Views(MutableMapping[str, View]):
    """Temporary views by name; safe to use from several threads."""

    def __init__(self, views: Mapping[str, View] | None = None) -> None:
        self._views = dict(views or {})
        self._lock = threading.Lock()

    def __getitem__(self, name: str) -> View:
        return self._views[name.lower()]

    def __setitem__(self, name: str, view: View) -> None:
        with self._lock:
            self._views[name.lower()] = view

    def __delitem__(self, name: str) -> None:
        with self._lock:
            del self._views[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._views))

    def __len__(self) -> int:
        return len(self._views)

    def add(self, view: View) -> bool:
        """Store a new view; False if the name is taken."""
        with self._lock:
            taken = view.name.lower() in self._views
            self._views.setdefault(view.name.lower(), view)
        return not taken


class Catalog:
    """Names of one session.

    Args:
        metastore: what outlives the session.
        global_views: the server's global temporary views.
    """

    def __init__(self, metastore: Metastore, global_views: Views | None = None, views: Views | None = None) -> None:
        self.metastore = metastore
        self.current_catalog = CATALOG
        self.current_database = DEFAULT_DATABASE
        self.global_views = Views() if global_views is None else global_views
        self.views = Views() if views is None else views
        self.describe: information_schema.Describe = _stored_columns
        """The columns of a table, for `information_schema`; a session knows those of views and files as well."""
        self._describing = threading.local()

    def copy(self) -> Catalog:
        """An independent catalog with the same current database and temporary views."""
        twin = Catalog(self.metastore, self.global_views, Views(self.views))
        twin.current_database = self.current_database
        return twin

    @contextmanager
    def within(self, database: str | None) -> Iterator[Catalog]:
        """A view of this catalog whose current database is `database` (for the text of stored views)."""
        twin = Catalog(self.metastore, self.global_views, self.views)
        twin.current_database = database or self.current_database
        twin.describe = self.describe
        yield twin

    # ── looking up ──────────────────────────────────────────────────────────────────────────────────────────

    def find(self, parts: tuple[str, ...]) -> Found | None:
        """What a name means here, or None."""
        if len(parts) == 1 and parts[0] in self.views:
            return self.views[parts[0]]
        if len(parts) == 2 and parts[0].lower() == GLOBAL_TEMP:
            return self.global_views.get(parts[1])
        stored = self.stored(parts)
        if stored is None and self._is_information(parts):
            return self._information(parts[-1].lower())
        if stored is None and len(parts) == 2 and parts[0].lower() in PATH_FORMATS:
            return PathTable(parts[0].lower(), parts[1])
        return stored

    def get(self, parts: tuple[str, ...]) -> Found:
        """What a name means here. Raises TABLE_OR_VIEW_NOT_FOUND."""
        found = self.find(parts)
        if found is None:
            raise not_found(parts)
        return found

    def _is_information(self, parts: tuple[str, ...]) -> bool:
        databases = parts[:-1] or (self.current_database,)
        return tuple(part.lower() for part in databases) in ((INFORMATION_SCHEMA,), (CATALOG, INFORMATION_SCHEMA))

    def _information(self, name: str) -> View | None:
        plan = information_schema.view(name, self.metastore, self._described)
        return None if plan is None else View(name, plan)

    def _described(self, table: Table) -> information_schema.Described:
        """A view that reads `information_schema` itself is described without rows of it, or there were no end."""
        if getattr(self._describing, "now", False):
            return StructType(), ()
        self._describing.now = True
        try:
            return self.describe(table)
        finally:
            self._describing.now = False

    def stored(self, parts: tuple[str, ...]) -> Table | None:
        """The table or stored view of that name, whatever temporary views there are."""
        if len(parts) > 3 or (len(parts) == 3 and parts[0].lower() != CATALOG):
            return None
        database, name = self.split(parts)
        return self.metastore.table(database, name)

    def split(self, parts: tuple[str, ...]) -> tuple[str, str]:
        """Database and table of a name. Raises if it names another catalog."""
        if len(parts) > 3:
            raise AnalysisError("REQUIRES_SINGLE_PART_NAMESPACE", sessionCatalog=CATALOG, identifier=quoted(parts))
        if len(parts) == 3:
            self.check_catalog(parts[0])
        database = parts[-2] if len(parts) > 1 else self.current_database
        return database.lower(), parts[-1].lower()

    def check_catalog(self, name: str) -> None:
        """Raises CATALOG_NOT_FOUND unless `name` is `spark_catalog`."""
        if name.lower() != CATALOG:
            raise AnalysisError("CATALOG_NOT_FOUND", catalogName=quoted((name,)), config=f'"spark.sql.catalog.{name}"')

    def database_name(self, parts: tuple[str, ...]) -> str:
        """The database a (possibly qualified) name means; it need not exist."""
        if len(parts) == 2:
            self.check_catalog(parts[0])
        return parts[-1].lower() if parts else self.current_database

    def database(self, parts: tuple[str, ...]) -> Database:
        """The database. Raises SCHEMA_NOT_FOUND."""
        name = self.database_name(parts)
        if name == INFORMATION_SCHEMA:
            return Database(name, os.path.join(self.metastore.warehouse, name), "what the catalog holds")
        found = self.metastore.database(name)
        if found is None:
            raise schema_not_found(name)
        return found

    def tables(self, database: str) -> list[Table]:
        """Tables and stored views of a database by name."""
        if database == INFORMATION_SCHEMA:
            return information_schema.tables()
        return self.metastore.tables(database)

    # ── changing ────────────────────────────────────────────────────────────────────────────────────────────

    def use(self, parts: tuple[str, ...]) -> None:
        """Make a database the current one. Raises SCHEMA_NOT_FOUND."""
        self.current_database = self.database(parts).name

    def managed_location(self, parts: tuple[str, ...]) -> str:
        """Where a managed table of that name lives. Raises SCHEMA_NOT_FOUND."""
        database, name = self.split(parts)
        _check_writable(database)
        return os.path.join(self.database((database,)).location, name)

    def add_table(self, table: Table, *, replace: bool = False, if_not_exists: bool = False) -> bool:
        """Store a table; False if it was there and `if_not_exists`. Raises TABLE_OR_VIEW_ALREADY_EXISTS."""
        _check_writable(table.database)
        self.database((table.database,))
        if replace:
            self.metastore.put_table(table)
            return True
        added = self.metastore.add_table(table)
        if not added and not if_not_exists:
            raise already_exists(table.full_name)
        return added

    def add_view(self, view: View, *, replace: bool) -> None:
        """Store a temporary view. Raises TEMP_TABLE_OR_VIEW_ALREADY_EXISTS."""
        views = self.global_views if view.is_global else self.views
        if replace:
            views[view.name] = view
        elif not views.add(view):
            name = (GLOBAL_TEMP, view.name) if view.is_global else (view.name,)
            raise AnalysisError("TEMP_TABLE_OR_VIEW_ALREADY_EXISTS", relationName=quoted(name))

    def drop_view(self, name: str, *, is_global: bool = False) -> bool:
        """Forget a temporary view; False if it was not there."""
        return (self.global_views if is_global else self.views).pop(name, None) is not None


def _stored_columns(table: Table) -> information_schema.Described:
    return table.schema or StructType(), table.partition_by


def _check_writable(database: str) -> None:
    if database == INFORMATION_SCHEMA:
        raise unsupported(f"tables and views of one's own in {INFORMATION_SCHEMA}", "Choose another schema.")


def not_found(parts: tuple[str, ...]) -> AnalysisError:
    """TABLE_OR_VIEW_NOT_FOUND for a name."""
    return AnalysisError("TABLE_OR_VIEW_NOT_FOUND", relationName=quoted(parts))


def already_exists(parts: tuple[str, ...]) -> AnalysisError:
    """TABLE_OR_VIEW_ALREADY_EXISTS for a name."""
    return AnalysisError("TABLE_OR_VIEW_ALREADY_EXISTS", relationName=quoted(parts))


def schema_not_found(name: str) -> AnalysisError:
    """SCHEMA_NOT_FOUND for a database."""
    return AnalysisError("SCHEMA_NOT_FOUND", schemaName=quoted((CATALOG, name)))
