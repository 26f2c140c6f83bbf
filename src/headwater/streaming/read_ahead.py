"""The next batches' groups, computed beside the batch before them.

A source of files knows what it will most likely give next. What an operator asks of its input first needs neither the
state nor the watermark: it is run on a connection of its own while the batch before goes through the state, the sink
and the logs. A batch that turns out otherwise does its own reading, and what was read for it is dropped.

Invariants: nothing is written, given out or decided here, so a crash loses nothing but time; the files of a reading are
compared with those of the batch by name; any failure is left to the batch's own reading, which tells it.
"""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import cast

from sqlglot import exp

from headwater import duck
from headwater.duck import Connection, sql_text
from headwater.log import logger
from headwater.sources.base import BatchInput
from headwater.streaming import profile
from headwater.streaming.dataflow import Dataflow
from headwater.streaming.folding import with_column_of, with_file_value
from headwater.streaming.observing import ObserveNode
from headwater.streaming.operators.base import BeginsWithQuery
from headwater.streaming.statements import column, create, named, run
from headwater.streaming.views import create_view, set_variable
from headwater.streaming.watermark import WatermarkNode

_log = logger("streaming")
_STREAM = "stream_0"
_BATCHES = "ahead_batches"
"""The DuckDB variable that has the number of each file's batch, where several are read together."""
_BATCH, _ROWS = "ahead_batch", "ahead_rows"
"""Columns of such groups: the number of their batch, and how many rows they are of."""
_FILE_NUMBER = exp.cast(exp.Add(this=exp.column("file_index"), expression=exp.Literal.number(1)), "BIGINT")
_MOST = 8
"""So many batches are read together at most: beyond that, planning is a small part of the work."""


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
    """Reads the next batches ahead, on a connection of its own.

    Small batches are read several at a time, for DuckDB takes as long to plan the reading of a small file as to read
    it. How many doubles from one group of batches to the next, and begins again when a batch turned out otherwise.

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
        self._views = _views(flow)
        self._queries = first_queries(flow)
        self._apart = {number: _by_batch(query, set(self._views)) for number, query in self._queries.items()}
        self._all = not _others(flow, set(self._queries))
        self._texts: dict[str, str] = {}
        self._bound: exp.Query | None = None
        self._several = False
        self._most = 1
        self._turn = 0
        self._worker = ThreadPoolExecutor(1, "read-ahead")
        self._known: deque[Reading] = deque()
        self._reading: Future[list[Reading]] | None = None
        self._stopped = False

    def begin(self, following: Callable[[int, int], Sequence[BatchInput]]) -> None:
        """Read beside what follows, if nothing is being read.

        Args:
            following: see `ReadsAhead.ahead`.
        """
        if self._reading is not None or self._stopped:
            return
        group = following(len(self._known), self._most)
        if group and all(rows.variables and not rows.inputs and rows.query is group[0].query for rows in group):
            self._turn = 1 - self._turn  # the other one's tables are of readings that may be known
            self._reading = self._worker.submit(self._read, group, self._turn)

    def take(self, rows: BatchInput | None) -> Reading | None:
        """What was read, if it is these rows: good until the next call."""
        if not self._known and self._reading is not None:
            self._known.extend(self._reading.result())
            self._reading = None
            self._most = min(2 * self._most, _MOST) if self._several else 1
        made = self._known.popleft() if self._known else None
        if made is None or rows is None or rows.query is not made.rows.query or rows.variables != made.rows.variables:
            self._forget()
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

    def _forget(self) -> None:
        """What comes is not what was expected."""
        if self._reading is not None:
            self._reading.result()
        self._reading, self._most = None, 1
        self._known.clear()

    # ── on its own thread ───────────────────────────────────────────────────────────────────────────────────

    def _read(self, group: Sequence[BatchInput], turn: int) -> list[Reading]:
        if self._stopped:
            return []
        try:
            (name,) = group[0].variables
            files = set_variable(name, [file for rows in group for file in rows.variables[name]])
            batches = [index for index, rows in enumerate(group) for _ in rows.variables[name]]
            self._connection.execute(f"{sql_text(files)}; SET VARIABLE {_BATCHES} = {batches}").fetchall()
            self._bind(group[0].query)
            return self._read_several(group, turn) if len(group) > 1 else self._read_one(group[0], turn)
        except Exception:  # the batch itself will tell, if it is still so then
            _log.debug("reading ahead failed, and ends", exc_info=True)
            self._stopped = True
            return []

    def _read_one(self, rows: BatchInput, turn: int) -> list[Reading]:
        count, tables = None, {}
        for number, query in self._queries.items():
            tables[number] = table = self._table(number, turn)
            run(self._connection, self._filling(table, query))
            count = profile.Profile(self._connection).rows(rows) if count is None else count
        return [] if count is None else [Reading(rows, tables, count, self._all)]

    def _read_several(self, group: Sequence[BatchInput], turn: int) -> list[Reading]:
        """All in one query: their groups are told apart by the number of the batch."""
        counts: dict[int, int] = {}
        for number, query in self._apart.items():
            assert query is not None, "read one at a time"
            table = self._table(number, turn, "_several")
            run(self._connection, self._filling(table, query))
            if not counts:
                counts = dict(duck.run(self._connection, self._counting(table)))
        tables = [{number: self._part(number, turn, index) for number in self._apart} for index in range(len(group))]
        parts = zip(group, tables, strict=True)
        return [Reading(rows, part, int(counts.get(i, 0)), self._all) for i, (rows, part) in enumerate(parts)]

    def _bind(self, query: exp.Query) -> None:
        """Let the views stand for a scan; for one that tells its files apart, if that is possible."""
        if self._bound is query:
            return
        batch = exp.func("list_extract", exp.func("getvariable", exp.Literal.string(_BATCHES)), _FILE_NUMBER.copy())
        scan = with_file_value(query, batch, _BATCH)
        views = {name: with_column_of(view, _STREAM, _BATCH) for name, view in self._views.items()}
        self._several = scan is not None and None not in views.values() and None not in self._apart.values()
        columns = (*self._columns, _BATCH) if self._several else self._columns
        create_view(self._connection, _STREAM, scan if scan is not None and self._several else query.copy(), columns)
        for name, view in self._views.items():
            wider = views[name]
            run(self._connection, create(name, wider if wider is not None and self._several else view, "VIEW"))
        self._bound = query

    def _table(self, number: int, turn: int, suffix: str = "") -> exp.Table:
        return exp.table_(f"operator_{number}_{turn}{suffix}", db="main", catalog=self._database, quoted=True)

    def _part(self, number: int, turn: int, batch: int) -> exp.Table:
        """The view of one batch's groups."""
        part = self._table(number, turn, f"_{batch}")
        if part.name not in self._texts:
            rows = exp.select("*").from_(self._table(number, turn, "_several"))
            rows = rows.where(exp.EQ(this=column(_BATCH), expression=exp.Literal.number(batch)))
            self._texts[part.name] = sql_text(exp.Create(this=part.copy(), kind="VIEW", expression=rows))
            run(self._connection, self._texts[part.name])
        return part

    def _counting(self, table: exp.Table) -> str:
        rows = exp.cast(exp.Sum(this=column(_ROWS)), "BIGINT")
        return sql_text(exp.select(column(_BATCH), rows).from_(table.copy()).group_by(column(_BATCH)))

    def _filling(self, table: exp.Table, query: exp.Query) -> str:
        if table.name not in self._texts:
            made = exp.Create(this=table.copy(), kind="TABLE", replace=True, expression=query)
            self._texts[table.name] = sql_text(made)
        return self._texts[table.name]


def _by_batch(query: exp.Query, views: Iterable[str]) -> exp.Query | None:
    """The groups of several batches, each with the number of its batch and its rows; None where that is not known."""
    group = query.args.get("group")
    source = query.args["from_"].this if isinstance(query, exp.Select) and "from_" in query.args else None
    if group is None or not isinstance(source, exp.Subquery) or query.args.get("having") is not None:
        return None
    if any(value for name, value in group.args.items() if name != "expressions"):
        return None
    found = (with_column_of(source.this, name, _BATCH) for name in (_STREAM, *views))
    wider = next((one for one in found if one is not None), None)
    if wider is None:
        return None
    apart = cast(exp.Select, query).select(column(_BATCH), named(exp.Count(this=exp.Star()), _ROWS))
    cast(exp.Subquery, apart.args["from_"].this).set("this", wider)
    return apart.group_by(column(_BATCH))


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
