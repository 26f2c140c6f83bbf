"""The order that keeps rows near each other in several columns near each other in the file."""

from __future__ import annotations

from typing import Any

import pytest
from sqlglot import exp

from headwater.duck import Connection, sql_text
from headwater.errors import UnsupportedError
from headwater.lake.zorder import interleaved, z_ordered
from support.lake import connection, query

KINDS = {
    "i": "(hash(i) % 1000)::int", "s": "hash(i + 7)::varchar", "d": "(hash(i * 3) % 100)::decimal(10, 2)",
    "f": "(hash(i * 9) % 7777)::double", "t": "DATE '2020-01-01' + (i % 1000)::int", "b": "i % 2 = 0",
    "z": "TIMESTAMPTZ '2020-01-01' + i * INTERVAL 1 minute", "x": "encode(i::varchar)",
}  # fmt: skip


def run(session: Connection, tree: exp.Expr) -> list[tuple[Any, ...]]:
    return session.execute(sql_text(tree)).fetchall()


def test_bits_are_interleaved_with_the_first_columns_before_the_seconds() -> None:
    numbers = [exp.Literal.number(0b101), exp.Literal.number(0b011)]
    ((key,),) = run(connection(), exp.select(interleaved(numbers, 3)))
    assert key == 0b100111


def test_no_row_is_lost_whatever_the_type_and_nulls_lie_together() -> None:
    session = connection()
    columns = ", ".join(f"CASE WHEN i % 10 > 0 THEN {text} END AS {name}" for name, text in KINDS.items())
    rows = query(f"SELECT i AS n, {columns} FROM range(2000) r(i)")
    found = run(session, z_ordered(session, rows, [exp.column(name) for name in KINDS]))
    assert sorted(row[0] for row in found) == list(range(2000))
    nulls = [place for place, row in enumerate(found) if row[1] is None]
    assert (len(nulls), max(nulls) < 400) == (200, True), "nulls lie with the least values"
    assert len(found[0]) == 1 + len(KINDS)


def test_a_run_of_rows_is_narrow_in_every_column() -> None:
    session = connection()
    rows = query("SELECT (hash(i) % 1000)::int AS a, (hash(i + 5) % 1000)::int AS b FROM range(16000) r(i)")
    found = run(session, z_ordered(session, rows, [exp.column("a"), exp.column("b")]))
    widths: list[int] = []
    for start in range(0, 16000, 1000):
        widths += [max(column) - min(column) for column in zip(*found[start : start + 1000], strict=True)]
    assert sum(widths) / len(widths) < 350, "a sixteenth of the rows should have about a quarter of each column"


def test_one_column_is_sorted_as_it_is() -> None:
    session = connection()
    rows = query("SELECT (hash(i) % 100000)::int AS a FROM range(3000) r(i)")
    found = [row[0] for row in run(session, z_ordered(session, rows, [exp.column("a")]))]
    assert found == sorted(found)


def test_columns_without_a_value_and_tables_without_a_row() -> None:
    session = connection()
    for text in ("SELECT NULL::int AS a, i AS b FROM range(9) r(i)", "SELECT 1 AS a, 2 AS b WHERE false"):
        found = run(session, z_ordered(session, query(text), [exp.column("a"), exp.column("b")]))
        assert len(found) == (9 if "range" in text else 0)


def test_more_columns_than_a_key_has_bits_are_refused() -> None:
    with pytest.raises(UnsupportedError, match="ZORDER BY 127 columns"):
        z_ordered(connection(), query("SELECT 1 AS a"), [exp.column("a")] * 127)
