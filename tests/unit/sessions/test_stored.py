"""Tables that a name like delta.`/folder` means: made, replaced and filled, and known to no catalog."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import SparkError
from headwater.plan.commands import Write, WriteTo
from headwater.plan.relations import Range, Relation
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    assert sql("SHOW TABLES") == []
    sql.close()


@pytest.fixture
def name(tmp_path: Path) -> str:
    return f"delta.`{tmp_path}/out/t`"


def operations(sql: Sql, name: str) -> list[str]:
    return [row[4] for row in sql(f"DESCRIBE HISTORY {name}")]


def test_create_table_makes_all_that_a_definition_says(sql: Sql, name: str) -> None:
    sql(
        f"CREATE TABLE {name} (id INT NOT NULL COMMENT 'key', twice INT GENERATED ALWAYS AS (id * 2), p STRING) "
        "USING delta PARTITIONED BY (p) COMMENT 'words' TBLPROPERTIES ('k' = 'v', 'delta.appendOnly' = 'true')"
    )
    sql(f"INSERT INTO {name} (id, p) VALUES (4, 'x')")
    assert sql(f"SELECT * FROM {name}") == [(4, 8, "x")]
    sql.refused(f"INSERT INTO {name} (p) VALUES ('y')", "DELTA_NOT_NULL_CONSTRAINT_VIOLATED")
    sql.refused(f"DELETE FROM {name}", "DELTA_CANNOT_MODIFY_APPEND_ONLY")
    told = sql(f"DESCRIBE DETAIL {name}")[0]
    assert (told[2], told[3], told[7]) == (None, "words", ["p"])
    assert dict(sql(f"DESCRIBE HISTORY {name}")[-1][5])["isManaged"] == "false"


def test_what_is_there_decides(sql: Sql, name: str) -> None:
    assert "`delta`.`" in str(sql.refused(f"REPLACE TABLE {name} (a INT)", "TABLE_OR_VIEW_NOT_FOUND"))
    sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta AS SELECT 1 AS a")
    sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta AS SELECT 2 AS a")
    sql(f"CREATE TABLE IF NOT EXISTS {name} (other STRING) USING delta")
    assert sql(f"SELECT * FROM {name}") == [(1,)]
    sql.refused(f"CREATE TABLE {name} (a INT) USING delta", "TABLE_OR_VIEW_ALREADY_EXISTS")
    sql.refused(f"CREATE TABLE {name} USING delta AS SELECT 3 AS a", "TABLE_OR_VIEW_ALREADY_EXISTS")
    sql(f"CREATE OR REPLACE TABLE {name} USING delta PARTITIONED BY (s) AS SELECT 2 AS i, 'q' AS s")
    assert sql(f"SELECT * FROM {name}") == [(2, "q")]
    sql(f"REPLACE TABLE {name} (z INT) USING delta")
    assert sql(f"SELECT * FROM {name}") == []
    made = ["REPLACE TABLE", "CREATE OR REPLACE TABLE AS SELECT", "CREATE TABLE AS SELECT"]
    assert operations(sql, name) == made


def test_one_of_many_threads_makes_the_table(sql: Sql, name: str) -> None:
    ends: list[str] = []
    gate = threading.Barrier(6)

    def make() -> None:
        gate.wait()
        try:
            sql(f"CREATE TABLE {name} USING delta AS SELECT 1 AS a")
            ends.append("made")
        except SparkError as error:
            ends.append(error.condition)

    threads = [threading.Thread(target=make) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(ends) == ["TABLE_OR_VIEW_ALREADY_EXISTS"] * 5 + ["made"]
    assert sql(f"SELECT * FROM {name}") == [(1,)]


def test_a_location_may_only_repeat_the_name(sql: Sql, name: str, tmp_path: Path) -> None:
    sql.refused(
        f"CREATE TABLE {name} (a INT) USING delta LOCATION '{tmp_path}/b'", "DELTA_AMBIGUOUS_PATHS_IN_CREATE_TABLE"
    )
    sql(f"CREATE TABLE {name} (a INT) USING delta LOCATION '{tmp_path}/out/t'")
    assert sql(f"SELECT * FROM {name}") == []


def test_other_formats_and_relative_paths_name_no_folder(sql: Sql, name: str) -> None:
    sql.refused(f"CREATE TABLE {name} (a INT) USING parquet", "INVALID_SCHEMA_OR_RELATION_NAME")
    sql.refused("CREATE TABLE delta.`rel` (a INT) USING delta", "SCHEMA_NOT_FOUND")


def test_a_table_of_a_schema_that_is_called_delta(sql: Sql, name: str) -> None:
    sql("CREATE SCHEMA delta")
    sql("CREATE TABLE delta.t (a INT)")
    sql(f"CREATE TABLE {name} (b INT)")
    assert [row[1] for row in sql("SHOW TABLES IN delta")] == ["t"]
    sql("DROP SCHEMA delta CASCADE")
    assert [row[0] for row in sql(f"DESCRIBE {name}")] == ["b"]


def count(sql: Sql, name: str) -> Any:
    return sql(f"SELECT count(*) FROM {name}")[0][0]


def test_save_as_table(sql: Sql, name: str, tmp_path: Path) -> None:
    parts = ("delta", f"{tmp_path}/out/t")

    def save(mode: Any, rows: int) -> None:
        sql.session.run(Write(Range(0, rows, 1), "delta", mode, table=parts))

    save("ignore", 3)
    save("ignore", 5)
    assert count(sql, name) == 3
    with pytest.raises(SparkError, match="TABLE_OR_VIEW_ALREADY_EXISTS"):
        save("errorifexists", 5)
    save("append", 2)
    assert count(sql, name) == 5
    save("overwrite", 1)
    assert count(sql, name) == 1
    assert operations(sql, name)[1:] == ["WRITE", "CREATE TABLE AS SELECT"]


def test_write_to(sql: Sql, name: str, tmp_path: Path) -> None:
    parts = ("delta", f"{tmp_path}/out/t")
    rows: Relation = Range(0, 3, 1)

    def write(mode: Any) -> None:
        sql.session.run(WriteTo(rows, parts, mode, "delta"))

    with pytest.raises(SparkError, match=r"TABLE_OR_VIEW_NOT_FOUND.*`delta`\.`/"):
        write("replace")
    write("create")
    with pytest.raises(SparkError, match=r"TABLE_OR_VIEW_ALREADY_EXISTS.*`delta`\.`/"):
        write("create")
    write("append")
    assert count(sql, name) == 6
    write("create_or_replace")
    write("replace")
    assert count(sql, name) == 3
    made = [f"{verb} TABLE AS SELECT" for verb in ("REPLACE", "CREATE OR REPLACE")]
    assert operations(sql, name) == [*made, "WRITE", "CREATE TABLE AS SELECT"]
