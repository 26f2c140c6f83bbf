"""Instants that Spark wrote as INT96: the same moment in every session, at every depth."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlglot import exp

from headwater.duck import sql_text
from headwater.io.formats.base import FormatOptions, ScanRequest, formats
from headwater.io.instants import has_instants, holds_int96, in_utc, without_zone
from headwater.io.storage import FileStatus
from headwater.lake.actions import AddFile, Commit, Metadata, Protocol
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema, parse_type
from support.lake import connection, query, rows
from support.sql_session import Sql

NOON = datetime(2024, 7, 1, 12, 0, 0, 123456, UTC)
NESTED = "at timestamp, s struct<a:timestamp,n:int>, l array<array<timestamp>>, m map<timestamp,struct<b:timestamp>>"
FIELDS = [("a", pa.timestamp("us", "UTC")), ("n", pa.int32())]
TYPES = {
    "at": pa.timestamp("us", "UTC"),
    "s": pa.struct(FIELDS),
    "l": pa.list_(pa.list_(pa.timestamp("us", "UTC"))),
    "m": pa.map_(pa.timestamp("us", "UTC"), pa.struct([("b", pa.timestamp("us", "UTC"))])),
}
WHOLE = {"at": NOON, "s": {"a": NOON, "n": 1}, "l": [[NOON, None], None, []], "m": [(NOON, {"b": NOON})]}
EMPTY = {"at": None, "s": None, "l": None, "m": None}
HALF = {"at": None, "s": {"a": None, "n": 2}, "l": [], "m": [(NOON, None)]}


def made(folder: Path, *, int96: bool) -> LakeTable:
    """A table of one file that is not DuckDB's."""
    folder.mkdir(exist_ok=True)
    table = LakeTable.at(str(folder))
    data = pa.Table.from_pylist([WHOLE, EMPTY, HALF], pa.schema(list(TYPES.items())))
    pq.write_table(data, folder / "f.parquet", use_deprecated_int96_timestamps=int96)
    add = AddFile("f.parquet", {}, (folder / "f.parquet").stat().st_size, 1)
    metadata = Metadata("id", parse_schema(NESTED).json())
    table.log.write(Commit(0, (add,), metadata=metadata, protocol=Protocol(1, 2)))
    return LakeTable.open(str(folder))


@pytest.mark.parametrize("int96", [False, True])
@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Tokyo"])
def test_an_instant_is_the_same_in_every_session(tmp_path: Path, zone: str, int96: bool) -> None:
    table = made(tmp_path, int96=int96)
    assert holds_int96(str(tmp_path / "f.parquet")) is int96
    expected = [
        (NOON, {"a": NOON, "n": 1}, [[NOON, None], None, []], {NOON: {"b": NOON}}),
        (None, {"a": None, "n": 2}, [], {NOON: None}),
        (None, None, None, None),
    ]
    found = rows(table, zone)
    assert sorted(found, key=lambda row: (row[0] is None, row[1] is None)) == expected


def test_files_of_both_kinds_are_read_together(tmp_path: Path) -> None:
    table = made(tmp_path, int96=True)
    more = query("SELECT TIMESTAMPTZ '2024-07-01 12:00:00.123456+00' AS at")
    table.append(connection("Asia/Tokyo"), more, parse_schema("at timestamp"))
    for zone in ("UTC", "Asia/Tokyo"):
        assert [row[0] for row in rows(table, zone) if row[0] is not None] == [NOON, NOON]


def test_a_file_that_is_not_there_is_for_the_reader_to_tell(tmp_path: Path) -> None:
    assert not holds_int96(str(tmp_path / "none.parquet"))
    (tmp_path / "damaged.parquet").write_bytes(json.dumps({}).encode())
    assert not holds_int96(str(tmp_path / "damaged.parquet"))


def test_what_holds_no_instant_is_left_alone() -> None:
    value, kind = exp.column("v"), parse_type("struct<a: array<timestamp_ntz>, m: map<date, string>>")
    assert not has_instants(kind)
    assert in_utc(value, kind) is value
    assert without_zone(kind).simpleString() == kind.simpleString()


ZONES = ("UTC", "America/New_York", "Asia/Tokyo")


def test_plain_files_of_both_kinds_hold_instants_too(tmp_path: Path) -> None:
    sql = Sql(str(tmp_path / "warehouse"))
    data = pa.Table.from_pylist([WHOLE, EMPTY, HALF], pa.schema(list(TYPES.items())))
    for name, int96 in (("old", True), ("new", False)):
        pq.write_table(data, tmp_path / f"{name}.parquet", use_deprecated_int96_timestamps=int96)
    (tmp_path / "both").mkdir()
    for name in ("old", "new"):
        (tmp_path / "both" / f"{name}.parquet").write_bytes((tmp_path / f"{name}.parquet").read_bytes())
    for zone in ZONES:
        sql(f"SET spark.sql.session.timeZone = {zone}")
        old, new = (sql(f"SELECT * FROM parquet.`{tmp_path / name}.parquet`") for name in ("old", "new"))
        assert old == new
        assert old[0][0] == NOON
        both = sql(f"SELECT count(*), count(DISTINCT at), max(unix_micros(at)) FROM parquet.`{tmp_path / 'both'}`")
        assert both == [(6, 1, 1_719_835_200_123_456)]
    assert sql(f"SELECT typeof(at), typeof(s) FROM parquet.`{tmp_path / 'old.parquet'}` LIMIT 1") == [
        ("timestamp", "struct<a:timestamp,n:int>")
    ]


def test_the_rescued_data_column_leaves_instants_as_they_are(tmp_path: Path) -> None:
    data = pa.table({"at": pa.array([NOON], pa.timestamp("us", "UTC")), "more": pa.array([1])})
    pq.write_table(data, tmp_path / "old.parquet", use_deprecated_int96_timestamps=True)
    status = FileStatus(str(tmp_path / "old.parquet"), 1, 1)
    request = ScanRequest((status,), parse_schema("at timestamp, _r string"), FormatOptions({}), rescue="_r")
    for zone in ZONES:
        reader = connection(zone)
        found = reader.execute(sql_text(formats.get("parquet").scan(request))).fetchall()
        assert found[0][0] == NOON


def test_files_that_spark_wrote_are_read_as_the_table_that_it_read(tmp_path: Path) -> None:
    data = Path(__file__).parents[2] / "data" / "delta_acceptance"
    sql = Sql(str(tmp_path / "warehouse"))
    for zone in ZONES:
        sql(f"SET spark.sql.session.timeZone = {zone}")
        for name, column in (("times_of_other_zones", "at"), ("all_primitive_types", "timestamp")):
            table = data / name / "table"
            asked = f"SELECT unix_micros({column}) FROM {{}} ORDER BY 1"
            below = "*/*.parquet" if name == "times_of_other_zones" else "*.parquet"
            plain = sql(asked.format(f"parquet.`{table}/{below}`"))
            assert plain == sql(asked.format(f"delta.`{table}`")) != []


def test_a_plain_file_that_is_written_anew_is_looked_into_again(tmp_path: Path) -> None:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("SET spark.sql.session.timeZone = Asia/Tokyo")
    path = tmp_path / "f.parquet"
    for count, int96 in ((1, True), (2, False), (3, True)):
        data = pa.table({"at": pa.array([NOON] * count, pa.timestamp("us", "UTC"))})
        pq.write_table(data, path, use_deprecated_int96_timestamps=int96)
        assert sql(f"SELECT at FROM parquet.`{path}`") == [(NOON,)] * count
