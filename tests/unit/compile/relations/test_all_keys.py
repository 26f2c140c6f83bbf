"""GROUP BY ALL and ORDER BY ALL."""

import pytest

from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path):
    session = Sql(str(tmp_path / "warehouse"))
    session("CREATE TEMP VIEW t AS SELECT * FROM VALUES (1, 'a'), (2, 'b'), (3, 'a') AS t(id, k)")
    yield session
    session.close()


def test_grouping_by_all_is_by_what_aggregates_nothing(sql):
    assert sql("SELECT k, upper(k) u, sum(id) + 1, 7 FROM t GROUP BY ALL ORDER BY ALL") == [
        ("a", "A", 5, 7),
        ("b", "B", 3, 7),
    ]
    assert sql("SELECT sum(id) FROM t GROUP BY ALL") == [(6,)]


def test_ordering_by_all_is_by_every_column(sql):
    assert sql("SELECT k, id FROM t ORDER BY ALL DESC") == [("b", 2), ("a", 3), ("a", 1)]


def test_a_column_called_all_comes_first(sql):
    assert sql("SELECT `all` FROM (SELECT id % 2 AS `all` FROM t) GROUP BY ALL ORDER BY ALL") == [(0,), (1,)]
