"""Tables of a processor's variables: kinds, times to live, versions, and variables that come and go between runs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import StringType
from sqlglot import exp

from headwater.compile.grouping import GroupedRows
from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import Connection, Database
from headwater.errors import SparkError
from headwater.io.local import LocalStorage
from headwater.state.store import StateStore
from headwater.streaming.variable_tables import VariableTables
from headwater.types.ddl import parse_schema
from headwater.udf.cells import Cell
from headwater.udf.values import order_of
from headwater.udf.variables import Variable

VALUE = Variable("n", "value", parse_schema("n INT"))
LIST = Variable("all: of/them", "list", parse_schema("v BIGINT"), ttl_ms=5)
MAP = Variable("by", "map", parse_schema("n INT"), parse_schema("k STRING"))
NOW = 1_000


class Run:
    """One run of a query: tables restored to a version, and the group `a` at hand as number 1."""

    def __init__(self, folder: Path, version: int, ids: Any, *declared: Variable) -> None:
        self.connection: Connection = Database().connect()
        self.connection.execute("CREATE TABLE source AS SELECT 'a' AS k")
        key = Attribute("k", StringType(), True, "k")
        rows = GroupedRows("p", Resolved(exp.select("k").from_("source"), (key,)), 1)
        rows.prepare(self.connection)
        stores: Callable[[str], StateStore] = lambda name: StateStore(LocalStorage("none"), f"{folder}/{name}")  # noqa: E731
        self.tables = VariableTables(stores, "p", rows)
        self.tables.prepare(self.connection)
        self.tables.restore(self.connection, version, ids, declared)
        list(rows.chunks(self.connection))
        for table in self.tables.all:
            table.turn(NOW)
            table.begin(self.connection)

    def commit(self, version: int) -> Any:
        for table in self.tables.all:
            table.flush(self.connection)
        written = self.tables.commit(self.connection, version)
        for each in written:
            each.wait()
        return tuple(each.id for each in written)


def test_cells_of_every_kind_come_back_at_their_version(tmp_path: Path) -> None:
    run = Run(tmp_path, 0, (), VALUE, LIST, MAP)
    run.tables.timers.cells.put(1, NOW + 5, Cell(()))
    run.tables.by_name["n"].cells.put(1, (), Cell((7,)))
    for position in (0, 1):
        run.tables.by_name["all: of/them"].cells.put(1, position, Cell((position,), NOW + 5 + position))
    run.tables.by_name["by"].cells.put(1, order_of(("x",)), Cell(("x", 8)))
    first = run.commit(1)
    run.tables.by_name["n"].cells.remove(1, ())
    second = run.commit(2)

    again = Run(tmp_path, 1, first, VALUE, LIST, MAP)
    assert again.tables.by_name["n"].cells.of(1) == {(): Cell((7,))}
    assert again.tables.by_name["all: of/them"].cells.of(1) == {0: Cell((0,), NOW + 5), 1: Cell((1,), NOW + 6)}
    assert again.tables.by_name["by"].cells.of(1) == {order_of(("x",)): Cell(("x", 8))}
    assert list(again.tables.timers.cells.of(1)) == [NOW + 5]
    assert Run(tmp_path, 2, second, VALUE, LIST, MAP).tables.by_name["n"].cells.of(1) == {}


def test_a_list_counts_as_one_and_expires_value_by_value(tmp_path: Path) -> None:
    run = Run(tmp_path, 0, (), LIST)
    table = run.tables.by_name[LIST.name]
    for position in range(3):
        table.cells.put(1, position, Cell((position,), NOW + position))
    run.commit(1)

    assert (table.count(run.connection), table.state.rows) == (1, 3)
    assert table.expire(run.connection, NOW + 1) == 2
    assert (table.count(run.connection), table.state.rows) == (1, 1)
    assert table.forget(run.connection) == 1
    assert table.count(run.connection) == 0


def test_a_variable_may_come_later_and_may_be_missing_for_a_while(tmp_path: Path) -> None:
    run = Run(tmp_path, 0, (), VALUE)
    run.tables.by_name["n"].cells.put(1, (), Cell((7,)))
    ids = run.commit(1)

    run = Run(tmp_path, 1, ids, MAP)
    run.tables.by_name["by"].cells.put(1, order_of(("x",)), Cell(("x", 8)))
    ids = run.commit(2)

    run = Run(tmp_path, 2, ids, MAP, VALUE)
    assert run.tables.by_name["n"].cells.of(1) == {(): Cell((7,))}
    assert run.tables.by_name["by"].cells.of(1) == {order_of(("x",)): Cell(("x", 8))}


def test_a_variable_keeps_its_kind(tmp_path: Path) -> None:
    ids = Run(tmp_path, 0, (), VALUE).commit(1)

    with pytest.raises(SparkError, match="STATE_STORE_INVALID_VARIABLE_TYPE_CHANGE"):
        Run(tmp_path, 1, ids, Variable("n", "list", parse_schema("n INT")))
