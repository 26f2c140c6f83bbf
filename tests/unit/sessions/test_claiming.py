"""Which commands claim a name: those that make or drop a table, none that adds to one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from headwater.io.storage import Storage
from headwater.plan.commands import Command
from headwater.plan.relations import Relation
from headwater.sessions.session import Session
from headwater.sql import parse_statement


@pytest.fixture
def claimed(session: Session, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []

    @contextmanager
    def claim(database: str, name: str, _storage: Storage) -> Iterator[None]:
        found.append((database, name))
        yield

    monkeypatch.setattr(session.catalog.metastore, "claim", claim)
    return found


def run(session: Session, text: str) -> None:
    command = parse_statement(text)
    assert isinstance(command, Command)
    assert not isinstance(command, Relation)
    session.run(command)


def test_makers_and_droppers_claim(session: Session, claimed: list[tuple[str, str]]) -> None:
    run(session, "CREATE TABLE t USING delta AS SELECT 1 AS id")
    run(session, "CREATE TABLE IF NOT EXISTS T (id INT) USING delta")
    run(session, "CREATE TABLE c SHALLOW CLONE t")
    run(session, "DROP TABLE spark_catalog.default.t")
    assert claimed == [("default", "t"), ("default", "t"), ("default", "c"), ("default", "t")]


def test_those_who_add_rows_do_not(session: Session, claimed: list[tuple[str, str]]) -> None:
    run(session, "CREATE TABLE t (id INT) USING delta")
    claimed.clear()
    run(session, "INSERT INTO t VALUES (1)")
    run(session, f"INSERT INTO delta.`{session.catalog.managed_location(('t',))}` VALUES (2)")
    run(session, "UPDATE t SET id = 3")
    assert claimed == []


def test_a_name_is_free_after_a_failure(session: Session) -> None:
    for _ in range(2):
        with pytest.raises(Exception, match="nope"):
            run(session, "CREATE TABLE t USING delta AS SELECT nope")
    run(session, "CREATE TABLE `a b/c` (id INT) USING parquet")
    claims = os.path.join(session.catalog.metastore.warehouse, ".headwater", "claims")
    assert sorted(os.listdir(claims)) == ["default.a%20b%2Fc", "default.t"]
