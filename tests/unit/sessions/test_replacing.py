"""INSERT … REPLACE ON: which rows go, what the condition may name, and that it is one commit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sql_session import Sql

BEFORE = [(1, "a", 1), (2, "a", 2), (3, "b", 1), (4, None, 1)]


@pytest.fixture(params=["plain", "partitioned"])
def sql(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    by = "PARTITIONED BY (k)" if request.param == "partitioned" else ""
    sql(f"CREATE TABLE t (id INT, k STRING, d INT) USING delta {by}")
    sql("INSERT INTO t VALUES (1, 'a', 1), (2, 'a', 2), (3, 'b', 1), (4, NULL, 1)")
    yield sql
    sql.close()


def rows(sql: Sql) -> list[Any]:
    return sorted(sql("SELECT * FROM t"), key=repr)


def expected(*found: Any) -> list[Any]:
    return sorted(found, key=repr)


@pytest.mark.parametrize(
    ("text", "gone", "new"),
    [
        ("t REPLACE ON t.k = s.k (SELECT 9 AS id, 'a' AS k, 5 AS d) AS s", [1, 2], [(9, "a", 5)]),
        ("t AS x REPLACE ON x.k <=> s.k (SELECT 9 AS id, CAST(NULL AS STRING) AS k, 5 AS d) s", [4], [(9, None, 5)]),
        ("t x REPLACE ON x.k = s.k (SELECT 9, CAST(NULL AS STRING) AS k, 5) s", [], [(9, None, 5)]),
        ("t REPLACE ON d > least_d SELECT 9, 'n', 1 AS least_d", [2], [(9, "n", 1)]),
        ("t REPLACE ON t.id BETWEEN s.low AND s.low + 1 (SELECT 2 AS low, 'q', 7) s", [2, 3], [(2, "q", 7)]),
        (
            "t REPLACE ON t.id = s.id (SELECT * FROM VALUES (1, 'n', 1), (1, 'n', 2), (8, 'n', 3) AS v(id, k, d)) s",
            [1],
            [(1, "n", 1), (1, "n", 2), (8, "n", 3)],
        ),
        ("t BY NAME REPLACE ON t.id = s.id (SELECT 5 AS d, 3 AS id) s", [3], [(3, None, 5)]),
        ("t REPLACE ON t.id = s.id (SELECT 1 AS id, 'a' AS k, 5 AS d WHERE false) s", [], []),
        ("t REPLACE ON true SELECT 1, 'z', 1", [1, 2, 3, 4], [(1, "z", 1)]),
        ("t REPLACE ON t.id = s.id AND t.d = 1 (SELECT id, k, d + 10 FROM t) s", [1, 3, 4], None),
    ],
)
def test_rows_that_match_a_new_one_go(sql: Sql, text: str, gone: list[int], new: list[Any] | None) -> None:
    added = [(id_, k, d + 10) for id_, k, d in BEFORE] if new is None else new
    sql(f"INSERT INTO {text}")
    assert rows(sql) == expected(*[row for row in BEFORE if row[0] not in gone], *added)
    assert len(sql("DESCRIBE HISTORY t")) == 3, "one commit"
    operation, facts = sql("DESCRIBE HISTORY t LIMIT 1")[0][4:6]
    assert (operation, dict(facts)["mode"]) == ("WRITE", "Overwrite")
    assert "replaceOn" in dict(facts)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("t REPLACE ON id = 1 (SELECT 1 AS id, 'a' AS k, 1 AS d) s", "AMBIGUOUS_REFERENCE"),
        ("t REPLACE ON t.zz = 1 SELECT 1, 'a', 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("t AS x REPLACE ON t.id = 1 SELECT 1, 'a', 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("t REPLACE ON t.id IN (SELECT 1) SELECT 1, 'a', 1", "DELTA_UNSUPPORTED_SUBQUERY"),
        ("t REPLACE ON t.id = s.id (SELECT 1 AS id) s", "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"),
        ("f REPLACE ON f.id = 1 SELECT 1 AS x", "UNSUPPORTED_FEATURE.HEADWATER"),
    ],
)
def test_what_is_refused(sql: Sql, text: str, condition: str) -> None:
    sql("CREATE TABLE f (id INT) USING parquet")
    sql.refused(f"INSERT INTO {text}", condition)
    assert rows(sql) == expected(*BEFORE)


def test_the_query_is_computed_once(sql: Sql) -> None:
    sql("CREATE TABLE u (id STRING, k STRING) USING delta")
    sql("INSERT INTO u REPLACE ON u.id = s.id (SELECT uuid() AS id, 'x' FROM range(20)) s")
    before = sql("SELECT id FROM u")
    sql("INSERT INTO u REPLACE ON u.id = s.id (SELECT if(rand() < 0.5, id, 'new') AS id, 'y' FROM u) s")
    left = sorted(sql("SELECT id FROM u WHERE id <> 'new'"))
    assert left == sorted(before), "a row went without a row in its place, or came beside the old one"


def test_new_columns_come_with_what_is_replaced(sql: Sql) -> None:
    sql("INSERT WITH SCHEMA EVOLUTION INTO t REPLACE ON t.id = s.id (SELECT 1 AS id, 'a' AS k, 5 AS d, 'x' AS more) s")
    assert rows(sql) == expected(*[(*row, None) for row in BEFORE[1:]], (1, "a", 5, "x"))
    sql("INSERT WITH SCHEMA EVOLUTION INTO t BY NAME REPLACE USING (id) SELECT 2 AS id, 6L AS other")
    assert [line[0] for line in sql("DESCRIBE t")][:5] == ["id", "k", "d", "more", "other"]
    assert (2, None, None, None, 6) in rows(sql)
    assert len(rows(sql)) == 4


def test_a_statement_with_a_counter_is_done_once(sql: Sql) -> None:
    sql("SET spark.databricks.delta.write.txnAppId = app")
    sql("SET spark.databricks.delta.write.txnVersion = 1")
    for _ in range(2):
        sql("INSERT INTO t REPLACE ON false SELECT 7, 'n', 7")
    assert rows(sql) == expected(*BEFORE, (7, "n", 7))


def test_changes_are_recorded(sql: Sql) -> None:
    sql("ALTER TABLE t SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    sql("INSERT INTO t REPLACE ON t.id = s.id (SELECT 1 AS id, 'a' AS k, 9 AS d) s")
    found = sql("SELECT id, d, _change_type FROM table_changes('t', 3)")
    assert sorted(found) == [(1, 1, "delete"), (1, 9, "insert")]
