"""A session: one user's settings, names and kept results over the shared runtime.

It is what the compiler resolves against (`compile.context.Context`), and where relations run and commands act.

Invariants: safe to use from several threads: plans are resolved and run side by side, each on connections of its own;
`close` stops the session's streams before it frees what they may use.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pyarrow as pa
from sqlglot import exp

from headwater import compile as compiler
from headwater.catalog import Catalog
from headwater.compile.resolved import Resolved
from headwater.duck import Connection, DuckError, sql_text
from headwater.errors import AnalysisError, SparkError
from headwater.plan.commands import Command
from headwater.plan.expressions import Expression
from headwater.plan.relations import HtmlString, ReadSource, ReadTable, Relation, ShowString
from headwater.sessions import reading, stored
from headwater.sessions.binders import Binders
from headwater.sessions.claiming import claiming
from headwater.sessions.commands import run_command
from headwater.sessions.data_sources import DataSources
from headwater.sessions.execution import Execution
from headwater.sessions.inputs import input_files
from headwater.sessions.interrupting import working
from headwater.sessions.observing import observations
from headwater.sessions.pushing import with_filters
from headwater.sessions.rendering import Rendering, shape
from headwater.sessions.runtime import Runtime
from headwater.sessions.translate import translate
from headwater.sessions.zone import machine_time_zone
from headwater.settings import Settings
from headwater.sql import parse_query
from headwater.streaming.analysis import NEEDS_START
from headwater.streaming.manager import Listener, StreamingQueryManager

_ZONE = "spark.sql.session.timeZone"
_LISTENERS = "spark.sql.streaming.streamingQueryListeners"


def _listeners(named: str | None) -> list[Listener]:
    """One listener of each class that the setting names."""
    if not named:
        return []
    from headwater.streaming.named_listeners import named_listeners

    return named_listeners(named)


class Session:
    """One session.

    Args:
        runtime: what all sessions share.
        session_id, user_id: as the client names them.
        settings: default: the server's.
        catalog: default: current database `default`, no temporary views.
    """

    def __init__(
        self,
        runtime: Runtime,
        session_id: str = "",
        user_id: str = "",
        *,
        settings: Settings | None = None,
        catalog: Catalog | None = None,
    ) -> None:
        self.runtime = runtime
        self.session_id = session_id or str(uuid.uuid4())
        self.user_id = user_id
        self.settings = settings or Settings(static=runtime.static_settings)
        self.catalog = catalog or Catalog(runtime.metastore, runtime.global_views)
        self.catalog.describe = lambda table: (stored.schema_of(table, self), stored.partitions_of(table, self))
        self.streams = StreamingQueryManager(_listeners(self.settings.lookup(_LISTENERS)))
        self.data_sources = DataSources()
        self._binders = Binders(runtime.database)
        self._kept: dict[str, Relation | Resolved] = {}
        self._checkpoints: dict[str, str] = {}

    def translate(self, error: Exception) -> SparkError:
        """What an exception of the engine means to the user."""
        return translate(error)

    # ── running ─────────────────────────────────────────────────────────────────────────────────────────────

    def resolve(self, relation: Relation) -> Resolved:
        """The compiled relation. Raises AnalysisError."""
        with self._binders.borrowed():
            if isinstance(relation, ShowString | HtmlString):
                self.resolve(relation.input)
                return shape(relation)
            try:
                return compiler.compile_relation(with_filters(relation, self), self)
            except DuckError as error:
                raise translate(error) from error

    def resolve_part(self, relation: Relation) -> Resolved:
        """As `resolve`, for a part of a command: its columns remember which DataFrames they are of."""
        with self._binders.borrowed():
            try:
                return compiler.compile_cut(relation, self)
            except DuckError as error:
                raise translate(error) from error

    def execute(self, relation: Relation) -> Execution:
        """Start a batch query. Raises AnalysisError, also if a stream is among its leaves."""
        if isinstance(relation, ShowString | HtmlString):
            return Rendering(relation, self)
        resolved = self._batch(relation)
        return Execution(self.runtime.database, resolved, self.time_zone, observations(relation, self))

    def input_files(self, relation: Relation) -> list[str]:
        """The data files a relation reads, as URIs."""
        return input_files(relation, self)

    def run(self, command: Command) -> Relation | None:
        """Act on a command; its result, if it has one, as a relation."""
        with claiming(command, self):
            return run_command(command, self)

    def _batch(self, relation: Relation) -> Resolved:
        resolved = self.resolve(relation)
        if resolved.streaming:
            raise AnalysisError("_LEGACY_ERROR_TEMP_3102", msg=NEEDS_START)
        return resolved

    # ── what the compiler asks ──────────────────────────────────────────────────────────────────────────────

    @property
    def time_zone(self) -> str:
        """IANA name of the session time zone."""
        return self.settings.lookup(_ZONE) or machine_time_zone()

    def binder(self) -> Connection:
        """A connection for DESCRIBE, in the session time zone; this thread's own."""
        return self._binders.get(self.time_zone)

    def table(self, read: ReadTable) -> Relation | Resolved:
        """What a name stands for. Raises TABLE_OR_VIEW_NOT_FOUND."""
        return reading.table(read, self)

    def source(self, read: ReadSource) -> Resolved:
        """The leaf of a source; of a stream, its schema without rows."""
        return reading.source(read, self)

    def cached(self, relation_id: str) -> Relation | Resolved:
        """A relation kept here. Raises if it was released."""
        kept = self._kept.get(relation_id)
        if kept is None:
            raise AnalysisError("CONNECT_INVALID_PLAN.DATAFRAME_NOT_FOUND", dfId=relation_id, sessionId=self.session_id)
        return kept

    def sql(self, text: str, named: dict[str, Expression], positional: tuple[Expression, ...]) -> Relation:
        """The plan of a SQL query."""
        return parse_query(text, named, positional)

    # ── kept relations ──────────────────────────────────────────────────────────────────────────────────────

    def keep(self, relation: Relation | Resolved) -> str:
        """Keep a relation under a new id (`CachedRemote`) until `release`."""
        relation_id = str(uuid.uuid4())
        self._kept[relation_id] = relation
        return relation_id

    def checkpoint(self, relation: Relation) -> str:
        """Compute a relation now and keep its rows under a new id until `release`."""
        resolved = self._batch(relation)
        relation_id = str(uuid.uuid4())
        name = f"checkpoint_{uuid.uuid4().hex}"
        table = exp.to_table(name)
        self.statement(exp.Create(this=table, kind="TABLE", expression=resolved.query), resolved)
        columns = [exp.column(attribute.sql, quoted=True) for attribute in resolved.attributes]
        self._checkpoints[relation_id] = name
        self._kept[relation_id] = Resolved(exp.select(*columns).from_(table), resolved.attributes)
        return relation_id

    def release(self, relation_id: str) -> None:
        """Forget a kept relation and its rows; nothing happens if it is not there."""
        self._kept.pop(relation_id, None)
        name = self._checkpoints.pop(relation_id, None)
        if name is not None:
            self.statement(exp.Drop(tables=[exp.to_table(name)], kind="TABLE", exists=True))

    def statement(self, tree: exp.Expression, resolved: Resolved | None = None) -> Sequence[tuple[object, ...]]:
        """Run a DuckDB statement on a connection of its own, with the inputs of `resolved`; its rows."""
        with self.connection(resolved) as connection:
            result: Sequence[tuple[object, ...]] = connection.execute(sql_text(tree)).fetchall()
        return result

    @contextmanager
    def connection(self, resolved: Resolved | None = None) -> Iterator[Connection]:
        """A connection in the session's time zone that knows the inputs of `resolved`; its failures are Spark's."""
        database = self.runtime.database
        database.widen()
        connection = database.connect(self.time_zone)
        try:
            for name, data in (resolved.inputs if resolved else {}).items():
                connection.register(name, data)
            with working(connection):
                yield connection
        except (DuckError, pa.ArrowException, OSError) as error:
            raise translate(error) from error
        finally:
            connection.close()
            database.done()

    # ── life ────────────────────────────────────────────────────────────────────────────────────────────────

    def clone(self, session_id: str) -> Session:
        """A new session that starts with copies of this one's settings, names and registered data sources."""
        copy = Session(
            self.runtime, session_id, self.user_id, settings=self.settings.copy(), catalog=self.catalog.copy()
        )
        copy.data_sources = self.data_sources.copy()
        return copy

    def close(self) -> None:
        """Stop the session's streams and free what it keeps."""
        for query in self.streams.active():
            query.stop()
        for relation_id in list(self._kept):
            self.release(relation_id)
        self._binders.close()
