"""`headwater sql`: prints what a statement returns."""

from __future__ import annotations

import json
from pathlib import Path

from support.command import headwater


def test_a_query_prints_a_table(tmp_path: Path) -> None:
    done = headwater("sql", "SELECT 1 AS a, 'x' AS b", cwd=tmp_path)

    assert done.stdout == "+---+---+\n|a  |b  |\n+---+---+\n|1  |x  |\n+---+---+\n\n", done.stderr


def test_json_prints_one_object_per_row(tmp_path: Path) -> None:
    done = headwater("sql", "--json", "SELECT id, id * 2 AS twice FROM range(2)", cwd=tmp_path)

    assert [json.loads(line) for line in done.stdout.splitlines()] == [{"id": 0, "twice": 0}, {"id": 1, "twice": 2}]


def test_tables_last_from_one_call_to_the_next(tmp_path: Path) -> None:
    assert headwater("sql", "CREATE TABLE t AS SELECT 41 + 1 AS answer", cwd=tmp_path).returncode == 0

    assert "42" in headwater("sql", "SELECT * FROM t", cwd=tmp_path).stdout


def test_an_error_is_one_message_without_a_python_traceback(tmp_path: Path) -> None:
    done = headwater("sql", "SELECT nope FROM range(1)", cwd=tmp_path)

    assert done.returncode == 1
    assert "UNRESOLVED_COLUMN.WITH_SUGGESTION" in done.stderr
    assert "Traceback" not in done.stderr
