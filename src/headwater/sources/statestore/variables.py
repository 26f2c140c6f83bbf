"""How variables of transformWithState are shown: `key` and `value`, `list_element`, or `user_map_key` and `…_value`.

Invariant: a list's elements stay in their order.
"""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql.types import ArrayType, MapType, StructField, StructType
from sqlglot import exp

from headwater.duck import Connection, arrow, sql_text
from headwater.state.reading import POSITION, Part, StateView
from headwater.state.schema import StateSchema

_USER_KEY = "user_"
_LIST, _MAP_KEY, _MAP_VALUE = "list_element", "user_map_key", "user_map_value"


@dataclass(frozen=True)
class Gathered:
    """Lists and maps as one row per key: a query over the flat rows, and its columns."""

    query: exp.Query
    type: StructType

    def rows(self, connection: Connection, flat: pa.Table) -> pa.Table:
        """One row per key."""
        connection.register("flat", flat)
        rows = exp.Create(this=exp.to_table("rows"), kind="TABLE", expression=exp.select("*").from_("flat"))
        rows.set("properties", exp.Properties(expressions=[exp.TemporaryProperty()]))
        connection.execute(sql_text(rows)).fetchall()
        return arrow(connection, self.query)


def parts_of_variable(schema: StateSchema) -> tuple[Part, ...]:
    """The columns of a variable, an element of a list or map a row."""
    group = tuple(c for c in schema.keys if c.name != POSITION and not c.name.startswith(_USER_KEY))
    user = tuple(c for c in schema.keys if c.name.startswith(_USER_KEY))
    key = Part("key", group)
    if user:
        return key, Part(_MAP_KEY, user), Part(_MAP_VALUE, schema.values)
    if any(c.name == POSITION for c in schema.keys):
        return key, Part(_LIST, schema.values)
    return key, Part("value", schema.values)


def gathered(view: StateView) -> Gathered:
    """The rows of a view with each key's elements in one row."""
    fields = {part.name: part.field.dataType for part in view.parts}
    key, partition = exp.column("key"), exp.column("partition_id")
    head, tail = view.rows_type.fields[0], view.rows_type.fields[-1]
    if _LIST in fields:
        whole: exp.Expr = _listed(_LIST)
        field = StructField("list_value", ArrayType(fields[_LIST]))
    elif _MAP_KEY in fields:
        whole = exp.func("map", _listed(_MAP_KEY), _listed(_MAP_VALUE))
        field = StructField("map_value", MapType(fields[_MAP_KEY], fields[_MAP_VALUE]))
    else:
        return Gathered(exp.select("*").from_("rows"), view.rows_type)
    query = exp.select(key, exp.alias_(whole, field.name), partition).from_("rows").group_by(key, partition)
    return Gathered(query, StructType([head, field, tail]))


def _listed(name: str) -> exp.Expr:
    """All values of a column in the order of the rows."""
    order = exp.Order(this=exp.column(name), expressions=[exp.Ordered(this=exp.column("rowid"))])
    return exp.Anonymous(this="list", expressions=[order])
