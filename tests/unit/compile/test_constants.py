"""Constants: the time a time travel goes to, the ends of a range of changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    """A table whose versions 0, 1 and 2 are of the first three days of 1970."""
    sql = Sql(str(tmp_path / "warehouse"))
    sql(f"CREATE TABLE t (id INT) USING delta LOCATION '{tmp_path}/t'")
    sql("INSERT INTO t VALUES (1)")
    sql("INSERT INTO t VALUES (2)")
    for version in range(3):
        os.utime(tmp_path / "t" / "_delta_log" / f"{version:020}.json", (86_400 * version, 86_400 * version))
    yield sql
    sql.close()


@pytest.mark.parametrize(
    ("moment", "rows"),
    [
        ("date_add(DATE'1970-01-01', 1)", 1),
        ("TIMESTAMP'1970-01-02 23:59:59'", 1),
        ("TIMESTAMP_NTZ'1970-01-03 00:00:00'", 2),
        ("to_timestamp('1970-01-02')", 1),
        ("concat('1970', '-01-02')", 1),
        ("86400", 1),
        ("current_timestamp() - (current_timestamp() - TIMESTAMP'1970-01-03')", 2),
    ],
)
def test_a_time_is_computed_once(sql: Sql, moment: str, rows: int) -> None:
    assert sql(f"SELECT count(*) FROM t TIMESTAMP AS OF {moment}") == [(rows,)]


def test_a_date_begins_in_the_sessions_zone(sql: Sql) -> None:
    sql("SET spark.sql.session.timeZone = America/New_York")
    assert sql("SELECT count(*) FROM t TIMESTAMP AS OF DATE'1970-01-02'") == [(1,)]
    sql("SET spark.sql.session.timeZone = Asia/Tokyo")
    assert sql("SELECT count(*) FROM t TIMESTAMP AS OF DATE'1970-01-02'") == [(0,)]


@pytest.mark.parametrize(
    ("moment", "condition"),
    [
        ("rand()", "INVALID_TIME_TRAVEL_TIMESTAMP_EXPR.NON_DETERMINISTIC"),
        ("NULL", "INVALID_TIME_TRAVEL_TIMESTAMP_EXPR.INPUT"),
        ("(SELECT now())", "UNSUPPORTED_FEATURE.HEADWATER"),
        ("id", "UNRESOLVED_COLUMN.WITHOUT_SUGGESTION"),
        ("now()", "DELTA_TIMESTAMP_GREATER_THAN_COMMIT"),
    ],
)
def test_what_is_no_time_of_the_table_is_refused(sql: Sql, moment: str, condition: str) -> None:
    sql.refused(f"SELECT * FROM t TIMESTAMP AS OF {moment}", condition)


def test_a_view_has_no_versions(sql: Sql) -> None:
    sql("CREATE VIEW stored AS SELECT * FROM t")
    sql("CREATE TEMPORARY VIEW passing AS SELECT * FROM t")
    for name in ("stored", "passing"):
        sql.refused(f"SELECT * FROM {name} VERSION AS OF 1", "UNSUPPORTED_FEATURE.TIME_TRAVEL")
        sql.refused(f"SELECT * FROM {name} TIMESTAMP AS OF DATE'1970-01-02'", "UNSUPPORTED_FEATURE.TIME_TRAVEL")
        sql.refused(f"SELECT * FROM table_changes('{name}', 0)", "DELTA_TABLE_ONLY_OPERATION")
