"""State versions: what was written comes back, losers are ignored, damage is named, nothing needed is deleted."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from headwater.errors import RuntimeSparkError
from headwater.io.local import LocalStorage
from headwater.state.store import StateStore

STORAGE = LocalStorage("none")


def store(path: Path, run: str = "a") -> StateStore:
    return StateStore(STORAGE, str(path), run)


def table(*values: int) -> pa.Table:
    return pa.table({"k": list(values)})


def snapshot(one: StateStore, version: int, *values: int) -> None:
    rows = table(*values)
    one.write_snapshot((version, one.run), rows.schema, rows.to_batches())


def written(path: Path, versions: range, run: str = "a") -> StateStore:
    one = store(path, run)
    for version in versions:
        one.changelog(version, table(version))()
    return one


def rows(path: Path, version: int, run: str = "a") -> tuple[list[list[int]], list[list[int]]]:
    saved = store(path).read(version, run)
    return [t["k"].to_pylist() for t in saved.snapshot], [t["k"].to_pylist() for t in saved.changelogs]


def names(path: Path) -> set[str]:
    return {child.name for child in path.iterdir() if not child.name.startswith(".")}


def test_a_version_is_its_snapshot_and_the_changes_after(tmp_path: Path) -> None:
    snapshot(written(tmp_path, range(1, 5)), 2, 1, 2)

    assert rows(tmp_path, 1) == ([], [[1]])
    assert rows(tmp_path, 2) == ([[1, 2]], [])
    assert rows(tmp_path, 4) == ([[1, 2]], [[3], [4]])
    saved = store(tmp_path).read(0, None)
    assert (list(saved.snapshot), list(saved.changelogs)) == ([], [])


def test_many_changelogs_come_in_order(tmp_path: Path) -> None:
    written(tmp_path, range(1, 61))

    assert rows(tmp_path, 60) == ([], [[version] for version in range(1, 61)])


class TestTwoRuns:
    """An older run writes late, what it writes is never read."""

    def test_a_run_goes_on_from_the_version_the_commit_log_names(self, tmp_path: Path) -> None:
        old = written(tmp_path, range(1, 3), "a")
        new = store(tmp_path, "b")
        for part in new.read(2, "a"):
            list(part)
        new.changelog(3, table(30))()
        old.changelog(3, table(-3))()
        old.changelog(4, table(-4))()
        new.changelog(4, table(40))()
        snapshot(old, 4, -1, -2, -3, -4)

        assert rows(tmp_path, 4, "b") == ([], [[1], [2], [30], [40]])
        assert rows(tmp_path, 4, "a")[0] == [[-1, -2, -3, -4]]

    def test_without_ids_the_late_writer_would_win(self, tmp_path: Path) -> None:
        old = written(tmp_path, range(1, 3), "a")
        new = store(tmp_path, "a")
        for part in new.read(2, "a"):
            list(part)
        new.changelog(3, table(30))()
        old.changelog(3, table(-3))()

        assert rows(tmp_path, 3) == ([], [[1], [2], [-3]])

    def test_what_lost_is_purged(self, tmp_path: Path) -> None:
        old = written(tmp_path, range(1, 4), "a")
        new = store(tmp_path, "b")
        for part in new.read(2, "a"):
            list(part)
        for version in range(3, 6):
            new.changelog(version, table(version))()
        snapshot(old, 3, -1)
        snapshot(new, 3, 1, 2, 3)

        new.purge(4)

        assert names(tmp_path) == {"3.b.snapshot.parquet", "4.b.b.changelog.parquet", "5.b.b.changelog.parquet"}
        assert rows(tmp_path, 5, "b") == ([[1, 2, 3]], [[4], [5]])

    def test_a_snapshot_of_a_loser_is_no_base_for_purging(self, tmp_path: Path) -> None:
        old = written(tmp_path, range(1, 4), "a")
        new = store(tmp_path, "b")
        for part in new.read(2, "a"):
            list(part)
        new.changelog(3, table(3))()
        snapshot(old, 3, -1)

        new.purge(3)

        assert rows(tmp_path, 3, "b") == ([], [[1], [2], [3]])


def test_purge_keeps_what_retained_versions_need(tmp_path: Path) -> None:
    one = written(tmp_path, range(1, 9))
    for version in (2, 5, 7):
        snapshot(one, version, version)

    one.purge(6)
    one.purge(6)

    kept = {"5.a.snapshot.parquet", "7.a.snapshot.parquet", *(f"{v}.a.a.changelog.parquet" for v in (6, 7, 8))}
    assert names(tmp_path) == kept
    assert {path.name for path in tmp_path.iterdir()} == kept | {f".{name}.crc" for name in kept}
    assert rows(tmp_path, 6) == ([[5]], [[6]])
    assert rows(tmp_path, 8) == ([[7]], [[8]])


def test_a_snapshot_is_due_when_the_state_has_turned_over(tmp_path: Path) -> None:
    one = written(tmp_path, range(1, 10))
    assert not one.snapshot_due(9)
    one.changelog(10, table(10))()
    assert one.snapshot_due(9)
    assert not one.snapshot_due(1000)
    for version in range(11, 101):
        one.changelog(version, table(version))()
    assert one.snapshot_due(1000)
    snapshot(one, 95)
    assert not one.snapshot_due(9)


@pytest.mark.parametrize("cut", [0, 3, 40, -1])
@pytest.mark.parametrize("name", ["1.a.0.changelog.parquet", "1.a.snapshot.parquet"])
def test_a_cut_off_file_is_named(tmp_path: Path, cut: int, name: str) -> None:
    one = written(tmp_path, range(1, 2))
    if "snapshot" in name:
        snapshot(one, 1, 1)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[:cut])
    for side in (True, False):
        if not side:
            (tmp_path / f".{name}.crc").unlink()
        with pytest.raises(RuntimeSparkError, match=rf"STATE_STORE_DAMAGED.*version 1.*{name}"):
            rows(tmp_path, 1)


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    store(tmp_path).changelog(1, table(*range(1000)))()
    path = tmp_path / "1.a.0.changelog.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(RuntimeSparkError, match="checksum"):
        rows(tmp_path, 1)


@pytest.mark.parametrize("version", [1, 2, 3])
def test_a_missing_file_is_named(tmp_path: Path, version: int) -> None:
    written(tmp_path, range(1, 4))
    (tmp_path / f"{version}.a.{'a' if version > 1 else 0}.changelog.parquet").unlink()

    with pytest.raises(
        RuntimeSparkError, match=rf"version 3 in \S+/{version}\.a\.\S+ cannot be read: the file is miss"
    ):
        rows(tmp_path, 3)


def test_the_operator_is_noted_and_compared(tmp_path: Path) -> None:
    one = store(tmp_path)

    assert one.check_operator({"keys": ["a"]}) is None
    assert one.check_operator({"keys": ["a"]}) is None
    assert one.check_operator({"keys": ["b"]}) == 'the keys was ["a"] and is now ["b"]'


def test_a_state_may_begin_late(tmp_path: Path) -> None:
    one = store(tmp_path)
    for part in one.read(7, None):
        assert list(part) == []
    one.changelog(8, table(8))()
    one.changelog(9, table(9))()

    assert rows(tmp_path, 9) == ([], [[8], [9]])
    again = store(tmp_path, "b")
    again.read(9, "a")
    again.purge(8)
    assert rows(tmp_path, 9) == ([], [[8], [9]])


def test_a_version_that_was_written_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    written(tmp_path, range(1, 3))

    with pytest.raises(RuntimeSparkError, match=r"STATE_STORE_DAMAGED.*does not say what it was written as"):
        store(tmp_path).read(2, None)
    assert list(store(tmp_path).read(0, None).changelogs) == []
