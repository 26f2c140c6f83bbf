"""Frames in and out: types as PySpark's worker gives them, columns by name, errors as PySpark's."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from pyspark.errors import PySparkException
from pyspark.sql.types import Row

from headwater.types.ddl import parse_schema
from headwater.udf.frames import Frames, checked, pieces, rows_of, table_of_rows

SCHEMA = parse_schema("i INT, s STRING, t TIMESTAMP, d DATE")
MOMENT = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
ROWS = pa.table({
    "i": pa.array([1, 2], pa.int32()), "s": ["a", None],
    "t": pa.array([MOMENT, None], pa.timestamp("us", "UTC")), "d": [dt.date(2024, 1, 1), None],
})  # fmt: skip


def test_a_frame_has_pysparks_types() -> None:
    frame = Frames("Asia/Tokyo").frame(ROWS, SCHEMA)

    assert [str(kind) for kind in frame.dtypes] == ["int32", "object", "datetime64[ns]", "object"]
    assert frame["t"][0] == pd.Timestamp(2024, 1, 1, 9)
    assert list(frame.columns) == ["i", "s", "t", "d"]


def test_integers_are_wide_where_pyspark_makes_frames_of_rows() -> None:
    assert str(Frames("UTC", widen=True).frame(ROWS, SCHEMA)["i"].dtype) == "int64"


def test_frames_become_tables_by_name_in_runs_of_one_type() -> None:
    frames = [
        pd.DataFrame({"s": ["x"], "i": [1]}),
        pd.DataFrame({"s": ["y"], "i": [2]}),
        pd.DataFrame({"i": [2**53 + 1]}),
    ]

    tables = list(Frames("UTC").table(frames, parse_schema("i BIGINT, s STRING")))

    assert [table.to_pylist() for table in tables] == [
        [{"i": 1, "s": "x"}, {"i": 2, "s": "y"}],
        [{"i": 2**53 + 1, "s": None}],
    ]


def test_numbered_columns_are_taken_by_position() -> None:
    (table,) = Frames("UTC").table([pd.DataFrame([[1, "x"]])], parse_schema("i INT, s STRING"))

    assert table.to_pylist() == [{"i": 1, "s": "x"}]


def test_naive_times_are_of_the_session() -> None:
    (table,) = Frames("Asia/Tokyo").table(
        [pd.DataFrame({"t": [pd.Timestamp(2024, 1, 1, 9)]})], parse_schema("t TIMESTAMP")
    )

    assert table.column("t").to_pylist() == [MOMENT]


def test_a_value_of_another_type_is_pysparks_error() -> None:
    with pytest.raises(PySparkException, match="Cannot convert the output value of the column 's'"):
        list(Frames("UTC").table([pd.DataFrame({"s": [1]})], parse_schema("s STRING")))


def test_pieces_are_slices_with_indexes_of_their_own() -> None:
    found = list(pieces(pd.DataFrame({"i": range(10)}), 3, 8, 2))

    assert [list(one["i"]) for one in found] == [[3, 4], [5, 6], [7]]
    assert list(found[1].index) == [0, 1]


@pytest.mark.parametrize(
    ("given", "error"),
    [
        (5, "should be iterable, but is int"),
        (pd.DataFrame({"i": [1]}), "should be iterable of pandas.DataFrame, but is DataFrame"),
        ([5], "should be iterator of pandas.DataFrame, but is iterator of int"),
        ([pd.DataFrame({"i": [1], "j": [2]})], "RESULT_COLUMN_SCHEMA_MISMATCH"),
    ],
)
def test_what_is_no_frame_of_the_schema_is_refused(given: Any, error: str) -> None:
    with pytest.raises(PySparkException, match=error):
        list(checked(given, parse_schema("i INT")))


def test_frames_without_rows_are_passed_over() -> None:
    assert list(checked([pd.DataFrame(), pd.DataFrame({"i": []})], parse_schema("i INT"))) == []


def test_rows_go_in_as_rows_and_come_out_by_name() -> None:
    assert rows_of(ROWS.select(["i", "s"]), ["i", "s"]) == [Row(i=1, s="a"), Row(i=2, s=None)]

    table = table_of_rows([Row(s="x", other=1), Row(i=2, s=None)], parse_schema("i INT, s STRING"))
    assert table.to_pylist() == [{"i": None, "s": "x"}, {"i": 2, "s": None}]
