"""MERGE: stars with EXCEPT, and what the source brings to the table's columns WITH SCHEMA EVOLUTION."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.sessions import stored
from support.sql_session import Sql

STARS = "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE m (id INT, s STRUCT<a: INT, b: STRUCT<x: INT>>, l ARRAY<STRUCT<p: INT>>) USING delta")
    sql("INSERT INTO m VALUES (1, named_struct('a', 1, 'b', named_struct('x', 1)), array(named_struct('p', 1)))")
    yield sql
    sql.close()


def merge(sql: Sql, source: str, clauses: str, evolving: str = "WITH SCHEMA EVOLUTION ") -> None:
    sql(f"MERGE {evolving}INTO m USING (SELECT {source}) u ON m.id = u.id {clauses}")


def columns(sql: Sql) -> str:
    return stored.schema_of(stored.existing(("m",), sql.session), sql.session).simpleString()


def test_fields_are_added_inside_structs_and_arrays(sql: Sql) -> None:
    merge(
        sql,
        "1 AS id, named_struct('a', 2, 'b', named_struct('y', 4, 'x', 3)) AS s, array(named_struct('q', 6)) AS l",
        STARS,
    )
    assert columns(sql) == "struct<id:int,s:struct<a:int,b:struct<x:int,y:int>>,l:array<struct<p:int,q:int>>>"
    assert sql("SELECT * FROM m") == [(1, {"a": 2, "b": {"x": 3, "y": 4}}, [{"p": None, "q": 6}])]


def test_an_updated_struct_keeps_the_fields_that_the_source_lacks(sql: Sql) -> None:
    merge(sql, "1 AS id, named_struct('c', 7) AS s", STARS)
    merge(sql, "2 AS id, named_struct('c', 8) AS s", STARS)
    kept, added = {"a": 1, "b": {"x": 1}, "c": 7}, {"a": None, "b": None, "c": 8}
    assert sorted(sql("SELECT id, s FROM m"), key=repr) == [(1, kept), (2, added)]


def test_an_assignment_makes_its_own_columns_alone(sql: Sql) -> None:
    merge(
        sql,
        "1 AS id, 5 AS n, 6 AS other, named_struct('d', 9) AS s",
        "WHEN MATCHED THEN UPDATE SET n = u.n, s = u.s WHEN NOT MATCHED THEN INSERT (id) VALUES (u.id)",
    )
    assert sql("SELECT n, s FROM m") == [(5, {"a": None, "b": None, "d": 9})]
    assert "other" not in columns(sql)


def test_a_null_struct_stays_null(sql: Sql) -> None:
    merge(sql, "1 AS id, IF(true, NULL, named_struct('z', 1)) AS s", STARS)
    assert sql("SELECT s FROM m") == [(None,)]


def test_a_star_leaves_out_what_it_excepts(sql: Sql) -> None:
    source = "2 AS id, named_struct('a', 5, 'b', named_struct('x', 6)) AS s UNION ALL SELECT 1, NULL"
    merge(sql, source, "WHEN MATCHED THEN UPDATE SET * EXCEPT (S, l) WHEN NOT MATCHED THEN INSERT * EXCEPT (l)", "")
    assert sorted(sql("SELECT id, s.a, l FROM m")) == [(1, 1, [{"p": 1}]), (2, 5, None)]
    merge(sql, "1 AS id, 3 AS n, 4 AS o", "WHEN MATCHED THEN UPDATE SET * EXCEPT (o, s, l)")
    assert columns(sql).endswith(",n:int>")
    sql.refused(
        "MERGE INTO m USING (SELECT 1 AS id) u ON m.id = u.id WHEN MATCHED THEN UPDATE SET * EXCEPT (l)",
        "DELTA_MERGE_UNRESOLVED_EXPRESSION",
    )
