"""Binder connections: one per thread in use, kept for the next."""

import threading

import pytest

from headwater.duck import Database
from headwater.sessions.binders import Binders


@pytest.fixture
def database():
    database = Database()
    yield database
    database.close()


def zone(connection):
    return connection.execute("SELECT current_setting('TimeZone')").fetchone()[0]


def test_a_thread_keeps_its_connection_while_it_resolves(database):
    binders = Binders(database)
    with binders.borrowed():
        first = binders.get("UTC")
        with binders.borrowed():
            assert binders.get("UTC") is first
        assert binders.get("UTC") is first
    with binders.borrowed():
        assert binders.get("UTC") is first
    binders.close()


def test_two_threads_never_share(database):
    binders = Binders(database)
    met, seen = threading.Barrier(2), []

    def resolve():
        with binders.borrowed():
            connection = binders.get("UTC")
            met.wait(20)
            seen.append(id(connection))
            met.wait(20)

    threads = [threading.Thread(target=resolve) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(set(seen)) == 2


def test_the_time_zone_follows(database):
    binders = Binders(database)
    with binders.borrowed():
        assert zone(binders.get("Asia/Tokyo")) == "Asia/Tokyo"
        assert zone(binders.get("UTC")) == "UTC"
    with binders.borrowed():
        assert zone(binders.get("Europe/Paris")) == "Europe/Paris"
