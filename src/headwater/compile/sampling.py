"""Rows the compiler must look at to know a plan's columns (pivot values, crosstab columns, transposed rows).

Invariants: runs on the session's binder connection and leaves nothing registered there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
from sqlglot import exp

from headwater.compile.compiler import Compiler
from headwater.compile.frame import Frame, reference
from headwater.compile.resolved import Attribute
from headwater.duck import Connection, arrow, sql_text


def rows_of(frame: Frame, compiler: Compiler, most: int, order: Attribute | None = None) -> list[tuple[Any, ...]]:
    """At most `most` rows of a batch frame, sorted by a column if given."""
    query = frame.select()
    if order is not None:
        key = exp.Ordered(this=reference(order), nulls_first=True)
        query.set("order", exp.Order(expressions=[key]))
    query.set("limit", exp.Limit(expression=exp.Literal.number(most)))
    with _bound(frame.inputs, compiler) as connection:
        return list(connection.execute(sql_text(query)).fetchall())


def arrow_of(query: exp.Query, inputs: Mapping[str, Any], compiler: Compiler) -> pa.Table:
    """All rows of a query over batch inputs."""
    with _bound(inputs, compiler) as connection:
        return arrow(connection, query)


@contextmanager
def _bound(given: Mapping[str, Any], compiler: Compiler) -> Iterator[Connection]:
    connection = compiler.context.binder()
    inputs = {**compiler.inputs, **given}
    for name, data in inputs.items():
        connection.register(name, data)
    try:
        yield connection
    finally:
        for name in inputs:
            connection.unregister(name)
