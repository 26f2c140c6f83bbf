"""Calls and what may follow them."""

import pytest
from pyspark.sql.types import IntegerType

from headwater.errors import AnalysisError, UnsupportedError
from headwater.plan.expressions import (
    Call,
    Column,
    Frame,
    FrameBound,
    Lambda,
    LambdaVariable,
    Literal,
    NamedArgument,
    SortOrder,
    Window,
)
from headwater.plan.relations import Project
from headwater.sql import parse_expression, parse_query

A, B, ONE = Column(("a",)), Column(("b",)), Literal(1, IntegerType())


def test_a_call_keeps_its_name_and_order() -> None:
    assert parse_expression("NVL2(a, b, 1)") == Call("nvl2", (A, B, ONE))
    assert parse_expression("x.Y.f(a)") == Call("x.y.f", (A,))
    assert parse_expression("f(a, k => 1)") == Call("f", (A, NamedArgument("k", ONE)))


def test_count_star_counts_ones_unless_distinct() -> None:
    assert parse_expression("count(*)") == Call("count", (ONE,))
    assert parse_expression("count(DISTINCT a, b)") == Call("count", (A, B), distinct=True)


def test_filter_nulls_and_order() -> None:
    assert parse_expression("sum(a) FILTER (WHERE b)") == Call("sum", (A,), filter=B)
    assert parse_expression("first(a) IGNORE NULLS") == parse_expression("first(a IGNORE NULLS)")
    assert parse_expression("first(a) RESPECT NULLS") == Call("first", (A,))
    order = (SortOrder(B, False, False),)
    assert parse_expression("listagg(a) WITHIN GROUP (ORDER BY b DESC)") == Call("listagg", (A,), order=order)


def test_lambdas_see_their_variables_only() -> None:
    x = LambdaVariable("x")
    assert parse_expression("f(a, x -> x + b)") == Call("f", (A, Lambda(Call("+", (x, B)), ("x",))))
    inner = Lambda(Call("+", (x, LambdaVariable("y"))), ("y",))
    assert parse_expression("f(a, x -> g(b, y -> x + y))") == Call("f", (A, Lambda(Call("g", (B, inner)), ("x",))))


def test_windows_and_frames() -> None:
    frame = Frame("rows", FrameBound("preceding", ONE), FrameBound("unbounded_following"))
    window = Window(Call("sum", (A,)), (B,), (SortOrder(A),), frame)
    text = "sum(a) OVER (PARTITION BY b ORDER BY a ROWS BETWEEN 1 PRECEDING AND UNBOUNDED FOLLOWING)"
    assert parse_expression(text) == window
    short = parse_expression("sum(a) OVER (ORDER BY a RANGE UNBOUNDED PRECEDING)")
    assert isinstance(short, Window)
    assert short.frame == Frame("range", FrameBound("unbounded_preceding"), FrameBound("current_row"))


def test_a_named_window_is_its_definition() -> None:
    named = parse_query("SELECT sum(a) OVER w FROM t WINDOW w AS (PARTITION BY b), v AS (w)")
    assert isinstance(named, Project)
    assert named.expressions == (Window(Call("sum", (A,)), (B,)),)
    with pytest.raises(AnalysisError) as caught:
        parse_query("SELECT sum(a) OVER w FROM t")
    assert caught.value.condition == "MISSING_WINDOW_SPECIFICATION"


@pytest.mark.parametrize("name", ["dateadd", "date_add", "timestampadd"])
def test_a_unit_without_quotes_is_a_string(name: str) -> None:
    assert parse_expression(f"{name}(DAY, 1, a)") == parse_expression("timestampadd('DAY', 1, a)")


def test_what_is_missing_is_refused() -> None:
    with pytest.raises(UnsupportedError):
        parse_expression("sum(a) OVER (ORDER BY a GROUPS 1 PRECEDING)")
