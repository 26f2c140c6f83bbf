"""The statements that stateful operators are made of: temporary tables and views, filled again in every batch.

Invariants: a statement is text, made once; `run` reads all it gives.
"""

from __future__ import annotations

from typing import Literal

from sqlglot import exp

from headwater import duck
from headwater.duck import Connection, sql_text


def column(name: str, table: str | None = None) -> exp.Column:
    """`table.name`."""
    return exp.column(name, table, quoted=True)


def named(tree: exp.Expr, name: str) -> exp.Expr:
    """`tree AS name`."""
    return exp.alias_(tree, name, quoted=True)


def table(name: str | exp.Table, alias: str) -> exp.Expr:
    """`name AS alias`."""
    return exp.alias_(exp.to_table(name, quoted=True) if isinstance(name, str) else name, alias, table=True)


def create(name: str, query: exp.Query, kind: Literal["TABLE", "VIEW"] = "TABLE") -> str:
    """`CREATE OR REPLACE TEMP TABLE name AS query`."""
    temporary = exp.Properties(expressions=[exp.TemporaryProperty()])
    made = exp.Create(
        this=exp.to_table(name, quoted=True), kind=kind, replace=True, properties=temporary, expression=query
    )
    return sql_text(made)


def same(names: list[str], left: str, right: str) -> exp.Condition:
    """`left.name = right.name AND …`; nulls are equal."""
    return exp.and_(exp.true(), *(exp.NullSafeEQ(this=column(n, left), expression=column(n, right)) for n in names))


def run(connection: Connection, text: str) -> int:
    """Run a statement; how many rows it wrote."""
    rows = duck.run(connection, text)
    return int(rows[0][0]) if rows and isinstance(rows[0][0], int) else 0


def count(connection: Connection, text: str) -> int:
    """The number that a query gives."""
    return int(duck.run(connection, text)[0][0])
