"""Columns with DEFAULT and identity columns, in every statement that brings rows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.plan.commands import Write
from headwater.sql import parse_query
from support.sql_session import Sql

FEATURE = "TBLPROPERTIES ('delta.feature.allowColumnDefaults' = 'supported')"

UPSERT = (
    "MERGE INTO i USING (VALUES {}) s(k) ON v = k "
    "WHEN MATCHED THEN UPDATE SET v = 9 WHEN NOT MATCHED THEN INSERT (v) VALUES (k)"
)


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql(f"CREATE TABLE d (id INT, v STRING DEFAULT 'x', n INT DEFAULT 1 + 1, w INT) USING delta {FEATURE}")
    sql("CREATE TABLE i (id BIGINT GENERATED ALWAYS AS IDENTITY, v INT) USING delta")
    yield sql
    sql.close()


def write(sql: Sql, query: str, table: str) -> None:
    sql.session.run(Write(parse_query(query), "delta", "append", table=(table,)))


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO d (id) VALUES (1)",
        "INSERT INTO d (id, n) VALUES (1, DEFAULT)",
        "INSERT INTO d VALUES (1, DEFAULT, default, DEFAULT)",
        "INSERT INTO d SELECT 1, DEFAULT, DEFAULT, NULL",
        "INSERT INTO d (v, id) SELECT DEFAULT, 1",
        "INSERT INTO d BY NAME SELECT 1 AS id",
        "INSERT OVERWRITE d (id) VALUES (1)",
        "MERGE INTO d USING (SELECT 1 AS id) s ON d.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id)",
        "MERGE INTO d USING (SELECT 1 AS k) s ON d.id = k WHEN NOT MATCHED THEN INSERT (id, v) VALUES (k, DEFAULT)",
    ],
)
def test_what_is_left_out_or_said_to_be_default_is(sql: Sql, text: str) -> None:
    sql(text)
    assert sql("SELECT * FROM d") == [(1, "x", 2, None)]


def test_a_dataframes_rows_get_the_defaults_too(sql: Sql) -> None:
    write(sql, "SELECT 1 AS id", "d")
    write(sql, "SELECT 2 AS id, CAST(NULL AS STRING) AS v", "d")
    assert sorted(sql("SELECT * FROM d")) == [(1, "x", 2, None), (2, None, 2, None)]


def test_an_update_sets_the_default(sql: Sql) -> None:
    sql("INSERT INTO d VALUES (1, 'a', 7, 8)")
    sql("UPDATE d SET v = DEFAULT, w = DEFAULT WHERE id = 1")
    sql("MERGE INTO d USING (SELECT 1 AS k) s ON d.id = k WHEN MATCHED THEN UPDATE SET n = DEFAULT")
    assert sql("SELECT * FROM d") == [(1, "x", 2, None)]


def test_a_default_changes_for_new_rows_alone(sql: Sql) -> None:
    sql("INSERT INTO d (id) VALUES (1)")
    sql("ALTER TABLE d ALTER COLUMN v SET DEFAULT 5")
    sql("ALTER TABLE d ALTER COLUMN n DROP DEFAULT")
    sql("INSERT INTO d (id) VALUES (2)")
    assert sorted(sql("SELECT * FROM d")) == [(1, "x", 2, None), (2, "5", None, None)]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("INSERT INTO d VALUES (1, DEFAULT || 'a', 1, 1)", "DEFAULT_PLACEMENT_INVALID"),
        ("INSERT INTO d SELECT 1, concat(DEFAULT, 'a'), 1, 1", "DEFAULT_PLACEMENT_INVALID"),
        ("ALTER TABLE d ALTER COLUMN n SET DEFAULT 'abc'", "INVALID_DEFAULT_VALUE.DATA_TYPE"),
        ("ALTER TABLE d ALTER COLUMN n SET DEFAULT (SELECT 1)", "INVALID_DEFAULT_VALUE.SUBQUERY_EXPRESSION"),
        ("ALTER TABLE d ALTER COLUMN n SET DEFAULT id", "INVALID_DEFAULT_VALUE.UNRESOLVED_EXPRESSION"),
        ("ALTER TABLE d ALTER COLUMN v SET DEFAULT uuid()", "INVALID_DEFAULT_VALUE.NON_DETERMINISTIC"),
        ("ALTER TABLE d ALTER COLUMN z SET DEFAULT 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("ALTER TABLE i ALTER COLUMN v SET DEFAULT 1", "WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED"),
        ("CREATE TABLE q (v INT DEFAULT 1) USING delta", "WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED"),
        (
            f"CREATE TABLE q (a INT, v INT DEFAULT a) USING delta {FEATURE}",
            "INVALID_DEFAULT_VALUE.UNRESOLVED_EXPRESSION",
        ),
        (f"CREATE TABLE q (v INT DEFAULT 'a') USING delta {FEATURE}", "INVALID_DEFAULT_VALUE.DATA_TYPE"),
        (
            "ALTER TABLE d ADD COLUMNS (z INT DEFAULT 4)",
            "WRONG_COLUMN_DEFAULTS_FOR_DELTA_ALTER_TABLE_ADD_COLUMN_NOT_SUPPORTED",
        ),
        (
            f"CREATE TABLE q (a BIGINT GENERATED ALWAYS AS IDENTITY DEFAULT 3) USING delta {FEATURE}",
            "IDENTITY_COLUMN_WITH_DEFAULT_VALUE",
        ),
        (
            f"CREATE TABLE q (a INT, b INT GENERATED ALWAYS AS (a) DEFAULT 3) USING delta {FEATURE}",
            "GENERATED_COLUMN_WITH_DEFAULT_VALUE",
        ),
    ],
)
def test_a_default_that_cannot_be(sql: Sql, text: str, condition: str) -> None:
    sql.refused(text, condition)


def test_parquet_tables_have_defaults_as_in_spark(sql: Sql) -> None:
    sql("CREATE TABLE p (id INT, v STRING DEFAULT 'x') USING parquet")
    sql("INSERT INTO p (id) VALUES (1)")
    assert sql("SELECT * FROM p") == [(1, "x")]


def test_a_description_tells_the_defaults(sql: Sql) -> None:
    told = sql("DESCRIBE TABLE EXTENDED d")
    assert told[-4:] == [
        ("", "", ""),
        ("# Column Default Values", "", ""),
        ("v", "string", "'x'"),
        ("n", "int", "1 + 1"),
    ]
    assert ("# Column Default Values", "", "") not in sql("DESCRIBE TABLE EXTENDED i") + sql("DESCRIBE TABLE d")


# ── identity ────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_way_rows_come_in_numbers_them_once(sql: Sql) -> None:
    sql("INSERT INTO i (v) VALUES (1), (2)")
    sql("INSERT INTO i (v) SELECT v + 10 FROM i")
    write(sql, "SELECT 30 AS v", "i")
    sql(UPSERT.format("(40)"))
    sql(UPSERT.format("(40), (50)"))
    sql("UPDATE i SET v = 31 WHERE v = 30")
    sql("INSERT INTO i (v) VALUES (60)")
    assert sorted(sql("SELECT * FROM i")) == [(1, 1), (2, 2), (3, 11), (4, 12), (5, 31), (6, 9), (7, 50), (8, 60)]
    sql("INSERT OVERWRITE i (v) VALUES (70)")
    assert sql("SELECT * FROM i") == [(9, 70)]


def test_the_change_feed_tells_the_numbers_that_were_given(sql: Sql) -> None:
    sql("ALTER TABLE i SET TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    sql("INSERT INTO i (v) VALUES (1)")
    sql(UPSERT.format("(1), (2)"))
    assert sorted(sql("SELECT * FROM i")) == [(1, 9), (2, 2)]
    told = sql("SELECT _change_type, id, v FROM table_changes('i', 3)")
    assert sorted(told) == [("insert", 2, 2), ("update_postimage", 1, 9), ("update_preimage", 1, 1)]


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("INSERT INTO i VALUES (7, 1)", "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED"),
        ("INSERT INTO i (id, v) VALUES (7, 1)", "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED"),
        (
            "MERGE INTO i USING (SELECT 9 AS v, 4L AS id) s ON i.v = s.v WHEN NOT MATCHED THEN INSERT *",
            "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED",
        ),
        ("UPDATE i SET id = 5", "DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED"),
        (
            "MERGE INTO i USING (SELECT 4L AS id) s ON i.v = 1 WHEN MATCHED THEN UPDATE SET id = s.id",
            "DELTA_IDENTITY_COLUMNS_UPDATE_NOT_SUPPORTED",
        ),
        ("ALTER TABLE i ALTER COLUMN id TYPE STRING", "DELTA_IDENTITY_COLUMNS_ALTER_COLUMN_NOT_SUPPORTED"),
        ("ALTER TABLE i ADD COLUMNS (z BIGINT GENERATED ALWAYS AS IDENTITY)", "UNSUPPORTED_FEATURE.HEADWATER"),
        ("ALTER TABLE i ALTER COLUMN v SYNC IDENTITY", "DELTA_IDENTITY_COLUMNS_ALTER_NON_IDENTITY_COLUMN"),
        (
            "CREATE TABLE q (id BIGINT GENERATED ALWAYS AS IDENTITY) USING parquet",
            "UNSUPPORTED_FEATURE.TABLE_OPERATION",
        ),
    ],
)
def test_numbers_are_the_tables_own(sql: Sql, text: str, condition: str) -> None:
    sql("INSERT INTO i (v) VALUES (1)")
    sql.refused(text, condition)


def test_a_query_of_the_table_makes_a_plain_table(sql: Sql) -> None:
    sql("INSERT INTO i (v) VALUES (1)")
    sql("CREATE TABLE copy USING delta AS SELECT * FROM i")
    sql("INSERT INTO copy VALUES (1, 2)")
    assert sql("SELECT count(*) FROM copy WHERE id = 1") == [(2,)]
    sql("CREATE TABLE g (id INT, twice INT GENERATED ALWAYS AS (id * 2)) USING delta")
    sql("CREATE TABLE plain USING delta AS SELECT * FROM g")
    sql("INSERT INTO plain VALUES (1, 5)")
    assert sql("SELECT * FROM plain") == [(1, 5)]
