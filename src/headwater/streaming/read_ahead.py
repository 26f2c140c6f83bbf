"""The next batch's groups, computed beside the end of the batch before it.

A source of files knows what it will most likely give next. What an operator asks of its input first needs neither the
state nor the watermark: it is run on a connection of its own while the batch before goes through the state, the sink
and the logs. A batch that turns out otherwise does its own reading, and what was read for it is dropped.

Invariants: nothing is written, given out or decided here, so a crash loses nothing but time; the files of a reading are
compared with those of the batch by name; any failure is left to the batch's own reading, which tells it.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.log import logger
from headwater.sources.base import BatchInput
from headwater.streaming import profile
from headwater.streaming.dataflow import Dataflow
from headwater.streaming.observing import ObserveNode
from headwater.streaming.operators.base import BeginsWithQuery
from headwater.streaming.statements import create, run
from headwater.streaming.views import create_view, set_variable
from headwater.streaming.watermark import WatermarkNode

_log = logger("streaming")
_STREAM = "stream_0"


@dataclass(frozen=True)
class Reading:
    """A batch's input that was read ahead.

    Attributes:
        rows: what was read.
        first: by operator, the table with what it asks of its input first.
        count: how many rows the source gave.
        all: nobody else reads the source.
    """

    rows: BatchInput
    first: Mapping[int, exp.Table]
    count: int
    all: bool


class ReadAhead:
    """Reads one batch ahead, on a connection of its own.

    Args:
        connection: the query's.
        flow: a flow that `first_queries` has something of.
    """

    def __init__(self, connection: Connection, flow: Dataflow) -> None:
        zone = connection.execute("SELECT current_setting('TimeZone')").fetchall()[0][0]
        self._connection = connection.cursor()
        self._connection.execute("SET TimeZone = ?", [zone])
        self._database = f"ahead_{secrets.token_hex(8)}"
        run(self._connection, f"ATTACH ':memory:' AS {self._database}")
        profile.enable(self._connection)
        self._columns = flow.leaves[0]
        self._views = [create(name, query, "VIEW") for name, query in _views(flow).items()]
        self._queries = first_queries(flow)
        self._all = not _others(flow, set(self._queries))
        self._texts: dict[str, str] = {}
        self._bound: exp.Query | None = None
        self._turn = 0
        self._worker = ThreadPoolExecutor(1, "read-ahead")
        self._reading: Future[Reading | None] | None = None
        self._stopped = False

    def begin(self, rows: BatchInput | None) -> None:
        """Read these rows beside what follows."""
        if rows is not None and rows.variables and not rows.inputs and not self._stopped:
            self._reading = self._worker.submit(self._read, rows)

    def take(self, rows: BatchInput | None) -> Reading | None:
        """What was read, if it is these rows: good until the call after the next."""
        reading, self._reading = self._reading, None
        made = reading.result() if reading is not None else None
        if made is None or rows is None or rows.query is not made.rows.query or rows.variables != made.rows.variables:
            return None
        return made

    def interrupt(self) -> None:
        """End what is being read."""
        self._connection.interrupt()

    def close(self) -> None:
        """Free what was read."""
        self._stopped = True
        self._connection.interrupt()
        self._worker.shutdown()
        run(self._connection, f"DETACH {self._database}")
        self._connection.close()

    def _read(self, rows: BatchInput) -> Reading | None:
        if self._stopped:
            return None
        try:
            self._bind(rows)
            self._turn = 1 - self._turn
            count, tables = None, {}
            for number, query in self._queries.items():
                table = exp.table_(f"operator_{number}_{self._turn}", db="main", catalog=self._database, quoted=True)
                run(self._connection, self._filling(table, query))
                count = profile.Profile(self._connection).rows(rows) if count is None else count
                tables[number] = table
        except Exception:  # the batch itself will tell, if it is still so then
            _log.debug("reading ahead failed, and ends", exc_info=True)
            self._stopped = True
            return None
        return None if count is None else Reading(rows, tables, count, self._all)

    def _bind(self, rows: BatchInput) -> None:
        for name, files in rows.variables.items():
            run(self._connection, sql_text(set_variable(name, files)))
        if self._bound is rows.query:
            return
        create_view(self._connection, _STREAM, rows.query.copy(), self._columns)
        for text in self._views:
            run(self._connection, text)
        self._bound = rows.query

    def _filling(self, table: exp.Table, query: exp.Query) -> str:
        if table.name not in self._texts:
            made = exp.Create(this=table.copy(), kind="TABLE", replace=True, expression=query)
            self._texts[table.name] = sql_text(made)
        return self._texts[table.name]


def first_queries(flow: Dataflow) -> dict[int, exp.Query]:
    """By operator, what it asks of its input first, where that can be read ahead.

    It can where the files of one source are all it depends on: no other relation, no time, no data of the client's.
    """
    if len(flow.leaves) != 1 or flow.inputs:
        return {}
    good = {_STREAM, *_views(flow)}
    begin = {node.number: node.operator for node in flow.operators if isinstance(node.operator, BeginsWithQuery)}
    queries = {number: operator.first_query for number, operator in begin.items()}
    return {number: query for number, query in queries.items() if _depends_on_files(query, good)}


def _views(flow: Dataflow) -> dict[str, exp.Query]:
    """The watermarks over the source that keep no rows of their own."""
    told = (node for node in flow.watermarks if node.told_by is not None)
    return {node.output: node.query for node in told if _depends_on_files(node.query, {_STREAM})}


def _others(flow: Dataflow, operators: set[int]) -> bool:
    """Whether the source is read by more than some operators."""
    names = {_STREAM, *_views(flow)}
    if any(names.intersection(node.sources) and node.number not in operators for node in flow.operators):
        return True
    looking = (node for node in flow.nodes if isinstance(node, WatermarkNode | ObserveNode))
    queries = [flow.query, *(node.query for node in looking if node.output not in names)]
    return any(table.name in names for query in queries for table in query.find_all(exp.Table))


def _depends_on_files(query: exp.Query, relations: set[str]) -> bool:
    if any(table.name not in relations for table in query.find_all(exp.Table)):
        return False
    return not any(str(call.this).lower() == "getvariable" for call in query.find_all(exp.Anonymous))
