"""Column expressions, as the genuine client writes them."""

from __future__ import annotations

from typing import Any

import pytest
from pyspark.sql import types as t
from pyspark.sql.connect import functions as F
from pyspark.sql.connect.window import Window

from headwater.errors import UnsupportedError
from headwater.plan import expressions as p
from support.client import expression_of

A = p.Column(("a",))
ONE = p.Literal(1, t.IntegerType())


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (F.col("a"), A),
        (F.col("a.`b.c`"), p.Column(("a", "b.c"))),
        (F.col("*"), p.Star()),
        (F.col("a.*"), p.Star(("a",))),
        (F.col("a").alias("b"), p.Alias(A, ("b",))),
        (F.col("a").alias("b", metadata={"k": 1}), p.Alias(A, ("b",), '{"k": 1}')),
        (F.col("a") + 1, p.Call("+", (A, ONE))),
        (F.col("a") == 1, p.Call("==", (A, ONE))),
        (~F.col("a"), p.Call("not", (A,))),
        (F.upper("a"), p.Call("upper", (A,))),
        (F.count_distinct("a"), p.Call("count", (A,), distinct=True)),
        (F.call_function("my.fn", F.col("a")), p.Call("my.fn", (A,))),
        (F.col("a").cast("int"), p.Cast(A, t.IntegerType())),
        (F.col("a").cast(t.LongType()), p.Cast(A, t.LongType())),
        (F.col("a").try_cast("int"), p.Cast(A, t.IntegerType(), "try")),
        (F.col("a").asc(), p.SortOrder(A)),
        (F.col("a").desc(), p.SortOrder(A, False, False)),
        (F.col("a").desc_nulls_first(), p.SortOrder(A, False, True)),
        (F.col("a")[1], p.ExtractValue(A, ONE)),
        (F.col("a").getField("f"), p.ExtractValue(A, p.Literal("f", t.StringType()))),
        (F.col("a").withField("f", F.lit(1)), p.UpdateFields(A, "f", ONE)),
        (F.col("a").dropFields("f"), p.UpdateFields(A, "f", None)),
    ],
    ids=str,
)
def test_columns(column: Any, expected: p.Expression) -> None:
    assert expression_of(column) == expected


def test_a_case_is_a_call_of_when() -> None:
    case = expression_of(F.when(F.col("a") == 1, 1).otherwise(2))
    assert (case.name, len(case.arguments)) == ("when", 3)


def test_a_lambda_binds_its_variables() -> None:
    call = expression_of(F.transform("a", lambda x: x + 1))
    body = call.arguments[1]
    assert isinstance(body, p.Lambda)
    (name,) = body.variables
    assert body.body == p.Call("+", (p.LambdaVariable(name), ONE))


def test_sql_text_is_parsed() -> None:
    assert expression_of(F.expr("a + 1")) == p.Call("+", (A, ONE))


@pytest.mark.parametrize(
    ("spec", "frame"),
    [
        (Window.partitionBy("a").orderBy("a"), None),
        (
            Window.partitionBy("a").orderBy("a").rowsBetween(Window.unboundedPreceding, Window.currentRow),
            p.Frame("rows", p.FrameBound("unbounded_preceding"), p.FrameBound("current_row")),
        ),
        (
            Window.partitionBy("a").orderBy("a").rowsBetween(-2, 3),
            p.Frame(
                "rows",
                p.FrameBound("following", p.Literal(-2, t.IntegerType())),
                p.FrameBound("following", p.Literal(3, t.IntegerType())),
            ),
        ),
        (
            Window.partitionBy("a").orderBy("a").rangeBetween(Window.currentRow, Window.unboundedFollowing),
            p.Frame("range", p.FrameBound("current_row"), p.FrameBound("unbounded_following")),
        ),
    ],
)
def test_windows(spec: Any, frame: p.Frame | None) -> None:
    window = expression_of(F.sum("a").over(spec))
    assert window == p.Window(p.Call("sum", (A,)), (A,), (p.SortOrder(A),), frame)


def test_what_nobody_decodes_is_named() -> None:
    from headwater.connect.decode.base import Decoder
    from headwater.connect.proto import pb2

    with pytest.raises(UnsupportedError, match="`typed_aggregate_expression`"):
        Decoder().expression(pb2.Expression(typed_aggregate_expression=pb2.TypedAggregateExpression()))
