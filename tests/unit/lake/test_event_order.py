"""The order of event time: every row is in one interval, and intervals rise."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from headwater.duck import sql_text
from headwater.errors import UnsupportedError
from headwater.lake.event_order import EventOrder, needed
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query

HOUR = 3_600_000


@pytest.fixture(params=["timestamp", "timestamp_ntz"])
def table(tmp_path: Path, request: pytest.FixtureRequest) -> LakeTable:
    """Four files: hours 2–3, 0–1, 1–5 (a long one), and one with a null and hour 4."""
    schema = parse_schema(f"at {request.param}, n int")
    made = LakeTable.create(str(tmp_path / "t"), schema)
    for number, hours in enumerate(((2, 3), (0, 1), (1, 5), (None, 4))):
        times = ["NULL" if hour is None else f"TIMESTAMP '1970-01-01 0{hour}:00:00.0005'" for hour in hours]
        values = ", ".join(f"({time}, {number})" for time in times)
        made.append(connection(), query(f"SELECT * FROM (VALUES {values}) t(at, n)"), schema)
    return made


def order(table: LakeTable) -> EventOrder:
    return needed(EventOrder.of(table.path, table.metadata, "AT"))


def limit(files: int) -> Any:
    """Room for so many files."""
    room = iter([True] * files)
    return lambda _: next(room, False)


def intervals(table: LakeTable, most: int) -> list[list[tuple[Any, int]]]:
    files = table.snapshot().files
    found, start = [], None
    while True:
        end = order(table).cut(files, start, limit(most))
        rows = connection().execute(sql_text(order(table).rows(files, start, end))).fetchall()
        found.append(
            sorted((None if at is None else at.hour, n) for at, n in rows if at) + [r for r in rows if not r[0]]
        )
        if end is None:
            return found
        assert start is None or end > start
        start = end


def test_intervals_begin_where_files_begin_and_hold_every_row_once(table: LakeTable) -> None:
    assert intervals(table, 1) == [[(0, 1)], [(1, 1), (1, 2)], [(2, 0), (3, 0)], [(4, 3), (5, 2), (None, 3)]]
    assert intervals(table, 2) == [[(0, 1), (1, 1), (1, 2)], [(2, 0), (3, 0), (4, 3), (5, 2), (None, 3)]]
    assert len(intervals(table, 4)) == 1


def test_files_that_begin_together_are_in_one_interval(table: LakeTable) -> None:
    table.append(connection(), query("SELECT TIMESTAMP '1970-01-01 00:00:00.0005' AS at, 9 AS n"), table.schema)
    assert intervals(table, 1)[0] == [(0, 1), (0, 9)]


def test_files_without_bounds_are_read_in_every_interval(table: LakeTable) -> None:
    files = [
        dataclasses.replace(file, stats=None if i == 1 else file.stats) for i, file in enumerate(table.snapshot().files)
    ]
    ends = [None]
    rows: list[Any] = []
    while True:
        end = order(table).cut(files, ends[-1], limit(1))
        rows += connection().execute(sql_text(order(table).rows(files, ends[-1], end))).fetchall()
        if end is None:
            break
        ends.append(end)
    assert len(ends) == 3
    assert sorted(n for _, n in rows) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_what_is_waiting(table: LakeTable) -> None:
    assert len(order(table).waiting(table.snapshot().files, 2 * HOUR)) == 3
    assert len(order(table).waiting(table.snapshot().files, None)) == 4


def test_only_a_column_of_times_gives_an_order(table: LakeTable) -> None:
    assert EventOrder.of(table.path, table.metadata, "n") is None
    assert EventOrder.of(table.path, table.metadata, None) is None
    with pytest.raises(UnsupportedError, match=r"withEventTimeOrder.*withWatermark"):
        needed(None)
