"""A session's Python data sources: what `spark.dataSource.register` has entered.

Invariants: names are compared without case; the newest registration of a name counts; a name of Spark's own cannot be
taken.
"""

from __future__ import annotations

from headwater.errors import AnalysisError
from headwater.io.python_data_source import PythonDataSource
from headwater.sinks.base import SinkProvider, sinks
from headwater.sinks.python_data_source import PythonSinkProvider
from headwater.sources.base import SourceProvider, sources
from headwater.sources.python_data_source import PythonSourceProvider

_OF_SPARK = frozenset({"avro", "binaryfile", "jdbc", "kafka", "orc", "socket", "xml"})
"""Formats that Spark has and the registries of this package do not."""


class DataSources:
    """Registered data sources by name."""

    def __init__(self, known: dict[str, PythonDataSource] | None = None) -> None:
        self._known = dict(known or {})

    def register(self, source: PythonDataSource) -> None:
        """Enter a data source. Raises DATA_SOURCE_ALREADY_EXISTS for a name of Spark's."""
        name = source.name.lower()
        if name in _OF_SPARK or sources.get(name) is not None or sinks.get(name) is not None:
            raise AnalysisError("DATA_SOURCE_ALREADY_EXISTS", provider=source.name)
        self._known[name] = source

    def get(self, name: str) -> PythonDataSource | None:
        """The data source registered under that name."""
        return self._known.get(name.lower())

    def source(self, name: str) -> SourceProvider | None:
        """Who reads that format: Spark's own, else the user's."""
        found, own = sources.get(name), self.get(name)
        return PythonSourceProvider(own) if found is None and own is not None else found

    def sink(self, name: str) -> SinkProvider | None:
        """Who writes streams in that format."""
        found, own = sinks.get(name), self.get(name)
        return PythonSinkProvider(own) if found is None and own is not None else found

    def copy(self) -> DataSources:
        """The same, to go on by itself."""
        return DataSources(self._known)
