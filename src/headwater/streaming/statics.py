"""The static side of a stream: a Delta table joined with a stream is read anew, at its newest version, in every batch.

Other static reads are what they were when the query was started, as in Spark; so is a table at a given version.

Invariants: all of a batch sees one version; a view is made again only when the table has changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol, cast

from sqlglot import exp

from headwater.compile.resolved import Resolved
from headwater.duck import Connection
from headwater.plan.relations import ReadSource
from headwater.sources.base import SourceContext, SourceRequest, sources
from headwater.streaming.views import create_view


class Followed(Protocol):
    """A table that is watched."""

    def current(self) -> exp.Query:
        """All rows there are now; the same object while nothing has changed."""
        ...


class FollowedProvider(Protocol):
    """A source whose static reads are renewed."""

    def follow(self, request: SourceRequest, context: SourceContext) -> Followed | None:
        """The table, or None if the request is for one version of it."""
        ...


class StaticSide:
    """One static read of a streaming plan, known to it as the view `name`."""

    def __init__(self, name: str, followed: Followed, columns: Sequence[str]) -> None:
        self.name = name
        self._followed = followed
        self._columns = columns
        self._bound: exp.Query | None = None

    def refresh(self, connection: Connection) -> None:
        """Bind the view to what the table holds now."""
        query = self._followed.current()
        if query is not self._bound:
            create_view(connection, self.name, query.copy(), self._columns)
            self._bound = query


def followed(read: ReadSource, request: SourceRequest, context: SourceContext) -> Followed | None:
    """The table that a static read stands for, if it is one that is renewed."""
    provider = sources.get(read.format)
    if not hasattr(provider, "follow"):
        return None
    return cast(FollowedProvider, provider).follow(request, context)


def over(name: str, found: Resolved) -> Resolved:
    """The columns of a static read, from the view that follows it."""
    columns = [exp.column(a.sql, quoted=True) for a in (*found.attributes, *found.hidden)]
    return replace(found, query=exp.select(*columns).from_(exp.to_table(name)))
