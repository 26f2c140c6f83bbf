"""FROM clauses."""

import pytest
from pyspark.sql.types import StringType

from headwater.errors import AnalysisError, UnsupportedError
from headwater.plan import relations as r
from headwater.plan.expressions import Alias, Call, Column, Literal, Star
from headwater.sql import parse_query


def source(text: str) -> r.Relation:
    plan = parse_query(f"SELECT * FROM {text}")
    assert isinstance(plan, r.Project)
    return plan.input


def test_names_and_aliases() -> None:
    assert source("a.b.t") == r.ReadTable(("a", "b", "t"))
    assert source("delta.`/x/y`") == r.ReadTable(("delta", "/x/y"))
    assert source("t AS x(a, b)") == r.SubqueryAlias(r.ReadTable(("t",)), "x", ("a", "b"))
    assert source("IDENTIFIER('a.t')") == r.ReadTable(("a", "t"))


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("t VERSION AS OF 3", ("versionAsOf", "3")),
        ("t TIMESTAMP AS OF '2020-01-01'", ("timestampAsOf", "2020-01-01")),
        ("t@v3", ("versionAsOf", "3")),
        ("t@20200102030405006", ("timestampAsOf", "2020-01-02 03:04:05.006")),
    ],
)
def test_time_travel_becomes_read_options(text: str, option: tuple[str, str]) -> None:
    assert source(text) == r.ReadTable(("t",), (option,))


@pytest.mark.parametrize("text", ["STREAM t", "STREAM(t)"])
def test_a_stream_of_a_table(text: str) -> None:
    assert source(text) == r.ReadTable(("t",), streaming=True)


def test_a_stream_of_files() -> None:
    made = source("STREAM read_files('/x', format => 'json')")
    assert isinstance(made, r.ReadSource)
    assert made.streaming
    assert made.paths == ("/x",)
    assert dict(made.options) == {"cloudfiles.format": "json", "cloudfiles.infercolumntypes": "true"}


def test_a_watermark() -> None:
    stream = r.ReadTable(("t",), streaming=True)
    assert source("STREAM t WATERMARK ts DELAY OF INTERVAL 1 MINUTE") == r.WithWatermark(
        stream, "ts", "60000000 microseconds"
    )
    assert source("STREAM t WATERMARK q.ts DELAY OF INTERVAL '1:30' HOUR TO MINUTE AS q") == r.WithWatermark(
        r.SubqueryAlias(stream, "q"), "q.ts", "5400000000 microseconds"
    )
    assert source("STREAM(t) WATERMARK ts DELAY OF INTERVAL 1 MONTH q") == r.WithWatermark(
        r.SubqueryAlias(stream, "q"), "ts", "1 months"
    )


def test_a_watermark_of_an_expression_has_a_name() -> None:
    made = source("STREAM t WATERMARK date_trunc('hour', ts) AS h DELAY OF INTERVAL 1 DAY")
    hour = Call("date_trunc", (Literal("hour", StringType()), Column(("ts",))))
    rows = r.Project(r.ReadTable(("t",), streaming=True), (Alias(hour, ("h",)), Star()))
    assert made == r.WithWatermark(rows, "h", "86400000000 microseconds")
    with pytest.raises(AnalysisError, match="REQUIRES_EXPLICIT_NAME_IN_WATERMARK_CLAUSE"):
        source("STREAM t WATERMARK date_trunc('hour', ts) DELAY OF INTERVAL 1 DAY")


def test_each_side_of_a_join_has_its_watermark() -> None:
    made = source(
        "STREAM a WATERMARK t DELAY OF INTERVAL 1 DAY AS x "
        "JOIN STREAM b WATERMARK s DELAY OF INTERVAL 2 DAY AS y ON x.k = y.k"
    )
    assert isinstance(made, r.Join)
    assert [side.event_time for side in (made.left, made.right) if isinstance(side, r.WithWatermark)] == ["t", "s"]


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("JOIN", "inner"),
        ("INNER JOIN", "inner"),
        ("LEFT JOIN", "left_outer"),
        ("RIGHT OUTER JOIN", "right_outer"),
        ("FULL OUTER JOIN", "full_outer"),
        ("LEFT SEMI JOIN", "left_semi"),
        ("ANTI JOIN", "left_anti"),
    ],
)
def test_joins(words: str, kind: str) -> None:
    made = source(f"a {words} b ON a.x = b.x")
    assert isinstance(made, r.Join)
    assert made.kind == kind
    assert made.condition == Call("==", (Column(("a", "x")), Column(("b", "x"))))


def test_joins_without_a_condition() -> None:
    assert source("a CROSS JOIN b") == source("a, b")
    natural, using = source("a NATURAL LEFT JOIN b"), source("a JOIN b USING (x, y)")
    assert isinstance(natural, r.Join)
    assert natural.natural
    assert isinstance(using, r.Join)
    assert using.using == ("x", "y")


def test_lateral() -> None:
    made = source("a, LATERAL (SELECT a.x) l")
    assert isinstance(made, r.Join)
    assert made.lateral
    view = source("a LATERAL VIEW OUTER explode(m) e AS k, v")
    assert view == r.GeneratorJoin(r.ReadTable(("a",)), Call("explode", (Column(("m",)),)), True, "e", ("k", "v"))


def test_samples() -> None:
    assert source("t TABLESAMPLE (10 PERCENT) REPEATABLE (5)") == r.Sample(r.ReadTable(("t",)), 0.0, 0.1, seed=5)
    assert source("t TABLESAMPLE (5 ROWS)") == r.Limit(r.ReadTable(("t",)), 5)


def test_values_with_and_without_parentheses() -> None:
    assert source("VALUES 1, 2 AS t(a)") == source("VALUES (1), (2) AS t(a)")
    made = source("VALUES (1, 'x') AS t")
    assert isinstance(made, r.SubqueryAlias)
    assert isinstance(made.input, r.Values)
    assert isinstance(made.input.rows[0][0], Literal)


@pytest.mark.parametrize(
    "text", ["t@x", "t TABLESAMPLE (BUCKET 1 OUT OF 2)", "t VERSION AS OF 1 + 1", "STREAM (SELECT 1)"]
)
def test_what_is_missing_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError):
        source(text)
