"""Columns of a watermark's rows that nothing reads are not computed; in doubt all are."""

from __future__ import annotations

import pytest
import sqlglot
from pyspark.sql.types import LongType, StringType, TimestampType
from sqlglot import exp

from headwater.compile.resolved import Attribute, Resolved
from headwater.duck import sql_text
from headwater.streaming.pruning import pruned
from headwater.streaming.watermark import WatermarkNode

COLUMNS = {"ts": TimestampType(), "k": StringType(), "v": LongType(), "w": StringType()}
MADE = Resolved(
    exp.select(*(exp.column(name, quoted=True) for name in COLUMNS)).from_("stream_0"),
    tuple(Attribute(name, kind, True, name) for name, kind in COLUMNS.items()),
)
LEAF = '(SELECT "ts", "k", "v", "w" FROM watermark_0) AS t_1'


def read(*queries: str) -> set[str]:
    """The columns that are kept."""
    node = WatermarkNode(0, MADE.query, exp.column("ts", quoted=True), 0)
    made = pruned(node, MADE, [sqlglot.parse_one(text, dialect="duckdb") for text in queries])  # type: ignore[misc]
    return {one.alias_or_name for one in made.query.selects if isinstance(one, exp.Column)}


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        (f"SELECT count(*) FROM {LEAF}", {"ts"}),
        (f"SELECT t_1.v FROM {LEAF} WHERE t_1.k = 'a'", {"ts", "k", "v"}),
        (f"SELECT a.x FROM (SELECT t_1.v AS x, t_1.w AS y FROM {LEAF}) AS a", {"ts", "v", "w"}),
        (f"SELECT list_transform([t_1.v], LAMBDA let_1: let_1 + 1) FROM {LEAF}", {"ts", "v"}),
        (f"SELECT t_1.* FROM {LEAF}", set(COLUMNS)),
        (f"SELECT * FROM {LEAF}", set(COLUMNS)),
        (f"SELECT v FROM {LEAF}", set(COLUMNS)),
        ("SELECT v FROM watermark_0", set(COLUMNS)),
        (f"SELECT t_1.v FROM {LEAF} JOIN watermark_0 ON TRUE", set(COLUMNS)),
        ("SELECT 1 FROM operator_0", {"ts"}),
    ],
)
def test_only_what_is_named_is_kept(query: str, kept: set[str]) -> None:
    assert read(query) == kept


def test_all_readers_count() -> None:
    assert read(f"SELECT t_1.v FROM {LEAF}", f"SELECT t_1.w FROM {LEAF}") == {"ts", "v", "w"}


def test_what_is_left_out_keeps_its_name_and_type() -> None:
    node = WatermarkNode(0, MADE.query, exp.column("ts", quoted=True), 0)
    (query,) = [sqlglot.parse_one(f"SELECT t_1.k FROM {LEAF}", dialect="duckdb")]
    text = sql_text(pruned(node, MADE, [query]).query)  # type: ignore[list-item]
    assert 'CAST(NULL AS BIGINT) AS "v"' in text
