"""Views, variables and empty relations: how a batch's rows get their names on the query's connection.

Invariant: a name, once given, is never given again to columns of another number.
"""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.duck import Connection, Dialect
from headwater.types.duck import to_duck


def create_view(connection: Connection, name: str, query: exp.Query, columns: Sequence[str]) -> None:
    """Create or replace a temporary view whose columns are named by position."""
    inner = exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("rows"), columns=_names(columns)))
    view = exp.Create(
        this=exp.to_table(name),
        kind="VIEW",
        replace=True,
        properties=exp.Properties(expressions=[exp.TemporaryProperty()]),
        expression=exp.select("*").from_(inner, copy=False),
    )
    # the tree is this function's own or a batch's: copying it before every batch would cost more than the text
    connection.execute(view.sql(dialect=Dialect, copy=False)).fetchall()


def set_variable(name: str, texts: Sequence[str]) -> exp.Set:
    """`SET VARIABLE name = [texts…]`."""
    value = exp.Array(expressions=[exp.Literal.string(text) for text in texts])
    item = exp.SetItem(this=exp.EQ(this=exp.to_identifier(name), expression=value), kind="VARIABLE")
    return exp.Set(expressions=[item])


def no_rows(schema: StructType) -> exp.Query:
    """A query with the columns of `schema` and no rows."""
    columns = [exp.alias_(exp.cast(exp.null(), to_duck(f.dataType)), f"c{i}") for i, f in enumerate(schema.fields)]
    return exp.select(*columns).where(exp.false())


def _names(columns: Sequence[str]) -> list[exp.Identifier]:
    return [exp.to_identifier(name, quoted=True) for name in columns]
