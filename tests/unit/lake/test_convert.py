"""CONVERT TO DELTA of a folder."""

from __future__ import annotations

import datetime
import json
import os
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql.types import StructType

from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.local import LocalStorage
from headwater.lake.convert import Conversion, convert
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, rows

STORAGE = LocalStorage("none")
KT = parse_schema("k int, t string")


def put(folder: Path, name: str, columns: dict[str, Any], **options: Any) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns), path, **options)


def run(folder: Path, asked: Conversion | None = None) -> LakeTable:
    table = LakeTable.at(str(folder), STORAGE)
    convert(table, connection(), STORAGE, asked or Conversion())
    return table


def refused(folder: Path, condition: str, asked: Conversion | None = None) -> str:
    with pytest.raises(SparkError) as caught:
        run(folder, asked)
    assert caught.value.condition == condition, caught.value
    assert not (folder / "_delta_log").exists() or not list((folder / "_delta_log").iterdir())
    return str(caught.value)


def test_files_become_a_table_where_they_lie(tmp_path: Path) -> None:
    put(tmp_path, "a.parquet", {"id": [1, 2], "name": ["x", None]})
    put(tmp_path, "sub/b c.parquet", {"id": [3], "more": [1.5]})
    put(tmp_path, "_hidden/c.parquet", {"id": [9]})
    (tmp_path / "_SUCCESS").touch()
    before = sorted(str(path) for path in tmp_path.rglob("*.parquet"))
    table = run(tmp_path)
    assert sorted(str(path) for path in tmp_path.rglob("*.parquet")) == before
    assert table.schema == parse_schema("id bigint, name string, more double")
    assert rows(table) == by_deltalake(str(tmp_path)) == [(1, "x", None), (2, None, None), (3, None, 1.5)]
    (told,) = table.history()
    assert told.info["operation"] == "CONVERT"
    assert told.info["operationParameters"] == {
        "numFiles": 2, "partitionedBy": "[]", "collectStats": True, "sourceFormat": "parquet"
    }  # fmt: skip
    assert told.info["operationMetrics"] == {"numConvertedFiles": "2"}
    assert (told.info["isolationLevel"], told.info["isBlindAppend"]) == ("Serializable", False)
    assert run(tmp_path).version == 0, "a Delta table is left as it is"


def test_folders_are_partitions_with_the_types_given(tmp_path: Path) -> None:
    put(tmp_path, "k=1/t=x y/a.parquet", {"id": [1]})
    put(tmp_path, "k=__HIVE_DEFAULT_PARTITION__/t=a%3Ab/a.parquet", {"id": [2]})
    table = run(tmp_path, Conversion(KT, given=True, properties={"a": "b"}))
    assert table.schema == parse_schema("id bigint, k int, t string")
    assert rows(table) == by_deltalake(str(tmp_path)) == [(1, 1, "x y"), (2, None, "a:b")]
    assert table.partition_by == ("k", "t")
    assert table.metadata.configuration == {"a": "b"}
    assert table.history()[0].info["operationParameters"]["partitionedBy"] == '["k","t"]'


def test_statistics_are_bounds_of_the_rows(tmp_path: Path) -> None:
    day, noon = datetime.date(2026, 1, 2), datetime.datetime(2026, 1, 2, 12, tzinfo=datetime.UTC)
    columns = {
        "i": pa.array([3, None, 1], pa.int32()),
        "s": ["b", "a" * 40, None],
        "d": pa.array([day, day, None]),
        "at": pa.array([noon, None, noon], pa.timestamp("us", tz="UTC")),
        "f": [1.0, float("nan"), None],
        "g": [1.0, 2.0, None],
        "n": [{"x": 1}, {"x": 5}, None],
        "l": [[1], None, []],
        "ok": [True, False, None],
    }
    put(tmp_path, "a.parquet", columns)
    put(tmp_path, "empty.parquet", {"i": pa.array([], pa.int32())})
    found = {file.path: json.loads(file.stats or "{}") for file in run(tmp_path).snapshot().files}
    assert found["empty.parquet"]["numRecords"] == 0
    assert found["a.parquet"] == {
        "numRecords": 3,
        "minValues": {
            "i": 1, "s": "a" * 32, "d": "2026-01-02", "at": "2026-01-02T12:00:00.000Z", "g": 1.0, "n": {"x": 1},
        },
        "maxValues": {
            "i": 3, "s": "b", "d": "2026-01-02", "at": "2026-01-02T12:00:00.000Z", "g": 2.0, "n": {"x": 5},
        },
        "nullCount": {"i": 1, "s": 1, "d": 1, "at": 1, "f": 1, "g": 1, "l": 1, "ok": 1},
    }  # fmt: skip


def test_without_statistics_no_row_is_read(tmp_path: Path) -> None:
    put(tmp_path, "a.parquet", {"id": [1]})
    table = run(tmp_path, Conversion(statistics=False))
    assert [file.stats for file in table.snapshot().files] == [None]
    assert rows(table) == [(1,)]


def test_sparks_own_schema_and_old_times(tmp_path: Path) -> None:
    schema = parse_schema("at timestamp COMMENT 'when', wall timestamp_ntz")
    moment = datetime.datetime(2026, 1, 1)
    columns = {"at": pa.array([moment], pa.timestamp("us")), "wall": pa.array([moment], pa.timestamp("us"))}
    named = pa.table(columns).replace_schema_metadata({"org.apache.spark.sql.parquet.row.metadata": schema.json()})
    (tmp_path / "spark").mkdir()
    pq.write_table(named, tmp_path / "spark" / "a.parquet")
    assert run(tmp_path / "spark").schema == schema
    put(tmp_path / "old", "a.parquet", {"at": columns["at"]}, use_deprecated_int96_timestamps=True)
    put(tmp_path / "new", "a.parquet", {"at": columns["at"]})
    assert run(tmp_path / "old").schema == parse_schema("at timestamp")
    assert run(tmp_path / "new").schema == parse_schema("at timestamp_ntz")


def test_folders_that_are_not_the_partitions_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "k=x/t=1/a.parquet", {"id": [1]})
    few = "DELTA_UNEXPECTED_NUM_PARTITION_COLUMNS_FROM_FILE_NAME"
    assert "found 2 partition column(s): [`k`, `t`]" in refused(tmp_path, few)
    refused(tmp_path, few, Conversion(parse_schema("k string")))
    refused(tmp_path, "DELTA_FAILED_CAST_PARTITION_VALUE", Conversion(KT))
    other = Conversion(parse_schema("t string, k string"))
    refused(tmp_path, "DELTA_UNEXPECTED_PARTITION_COLUMN_FROM_FILE_NAME", other)


def test_what_is_no_parquet_or_of_two_types_is_refused(tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    refused(tmp_path / "none", "DELTA_EMPTY_DIRECTORY")
    put(tmp_path / "mixed", "a.parquet", {"id": [1]})
    (tmp_path / "mixed" / "notes.txt").write_text("x")
    assert "notes.txt" in refused(tmp_path / "mixed", "FAILED_READ_FILE.CANNOT_READ_FILE_FOOTER")
    for first, second in ((pa.int32(), pa.int64()), (pa.int64(), pa.int32()), (pa.int64(), pa.string())):
        folder = tmp_path / f"{first}-{second}"
        put(folder, "a.parquet", {"id": pa.array([], first)})
        put(folder, "b.parquet", {"id": pa.array([], second)})
        refused(folder, "DELTA_FAILED_TO_MERGE_FIELDS")


def test_a_lost_race_deletes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, "a.parquet", {"id": [1], "name": ["x"]})
    other = LakeTable.at(str(tmp_path), STORAGE)
    schema: StructType = parse_schema("id bigint, name string")
    monkeypatch.setattr("headwater.lake.convert.crash_point", lambda _: other.append(connection(), numbers(2), schema))
    with pytest.raises(ConcurrentWriteError):
        run(tmp_path)
    assert os.path.exists(tmp_path / "a.parquet")
    assert len(rows(other)) == 2
