"""Rows made columns."""

from __future__ import annotations

import pytest

from headwater.errors import AnalysisError, SparkError
from headwater.plan import expressions as ex
from headwater.plan import relations as plan
from support.plans import call, col, rows


def test_rows_become_columns_in_the_order_of_the_index_without_its_nulls(session):
    table = rows(id=["B", "A", None], one=[1, 3, 1], two=[2.5, 4.0, 2.0])
    assert session.run(plan.Transpose(table)) == (
        "struct<key:string,A:double,B:double>",
        [("one", 3.0, 1.0), ("two", 4.0, 2.5)],
    )


def test_the_index_can_be_any_column_of_plain_values(session):
    table = rows(one=[1, 3], id=["x", "y"])
    assert session.run(plan.Transpose(table, (col("id"),))) == ("struct<key:string,x:bigint,y:bigint>", [("one", 1, 3)])
    listed = plan.Project(table, (ex.Alias(call("array", col("id")), ("id",)), col("one")))
    with pytest.raises(AnalysisError, match="TRANSPOSE_INVALID_INDEX_COLUMN"):
        session.run(plan.Transpose(listed))


def test_numbers_are_not_made_strings(session):
    with pytest.raises(AnalysisError, match=r'TRANSPOSE_NO_LEAST_COMMON_TYPE.*"BIGINT" and "STRING"'):
        session.run(plan.Transpose(rows(id=["B"], one=[1], two=["x"])))


def test_more_rows_than_allowed_are_refused(session):
    with pytest.raises(SparkError, match="TRANSPOSE_EXCEED_ROW_LIMIT"):
        session.run(plan.Transpose(plan.Range(0, 501, 1)))
