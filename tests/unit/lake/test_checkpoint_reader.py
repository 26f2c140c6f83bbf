"""Checkpoints of every form give the state that the commits give; damaged and unfinished ones are passed over."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from headwater.errors import SparkError
from headwater.io.local import LocalStorage
from headwater.lake.checkpoint_reader import Checkpoint, find, is_checkpoint, read
from headwater.lake.log import DeltaLog, LogState
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, numbers, query, rows

SCHEMA = parse_schema("id bigint, name string")
UUID = "80a083e8-7026-4e79-81be-64bd76c43a11"
NAME = f"{3:020}.checkpoint"


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    """Five versions; the first four are in the tests' checkpoints alone."""
    table = LakeTable.at(str(tmp_path / "t"))
    for batch in range(5):
        table.append(connection(), numbers(1, batch), SCHEMA, txn=("q", batch))
    return table


def loaded(table: LakeTable) -> LogState:
    return DeltaLog(table.path, LocalStorage()).load()


def lines(table: LakeTable, last: int) -> list[dict[str, Any]]:
    """The actions of a checkpoint of version `last`."""
    log = Path(table.path) / "_delta_log"
    found = [json.loads(line) for v in range(last + 1) for line in (log / f"{v:020}.json").read_text().splitlines()]
    txns = [action for action in found if "txn" in action][-1:]
    return [action for action in found if not {"commitInfo", "txn"} & set(action)] + txns


def put(table: LakeTable, name: str, data: str | pa.Table) -> None:
    path = Path(table.path) / "_delta_log" / name
    path.parent.mkdir(exist_ok=True)
    if isinstance(data, str):
        path.write_text(data)
    else:
        pq.write_table(data, path)


def dropped(table: LakeTable, upto: int = 3) -> LogState:
    """The state that all commits give; those up to `upto` are gone afterwards."""
    plain = loaded(table)
    for version in range(upto + 1):
        os.unlink(Path(table.path) / "_delta_log" / f"{version:020}.json")
    return plain


def same(found: LogState, plain: LogState) -> None:
    assert found.checkpoint == 3
    assert [found.version, found.txns, found.metadata, found.protocol] == [
        plain.version,
        plain.txns,
        plain.metadata,
        plain.protocol,
    ]
    assert found.files == plain.files


ADD = pa.struct(
    [
        ("path", pa.string()),
        ("partitionValues", pa.map_(pa.string(), pa.string())),
        ("size", pa.int64()),
        ("modificationTime", pa.int64()),
        ("dataChange", pa.bool_()),
        ("stats", pa.string()),
    ]
)


def sidecar(adds: list[dict[str, Any]]) -> pa.Table:
    removes = pa.array([None] * len(adds), pa.struct([("path", pa.string())]))
    return pa.table({"remove": removes, "add": pa.array(adds, ADD)})


def test_a_v2_checkpoint_in_json_with_its_files_in_sidecars(table: LakeTable) -> None:
    actions = lines(table, 3)
    adds = [action["add"] for action in actions if "add" in action]
    put(table, "_sidecars/a.parquet", sidecar(adds[:1]))
    put(table, "_sidecars/b c.parquet", sidecar(adds[1:]))
    rest = [action for action in actions if "add" not in action] + [{"checkpointMetadata": {"version": 3}}]
    rest += [
        {"sidecar": {"path": path, "sizeInBytes": 1, "modificationTime": 1}} for path in ("a.parquet", "b%20c.parquet")
    ]
    put(table, f"{NAME}.{UUID}.json", "\n".join(map(json.dumps, rest)))
    plain = dropped(table)
    same(loaded(table), plain)
    assert rows(LakeTable.open(table.path)) == [(i, f"row {i}") for i in range(5)]


def test_a_v2_checkpoint_in_json_with_all_in_it(table: LakeTable) -> None:
    put(table, f"{NAME}.{UUID}.json", "\n".join(map(json.dumps, lines(table, 3))))
    plain = dropped(table)
    same(loaded(table), plain)


@pytest.mark.parametrize("name", [f"{NAME}.{UUID}.parquet", f"{NAME}.parquet"])
def test_a_v2_checkpoint_in_parquet(table: LakeTable, name: str) -> None:
    actions = lines(table, 3)
    adds = [action["add"] for action in actions if "add" in action]
    put(table, "_sidecars/a.parquet", sidecar(adds))
    merged: dict[str, list[Any]] = {"metaData": [], "protocol": [], "txn": [], "sidecar": []}
    found = [action for action in actions if "add" not in action] + [{"sidecar": {"path": "a.parquet"}}]
    for action in found:
        for kind, values in merged.items():
            values.append(action.get(kind))
    for body in filter(None, merged["metaData"]):
        body["configuration"] = list(body["configuration"].items())
        body["format"] = {"provider": "parquet"}
    kinds = {
        "metaData": pa.struct(
            [
                ("id", pa.string()),
                ("schemaString", pa.string()),
                ("partitionColumns", pa.list_(pa.string())),
                ("configuration", pa.map_(pa.string(), pa.string())),
                ("createdTime", pa.int64()),
            ]
        )
    }
    put(table, name, pa.table({kind: pa.array(values, kinds.get(kind)) for kind, values in merged.items()}))
    plain = dropped(table)
    same(loaded(table), plain)


def test_a_checkpoint_in_parts_counts_once_all_are_there(table: LakeTable) -> None:
    DeltaTable(table.path, version=3).create_checkpoint()
    log = Path(table.path) / "_delta_log"
    whole = pq.read_table(log / f"{NAME}.parquet")
    os.unlink(log / f"{NAME}.parquet")
    put(table, f"{NAME}.{1:010}.{2:010}.parquet", whole.slice(0, 2))
    assert loaded(table).checkpoint == -1
    put(table, f"{NAME}.{2:010}.{2:010}.parquet", whole.slice(2))
    plain = dropped(table)
    same(loaded(table), plain)


@pytest.mark.parametrize("damage", ["no sidecar", "half a line", "not parquet"])
def test_a_damaged_checkpoint_is_passed_over_and_one_that_is_needed_is_missed(table: LakeTable, damage: str) -> None:
    text = "\n".join(map(json.dumps, [*lines(table, 3), {"sidecar": {"path": "gone.parquet"}}]))
    if damage == "not parquet":
        put(table, f"{NAME}.{UUID}.parquet", "PAR1")
    else:
        put(table, f"{NAME}.{UUID}.json", text if damage == "no sidecar" else text[:-5])
    found = loaded(table)
    assert (found.checkpoint, len(found.files)) == (-1, 5)
    dropped(table)
    with pytest.raises(SparkError, match="DELTA_TRUNCATED_TRANSACTION_LOG"):
        loaded(table)


def test_an_older_state_is_not_taken_for_the_newest(table: LakeTable) -> None:
    DeltaTable(table.path, version=1).create_checkpoint()
    os.unlink(Path(table.path) / "_delta_log" / f"{3:020}.json")
    with pytest.raises(SparkError, match=r"DELTA_TRUNCATED_TRANSACTION_LOG.*00003\.json"):
        loaded(table)


def test_names() -> None:
    names = [f"{NAME}.parquet", f"{NAME}.{UUID}.json", f"{4:020}.checkpoint.{1:010}.{2:010}.parquet", f"{5:020}.json"]
    found = {Checkpoint(3, (f"{NAME}.parquet",)), Checkpoint(3, (f"{NAME}.{UUID}.json",))}
    assert set(find(names)) == set(find(names, 3)) == found
    assert find(names, 2) == []
    assert [is_checkpoint(name) for name in names] == [True, True, True, False]


def test_all_that_is_known_of_a_file_is_kept(tmp_path: Path) -> None:
    kind = pa.struct(
        [
            *ADD,
            (
                "deletionVector",
                pa.struct([("storageType", pa.string()), ("offset", pa.int32()), ("cardinality", pa.int64())]),
            ),
            ("tags", pa.map_(pa.string(), pa.string())),
            ("baseRowId", pa.int64()),
            ("clusteringProvider", pa.string()),
        ]
    )
    vector = {"storageType": "u", "offset": None, "cardinality": 3}
    full = {"path": "a", "partitionValues": [("p", None)], "size": 1, "modificationTime": 2, "dataChange": False,
            "stats": "{}", "deletionVector": vector, "tags": [("k", "v")], "baseRowId": 7}  # fmt: skip
    bare = {"path": "b", "partitionValues": [("p", None)], "size": 1, "modificationTime": 2}
    pq.write_table(pa.table({"add": pa.array([full, None, bare], kind)}), tmp_path / f"{NAME}.parquet")
    first, second = read(str(tmp_path), Checkpoint(3, (f"{NAME}.parquet",)), LocalStorage()).files
    assert (first.deletion_vector, first.data_change) == ({"storageType": "u", "cardinality": 3}, False)
    assert (first.other, second.other) == ({"tags": {"k": "v"}, "baseRowId": 7}, {})
    assert (second.deletion_vector, second.data_change, second.stats) == (None, True, None)
    assert first.partition_values == second.partition_values == {"p": None}


def test_statistics_that_are_there_as_columns_alone(tmp_path: Path) -> None:
    values = pa.struct(
        [
            ("d", pa.decimal128(20, 2)),
            ("t", pa.timestamp("us", "UTC")),
            ("n", pa.timestamp("us")),
            ("day", pa.date32()),
            ("x", pa.float64()),
            ("s", pa.struct([("i", pa.int32()), ("j", pa.int32())])),
        ]
    )
    stats = pa.struct([("numRecords", pa.int64()), ("minValues", values)])
    kind = pa.struct(
        [("path", pa.string()), ("size", pa.int64()), ("modificationTime", pa.int64()), ("stats_parsed", stats)]
    )
    moment = datetime(2024, 1, 1, 1, 2, 3, 4567, UTC)
    low = {"d": Decimal("123456789012345678.10"), "t": moment, "n": moment.replace(tzinfo=None)}
    low |= {"day": date(2024, 1, 1), "x": float("nan"), "s": {"i": 1, "j": None}}
    add = {"path": "a", "size": 1, "modificationTime": 1, "stats_parsed": {"numRecords": 2, "minValues": low}}
    pq.write_table(pa.table({"add": pa.array([add], kind)}), tmp_path / f"{NAME}.parquet")
    (file,) = read(str(tmp_path), Checkpoint(3, (f"{NAME}.parquet",)), LocalStorage()).files
    assert file.stats == (
        '{"numRecords":2,"minValues":{"d":123456789012345678.10,"t":"2024-01-01T01:02:03.004Z",'
        '"n":"2024-01-01T01:02:03.004","day":"2024-01-01","s":{"i":1}}}'
    )
    assert file.partition_values == {}


def test_partitioned_files(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    source = query("SELECT i AS id, nullif(i % 3, 1) AS p FROM range(6) r(i)")
    table.append(connection(), source, parse_schema("id bigint, p bigint"), partition_by=("p",))
    plain = loaded(table)
    DeltaTable(table.path).create_checkpoint()
    found = loaded(table)
    assert (found.checkpoint, found.files) == (0, plain.files)
