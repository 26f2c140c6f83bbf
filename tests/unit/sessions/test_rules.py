"""CHECK constraints: every way rows come into a table obeys them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.sessions import stored
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t (id INT, v STRING, `order` STRUCT<n: INT>) USING delta")
    sql("INSERT INTO t VALUES (1, 'a', named_struct('n', 1))")
    yield sql
    sql.close()


BROKEN = "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"


def test_rows_that_break_a_constraint_are_refused_with_their_values(sql: Sql) -> None:
    sql("ALTER TABLE t ADD CONSTRAINT Pos CHECK (id > 0 AND `order`.n < 10)")
    error = sql.refused("INSERT INTO t VALUES (2, 'b', NULL), (-1, 'b', named_struct('n', 3))", BROKEN)
    assert str(error).startswith(
        "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint pos (id > 0 AND `order`.n < 10) violated by row with"
    )
    error = sql.refused("INSERT INTO t VALUES (-1, 'b', named_struct('n', 3))", BROKEN)
    assert error.parameters["values"] == " - id : -1\n - order.n : 3"
    error = sql.refused("INSERT INTO t VALUES (7, 'b', NULL)", BROKEN)
    assert error.parameters["values"] == " - id : 7\n - order.n : null"
    sql("INSERT INTO t VALUES (2, NULL, named_struct('n', 2))")
    assert [row[0] for row in sql("SELECT id FROM t ORDER BY id")] == [1, 2]


@pytest.mark.parametrize(
    "text",
    [
        "INSERT OVERWRITE t VALUES (-1, 'b', NULL)",
        "UPDATE t SET id = -1",
        "MERGE INTO t USING (SELECT -5 AS k) ON false WHEN NOT MATCHED THEN INSERT (id) VALUES (k)",
        "MERGE INTO t USING (SELECT 1 AS k) ON id = k WHEN MATCHED THEN UPDATE SET id = -k",
        "INSERT INTO t (v) VALUES ('no id')",
    ],
)
def test_every_statement_obeys(sql: Sql, text: str) -> None:
    sql("ALTER TABLE t ADD CONSTRAINT pos CHECK (id > 0)")
    sql.refused(text, BROKEN)
    assert sql("SELECT id FROM t") == [(1,)]


def test_the_first_column_may_be_the_partition_and_forbid_null(sql: Sql) -> None:
    sql("CREATE TABLE p (day STRING NOT NULL, n INT) USING delta PARTITIONED BY (day)")
    sql("ALTER TABLE p ADD CONSTRAINT small CHECK (n < 10)")
    sql.refused("INSERT INTO p VALUES ('x', 10)", BROKEN)
    sql.refused("INSERT INTO p VALUES (NULL, 1)", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED")
    sql("INSERT INTO p VALUES ('x', 1), ('y', 2)")
    assert sorted(sql("SELECT * FROM p")) == [("x", 1), ("y", 2)]


def test_history_and_protocol_tell_of_a_constraint(sql: Sql) -> None:
    sql("ALTER TABLE t ADD CONSTRAINT Pos CHECK (id > 0)")
    row = sql("DESCRIBE HISTORY t")[0]
    assert (row[4], dict(row[5])) == ("ADD CONSTRAINT", {"name": "Pos", "expr": "id > 0"})
    shown = dict(sql("SHOW TBLPROPERTIES t"))
    assert (shown["delta.constraints.pos"], shown["delta.minWriterVersion"]) == ("id > 0", "3")
    sql("ALTER TABLE t DROP CONSTRAINT POS")
    row = sql("DESCRIBE HISTORY t")[0]
    assert (row[4], dict(row[5])) == ("DROP CONSTRAINT", {"name": "POS", "expr": "id > 0", "existed": "true"})
    sql("INSERT INTO t (id) VALUES (-1)")


@pytest.mark.parametrize(
    ("expression", "condition"),
    [
        ("id > 1", "DELTA_NEW_CHECK_CONSTRAINT_VIOLATION"),
        ("nope > 1", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("id + 1", "DELTA_NON_BOOLEAN_CHECK_CONSTRAINT"),
        ("rand() >= 0", "DELTA_NON_DETERMINISTIC_EXPRESSION_IN_CHECK_CONSTRAINT"),
        ("sum(id) > 0", "DELTA_AGGREGATE_IN_CHECK_CONSTRAINT"),
        ("id IN (SELECT 1)", "DELTA_UNSUPPORTED_EXPRESSION_CHECK_CONSTRAINT"),
        ("id >", "PARSE_SYNTAX_ERROR"),
    ],
)
def test_a_constraint_that_cannot_be_is_refused(sql: Sql, expression: str, condition: str) -> None:
    sql.refused(f"ALTER TABLE t ADD CONSTRAINT k CHECK ({expression})", condition)
    assert len(sql("DESCRIBE HISTORY t")) == 2


def test_names_of_constraints_are_taken_once_and_must_be_there_to_go(sql: Sql) -> None:
    sql("ALTER TABLE t ADD CONSTRAINT k CHECK (id > 0)")
    sql.refused("ALTER TABLE t ADD CONSTRAINT K CHECK (id > 0)", "DELTA_CONSTRAINT_ALREADY_EXISTS")
    sql.refused("ALTER TABLE t DROP CONSTRAINT nope", "DELTA_CONSTRAINT_DOES_NOT_EXIST")
    sql("ALTER TABLE t DROP CONSTRAINT IF EXISTS nope")


def test_functions_and_time_zone_of_a_constraint_are_sparks(sql: Sql) -> None:
    sql("CREATE TABLE z (at TIMESTAMP, tags ARRAY<STRING>) USING delta")
    sql("ALTER TABLE z ADD CONSTRAINT night CHECK (hour(at) < 6 AND exists(tags, x -> x rlike '^a'))")
    sql("SET spark.sql.session.timeZone = Asia/Tokyo")
    sql("INSERT INTO z VALUES (TIMESTAMP'2024-01-01T20:00:00Z', array('b', 'ab'))")
    sql("SET spark.sql.session.timeZone = UTC")
    sql.refused("INSERT INTO z VALUES (TIMESTAMP'2024-01-01T20:00:00Z', array('b', 'ab'))", BROKEN)
    sql.refused("INSERT INTO z VALUES (TIMESTAMP'2024-01-01T02:00:00Z', array('b'))", BROKEN)


def test_rows_appended_while_a_constraint_is_checked_keep_it_out(sql: Sql, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(_: str) -> None:
        monkeypatch.undo()
        sql("INSERT INTO t (id) VALUES (-1)")

    monkeypatch.setattr("headwater.lake.alter.crash_point", meanwhile)
    sql.refused("ALTER TABLE t ADD CONSTRAINT pos CHECK (id > 0)", "DELTA_CONCURRENT_APPEND.WITHOUT_HINT")
    lake = stored.lake_of(stored.existing(("t",), sql.session), sql.session)
    assert not lake.metadata.configuration
    assert lake.version == 2


@pytest.fixture
def generated(sql: Sql) -> Sql:
    sql(
        "CREATE TABLE g (id INT, at TIMESTAMP, day DATE GENERATED ALWAYS AS (CAST(at AS DATE)) COMMENT 'c', "
        "twice BIGINT GENERATED ALWAYS AS (id * 2)) USING delta PARTITIONED BY (day)"
    )
    return sql


def test_a_generated_column_is_computed_where_it_is_not_given(generated: Sql) -> None:
    generated("INSERT INTO g (id, at) VALUES (1, TIMESTAMP'2024-01-02 03:04:05')")
    generated("INSERT INTO g BY NAME SELECT 2 AS id")
    found = generated("SELECT id, CAST(day AS STRING), twice FROM g ORDER BY id")
    assert found == [(1, "2024-01-02", 2), (2, None, 4)]
    shown = dict(generated("SHOW TBLPROPERTIES g"))
    assert (shown["delta.minReaderVersion"], shown["delta.feature.generatedColumns"]) == ("1", "supported")


def test_a_generated_column_that_is_given_must_be_right(generated: Sql) -> None:
    generated("INSERT INTO g VALUES (1, TIMESTAMP'2024-01-02 03:04:05', DATE'2024-01-02', 2)")
    error = generated.refused("INSERT INTO g VALUES (1, NULL, NULL, 3)", BROKEN)
    assert error.parameters["constraintName"] == "Generated Column"
    assert error.parameters["values"] == " - id : 1\n - twice : 3"


def test_generated_columns_follow_changes_of_what_they_are_made_of(generated: Sql) -> None:
    generated("INSERT INTO g (id, at) VALUES (1, TIMESTAMP'2024-01-02 03:04:05')")
    generated("UPDATE g SET id = id + 6")
    generated(
        "MERGE INTO g USING (SELECT 7 AS k) ON id = k WHEN MATCHED THEN UPDATE SET at = TIMESTAMP'2025-05-05 00:00:00'"
    )
    generated("MERGE INTO g USING (SELECT 9 AS k) ON id = k WHEN NOT MATCHED THEN INSERT (id) VALUES (k)")
    assert generated("SELECT id, CAST(day AS STRING), twice FROM g ORDER BY id") == [
        (7, "2025-05-05", 14),
        (9, None, 18),
    ]
    generated.refused("UPDATE g SET twice = 1", BROKEN)


@pytest.mark.parametrize(
    ("column", "condition"),
    [
        ("c DOUBLE GENERATED ALWAYS AS (rand())", "DELTA_NON_DETERMINISTIC_EXPRESSION_IN_GENERATED_COLUMN"),
        ("c STRING GENERATED ALWAYS AS (id + 1)", "DELTA_GENERATED_COLUMNS_EXPR_TYPE_MISMATCH"),
        ("c INT GENERATED ALWAYS AS (nope + 1)", "DELTA_INVALID_GENERATED_COLUMN_REFERENCES"),
        (
            "c INT GENERATED ALWAYS AS (id), d INT GENERATED ALWAYS AS (c)",
            "DELTA_INVALID_GENERATED_COLUMN_REFERENCES",
        ),
        ("c BIGINT GENERATED ALWAYS AS (sum(id))", "DELTA_AGGREGATE_IN_GENERATED_COLUMN"),
        ("c INT, CONSTRAINT k CHECK (id > 0)", "UNSUPPORTED_FEATURE.HEADWATER"),
    ],
)
def test_a_column_that_cannot_be_generated_is_refused(sql: Sql, column: str, condition: str) -> None:
    sql.refused(f"CREATE TABLE n (id INT, {column}) USING delta", condition)
    sql.refused("SELECT * FROM n", "TABLE_OR_VIEW_NOT_FOUND")


def test_other_formats_have_no_generated_columns(sql: Sql) -> None:
    sql.refused(
        "CREATE TABLE n (id INT, c INT GENERATED ALWAYS AS (id)) USING parquet", "UNSUPPORTED_FEATURE.HEADWATER"
    )
