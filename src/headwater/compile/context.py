"""What the compiler asks of the session it compiles for.

Invariant: the compiler changes nothing through it.
"""

from __future__ import annotations

from typing import Protocol

from headwater.compile.resolved import Resolved
from headwater.duck import Connection
from headwater.plan.expressions import Expression
from headwater.plan.relations import ReadSource, ReadTable, Relation
from headwater.settings import Settings


class Context(Protocol):
    """A session as the compiler sees it."""

    settings: Settings

    @property
    def time_zone(self) -> str:
        """IANA name of the session time zone."""
        ...

    def binder(self) -> Connection:
        """A connection for asking DuckDB's binder (DESCRIBE); the calling thread's own."""
        ...

    def table(self, read: ReadTable) -> Relation | Resolved:
        """A view's plan, or a table's leaf. Raises TABLE_OR_VIEW_NOT_FOUND."""
        ...

    def source(self, read: ReadSource) -> Resolved:
        """The leaf of a batch source, or of a stream (a reference to a relation the engine binds per batch)."""
        ...

    def cached(self, relation_id: str) -> Relation | Resolved:
        """A relation kept by the server."""
        ...

    def sql(self, text: str, named: dict[str, Expression], positional: tuple[Expression, ...]) -> Relation:
        """The plan of a SQL query."""
        ...
