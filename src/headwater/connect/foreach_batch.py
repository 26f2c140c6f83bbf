"""Calls users' foreachBatch functions in this process, with genuine client DataFrames.

The function works on a clone of the session that started the query, as in Spark, reached through the same door as
any client: this server's URL. What it pickled of its own session (`spark`) means the starting session.

Invariants: the batch is a relation of the clone for as long as the call lasts; a failure carries the user's own
traceback.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from sqlglot import exp

from headwater.compile.resolved import Attribute, Resolved
from headwater.connect.session import SessionHolder
from headwater.errors import SparkError
from headwater.plan.commands import PythonFunction
from headwater.sessions.session import Session
from headwater.sinks.foreach_batch import KeptRows
from headwater.udf.function import check_python, extend_path

if TYPE_CHECKING:
    from pyspark.sql.connect.session import SparkSession

    from headwater.connect.server import Server

_CLONE = "spark.sql.connect.streaming.foreachBatch.useClonedSession"


class ForeachBatchFunctions:
    """Opens functions for the queries of one server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def __call__(self, function: PythonFunction, session: Session) -> UserFunction:
        """The function, bound to the session that starts the query. Raises PYTHON_VERSION_MISMATCH."""
        check_python(function.python_version)
        starter = self._server.find(session)
        assert starter is not None
        return UserFunction(function, starter, self._server)


class UserFunction:
    """One query's function and the sessions it sees. Used from the query's thread only, but for `close`."""

    def __init__(self, function: PythonFunction, starter: SessionHolder, server: Server) -> None:
        self._command = function.command
        self._starter = starter
        self._server = server
        cloned = starter.session.settings.flag(_CLONE)
        self._holder = server.sessions.clone_of(starter) if cloned else starter
        self._holder.pinned = True
        self._clients: list[SparkSession] = []

    def __call__(self, rows: KeptRows, batch_id: int) -> None:
        """Call the function. Raises FOREACH_BATCH_USER_FUNCTION_ERROR."""
        relation_id = self._holder.session.keep(_relation(rows))
        try:
            function, client = self._function, self._client
            _activate(client)
            function(client._create_remote_dataframe(relation_id), batch_id)
        except (Exception, SystemExit) as error:
            text = "".join(traceback.format_exception(error))
            raise SparkError("FOREACH_BATCH_USER_FUNCTION_ERROR", reason=f"{error}\n\n{text}") from error
        finally:
            self._holder.session.release(relation_id)

    def close(self) -> None:
        """Close the clients and release the clone."""
        for client in self._clients:
            client.client.close()
        self._holder.pinned = False
        if self._holder is not self._starter:
            self._server.sessions.release(self._holder.key)

    @cached_property
    def _function(self) -> Callable[[Any, int], object]:
        _activate(self._connect(self._starter))
        extend_path(self._starter.artifacts.python_paths())
        function: Callable[[Any, int], object] = pickle.loads(self._command)
        return function

    @cached_property
    def _client(self) -> SparkSession:
        return self._connect(self._holder)

    def _connect(self, holder: SessionHolder) -> SparkSession:
        from pyspark.sql.connect.session import SparkSession

        user, session_id = holder.key
        client = SparkSession(f"{self._server.url};user_id={quote(user)};session_id={session_id}")
        client.release_session_on_close = False
        self._clients.append(client)
        return client


def _activate(client: SparkSession) -> None:
    """Make it what `SparkSession.active()` and unpickled sessions mean on this thread."""
    type(client)._active_session.session = client


def _relation(rows: KeptRows) -> Resolved:
    attributes = tuple(
        [
            Attribute(field.name, field.dataType, field.nullable, column, metadata=field.metadata or {})
            for field, column in zip(rows.schema.fields, rows.columns, strict=True)
        ]
    )
    columns = [exp.column(column, quoted=True) for column in rows.columns]
    return Resolved(exp.select(*columns).from_(rows.table), attributes)
