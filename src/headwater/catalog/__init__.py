"""Databases, tables, views, and what a name means in a session."""

from headwater.catalog.catalog import Catalog, View, Views
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

__all__ = [
    "CATALOG",
    "DEFAULT_DATABASE",
    "GLOBAL_TEMP",
    "INFORMATION_SCHEMA",
    "Catalog",
    "Database",
    "Metastore",
    "PathTable",
    "Table",
    "View",
    "Views",
    "quoted",
]
