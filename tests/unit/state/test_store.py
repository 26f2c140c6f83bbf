"""State versions: what was written comes back, damage is named, nothing needed is deleted."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from headwater.errors import RuntimeSparkError
from headwater.io.local import LocalStorage
from headwater.state.store import StateStore

STORAGE = LocalStorage("none")


def table(*values: int) -> pa.Table:
    return pa.table({"k": list(values)})


def versions(store: StateStore, version: int) -> list[tuple[str, list[int]]]:
    return [(change.kind, change.rows["k"].to_pylist()) for change in store.load(version)]


def test_a_version_is_its_snapshot_and_the_changes_after(tmp_path: Path) -> None:
    store = StateStore(STORAGE, str(tmp_path))
    for version in (1, 2, 3, 4):
        store.write("changelog", version, table(version))
    store.write("snapshot", 2, table(1, 2))

    again = StateStore(STORAGE, str(tmp_path))

    assert versions(again, 0) == []
    assert versions(again, 1) == [("changelog", [1])]
    assert versions(again, 2) == [("snapshot", [1, 2])]
    assert versions(again, 4) == [("snapshot", [1, 2]), ("changelog", [3]), ("changelog", [4])]


def test_a_version_is_rewritten_by_a_replay(tmp_path: Path) -> None:
    store = StateStore(STORAGE, str(tmp_path))
    store.write("changelog", 1, table(1, 1))
    store.write("changelog", 1, table(2))

    assert versions(store, 1) == [("changelog", [2])]


def test_purge_keeps_what_retained_versions_need(tmp_path: Path) -> None:
    store = StateStore(STORAGE, str(tmp_path))
    for version in range(1, 9):
        store.write("changelog", version, table(version))
    for version in (2, 5, 7):
        store.write("snapshot", version, table(version))

    store.purge(6)

    names = {path.name for path in tmp_path.iterdir() if not path.name.startswith(".")}
    assert names == {"5.snapshot.parquet", "7.snapshot.parquet", *(f"{v}.changelog.parquet" for v in (6, 7, 8))}
    assert {path.name for path in tmp_path.iterdir()} == names | {f".{name}.crc" for name in names}
    assert versions(StateStore(STORAGE, str(tmp_path)), 6) == [("snapshot", [5]), ("changelog", [6])]


def test_a_snapshot_is_due_when_the_state_has_turned_over(tmp_path: Path) -> None:
    store = StateStore(STORAGE, str(tmp_path))
    for version in range(1, 10):
        store.write("changelog", version, table(version))
    assert not store.snapshot_due(9, 9)
    assert store.snapshot_due(10, 9)
    assert not store.snapshot_due(10, 1000)
    assert store.snapshot_due(100, 1000)


@pytest.mark.parametrize("cut", [0, 3, 40, -1])
def test_a_cut_off_file_is_named(tmp_path: Path, cut: int) -> None:
    StateStore(STORAGE, str(tmp_path)).write("changelog", 1, table(1))
    path = tmp_path / "1.changelog.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    for side in (True, False):
        if not side:
            (tmp_path / ".1.changelog.parquet.crc").unlink()
        with pytest.raises(RuntimeSparkError, match=r"STATE_STORE_DAMAGED.*version 1.*1\.changelog\.parquet"):
            list(StateStore(STORAGE, str(tmp_path)).load(1))


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    StateStore(STORAGE, str(tmp_path)).write("changelog", 1, table(*range(1000)))
    path = tmp_path / "1.changelog.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))

    with pytest.raises(RuntimeSparkError, match="checksum"):
        list(StateStore(STORAGE, str(tmp_path)).load(1))


def test_the_operator_is_noted_and_compared(tmp_path: Path) -> None:
    store = StateStore(STORAGE, str(tmp_path))

    assert store.check_operator({"keys": ["a"]}) is None
    assert store.check_operator({"keys": ["a"]}) is None
    assert store.check_operator({"keys": ["b"]}) == 'the keys was ["a"] and is now ["b"]'


VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.float64(): st.floats(),
    pa.decimal128(38, 0): st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal),
    pa.string(): st.text(st.characters(exclude_categories=("Cs",))),
    pa.binary(): st.binary(),
    pa.timestamp("us", "UTC"): st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999),
    pa.list_(pa.uint8()): st.lists(st.integers(0, 255)),
    pa.struct([("count", pa.uint64()), ("value", pa.float64())]): st.fixed_dictionaries(
        {"count": st.integers(0, 2**64 - 1), "value": st.floats()}
    ),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_every_value_round_trips(tmp_path: Path, data: st.DataObject) -> None:
    columns = {
        f"c{i}": pa.array(data.draw(st.lists(st.none() | values, min_size=4, max_size=4)), kind)
        for i, (kind, values) in enumerate(VALUES.items())
    }
    rows = pa.table(columns)
    store = StateStore(STORAGE, str(tmp_path))

    store.write("changelog", 1, rows)

    (change,) = store.load(1)
    assert change.rows.schema == rows.schema
    assert repr(change.rows.to_pylist()) == repr(rows.to_pylist())
