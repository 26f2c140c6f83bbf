"""The names `stream_<i>` that a plan reads, bound to each batch's rows on the query's connection.

Invariant: a view is made again only for another query; a source that names a variable gives the same query again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.sources.base import BatchInput, StreamSource
from headwater.streaming.views import create_view, no_rows, set_variable


class Binding:
    """The views of a query's streams.

    Args:
        connection: the query's.
        sources: in the order of their numbers.
        columns: of each, the names that the plan uses.
    """

    def __init__(
        self, connection: Connection, sources: Sequence[StreamSource], columns: Sequence[Sequence[str]]
    ) -> None:
        self._connection = connection
        self._sources = sources
        self._columns = columns
        self._bound: dict[int, exp.Query] = {}

    def bind(self, index: int, rows: BatchInput | None) -> None:
        """Let `stream_<index>` stand for these rows; None: for no rows."""
        if rows is not None:
            self.lend(rows)
        query = rows.query if rows else no_rows(self._sources[index].schema)
        if not self.is_bound(index, query):
            create_view(self._connection, f"stream_{index}", query, self._columns[index])
            self._bound[index] = query

    def lend(self, rows: BatchInput) -> None:
        """Give the connection what a query over these rows needs, until `release`."""
        for name, data in rows.inputs.items():
            self._connection.register(name, data)
        for name, files in rows.variables.items():
            self._connection.execute(sql_text(set_variable(name, files))).fetchall()

    def is_bound(self, index: int, query: exp.Query) -> bool:
        """Whether `stream_<index>` stands for this very query."""
        return self._bound.get(index) is query

    def release(self, inputs: Iterable[BatchInput | None]) -> None:
        """Let go of the batch's data."""
        for rows in inputs:
            for name in rows.inputs if rows else ():
                self._connection.unregister(name)
