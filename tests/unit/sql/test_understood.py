"""Clauses that nobody reads are refused, not dropped."""

import pytest

from headwater.errors import UnsupportedError
from headwater.sql import parse_query


@pytest.mark.parametrize(
    "text",
    [
        "SELECT a FROM t FOR UPDATE",
        "SELECT * FROM t MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS a > 1)",
        "SELECT cast(a AS INT FORMAT 'x')",
        "SELECT * REPLACE (1 AS a) FROM t",
        "WITH RECURSIVE a AS (SELECT 1) SELECT * FROM a",
        "SELECT DISTINCT ON (a) a FROM t",
    ],
)
def test_a_clause_nobody_reads_is_refused(text: str) -> None:
    with pytest.raises(UnsupportedError):
        parse_query(text)
