"""Rows by key: changes replace rows of the same key at once, and what was committed comes back."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import LongType, StringType
from sqlglot import exp

from headwater.duck import Connection, Database, sql_text
from headwater.errors import RuntimeSparkError
from headwater.io.local import LocalStorage
from headwater.state.store import StateStore
from headwater.state.table import ROW, StateColumn, StateTable, Written

KEY, VALUE = StateColumn("k", LongType()), StateColumn("v", StringType())
Row = tuple[int | None, str | None, bool]


class Running:
    """A state at work: its connection, store and table."""

    def __init__(self, path: Path, version: int = 0, version_id: str | None = None, storage: Any = None) -> None:
        self.connection = Database(threads=1).connect()
        self.store = StateStore(storage or LocalStorage("none"), str(path))
        self.table = StateTable(self.store, "op", [KEY], [VALUE])
        self.table.prepare(self.connection)
        self.table.restore(self.connection, version, version_id)

    def change(self, *changes: Row) -> None:
        fill(self.connection, "b", changes)
        self.table.apply(self.connection, "b")

    def commit(self, version: int) -> Written:
        written = self.table.commit(self.connection, version)
        written.wait()
        return written

    def rows(self) -> list[Any]:
        query = f"SELECT * EXCLUDE {ROW} FROM {self.table.relation}"
        return sorted(self.connection.execute(query).fetchall(), key=str)


def fill(connection: Connection, name: str, changes: Iterable[Row]) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} (k BIGINT, v VARCHAR, _removed BOOLEAN)")
    connection.executemany(f"INSERT INTO {name} VALUES (?, ?, ?)", [list(row) for row in changes])


def test_changes_replace_rows_of_the_same_key(tmp_path: Path) -> None:
    state = Running(tmp_path)
    state.change((1, "a", False), (None, "n", False), (2, "b", False))
    state.change((1, "A", False), (2, None, True), (7, None, True), (None, "N", False))
    assert state.rows() == [(1, "A"), (None, "N")]
    assert state.table.rows == 2


def test_a_change_may_name_the_row_it_replaces(tmp_path: Path) -> None:
    state = Running(tmp_path)
    state.change((1, "a", False), (2, "b", False))
    found = sql_text(state.table.matching("b"))
    state.connection.execute(f"CREATE TEMP TABLE c AS SELECT k, v || '!' AS v, k = 1 AS _removed, {ROW} FROM ({found})")
    state.table.apply(state.connection, "c")
    assert state.rows() == [(2, "b!")]
    assert state.table.rows == 1
    with pytest.raises(RuntimeSparkError, match="STATE_STORE_OPERATION_OUT_OF_ORDER"):
        state.table.apply(state.connection, "c")


def test_a_committed_version_comes_back(tmp_path: Path) -> None:
    state = Running(tmp_path)
    state.change((1, "a", False), (2, "b", False), (None, "n", False))
    state.commit(1)
    state.change((1, None, True), (2, "B", False))
    state.change((2, "C", False), (3, "c", False))
    second = state.commit(2)
    third = state.commit(3)

    for version, written in ((2, second), (3, third)):
        again = Running(tmp_path, version, written.id)
        assert again.rows() == [(2, "C"), (3, "c"), (None, "n")]
        assert again.table.rows == 3


def test_matching_looks_keys_up(tmp_path: Path) -> None:
    state = Running(tmp_path)
    state.change((1, "a", False), (2, "b", False), (None, "n", False))
    state.connection.execute("CREATE TEMP TABLE w AS SELECT unnest([2, NULL, 9]) AS k")
    query = exp.select("k", "v").from_(state.table.matching("w").subquery("found"))

    found = state.connection.execute(sql_text(query)).fetchall()

    assert sorted(found, key=str) == [(2, "b"), (None, "n")]


def test_a_state_without_keys_is_one_row(tmp_path: Path) -> None:
    state = Running(tmp_path)
    table = StateTable(state.store, "other", [], [VALUE])
    table.prepare(state.connection)
    for value in "ab":
        state.connection.execute(f"CREATE OR REPLACE TEMP TABLE b AS SELECT '{value}' AS v, false AS _removed")
        table.apply(state.connection, "b")

    assert state.connection.execute(f"SELECT v FROM {table.relation}").fetchall() == [("b",)]
    assert table.rows == 1


def fill_changes(state: Running, *changes: Row) -> None:
    """Fill the table of changes as an operator does."""
    fill(state.connection, "b", changes)
    old = exp.select("k", ROW).from_(state.table.relation).subquery("old")
    new = exp.select("new.k", "new.v", "new._removed", f"old.{ROW}").from_("b AS new")
    new = new.join(old, on="new.k IS NOT DISTINCT FROM old.k", join_type="left", dialect="duckdb")
    state.connection.execute(state.table.filling(new)).fetchall()


def test_changes_are_merged_beside_what_follows(tmp_path: Path) -> None:
    state = Running(tmp_path)
    ids = {}
    batches: list[list[Row]] = [
        [(1, "a", False), (2, "b", False), (None, "n", False)],
        [(1, "A", False), (2, None, True), (7, None, True)],
        [(3, "c", False)],
    ]
    for version, batch in enumerate(batches, 1):
        fill_changes(state, *batch)
        state.table.apply_filled(state.connection, version)
        ids[version] = state.commit(version).id
        state.table.settle()

    assert state.rows() == [(1, "A"), (3, "c"), (None, "n")]
    assert state.table.rows == 3
    again = Running(tmp_path, 2, ids[2])
    assert again.rows() == [(1, "A"), (None, "n")]


def test_a_merge_that_goes_wrong_is_told_at_the_next_use(tmp_path: Path) -> None:
    state = Running(tmp_path)
    fill_changes(state, (1, "a", False))
    state.connection.execute(f"UPDATE {sql_text(state.table.changes)} SET {ROW} = 77").fetchall()
    state.table.apply_filled(state.connection, 1)
    state.commit(1)
    with pytest.raises(RuntimeSparkError, match="STATE_STORE_OPERATION_OUT_OF_ORDER"):
        state.table.settle()


def test_a_removal_of_what_is_not_there_is_not_written(tmp_path: Path) -> None:
    state = Running(tmp_path)
    fill_changes(state, (1, "a", False), (2, "b", True), (None, None, True))

    told = state.table.apply_filled(state.connection, 1)

    assert told.to_pydict() == {"_removed": [False, True, True], ROW: [None, None, None]}
    written = state.commit(1)
    kept = state.store.read_changelog(1, written.id)
    assert kept.to_pydict() == {"k": [1], "v": ["a"], "_removed": [False]}


def test_a_changelog_that_cannot_be_written_is_told_by_the_commit(tmp_path: Path) -> None:
    class Full(LocalStorage):
        def replace(self, path: str, data: bytes, *, durable: bool = True) -> None:
            if path.endswith(".changelog.parquet"):
                raise OSError("no space left")
            super().replace(path, data, durable=durable)

    state = Running(tmp_path, storage=Full("none"))
    fill_changes(state, (1, "a", False))
    state.table.apply_filled(state.connection, 1)
    with pytest.raises(OSError, match="no space left"):
        state.commit(1)


def test_random_changes_equal_a_dict_after_every_restart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("headwater.state.table._REWRITE_AFTER", 0)
    random.seed(7)
    state = Running(tmp_path)
    expected: dict[int | None, str | None] = {}
    for version in range(1, 31):
        for _ in range(random.randint(0, 2)):
            keys: list[int | None] = [*random.sample(range(40), 12), None]
            changes = [(key, str(random.random()), random.random() < 0.3) for key in keys]
            state.change(*changes)
            expected.update({key: value for key, value, _ in changes})
            for key in (key for key, _, removed in changes if removed):
                expected.pop(key, None)
        assert state.rows() == sorted(expected.items(), key=str)
        assert state.table.rows == len(expected)
        version_id = state.commit(version).id
        if random.random() < 0.2:
            state.store.close()
            state = Running(tmp_path, version, version_id)
            assert state.rows() == sorted(expected.items(), key=str)
        state.table.purge(version - 5)
    assert any("snapshot" in path.name for path in tmp_path.iterdir())


class Slow(LocalStorage):
    """Storage whose snapshots wait, or fail."""

    def __init__(self) -> None:
        super().__init__("none")
        self.begun = threading.Event()
        self.go_on = threading.Event()
        self.fail = False

    def replace(self, path: str, data: bytes, durable: bool = True) -> None:
        if path.endswith(".snapshot.parquet"):
            self.begun.set()
            assert self.go_on.wait(30)
            if self.fail:
                raise OSError(28, "No space left on device")
        super().replace(path, data, durable)


def batches(state: Running, versions: range) -> str:
    for version in versions:
        state.change((version, str(version), False), (0, str(version), False))
        written = state.commit(version)
    return written.id


def snapshots(path: Path) -> list[str]:
    return [child.name for child in path.iterdir() if child.name.endswith("snapshot.parquet")]


def test_a_snapshot_is_written_beside_the_batches(tmp_path: Path) -> None:
    storage = Slow()
    state = Running(tmp_path, storage=storage)
    batches(state, range(1, 11))
    assert storage.begun.wait(30)
    last = batches(state, range(11, 16))
    assert snapshots(tmp_path) == []
    storage.go_on.set()
    state.table._background.wait()

    assert snapshots(tmp_path) == [f"10.{last}.snapshot.parquet"]
    at_ten = Running(tmp_path, 10, last)
    assert at_ten.rows() == sorted([(0, "10"), *((v, str(v)) for v in range(1, 11))], key=str)
    assert Running(tmp_path, 15, last).rows() == state.rows()


def test_a_snapshot_that_fails_is_tried_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    storage = Slow()
    storage.fail = True
    storage.go_on.set()
    state = Running(tmp_path, storage=storage)
    batches(state, range(1, 11))
    state.table._background.wait()
    assert "the snapshot of state version 10" in caplog.text
    assert "No space left" in caplog.text
    storage.fail = False
    last = batches(state, range(11, 12))
    state.table._background.wait()

    assert snapshots(tmp_path) == [f"11.{last}.snapshot.parquet"]
    assert Running(tmp_path, 11, last).rows() == state.rows()


def test_closing_the_store_gives_up_the_snapshot_and_frees_the_rows(tmp_path: Path) -> None:
    storage = Slow()
    state = Running(tmp_path, storage=storage)
    last = batches(state, range(1, 11))
    assert storage.begun.wait(30)
    closing = threading.Thread(target=state.store.close)
    closing.start()
    storage.go_on.set()
    closing.join(30)

    names = state.connection.execute("SELECT database_name FROM duckdb_databases()").fetchall()
    assert [name for (name,) in names if name.startswith("state_")] == []
    assert len(Running(tmp_path, 10, last).rows()) == 11


def test_state_larger_than_memory_spills(tmp_path: Path) -> None:
    connection = Database(threads=2, memory_limit="60MB", spill=tmp_path / "spill").connect()
    store = StateStore(LocalStorage("none"), str(tmp_path / "state"))
    table = StateTable(store, "op", [KEY], [VALUE])
    table.prepare(connection)
    text = "repeat(md5(k::VARCHAR), 8)"
    for version in range(1, 6):
        some = f"range({version * 60_000}, {(version + 1) * 60_000})"
        rows = f"SELECT k, {text} AS v, false AS _removed FROM {some} t(k)"
        connection.execute(f"CREATE OR REPLACE TEMP VIEW b AS {rows}")
        table.apply(connection, "b")
        written = table.commit(connection, version)
    assert any((tmp_path / "spill").iterdir())
    wrong = f"SELECT count(*) FILTER (v <> {text}), count(*) FROM {table.relation}"
    assert connection.execute(wrong).fetchall() == [(0, 300_000)]
    store.close()

    again = StateTable(StateStore(LocalStorage("none"), str(tmp_path / "state")), "op", [KEY], [VALUE])
    again.prepare(connection)
    again.restore(connection, 5, written.id)
    assert connection.execute(wrong).fetchall() == [(0, 300_000)]
