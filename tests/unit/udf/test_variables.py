"""State variables: PySpark's classes over cells, with Spark's counts."""

from __future__ import annotations

import time
from typing import Any

import pytest
from pyspark.errors import PySparkRuntimeError
from pyspark.sql.streaming.stateful_processor import ListState, MapState, ValueState

from headwater.types.ddl import parse_schema
from headwater.udf.cells import Cells
from headwater.udf.variables import STORED, Variable, Variables

NOW = 1_000


def made(kind: Any, schema: str, key: str | None = None, ttl: int | None = None) -> tuple[Any, Variables, Cells]:
    shared, cells = Variables(NOW, 1), Cells(NOW)
    variable = Variable("x", kind, parse_schema(schema), parse_schema(key) if key else None, ttl)
    return STORED[kind](variable, cells, shared), shared, cells


def test_a_value() -> None:
    value, shared, _ = made("value", "a INT, b STRING")

    assert isinstance(value, ValueState)
    assert (value.exists(), value.get()) == (False, None)
    value.update((1, "x"))
    assert (value.exists(), value.get()) == (True, (1, "x"))
    shared.group = 2
    assert value.get() is None
    shared.group = 1
    value.clear()
    value.clear()
    assert not value.exists()
    assert (shared.counts.updated, shared.counts.removed) == (1, 2)


def test_a_list() -> None:
    values, shared, cells = made("list", "v INT")

    assert isinstance(values, ListState)
    values.appendValue((1,))
    values.appendList([(2,), (3,)])
    reader = values.get()
    values.put([(9,)])
    assert list(reader) == [(1,), (2,), (3,)]
    assert list(values.get()) == [(9,)]
    values.clear()
    assert not values.exists()
    assert (shared.counts.updated, shared.counts.removed) == (4, 1)
    assert {key for _, key, _, removed in cells.taken() if removed} == {0, 1, 2}
    with pytest.raises(PySparkRuntimeError, match="EMPTY_LIST_VALUE"):
        values.put([])


def test_each_value_that_a_list_gets_costs_the_same() -> None:
    values, _, _ = made("list", "v INT")
    begin = time.monotonic()

    for number in range(20_000):
        values.appendValue((number,))

    assert time.monotonic() - begin < 3  # looking for the last position in all of them takes twice as long
    assert list(values.get()) == [(number,) for number in range(20_000)]


def test_a_map() -> None:
    pairs, shared, _ = made("map", "v INT", "k STRING, n INT")

    assert isinstance(pairs, MapState)
    pairs.updateValue(("bb", 1), (1,))
    pairs.updateValue(("a", 1), (2,))
    assert pairs.getValue(("a", 1)).v == 2
    assert pairs.getValue(("a", 2)) is None
    assert pairs.containsKey(("bb", 1))
    assert list(pairs.keys()) == [("a", 1), ("bb", 1)]
    assert list(pairs.values()) == [(2,), (1,)]
    assert list(pairs.iterator()) == [(("a", 1), (2,)), (("bb", 1), (1,))]
    pairs.removeKey(("a", 1))
    pairs.removeKey(("never", 0))
    assert list(pairs.keys()) == [("bb", 1)]
    pairs.clear()
    assert not pairs.exists()
    assert (shared.counts.updated, shared.counts.removed) == (2, 3)


def test_values_expire_from_their_last_change_on() -> None:
    value, _, cells = made("value", "v INT", ttl=50)

    value.update((1,))

    ((_, _, cell, _),) = cells.taken()
    assert cell.expires == NOW + 50
