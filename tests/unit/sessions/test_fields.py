"""SET s.a = …: fields of structs in UPDATE and MERGE, and structs as values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.sql_session import Sql

OLD = {"a": 1, "b": {"c": 2, "d": "x"}}


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE n (id INT, s STRUCT<a: INT, b: STRUCT<c: INT, d: STRING>>, l ARRAY<STRUCT<q: INT, r: INT>>)")
    sql("INSERT INTO n SELECT 1, named_struct('a', 1, 'b', named_struct('c', 2, 'd', 'x')), NULL")
    sql("INSERT INTO n VALUES (2, NULL, NULL)")
    sql("CREATE TABLE u (id INT, s STRUCT<b: STRUCT<d: STRING, c: INT>, a: INT>, q INT)")
    sql("INSERT INTO u VALUES (1, named_struct('b', named_struct('d', 'y', 'c', 20), 'a', 10), 5), (3, NULL, 6)")
    yield sql
    sql.close()


def structs(sql: Sql) -> list[Any]:
    return [row[0] for row in sql("SELECT s FROM n ORDER BY id")]


@pytest.mark.parametrize(
    ("text", "after"),
    [
        ("s.a = 9", [{**OLD, "a": 9}, {"a": 9, "b": None}]),
        ("n.S.B.D = 5 WHERE id = 2", [OLD, {"a": None, "b": {"c": None, "d": "5"}}]),
        (
            "s.b.c = s.a + 1, s.A = s.b.c, id = id",
            [{"a": 2, "b": {"c": 2, "d": "x"}}, {"a": None, "b": {"c": None, "d": None}}],
        ),
        ("s.b = NULL WHERE id = 1", [{"a": 1, "b": None}, None]),
        ("s.b = named_struct('D', 'z', 'c', 7) WHERE id = 1", [{"a": 1, "b": {"c": 7, "d": "z"}}, None]),
        (
            "s = named_struct('b', named_struct('d', 'z', 'c', 7), 'a', '3') WHERE id = 1",
            [{"a": 3, "b": {"c": 7, "d": "z"}}, None],
        ),
        ("s = NULL", [None, None]),
    ],
)
def test_a_field_is_updated_alone(sql: Sql, text: str, after: list[Any]) -> None:
    sql(f"UPDATE n SET {text}")
    assert structs(sql) == after


def test_an_alias_leads_to_fields(sql: Sql) -> None:
    sql("UPDATE n AS x SET x.s.a = x.id * 100 WHERE x.s.a = 1")
    assert structs(sql) == [{**OLD, "a": 100}, None]
    sql("UPDATE n AS s SET s.s.a = 7 WHERE s.id = 1")
    assert structs(sql) == [{**OLD, "a": 7}, None]


def test_items_of_arrays_go_by_name(sql: Sql) -> None:
    sql("UPDATE n SET l = array(named_struct('r', 1, 'q', 2))")
    assert sql("SELECT l FROM n WHERE id = 1") == [([{"q": 2, "r": 1}],)]


def test_merge_sets_fields(sql: Sql) -> None:
    sql(
        "MERGE INTO n AS t USING u ON t.id = u.id WHEN MATCHED THEN UPDATE SET t.s.a = u.s.a, s.b.d = u.s.b.d "
        "WHEN NOT MATCHED THEN INSERT (id, s) VALUES (u.id, named_struct('b', NULL, 'a', u.q)) "
        "WHEN NOT MATCHED BY SOURCE THEN UPDATE SET s.a = t.id * 2"
    )
    assert structs(sql) == [{"a": 10, "b": {"c": 2, "d": "y"}}, {"a": 4, "b": None}, {"a": 6, "b": None}]


def test_stars_take_structs_by_name(sql: Sql) -> None:
    sql("CREATE TABLE o (id INT, s STRUCT<b: STRUCT<d: STRING, c: INT>, a: INT>, l ARRAY<STRUCT<r: INT, q: INT>>)")
    sql("INSERT INTO o SELECT id, s, array(named_struct('r', 1, 'q', 2)) FROM u")
    sql("MERGE INTO n USING o ON n.id = o.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *")
    assert structs(sql) == [{"a": 10, "b": {"c": 20, "d": "y"}}, None, None]
    assert sql("SELECT l FROM n WHERE id = 3") == [([{"q": 2, "r": 1}],)]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("s.zz = 1", "FIELD_NOT_FOUND"),
        ("s.b.zz = 1", "FIELD_NOT_FOUND"),
        ("zz.a = 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("id.zz = 1", "INVALID_EXTRACT_BASE_FIELD_TYPE"),
        ("l.q = 1", "DELTA_UNSUPPORTED_NESTED_FIELD_IN_UPDATE"),
        ("s.a = 1, s = NULL", "DELTA_CONFLICT_SET_COLUMN"),
        ("s.b = NULL, s.b.c = 1", "DELTA_CONFLICT_SET_COLUMN"),
        ("s.a = 1, S.A = 2", "DELTA_CONFLICT_SET_COLUMN"),
        ("s.a = 'abc'", "CAST_INVALID_INPUT"),
        ("s.a = array(1)", "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION"),
        ("s.b = named_struct('d', 'z')", "DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION"),
        ("s.b = named_struct('d', 'z', 'c', 1, 'e', 1)", "DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION"),
        ("l = array(named_struct('q', 1))", "DELTA_UPDATE_SCHEMA_MISMATCH_EXPRESSION"),
    ],
)
def test_what_cannot_be_set(sql: Sql, text: str, condition: str) -> None:
    sql.refused(f"UPDATE n SET {text}", condition)
    sql.refused(f"MERGE INTO n USING (SELECT 1 AS k) u ON n.id = u.k WHEN MATCHED THEN UPDATE SET {text}", condition)
    assert structs(sql) == [OLD, None]


def test_an_insert_names_no_fields(sql: Sql) -> None:
    error = sql.refused(
        "MERGE INTO n USING u ON n.id = u.id WHEN NOT MATCHED THEN INSERT (id, s.a) VALUES (u.id, 5)",
        "DELTA_UNSUPPORTED_NESTED_FIELD_IN_OPERATION",
    )
    assert "(field = `s`.`a`)" in str(error)


def test_the_conflict_names_both(sql: Sql) -> None:
    error = sql.refused("UPDATE n SET s.b = NULL, s.b.c = 1", "DELTA_CONFLICT_SET_COLUMN")
    assert "[`s.b`, `s.b.c`]" in str(error)


def test_with_evolution_a_field_brings_no_column(sql: Sql) -> None:
    sql(
        "MERGE WITH SCHEMA EVOLUTION INTO n USING (SELECT 1 AS id, 77 AS a) u ON n.id = u.id "
        "WHEN MATCHED THEN UPDATE SET s.a = u.a"
    )
    assert [line[0] for line in sql("DESCRIBE n")] == ["id", "s", "l"]
    assert structs(sql) == [{**OLD, "a": 77}, None]
