"""What the catalog knows: databases and tables, as values.

Invariants: identifiers are lower case (Spark folds names of databases and tables); `location` is an absolute
local path; the schema of a Delta table lives in its log, so `schema` is None for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pyspark.sql.types import StructType

CATALOG = "spark_catalog"
DEFAULT_DATABASE = "default"
GLOBAL_TEMP = "global_temp"
INFORMATION_SCHEMA = "information_schema"

TableKind = Literal["MANAGED", "EXTERNAL", "VIEW"]


@dataclass(frozen=True)
class Database:
    """A schema of `spark_catalog`; `location` is the folder of its managed tables."""

    name: str
    location: str
    comment: str | None = None
    properties: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Table:
    """A table or a stored view.

    Attributes:
        provider: `delta`, `parquet`, `csv`, `json`, `text`; empty for a view.
        schema: None for Delta (its log knows) and views whose columns were not named.
        view_text: SQL of a stored view.
        view_database: the current database when the view was made; its unqualified names mean that one.
        created_ms: milliseconds since the epoch.
        cluster_by: clustering columns to make the table with; not stored, as the table's log keeps them.
    """

    database: str
    name: str
    kind: TableKind
    provider: str = ""
    location: str | None = None
    schema: StructType | None = None
    partition_by: tuple[str, ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)
    properties: Mapping[str, str] = field(default_factory=dict)
    comment: str | None = None
    view_text: str | None = None
    view_database: str | None = None
    view_columns: tuple[str, ...] = ()
    created_ms: int = 0
    cluster_by: tuple[str, ...] = ()

    @property
    def is_view(self) -> bool:
        """Whether this is a stored view."""
        return self.kind == "VIEW"

    @property
    def full_name(self) -> tuple[str, str, str]:
        """Catalog, database, name."""
        return (CATALOG, self.database, self.name)


@dataclass(frozen=True)
class PathTable:
    """``format.`path` ``: files named in place of a table."""

    format: str
    path: str


def quoted(parts: tuple[str, ...]) -> str:
    """The name as Spark's messages print it: each part in back-quotes."""
    return ".".join("`" + part.replace("`", "``") + "`" for part in parts)
