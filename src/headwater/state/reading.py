"""State as a table: the rows of a version, or what batches changed, in the columns users see.

Invariants: nothing in a checkpoint is changed; a version is read by the id that the commit log gives it.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql.types import IntegerType, LongType, NullType, StringType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, Printed, arrow
from headwater.io.checksum import read_checked
from headwater.io.storage import Storage
from headwater.state.schema import StateSchema, Stored
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import StateTable
from headwater.types.duck import to_duck

_PARTITION = StructField("partition_id", IntegerType())
POSITION = "position"
"""The key column that counts the elements of a list."""
_NOTHING = StructField("__dummy__", NullType())


def version_id(storage: Storage, checkpoint: str, batch: int, operator: int, store: StateStore) -> str | None:
    """What a store's version after `batch` was written as; None if the commit log or the store does not know it."""
    try:
        text = read_checked(storage, f"{checkpoint}/commits/{batch}").decode()
    except FileNotFoundError:
        return None
    ids = json.loads(text.partition("\n")[2] or "{}").get("stateUniqueIds") or {}
    written = [one for per_partition in ids.get(str(operator), []) for one in per_partition]
    return next((one for one in written if store.knows(batch + 1, one)), None)


@dataclass(frozen=True)
class Part:
    """A column of what is shown: a struct of a state's columns, or with `bare` the only one of them."""

    name: str
    columns: tuple[Stored, ...]
    bare: bool = False

    @property
    def field(self) -> StructField:
        """Its field."""
        fields = _fields(self.columns) or [_NOTHING]
        return StructField(self.name, fields[0].dataType if self.bare else StructType(fields))

    def shown(self) -> exp.Expr:
        """Its value over the table's columns."""
        fields = _fields(self.columns) or [_NOTHING]
        values: list[exp.Expr] = [Printed(this=column.shown) for column in self.columns] or [exp.null()]
        typed = [exp.cast(v, to_duck(f.dataType)) for v, f in zip(values, fields, strict=True)]
        if self.bare:
            return typed[0]
        pairs = [
            exp.PropertyEQ(this=exp.Literal.string(f.name), expression=v) for v, f in zip(typed, fields, strict=True)
        ]
        return exp.Struct(expressions=pairs)


@dataclass(frozen=True)
class StateView:
    """A state that is looked at: its noted schema, and the columns shown; the first of them is the key."""

    schema: StateSchema
    parts: tuple[Part, ...]

    @property
    def rows_type(self) -> StructType:
        """The columns of `rows`."""
        return StructType([*(part.field for part in self.parts), _PARTITION])

    @property
    def changes_type(self) -> StructType:
        """The columns of `changes`."""
        head = [StructField("batch_id", LongType()), StructField("change_type", StringType())]
        return StructType([*head, *self.rows_type.fields])

    def rows(self, connection: Connection, store: StateStore, version: int, written: str) -> pa.Table:
        """All rows of a version. Raises STATE_STORE_DAMAGED."""
        table = self._table(store)
        table.prepare(connection)
        table.load(connection, version, written)
        query = exp.select(*self._shown()).from_(table.relation)
        ordered = [exp.column(c.name, quoted=True) for c in self.schema.keys if c.name == POSITION]
        return arrow(connection, query.order_by(*ordered) if ordered else query)

    def changes(self, connection: Connection, store: StateStore, batches: range, written: Sequence[str]) -> pa.Table:
        """What each of the batches changed, as Spark tells it: `update` with the new value, `delete` without one."""
        table = self._table(store)
        table.prepare(connection)
        kind = exp.case().when(exp.column(REMOVED), exp.Literal.string("delete")).else_(exp.Literal.string("update"))
        parts = []
        for batch, version in zip(batches, written, strict=True):
            changed = table.load_changes(connection, batch + 1, version)
            number = exp.cast(exp.Literal.number(batch), "BIGINT")
            head = [exp.alias_(number, "batch_id"), exp.alias_(kind.copy(), "change_type")]
            parts.append(arrow(connection, exp.select(*head, *self._shown(REMOVED)).from_(changed)))
        return pa.concat_tables(parts)

    def _table(self, store: StateStore) -> StateTable:
        keys, values = ([stored.column() for stored in columns] for columns in (self.schema.keys, self.schema.values))
        like = exp.select("*").from_(exp.Subquery(this=Printed(this=self.schema.like))) if self.schema.like else None
        return StateTable(store, "looked_at", keys, values, like)

    def _shown(self, removed: str | None = None) -> list[exp.Expr]:
        shown: list[exp.Expr] = []
        for part in self.parts:
            value = part.shown()
            if removed and part.name != "key" and not set(part.columns) & set(self.schema.keys):
                value = exp.case().when(exp.column(removed).not_(), value)
            shown.append(exp.alias_(value, part.name))
        return [*shown, exp.alias_(exp.cast(exp.Literal.number(0), "INTEGER"), _PARTITION.name)]


def _fields(columns: Sequence[Stored]) -> list[StructField]:
    """The columns' fields; a name that comes again is numbered."""
    fields: list[StructField] = []
    for column in columns:
        seen = {field.name.lower() for field in fields}
        name, number = column.field.name, 2
        while name.lower() in seen:
            name, number = f"{column.field.name}_{number}", number + 1
        fields.append(StructField(name, column.field.dataType))
    return fields
