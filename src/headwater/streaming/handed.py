"""Rows that Python hands back to DuckDB: an operator's output, and the changes of a state by group number.

Invariants: whole Arrow tables are handed over, typed by Spark's types; the key of a change never leaves DuckDB.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pyspark.sql.types import DataType, StructType
from sqlglot import exp

from headwater import duck
from headwater.compile.grouping import GROUP, create, same_keys
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection, arrow, sql_text
from headwater.state.column import Loaded
from headwater.state.store import REMOVED, StateStore
from headwater.state.table import StateColumn, StateTable
from headwater.types.duck import to_duck


class OutputRows:
    """The table of an operator's output rows.

    Args:
        name: of the table.
        schema: Spark's schema of the rows.
    """

    def __init__(self, name: str, schema: StructType) -> None:
        self._name = name
        self._given = f"{name}_given"
        self._schema = schema
        self._columns = [f"out_{i}" for i in range(len(schema.fields))]
        columns = [
            exp.alias_(exp.cast(exp.null(), to_duck(field.dataType)), column, quoted=True)
            for column, field in zip(self._columns, schema.fields, strict=True)
        ]
        self._clear = create(name, exp.select(*(columns or [exp.alias_(exp.null(), "nothing")])).where(exp.false()))
        self._insert = sql_text(exp.insert(exp.select("*").from_(self._given), name))

    def resolved(self, columns: Sequence[Attribute] | None = None) -> Resolved:
        """A query of the rows; `columns`: the attributes, if not the schema's own."""
        attributes = columns or [
            Attribute(field.name, field.dataType, field.nullable, sql, metadata=field.metadata or {})
            for field, sql in zip(self._schema.fields, self._columns, strict=True)
        ]
        query = exp.select(*(exp.column(name, quoted=True) for name in self._columns)).from_(self._name)
        return Resolved(query, tuple(attributes))

    def clear(self, connection: Connection) -> None:
        """Create the table, empty."""
        duck.run(connection, self._clear)

    def add(self, connection: Connection, rows: pa.Table) -> None:
        """Add rows, columns by position."""
        if not rows.num_rows:
            return
        connection.register(self._given, rows.rename_columns(self._columns))
        try:
            duck.run(connection, self._insert)
        finally:
            connection.unregister(self._given)


class GroupTable:
    """A state table looked up and changed by the numbers of the groups at hand.

    Args:
        store: where its versions lie.
        prefix: begins the names of what is made on the connection.
        wanted: the relation with the numbers and keys of the groups at hand.
        group: the key's columns in `wanted`.
        more: further columns of the table's key.
        values: the other columns.
    """

    def __init__(
        self,
        store: StateStore,
        prefix: str,
        wanted: str,
        group: Sequence[StateColumn],
        values: Sequence[StateColumn],
        more: Sequence[StateColumn] = (),
    ) -> None:
        self.table = StateTable(store, prefix, [*group, *more], values)
        self._given = f"{prefix}_given"
        self._changed = f"{prefix}_changed"
        names = [column.name for column in group]
        rest = [column.name for column in (*more, *values)]
        on = same_keys(names, "s", "w")
        self._matching = sql_text(
            exp.select(exp.column(GROUP, "w"), *(exp.column(n, "s", quoted=True) for n in rest))
            .from_(_named(self.table.relation, "s"))
            .join(_named(wanted, "w"), on=on)
        )
        given = [exp.column(n, "g", quoted=True) for n in (*rest, REMOVED)]
        joined = exp.select(*(exp.column(n, "w", quoted=True) for n in names), *given).from_(_named(self._given, "g"))
        same = exp.EQ(this=exp.column(GROUP, "g"), expression=exp.column(GROUP, "w"))
        self._take = create(self._changed, joined.join(_named(wanted, "w"), on=same))

    def load(self, connection: Connection) -> pa.Table:
        """The rows of the groups at hand: number of the group, further key columns, values."""
        return arrow(connection, self._matching)

    def change(self, connection: Connection, changes: pa.Table) -> None:
        """Take changes in: as `load` gives rows, and `_removed`."""
        if not changes.num_rows:
            return
        connection.register(self._given, changes)
        try:
            duck.run(connection, self._take)
        finally:
            connection.unregister(self._given)
        self.table.apply(connection, self._changed)


def by_position(kind: DataType) -> Loaded | None:
    """For a column of structs: their fields may have other names than those stored."""
    if not isinstance(kind, StructType):
        return None
    return lambda column, stored: _repacked(column, kind, stored)


def _repacked(value: exp.Expression, kind: DataType, stored: pa.DataType) -> exp.Expression:
    """A stored struct under the field names of `kind`."""
    if not (isinstance(kind, StructType) and pa.types.is_struct(stored)):
        return value
    parts = [
        _repacked(_part(value, old), field.dataType, old.type) for field, old in zip(kind.fields, stored, strict=True)
    ]
    fields = [
        exp.PropertyEQ(this=exp.to_identifier(field.name, quoted=True), expression=part)
        for field, part in zip(kind.fields, parts, strict=True)
    ]
    absent = exp.Is(this=value.copy(), expression=exp.Null())
    return exp.Case(ifs=[exp.If(this=absent, true=exp.Null())], default=exp.Struct(expressions=fields))


def _part(value: exp.Expression, field: pa.Field) -> exp.Expression:
    return exp.Anonymous(this="struct_extract", expressions=[value.copy(), exp.Literal.string(field.name)])


def _named(name: str, alias: str) -> exp.Expr:
    return exp.alias_(exp.to_table(name, quoted=True), alias, table=True)
