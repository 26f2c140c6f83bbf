"""Statements that come again, and queries that are read again: as if they had come for the first time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from weakref import WeakSet

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from headwater import duck
from headwater.duck import Database, DuckError, Reader, run


def test_a_statement_that_comes_again_sees_what_is_there_now() -> None:
    connection = Database().connect()
    for number in range(4):
        connection.execute(f"SET VARIABLE number = {number}")
        run(connection, "CREATE OR REPLACE TABLE t AS SELECT getvariable('number') AS n FROM range(3)")
        assert run(connection, "SELECT sum(n), count(*) FROM t") == [(3 * number, 3)]
    run(connection, "CREATE OR REPLACE TABLE t AS SELECT 'x' AS n")
    assert run(connection, "SELECT max(n) FROM t") == run(connection, "SELECT max(n) FROM t") == [("x",)]


def test_a_statement_is_known_to_every_database() -> None:
    first, second = Database(), Database()
    for database in (first, first, second, second):
        assert run(database.connect(), "SELECT current_setting('TimeZone'), 'every'") == [("UTC", "every")]
    first.close()
    assert run(second.connect(), "SELECT current_setting('TimeZone'), 'every'") == [("UTC", "every")]


def test_threads_share_a_statement() -> None:
    database = Database()
    text = (
        "SELECT g, sum(i) EXPORT_STATE, list(i ORDER BY i) FROM (SELECT i, i % 7 AS g FROM range(99) t(i)) GROUP BY g"
    )
    expected = sorted(run(database.connect(), text))

    def work(_: int) -> bool:
        connection = database.connect()
        return all(sorted(run(connection, text)) == expected for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(work, range(4)))


def test_two_statements_in_one_text_run_both_and_again() -> None:
    connection = Database().connect()
    run(connection, "CREATE TABLE t (a INT)")
    for count in (1, 2, 3):
        assert run(connection, "INSERT INTO t VALUES (1); SELECT count(*) FROM t") == [(count,)]


def test_an_error_comes_again_too() -> None:
    connection = Database().connect()
    for _ in range(3):
        with pytest.raises(DuckError, match="SELEC"):
            run(connection, "SELEC 1")


def test_a_reader_gives_the_rows_of_the_moment() -> None:
    connection = Database().connect()
    connection.execute("CREATE TABLE t AS SELECT 1 AS a")
    reader = Reader(connection, "SELECT a FROM t")
    assert reader.table().to_pydict() == {"a": [1]}
    connection.execute("CREATE OR REPLACE TABLE t AS SELECT i::INT AS a FROM range(5) r(i)")
    assert reader.table().to_pydict() == {"a": [0, 1, 2, 3, 4]}
    assert sum(batch.num_rows for batch in reader.batches(2)) == 5


def test_a_filesystem_is_known_to_open_and_later_databases_and_closed_ones_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duck, "_filesystems", {})
    monkeypatch.setattr(duck, "_databases", WeakSet())
    closed, opened = Database(), Database()
    closed.close()
    words = MemoryFileSystem()
    words.pipe("/a.csv", b"x\n1\n2\n")
    for _ in range(2):  # whoever asks a second time changes nothing
        duck.register_filesystem(words)
    for database in (opened, Database()):
        assert run(database.connect(), "SELECT sum(x) FROM read_csv('memory:///a.csv')") == [(3,)]
