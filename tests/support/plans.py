"""Small plans and a session to compile and run them in."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from pyspark.sql.types import DataType, DoubleType, IntegerType, StringType

from headwater.compile import Resolved, compile_relation
from headwater.duck import Connection, Database, sql_text
from headwater.functions import kernels
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from headwater.settings import Settings
from headwater.types.arrow import conform


class Session:
    """The compiler's context over one DuckDB connection; `views` are plans by name."""

    time_zone = "UTC"

    def __init__(self, **settings: str) -> None:
        self.settings = Settings({key.replace("__", "."): value for key, value in settings.items()})
        self._database = Database(threads=1)
        self.connection = self._database.connect()
        kernels.install(self.connection)
        self.views: dict[str, plan.Relation | Resolved] = {}

    def binder(self) -> Connection:
        """The one connection."""
        return self.connection

    def table(self, read: plan.ReadTable) -> plan.Relation | Resolved:
        """A view."""
        return self.views[read.parts[-1]]

    def source(self, read: plan.ReadSource) -> Resolved:
        """There are none."""
        raise NotImplementedError(read)

    def cached(self, relation_id: str) -> plan.Relation | Resolved:
        """There are none."""
        raise NotImplementedError(relation_id)

    def sql(self, text: str, named: dict[str, ex.Expression], positional: tuple[ex.Expression, ...]) -> plan.Relation:
        """The plan of a query."""
        from headwater.sql import parse_query

        return parse_query(text, named, positional)

    def run(self, relation: plan.Relation) -> tuple[str, list[tuple[Any, ...]]]:
        """The schema (`struct<a:int>`) and the rows."""
        resolved = compile_relation(relation, self)
        for name, data in resolved.inputs.items():
            self.connection.register(name, data)
        table = self.connection.sql(sql_text(resolved.query)).to_arrow_table()
        columns = [column.to_pylist() for column in conform(table, resolved.schema, "UTC").columns]
        return resolved.schema.simpleString(), list(zip(*columns, strict=True))

    def query(self, text: str) -> tuple[str, list[tuple[Any, ...]]]:
        """The same for SQL."""
        return self.run(self.sql(text, {}, ()))


def col(name: str, plan_id: int | None = None) -> ex.Column:
    """A column by dotted name."""
    return ex.Column(tuple(name.split(".")), plan_id)


def lit(value: Any, data_type: DataType | None = None) -> ex.Literal:
    """A constant: int, float, str or None."""
    kinds = {int: IntegerType(), float: DoubleType(), str: StringType()}
    return ex.Literal(value, data_type or kinds.get(type(value), StringType()))


def call(name: str, *arguments: ex.Expression) -> ex.Call:
    """A function or operator."""
    return ex.Call(name, arguments)


def named(expression: ex.Expression, name: str) -> ex.Alias:
    """`expression AS name`."""
    return ex.Alias(expression, (name,))


def rows(plan_id: int | None = None, **columns: Any) -> plan.LocalData:
    """Local rows; a column is a list or an Arrow array."""
    return plan.LocalData(pa.table(columns), plan_id=plan_id)
