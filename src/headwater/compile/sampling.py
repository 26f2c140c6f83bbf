"""Rows the compiler must look at to know a plan's columns (pivot values, crosstab columns).

Invariants: runs on the session's binder connection and leaves nothing registered there.
"""

from __future__ import annotations

from typing import Any

from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.frame import Frame, reference
from headwater.compile.resolved import Attribute
from headwater.duck import sql_text


def rows_of(frame: Frame, compiler: Compiler, most: int, order: Attribute | None = None) -> list[tuple[Any, ...]]:
    """At most `most` rows of a batch frame, sorted by a column if given."""
    query = frame.select()
    if order is not None:
        key = exp.Ordered(this=reference(order), nulls_first=True)
        query.set("order", exp.Order(expressions=[key]))
    query.set("limit", exp.Limit(expression=exp.Literal.number(most)))
    connection = compiler.context.binder()
    inputs = {**compiler.inputs, **frame.inputs}
    for name, data in inputs.items():
        connection.register(name, data)
    try:
        return list(connection.execute(sql_text(query)).fetchall())
    finally:
        for name in inputs:
            connection.unregister(name)
