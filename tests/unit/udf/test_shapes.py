"""Rows of a chunk, group by group, in the two shapes of stateful processors."""

from __future__ import annotations

import pyarrow as pa
from pyspark.sql.types import LongType, Row

from headwater.plan.expressions import PythonUDF
from headwater.settings import Settings
from headwater.types.ddl import parse_schema
from headwater.udf.shapes import InFrames, InRows, shape_of

SCHEMA = parse_schema("k STRING, v INT")
ROWS = pa.table({"k": ["a", "a", "b"], "v": pa.array([1, 2, 3], pa.int32())})


def shape(eval_type: int) -> InFrames | InRows:
    function = PythonUDF("f", (), LongType(), eval_type, b"")
    made = shape_of(function, Settings({"spark.sql.execution.arrow.maxRecordsPerBatch": "1"}), "UTC")
    assert isinstance(made, InFrames | InRows)
    return made


def test_rows() -> None:
    made = shape(213)

    assert isinstance(made, InRows)
    groups = [list(group) for group in made.groups(ROWS, SCHEMA, [0, 2, 3])]
    assert groups == [[Row(k="a", v=1), Row(k="a", v=2)], [Row(k="b", v=3)]]
    assert made.keys(ROWS.select(["k"]), parse_schema("k STRING")) == [("a",), ("a",), ("b",)]
    assert [t.to_pylist() for t in made.tables([Row(v=1, k="x")], SCHEMA)] == [[{"k": "x", "v": 1}]]
    assert list(made.tables([], SCHEMA)) == []


def test_frames_have_no_more_rows_than_the_session_allows() -> None:
    made = shape(211)

    assert isinstance(made, InFrames)
    groups = [[list(frame["v"]) for frame in group] for group in made.groups(ROWS, SCHEMA, [0, 2, 3])]
    assert groups == [[[1], [2]], [[3]]]
    assert made.keys(ROWS.select(["k"]), parse_schema("k STRING")) == [("a",), ("a",), ("b",)]
    assert made.keys(ROWS.select([]), parse_schema("")) == [(), (), ()]
