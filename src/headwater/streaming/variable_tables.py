"""The state of a stateful processor in tables: one per variable, one of timers, and one that says which there are.

    variables   name; position among the ids, kind, schemas, whether values expire
    timers      group, time it expires
    a variable  group [+ position in the list | user's key]; values [+ time they expire]

Invariants: a variable that a run does not declare keeps its rows; only rows of the groups at hand come to Python.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pyarrow as pa
from pyspark.sql.types import BooleanType, IntegerType, LongType, StringType, StructType
from sqlglot import exp

from headwater import duck
from headwater.compile.grouping import GROUP, GroupedRows, create
from headwater.duck import Connection, arrow, sql_text
from headwater.errors import RuntimeSparkError
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import StateColumn, StateTable, Written
from headwater.streaming.handed import GroupTable, by_position
from headwater.udf.cells import Cell, Cells, Key, Loaded
from headwater.udf.values import codec_of
from headwater.udf.variables import Variable, cell_key

EXPIRES, POSITION = "expires", "position"
_TYPES = {"value": "ValueState", "list": "ListState", "map": "MapState"}
_NOW = "batch_now"


class CellTable:
    """Cells in a table: what becomes of them in a batch, and back.

    Args:
        table: where they are kept.
    """

    def __init__(self, table: GroupTable) -> None:
        self._table = table
        self.state = table.table
        self.cells = Cells(0)
        self.changed = False

    def turn(self, now: int) -> None:
        """A new batch, at the time `now`."""
        self.cells = Cells(now)
        self.changed = False

    def begin(self, connection: Connection) -> None:
        """Turn to the groups at hand."""
        self.cells.begin(lambda: self._loaded(self._table.load(connection)))

    def flush(self, connection: Connection) -> None:
        """Take the changes of the groups at hand in."""
        changes = list(self.cells.taken())
        if not changes:
            return
        self.changed = True
        columns = self._columns([key for _, key, _, _ in changes], [cell for _, _, cell, _ in changes])
        columns = {GROUP: pa.array([group for group, *_ in changes], pa.int64()), **columns}
        columns[REMOVED] = pa.array([removed for *_, removed in changes], pa.bool_())
        self._table.change(connection, pa.table(columns))

    def _loaded(self, rows: pa.Table) -> Iterator[Loaded]:
        raise NotImplementedError

    def _columns(self, keys: Sequence[Key], cells: Sequence[Cell]) -> dict[str, pa.Array]:
        raise NotImplementedError


class TimerTable(CellTable):
    """The timers; a cell's key is the time it expires."""

    def __init__(self, store: StateStore, prefix: str, rows: GroupedRows) -> None:
        more = [StateColumn(EXPIRES, LongType(), "expiryTimestampMs")]
        super().__init__(GroupTable(store, prefix, rows.wanted, rows.columns(), [], more))

    def _loaded(self, rows: pa.Table) -> Iterator[Loaded]:
        for group, expires in zip(rows.column(GROUP).to_pylist(), rows.column(EXPIRES).to_pylist(), strict=True):
            yield group, expires, Cell(())

    def _columns(self, keys: Sequence[Key], cells: Sequence[Cell]) -> dict[str, pa.Array]:
        del cells
        return {EXPIRES: pa.array(keys, pa.int64())}


class VariableTable(CellTable):
    """A variable's rows."""

    def __init__(self, variable: Variable, store: StateStore, prefix: str, rows: GroupedRows) -> None:
        self.variable = variable
        key_fields = variable.key.fields if variable.key is not None else []
        schema = StructType([*key_fields, *variable.schema.fields])
        self._codec = codec_of(schema)
        named = [f"user_{i}" for i in range(len(key_fields))]
        named += [f"value_{i}" for i in range(len(variable.schema.fields))]
        columns = [
            StateColumn(name, field.dataType, field.name, by_position(field.dataType))
            for name, field in zip(named, schema.fields, strict=True)
        ]
        more, values = columns[: len(key_fields)], columns[len(key_fields) :]
        if variable.kind == "list":
            more = [StateColumn(POSITION, LongType())]
        if variable.ttl_ms is not None:
            values = [*values, StateColumn(EXPIRES, LongType(), "ttlExpirationMs")]
        self._kept = named
        group = rows.columns()
        super().__init__(GroupTable(store, prefix, rows.wanted, group, values, more))
        relation = self.state.relation
        everything = [exp.column(c.name, quoted=True) for c in (*group, *more, *values)]
        gone = exp.select(*everything, exp.alias_(exp.true(), REMOVED)).from_(relation)
        now = exp.Anonymous(this="getvariable", expressions=[exp.Literal.string(_NOW)])
        passed = exp.LTE(this=exp.column(EXPIRES), expression=exp.cast(now, "BIGINT"))
        self._gone = f"{prefix}_gone"
        self._expire = create(self._gone, gone.copy().where(passed))
        self._forget = create(self._gone, gone)
        keys = exp.select(*(exp.column(c.name, quoted=True) for c in group)).distinct().from_(relation)
        self._lists = sql_text(exp.select(exp.Count(this=exp.Star())).from_(keys.subquery("lists")))
        self._held = 0

    def expire(self, connection: Connection, now: int) -> int:
        """Remove what has expired; how many rows that were."""
        if self.variable.ttl_ms is None:
            return 0
        connection.execute(f"SET VARIABLE {_NOW} = {now}").fetchall()
        return self._remove(connection, self._expire)

    def forget(self, connection: Connection) -> int:
        """Remove all rows; how many there were."""
        return self._remove(connection, self._forget)

    def count(self, connection: Connection) -> int:
        """Rows as Spark counts them: a list is one."""
        if self.variable.kind != "list":
            return self.state.rows
        if self.changed:
            self._held = int(duck.run(connection, self._lists)[0][0])
        return self._held

    def restored(self) -> None:
        """The rows are others than before."""
        self.changed = True

    def _remove(self, connection: Connection, text: str) -> int:
        gone = int(connection.execute(text).fetchall()[0][0])
        if gone:
            self.state.apply(connection, self._gone)
            self.changed = True
        return gone

    def _loaded(self, rows: pa.Table) -> Iterator[Loaded]:
        if self.variable.kind == "list":
            rows = rows.sort_by(POSITION)
        groups = rows.column(GROUP).to_pylist()
        kept = self._codec.values([rows.column(name) for name in self._kept])
        positions = rows.column(POSITION).to_pylist() if self.variable.kind == "list" else [None] * len(groups)
        expires = rows.column(EXPIRES).to_pylist() if self.variable.ttl_ms is not None else [None] * len(groups)
        for group, value, position, expiry in zip(groups, kept, positions, expires, strict=True):
            yield group, cell_key(self.variable, position, value), Cell(value, expiry)

    def _columns(self, keys: Sequence[Key], cells: Sequence[Cell]) -> dict[str, pa.Array]:
        made = dict(zip(self._kept, self._codec.columns([cell.value for cell in cells]), strict=True))
        if self.variable.kind == "list":
            made[POSITION] = pa.array(keys, pa.int64())
        if self.variable.ttl_ms is not None:
            made[EXPIRES] = pa.array([cell.expires for cell in cells], pa.int64())
        return made


class VariableTables:
    """All tables of one processor.

    Args:
        stores: where the state `name` lies; "" is that of `variables`.
        prefix: begins the names of everything on the connection.
    """

    def __init__(self, stores: Callable[[str], StateStore], prefix: str, rows: GroupedRows) -> None:
        self._stores = stores
        self._prefix = prefix
        self._rows = rows
        self._known = StateTable(
            stores(""),
            f"{prefix}_variables",
            [StateColumn("name", StringType())],
            [
                StateColumn(POSITION, IntegerType()),
                StateColumn("kind", StringType()),
                StateColumn("userKeySchema", StringType()),
                StateColumn("valueSchema", StringType()),
                StateColumn("ttl", BooleanType()),
            ],
        )
        self.timers = TimerTable(stores("timers"), f"{prefix}_timers", rows)
        self.by_name: dict[str, VariableTable] = {}

    @property
    def all(self) -> list[CellTable]:
        """Timers and variables, in the order of their ids."""
        return [self.timers, *self.by_name.values()]

    def prepare(self, connection: Connection) -> None:
        """Create the tables that any processor has."""
        self._known.prepare(connection)
        self.timers.state.prepare(connection)

    def restore(self, connection: Connection, version: int, ids: Sequence[str], declared: Sequence[Variable]) -> None:
        """Load a version, and note the variables that it does not know.

        Raises STATE_STORE_INVALID_VARIABLE_TYPE_CHANGE, STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE, STATE_STORE_DAMAGED.
        """
        self._known.restore(connection, version, ids[0] if ids else None)
        now = {variable.name: variable for variable in declared}
        for position, known in enumerate(self._noted(connection)):
            variable = _merged(known, now.pop(known.name, None))
            self._add(connection, variable).state.restore(connection, version, ids[2 + position])
        for variable in now.values():
            self._add(connection, variable).state.restore(connection, version, None)
        self.timers.state.restore(connection, version, ids[1] if ids else None)
        self._note(connection, list(now.values()))

    def commit(self, connection: Connection, version: int) -> tuple[Written, ...]:
        """Make everything durable as `version`."""
        return tuple([state.commit(connection, version) for state in (self._known, *(t.state for t in self.all))])

    def purge(self, before: int) -> None:
        """Forget what is only needed to restore versions below `before`."""
        for state in (self._known, *(table.state for table in self.all)):
            state.purge(before)

    # ── variables ───────────────────────────────────────────────────────────────────────────────────────────

    def _add(self, connection: Connection, variable: Variable) -> VariableTable:
        store = self._stores(f"variable-{quote(variable.name, safe='')}")
        table = VariableTable(variable, store, f"{self._prefix}_variable_{len(self.by_name)}", self._rows)
        self.by_name[variable.name] = table
        table.state.prepare(connection)
        table.restored()
        return table

    def _noted(self, connection: Connection) -> list[Variable]:
        query = exp.select("*").from_(self._known.relation).order_by(POSITION)
        return [_variable(row) for row in arrow(connection, query).to_pylist()]

    def _note(self, connection: Connection, variables: Sequence[Variable]) -> None:
        if not variables:
            return
        first = self._known.rows
        rows = {
            "name": [v.name for v in variables],
            POSITION: pa.array(range(first, first + len(variables)), pa.int32()),
            "kind": [v.kind for v in variables],
            "userKeySchema": pa.array([None if v.key is None else v.key.json() for v in variables], pa.string()),
            "valueSchema": [v.schema.json() for v in variables],
            "ttl": [v.ttl_ms is not None for v in variables],
            REMOVED: [False] * len(variables),
        }
        name = f"{self._prefix}_noted"
        connection.register(name, pa.table(rows))
        try:
            self._known.apply(connection, name)
        finally:
            connection.unregister(name)


def _variable(row: dict[str, Any]) -> Variable:
    key = row["userKeySchema"]
    return Variable(
        row["name"],
        row["kind"],
        StructType.fromJson(json.loads(row["valueSchema"])),
        None if key is None else StructType.fromJson(json.loads(key)),
        1 if row["ttl"] else None,
    )


def _merged(known: Variable, declared: Variable | None) -> Variable:
    """The variable as this run has it: as it is declared, if it is."""
    if declared is None:
        return known
    if declared.kind != known.kind:
        raise RuntimeSparkError(
            "STATE_STORE_INVALID_VARIABLE_TYPE_CHANGE",
            stateVarName=known.name,
            newType=_TYPES[declared.kind],
            oldType=_TYPES[known.kind],
        )
    return declared
