"""How many threads a query's batches get."""

from __future__ import annotations

import pytest

from headwater import duck
from headwater.duck import Database
from headwater.streaming.parallelism import Parallelism


@pytest.fixture
def database(monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(duck, "_QUIET_SECONDS", 0.0)
    return Database(threads=2)


def threads(database: Database) -> int:
    return int(database.connect().execute("SELECT current_setting('threads')").fetchall()[0][0])


def test_small_batches_get_one_thread_and_the_first_and_large_ones_all(database: Database) -> None:
    query = Parallelism(database)
    seen = []
    for rows, state_rows in ((10, 0), (10, 0), (60_000, 0), (10, 60_000), (10, 10), (10, 10)):
        with query.batch():
            seen.append(threads(database))
        query.saw(rows, state_rows)
    assert seen == [2, 1, 1, 2, 2, 1]


def test_who_needs_all_threads_gets_them_beside_small_batches(database: Database) -> None:
    query = Parallelism(database)
    query.saw(1, 1)
    with query.batch():
        assert threads(database) == 1
        with database.wide():
            assert threads(database) == 2
            with query.batch():
                assert threads(database) == 2
    with query.batch():
        assert threads(database) == 1


def test_who_needed_all_threads_may_need_them_again_at_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duck, "_QUIET_SECONDS", 3600.0)
    query = Parallelism(database)
    query.saw(1, 1)
    with database.wide():
        pass
    with query.batch():
        assert threads(database) == 2


def test_a_database_of_one_thread_stays_one(monkeypatch: pytest.MonkeyPatch) -> None:
    database = Database(threads=1)
    database.narrow()
    with database.wide():
        assert threads(database) == 1
