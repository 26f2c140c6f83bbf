"""Conditions on their way down to the reads: which files of a Delta table a query takes, and its rows."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import pytest

from headwater.lake.table import LakeTable
from headwater.plan.expressions import Call, Column, Literal
from headwater.plan.relations import (
    Filter,
    Join,
    ReadTable,
    Relation,
    SubqueryAlias,
    WithColumns,
    WithColumnsRenamed,
)
from headwater.sql import parse_expression
from support.sql_session import Sql


@pytest.fixture(scope="module")
def sql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sql]:
    """Table `t`: four files of ten ids each, in two partitions; table `u`: two files."""
    sql = Sql(str(tmp_path_factory.mktemp("pushing") / "warehouse"), **{"spark.sql.session.timeZone": "UTC"})
    sql("CREATE TABLE t (id BIGINT, name STRING, s STRUCT<x: INT, id: INT>, part INT) PARTITIONED BY (part)")
    for number in range(4):
        rows = f"SELECT id, 'n' || id, named_struct('x', int(id), 'id', 100 - int(id)), {number % 2}"
        sql(f"INSERT INTO t {rows} FROM range({number * 10}, {number * 10 + 10})")
    sql("CREATE TABLE u (id BIGINT, other STRING)")
    sql("INSERT INTO u VALUES (1, 'a')")
    sql("INSERT INTO u VALUES (21, 'b')")
    yield sql
    sql.close()


def read(sql: Sql, plan: str | Relation) -> dict[str, int]:
    """How many files of each table are read."""
    relation = sql.relation(plan) if isinstance(plan, str) else plan
    assert relation is not None
    counts = {"t": 0, "u": 0}
    for uri in sql.session.input_files(relation):
        counts[next(name for name in counts if f"{os.sep}{name}{os.sep}" in uri)] += 1
    return counts


@pytest.mark.parametrize(
    ("query", "files", "rows"),
    [
        ("SELECT id FROM t WHERE id = 15", 1, 1),
        ("SELECT id FROM default.t WHERE default.t.id = 15", 1, 1),
        ("SELECT id FROM t WHERE part = 1", 2, 20),
        ("SELECT id FROM t WHERE part = 1 AND id < 20", 1, 10),
        ("SELECT x.id FROM t x WHERE x.id = 15", 1, 1),
        ("SELECT id FROM t WHERE s.x BETWEEN 12 AND 25", 2, 14),
        ("SELECT id FROM t s WHERE s.id = 15", 1, 1),
        ("SELECT * FROM (SELECT id AS key, part FROM t) WHERE key = 15", 1, 1),
        ("SELECT * FROM (SELECT *, id + 5 AS key FROM t) WHERE key = 15", 4, 1),
        ("SELECT * FROM (SELECT *, id + 5 AS key FROM t) WHERE id = 15", 1, 1),
        ("SELECT * FROM (SELECT s.id FROM t) WHERE id = 95", 4, 1),
        ("SELECT * FROM (SELECT s.x AS id FROM t) AS q WHERE q.id = 5", 1, 1),
        ("SELECT * FROM (SELECT id, part FROM t) AS q(part, id) WHERE id = 1", 4, 20),
        ("SELECT * FROM (SELECT CAST(name AS STRING), id FROM t) WHERE id = 15", 1, 1),
        ("SELECT * FROM (SELECT * FROM t ORDER BY id LIMIT 5) WHERE id = 15", 4, 0),
        ("SELECT count(*) FROM t WHERE id > 1000", 0, 1),
        ("SELECT * FROM t WHERE id IN (SELECT id FROM u WHERE id > 5)", 4, 1),
        ("SELECT * FROM t WHERE id > 25 AND rand() >= 0", 2, 14),
        ("SELECT part, count(*) FROM t WHERE id = 15 GROUP BY part HAVING part = 1", 1, 1),
        ("SELECT id FROM t VERSION AS OF 2 WHERE id < 15", 2, 15),
        ("WITH c AS (SELECT * FROM t WHERE id = 3) SELECT * FROM c", 1, 1),
        ("WITH t AS (SELECT * FROM u) SELECT * FROM t WHERE id = 1", 0, 1),
    ],
)
def test_files_of_one_table(sql: Sql, query: str, files: int, rows: int) -> None:
    assert len(sql(query)) == rows
    assert read(sql, query)["t"] == files


@pytest.mark.parametrize(
    ("query", "t", "u", "rows"),
    [
        ("t JOIN u ON t.id = u.id WHERE t.id < 10", 1, 2, 1),
        ("t JOIN u ON t.id = u.id AND u.id = 1", 4, 1, 1),
        ("t x JOIN u y ON x.id = y.id WHERE x.id = 21 AND y.id = 21", 1, 1, 1),
        ("t LEFT JOIN u ON t.id = u.id AND u.id = 1 AND t.id > 35", 4, 1, 40),
        ("t LEFT JOIN u ON t.id = u.id WHERE u.id = 21", 4, 2, 1),
        ("t RIGHT JOIN u ON t.id = u.id AND t.id = 1", 1, 2, 2),
        ("t RIGHT JOIN u ON t.id = u.id WHERE u.id = 1", 4, 1, 1),
        ("t FULL JOIN u ON t.id = u.id AND t.id = 1 WHERE u.id = 1", 4, 2, 1),
        ("t LEFT ANTI JOIN u ON t.id = u.id AND u.id = 1 AND t.id = 1", 4, 1, 39),
        ("t LEFT SEMI JOIN u ON t.id = u.id AND t.id = 1", 1, 2, 1),
        ("t JOIN u ON t.id = u.id WHERE other = 'a'", 4, 2, 1),
    ],
)
def test_files_of_joined_tables(sql: Sql, query: str, t: int, u: int, rows: int) -> None:
    query = f"SELECT * FROM {query}"
    assert len(sql(query)) == rows
    assert read(sql, query) == {"t": t, "u": u}


def test_conditions_over_views_reach_the_table(sql: Sql) -> None:
    sql("CREATE VIEW v AS SELECT id AS key, part, s FROM t")
    sql("CREATE TEMPORARY VIEW w AS SELECT key, key + part AS sum FROM v WHERE key < 35")
    assert read(sql, "SELECT * FROM v WHERE v.key = 15")["t"] == 1
    assert read(sql, "SELECT * FROM default.v WHERE default.v.key = 15")["t"] == 1
    assert read(sql, "SELECT * FROM w WHERE key > 25")["t"] == 2
    assert read(sql, "SELECT * FROM w WHERE sum > 25")["t"] == 4
    assert sql("SELECT key FROM w WHERE w.key > 28 AND sum < 32") == [(29,), (30,)]


def test_columns_of_a_data_frame_are_followed_only_as_long_as_they_keep_their_name(sql: Sql) -> None:
    table = ReadTable(("t",), plan_id=7)
    wanted = Call("==", (Column(("id",), 7), parse_expression("15")))
    assert read(sql, Filter(table, wanted))["t"] == 1
    renamed = WithColumnsRenamed(table, (("id", "old"), ("part", "id")))
    assert read(sql, Filter(renamed, wanted))["t"] == 4
    assert read(sql, Filter(renamed, parse_expression("old = 15")))["t"] == 1
    assert read(sql, Filter(renamed, parse_expression("id = 1")))["t"] == 4
    added = WithColumns(table, (parse_expression("id + 1 AS part"),))
    assert read(sql, Filter(added, parse_expression("part = 1 AND id < 10")))["t"] == 1
    both = Join(
        table,
        SubqueryAlias(ReadTable(("u",), plan_id=8), "q"),
        "inner",
        Call("==", (Column(("id",), 7), Column(("id",), 8))),
    )
    assert read(sql, Filter(both, wanted)) == {"t": 1, "u": 2}


def test_a_stream_of_the_table_is_not_told(sql: Sql) -> None:
    from headwater.sessions.pushing import with_filters

    plan = Filter(
        ReadTable(("t",), streaming=True), Call("==", (Column(("id",)), Literal(1, parse_expression("1").type)))
    )
    assert with_filters(plan, sql.session) == plan


@pytest.mark.parametrize(
    ("statement", "changed", "kept"),
    [
        ("DELETE FROM {t} WHERE id = 15", 1, ["a", "c", "d"]),
        ("DELETE FROM {t} x WHERE x.id < 12 AND part = 1", 2, ["a", "c", "d"]),
        ("UPDATE {t} SET name = 'new' WHERE default.{t}.id = 15", 1, ["a", "c", "d"]),
        ("UPDATE {t} SET name = 'new' WHERE id = (SELECT 15)", 1, []),
        ("MERGE INTO {t} x USING u ON x.id = u.id AND x.part = 0 WHEN MATCHED THEN DELETE", 2, ["b", "d"]),
        ("MERGE INTO {t} USING u ON {t}.id = u.id AND {t}.id = 21 WHEN NOT MATCHED THEN INSERT (id) VALUES (u.id)", 1,
         ["a", "b", "d"]),
        ("MERGE INTO {t} x USING u ON x.id = u.id AND x.part = 0 WHEN NOT MATCHED BY SOURCE AND x.id = 35 THEN DELETE",
         1, []),
    ],
)  # fmt: skip
def test_a_change_does_not_open_files_that_it_cannot_touch(
    sql: Sql, statement: str, changed: int, kept: list[str]
) -> None:
    name = "changed_" + str(zlib.crc32(statement.encode()))
    sql(f"CREATE TABLE {name} (id BIGINT, name STRING, part INT) PARTITIONED BY (part)")
    for number in range(4):
        sql(f"INSERT INTO {name} SELECT id, 'n', {number % 2} FROM range({number * 10}, {number * 10 + 10})")
    lake = LakeTable.open(sql.session.catalog.managed_location((name,)))
    files = sorted(lake.snapshot().files, key=lambda file: str(file.stats))
    assert len(files) == 4
    damaged = {letter: os.path.join(lake.path, file.path) for letter, file in zip("abcd", files, strict=True)}
    for letter in kept:
        os.truncate(damaged[letter], 0)
    assert sql(statement.format(t=name))[0][0] == changed
