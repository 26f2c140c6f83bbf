"""INSERT with partitions, REPLACE WHERE and REPLACE USING, by name and by position."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.plan.commands import Write, WriteTo
from headwater.plan.expressions import Expression
from headwater.sql import parse_expression, parse_query
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE p (id INT, k STRING, d INT) USING delta PARTITIONED BY (k, d)")
    sql("INSERT INTO p VALUES (1, 'a', 1), (2, 'a', 2), (3, 'b', 1)")
    yield sql
    sql.close()


def rows(sql: Sql) -> list[tuple[Any, ...]]:
    return sorted(sql("SELECT * FROM p"), key=repr)


@pytest.mark.parametrize(
    ("text", "row"),
    [
        ("INSERT INTO p PARTITION (k = 'c', d = 3) VALUES (4)", (4, "c", 3)),
        ("INSERT INTO p PARTITION (k = 'c', d) VALUES (4, 5)", (4, "c", 5)),
        ("INSERT INTO p PARTITION (d = '3') SELECT 4, 'x'", (4, "x", 3)),
        ("INSERT INTO p PARTITION (k, d) SELECT 4, 'x', 6", (4, "x", 6)),
        ("INSERT INTO p PARTITION (k = 'c', d = 3) (id) VALUES (4)", (4, "c", 3)),
        ("INSERT INTO p PARTITION (k = 'c') BY NAME SELECT 4 AS id", (4, "c", None)),
        ("INSERT INTO p PARTITION (k = NULL, D = 1) VALUES (4)", (4, None, 1)),
        ("INSERT INTO p BY NAME SELECT 7 AS d, 'n' AS k, 4 AS id", (4, "n", 7)),
    ],
)
def test_a_partition_is_named(sql: Sql, text: str, row: tuple[Any, ...]) -> None:
    sql(text)
    assert rows(sql) == sorted([(1, "a", 1), (2, "a", 2), (3, "b", 1), row], key=repr)


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("INSERT OVERWRITE p PARTITION (k = 'a') SELECT 10, 5", [(10, "a", 5), (3, "b", 1)]),
        ("INSERT OVERWRITE TABLE p PARTITION (k = 'a', d = 2) SELECT 11", [(1, "a", 1), (11, "a", 2), (3, "b", 1)]),
        ("INSERT OVERWRITE p PARTITION (k = 'a') SELECT 1, 1 WHERE false", [(3, "b", 1)]),
        ("INSERT OVERWRITE p PARTITION (k, d) SELECT 12, 'a', 1", [(12, "a", 1)]),
        ("INSERT OVERWRITE p SELECT 12, 'a', 1", [(12, "a", 1)]),
    ],
)
def test_a_static_overwrite_takes_what_the_statement_names(sql: Sql, text: str, left: list[Any]) -> None:
    sql(text)
    assert rows(sql) == left


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("INSERT OVERWRITE p PARTITION (k = 'a') SELECT 10, 5", [(1, "a", 1), (10, "a", 5), (2, "a", 2), (3, "b", 1)]),
        ("INSERT OVERWRITE p PARTITION (k, d) SELECT 12, 'a', 1", [(12, "a", 1), (2, "a", 2), (3, "b", 1)]),
        ("INSERT OVERWRITE p PARTITION (k = 'a', d = 2) SELECT 1 WHERE false", [(1, "a", 1), (3, "b", 1)]),
    ],
)
def test_a_dynamic_overwrite_takes_the_partitions_with_new_rows(sql: Sql, text: str, left: list[Any]) -> None:
    sql("SET spark.sql.sources.partitionOverwriteMode = dynamic")
    sql(text)
    assert rows(sql) == left


def test_the_option_says_dynamic_too(sql: Sql) -> None:
    options = (("partitionOverwriteMode", "dynamic"),)
    made = parse_query("SELECT 9 AS id, 'b' AS k, 1 AS d")
    sql.session.run(Write(made, "delta", "overwrite", table=("p",), options=options))
    sql.session.run(
        Write(parse_query("SELECT 8, 'a', 1"), None, "overwrite", table=("p",), insert=True, options=options)
    )
    assert rows(sql) == [(2, "a", 2), (8, "a", 1), (9, "b", 1)]


def test_replace_where_takes_the_rows_of_a_condition(sql: Sql) -> None:
    sql("INSERT INTO p REPLACE WHERE k = 'a' SELECT 20, 'a', 9")
    sql("INSERT INTO TABLE p REPLACE WHERE id > 3 AND d <> 1 VALUES (21, 'a', 9), (22, 'z', 9)")
    assert rows(sql) == [(21, "a", 9), (22, "z", 9), (3, "b", 1)]
    sql.refused("INSERT INTO p REPLACE WHERE k = 'a' SELECT 23, 'b', 9", "DELTA_REPLACE_WHERE_MISMATCH")
    sql.refused("INSERT INTO p REPLACE WHERE nope = 1 SELECT 23, 'b', 9", "UNRESOLVED_COLUMN.WITH_SUGGESTION")
    assert sql("DESCRIBE HISTORY p")[0][5][0] == ("mode", "Overwrite")


def test_replace_using_takes_rows_with_the_same_keys(sql: Sql) -> None:
    sql("INSERT INTO p VALUES (4, NULL, 1)")
    sql(
        "INSERT INTO p REPLACE USING (k) SELECT * FROM VALUES (30, 'a', 7), (31, 'a', 7), (32, 'new', 1), (33, NULL, 1)"
    )
    assert rows(sql) == sorted(
        [(30, "a", 7), (31, "a", 7), (32, "new", 1), (33, None, 1), (4, None, 1), (3, "b", 1)], key=repr
    )
    sql("INSERT INTO p BY NAME REPLACE USING (ID, k) SELECT 1 AS d, 'b' AS k, 3 AS id")
    sql("INSERT INTO p REPLACE USING (k) SELECT 1, 'a', 1 WHERE false")
    assert len(rows(sql)) == 6
    sql.refused("INSERT INTO p REPLACE USING (nope) SELECT 1, 'a', 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION")


def test_a_dataframe_overwrites_the_rows_of_a_condition(sql: Sql) -> None:
    condition: Expression = parse_expression("k = 'a' AND id < 2")
    sql.session.run(WriteTo(parse_query("SELECT 0 AS id, 'a' AS k, 1 AS d"), ("p",), "overwrite", condition=condition))
    assert rows(sql) == [(0, "a", 1), (2, "a", 2), (3, "b", 1)]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("INSERT INTO p PARTITION (id = 7) VALUES ('x', 1)", "NON_PARTITION_COLUMN"),
        ("INSERT INTO p PARTITION (zz) VALUES (1)", "NON_PARTITION_COLUMN"),
        ("INSERT INTO p PARTITION (k = 'c') VALUES (4)", "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"),
        ("INSERT INTO p PARTITION (d = 'x') VALUES (4, 'a')", "CAST_INVALID_INPUT"),
        ("INSERT OVERWRITE p PARTITION (k = 'a') IF NOT EXISTS SELECT 1, 2", "UNSUPPORTED_FEATURE.HEADWATER"),
        ("INSERT WITH SCHEMA EVOLUTION INTO f SELECT 1, 'a', 2", "UNSUPPORTED_FEATURE.HEADWATER"),
        ("INSERT WITH SCHEMA EVOLUTION INTO p SELECT 1", "INSERT_COLUMN_ARITY_MISMATCH.NOT_ENOUGH_DATA_COLUMNS"),
        ("INSERT WITH SCHEMA EVOLUTION INTO p (id, zz) SELECT 1, 2", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("INSERT INTO p SELECT 1, 'a', 2, 3", "INSERT_COLUMN_ARITY_MISMATCH.TOO_MANY_DATA_COLUMNS"),
        ("INSERT OVERWRITE p REPLACE WHERE k = 'a' SELECT 1, 'a', 2", "PARSE_SYNTAX_ERROR"),
        ("INSERT INTO f REPLACE WHERE k = 'a' SELECT 1, 'a'", "UNSUPPORTED_FEATURE.HEADWATER"),
        ("INSERT OVERWRITE f PARTITION (k = 'a') SELECT 1", "UNSUPPORTED_FEATURE.HEADWATER"),
    ],
)
def test_what_cannot_be_inserted_so(sql: Sql, text: str, condition: str) -> None:
    sql("CREATE TABLE f (id INT, k STRING) USING parquet PARTITIONED BY (k)")
    sql.refused(text, condition)
    assert len(rows(sql)) == 3


def test_a_partition_of_files_is_named(sql: Sql) -> None:
    sql("CREATE TABLE f (id INT, k STRING) USING parquet PARTITIONED BY (k)")
    sql("INSERT INTO f PARTITION (k = 'a') SELECT 1")
    assert sql("SELECT * FROM f") == [(1, "a")]


@pytest.mark.parametrize(
    ("text", "columns", "row"),
    [
        ("INTO p SELECT 4, 'n', 9, 'x' AS extra", ["id", "k", "d", "extra"], (4, "n", 9, "x")),
        ("INTO p BY NAME SELECT 'x' AS extra, 4 AS id", ["id", "k", "d", "extra"], (4, None, None, "x")),
        ("INTO p PARTITION (k = 'n') SELECT 4, 9, 'x' AS extra", ["id", "k", "d", "extra"], (4, "n", 9, "x")),
        ("INTO p REPLACE WHERE k = 'a' SELECT 4, 'a', 9, 'x' AS extra", ["id", "k", "d", "extra"], (4, "a", 9, "x")),
        ("OVERWRITE p SELECT 4, 'n', 9, 'x' AS extra", ["id", "k", "d", "extra"], (4, "n", 9, "x")),
        ("INTO p SELECT 4, 'n', 9", ["id", "k", "d"], (4, "n", 9)),
    ],
)
def test_an_insert_brings_columns(sql: Sql, text: str, columns: list[str], row: tuple[Any, ...]) -> None:
    before = dict.fromkeys(columns[3:])
    sql(f"INSERT WITH SCHEMA EVOLUTION {text}")
    assert [line[0] for line in sql("DESCRIBE p")][: len(columns)] == columns
    found = rows(sql)
    assert row in found
    kept = {"REPLACE": 1, "OVERWRITE": 0}
    left = next((count for word, count in kept.items() if word in text), 3)
    assert [(*one[3:],) for one in found if one != row] == [tuple(before.values())] * left


def test_the_session_lets_inserts_bring_columns(sql: Sql) -> None:
    sql("SET spark.databricks.delta.schema.autoMerge.enabled = true")
    sql("INSERT INTO p SELECT 4, 'n', 9, 'x' AS extra")
    assert (4, "n", 9, "x") in rows(sql)


def test_an_insert_brings_fields_and_wider_types(sql: Sql) -> None:
    sql("CREATE TABLE n (s STRUCT<a: INT>, i INT) USING delta TBLPROPERTIES ('delta.enableTypeWidening' = 'true')")
    sql("INSERT INTO n SELECT named_struct('a', 1), 1")
    sql("INSERT WITH SCHEMA EVOLUTION INTO n SELECT named_struct('a', 2, 'b', 'x'), 5000000000")
    assert [line[:2] for line in sql("DESCRIBE n")] == [("s", "struct<a:int,b:string>"), ("i", "bigint")]
    assert sorted(sql("SELECT * FROM n"), key=repr) == [({"a": 1, "b": None}, 1), ({"a": 2, "b": "x"}, 5000000000)]


def test_history_tells_of_an_insert_what_delta_does(sql: Sql) -> None:
    sql("CREATE TABLE h (id INT, p INT, q STRING) USING delta PARTITIONED BY (p, q)")
    told = []
    for text in (
        "INTO h VALUES (1, 1, 'a')",
        "OVERWRITE h VALUES (1, 1, 'a')",
        "INTO h REPLACE WHERE p = 1 SELECT 5, 1, 'a'",
    ):
        sql("INSERT " + text)
        told.append(dict(sql("DESCRIBE HISTORY h LIMIT 1")[0][5]))
    over = {"mode": "Overwrite", "partitionBy": "[]"}
    assert told == [
        {"mode": "Append", "partitionBy": "[]"},
        over,
        {**over, "predicate": "(p = 1)"},
    ]
    assert dict(sql("DESCRIBE HISTORY h")[-1][5])["partitionBy"] == '["p","q"]'
    sql("SET spark.sql.sources.partitionOverwriteMode = dynamic")
    sql("INSERT OVERWRITE h VALUES (1, 1, 'a')")
    assert dict(sql("DESCRIBE HISTORY h LIMIT 1")[0][5]) == {**over, "isDynamicPartitionOverwrite": "true"}
