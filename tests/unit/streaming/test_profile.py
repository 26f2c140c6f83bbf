"""Input rows are counted from DuckDB's profile."""

from __future__ import annotations

from pathlib import Path

import pytest
import sqlglot
from sqlglot import exp

from headwater.duck import Connection, Database
from headwater.sources.base import BatchInput
from headwater.streaming import profile


@pytest.fixture
def connection() -> Connection:
    opened = Database(threads=1).connect()
    profile.enable(opened)
    return opened


def scan(*paths: Path) -> exp.Query:
    files = exp.array(*(exp.Literal.string(str(path)) for path in paths))
    columns = exp.Struct(
        expressions=[exp.PropertyEQ(this=exp.to_identifier("v"), expression=exp.Literal.string("BIGINT"))]
    )
    options = [
        exp.EQ(this=exp.column("columns"), expression=columns),
        exp.EQ(this=exp.column("format"), expression=exp.Literal.string("newline_delimited")),
    ]
    return exp.select("*").from_(exp.Anonymous(this="read_json", expressions=[files, *options]))


def write(path: Path, rows: int) -> Path:
    path.write_text("".join(f'{{"v":{i}}}\n' for i in range(rows)))
    return path


def test_rows_are_those_scanned_not_those_kept(connection: Connection, tmp_path: Path) -> None:
    one, two = write(tmp_path / "a.json", 70), write(tmp_path / "b.json", 5)
    query = scan(one, two)
    text = query.sql(dialect="duckdb")
    connection.execute(f"COPY (SELECT * FROM ({text}) WHERE v > 60) TO '{tmp_path}/out.parquet'").fetchall()

    assert profile.Profile(connection).rows(BatchInput(query)) == 75


def test_two_sources_over_the_same_file_are_counted_apart(connection: Connection, tmp_path: Path) -> None:
    file = write(tmp_path / "a.json", 7)
    query = scan(file)
    text = query.sql(dialect="duckdb")
    connection.execute(f"CREATE TEMP TABLE t AS SELECT * FROM ({text}) UNION ALL SELECT v + 1 FROM ({text})").fetchall()

    found = profile.Profile(connection)

    assert [found.rows(BatchInput(query)) for _ in range(3)] == [7, 7, None]


def test_a_statement_without_scans_tells_nothing_of_a_source(connection: Connection) -> None:
    for statement in ("SELECT 1", "SET VARIABLE x = 1"):
        connection.execute(statement).fetchall()

        found = profile.Profile(connection).rows(BatchInput(sqlglot.parse_one("SELECT * FROM 'x.json'")))  # type: ignore[arg-type]

        assert found is None


def test_files_that_a_variable_names_are_counted(connection: Connection, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_text('{"a": 1}\n{"a": 2}\n')
    connection.execute(f"SET VARIABLE files_0 = ['{file}']").fetchall()
    text = "SELECT * FROM read_json(getvariable('files_0'), columns = {a: 'INTEGER'}, format = 'newline_delimited')"
    connection.execute(text).fetchall()
    query = sqlglot.parse_one(text, dialect="duckdb")

    found = profile.Profile(connection).rows(BatchInput(query, variables={"files_0": [str(file)]}))  # type: ignore[arg-type]

    assert found == 2
