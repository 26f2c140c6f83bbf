"""Columns that change under SIGKILL, and streams that go through it: the table is readable, each row comes once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from headwater.lake import alter, renaming
from headwater.lake.actions import Metadata, Protocol
from headwater.lake.alter import Changes
from headwater.lake.footers import stored_schemas
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema, parse_type
from support.command import run_job
from support.forked import run_code
from support.kill import KILLED
from support.lake import connection, query, rows

PROPERTIES = {"delta.columnMapping.mode": "name", "delta.enableTypeWidening": "true"}
CHANGES = {
    "rename": "renaming.rename_column(table, ('v',), 'w', lambda *_: None)",
    "drop": "renaming.drop_columns(table, [('v',)], lambda *_: None)",
    "type": "alter.change_column(table, ('id',), alter.Changes(type=LongType()), connection())",
    "mapping": "alter.set_properties(table, {'delta.columnMapping.mode': 'name'})",
    "unmapping": "unmapping.remove_mapping(table, connection())",
}
FEATURES = {
    "feature": "drop_feature.drop_feature(table, 'columnMapping', connection())",
    "widening": "drop_feature.drop_feature(table, 'typeWidening', connection())",
    "history": "drop_feature.drop_feature(table, 'columnMapping', connection(), truncate_history=True)",
}
AFTER = {"rename": "struct<id:int,w:int>", "drop": "struct<id:int>", "type": "struct<id:bigint,v:int>"}
CODE = (
    "import sys; from pyspark.sql.types import LongType;"
    "from headwater.lake import alter, drop_feature, renaming, unmapping;"
    "from headwater.lake.table import LakeTable; from support.lake import connection;"
    "table = LakeTable.open(sys.argv[1]);"
)


def change(path: str, what: str, crash_at: str | None = None) -> int:
    return run_code(CODE + (CHANGES | FEATURES)[what], path, crash=crash_at).status


def made(folder: Path, properties: dict[str, str]) -> LakeTable:
    table = LakeTable.create(str(folder / "t"), parse_schema("id int, v int"), properties=properties)
    table.append(connection(), query("SELECT 1::INT AS id, 2::INT AS v"), parse_schema("id int, v int"))
    return table


@pytest.mark.parametrize("what", sorted(CHANGES))
def test_a_change_of_columns_is_there_or_not(tmp_path: Path, what: str) -> None:
    before = "struct<id:int,v:int>"
    first = "lake.unmapped:1" if what == "unmapping" else "lake.altered:1"
    for number, point in enumerate((first, "storage.temp:1", "storage.link:1")):
        path = made(tmp_path / str(number), {} if what == "mapping" else PROPERTIES).path
        assert change(path, what, point) == -signal.SIGKILL, point
        table = LakeTable.open(path)
        landed = point == "storage.link:1"
        assert table.version == (2 if landed else 1)
        assert table.schema.simpleString() == (AFTER.get(what, before) if landed else before)
        assert [row[0] for row in rows(table)] == [1]
        if not landed:
            assert change(path, what) == 0
            assert LakeTable.open(path).schema.simpleString() == AFTER.get(what, before)


JOB = """
source = (spark.readStream.format("delta").option("schemaTrackingLocation", "{folder}/ck/schema")
    .option("maxFilesPerTrigger", 1).option("startingVersion", 0))
for what in ("Rename", "Drop", "TypeChange"):
    source = source.option("allowSourceColumn" + what, "always")
for _ in range(9):
    try:
        (source.load("{folder}/t").writeStream.format("delta").option("checkpointLocation", "{folder}/ck")
            .option("mergeSchema", "true").trigger(availableNow=True).start("{folder}/copy").awaitTermination())
        break
    except Exception as error:
        if "DELTA_STREAMING_METADATA_EVOLUTION" not in str(error):
            raise
else:
    raise SystemExit("the stream stopped too often")
"""
STEPS = ("step3:2", "step6:2", "step7:2", "schema_log.before:1", "schema_log.written:1", "schema_log.written:2")


def nobody(_metadata: Metadata, _path: tuple[str, ...]) -> None:
    """No expression names a column."""


def test_a_stream_gives_each_row_once_through_changes_whatever_is_killed(tmp_path: Path) -> None:
    table = made(tmp_path, PROPERTIES)
    session, expected = connection(), [{"id": 1, "v": 2}]

    def add(**values: int) -> None:
        columns = LakeTable.open(table.path).schema
        text = ", ".join(f"{values[f.name]}::{f.dataType.simpleString()} AS {f.name}" for f in columns.fields)
        table.append(session, query(f"SELECT {text}"), columns)
        expected.append(values)

    add(id=2, v=3)
    renaming.rename_column(table, ("v",), "w", nobody)
    add(id=3, w=4)
    add(id=4, w=5)
    alter.change_column(table, ("w",), Changes(type=parse_type("bigint")), session)
    add(id=5, w=6_000_000_000)
    renaming.rename_column(table, ("w",), "x", nobody)
    alter.change_column(table, ("id",), Changes(type=parse_type("bigint")), session)
    add(id=6_000_000_000, x=7)
    renaming.drop_columns(table, [("x",)], nobody)
    add(id=7)

    # Names of the copy: each row under those it was written with.
    LakeTable.create(str(tmp_path / "copy"), parse_schema("id bigint, v int, w bigint, x bigint"))
    (tmp_path / "job.py").write_text(JOB.format(folder=tmp_path))
    for step in STEPS:
        assert run_job(tmp_path, step) == KILLED, step
    assert run_job(tmp_path) == 0
    copy = pa.table(DeltaTable(str(tmp_path / "copy")).scan()).to_pylist()
    found = [{name: value for name, value in row.items() if value is not None} for row in copy]
    assert sorted(found, key=repr) == sorted(expected, key=repr)


DROPPED = (
    "lake.unmapped:1",
    "lake.downgrade_prepared:1",
    "lake.committed:2",
    "lake.downgrade_checked:1",
    "lake.committed:5",
)


def test_a_feature_whose_dropping_was_killed_is_dropped_the_next_time(tmp_path: Path) -> None:
    for number, point in enumerate(DROPPED):
        path = made(tmp_path / str(number), {"delta.columnMapping.mode": "name"}).path
        assert change(path, "feature", point) == -signal.SIGKILL, point
        assert [row[0] for row in rows(LakeTable.open(path))] == [1], point
        gone = point == DROPPED[-1]
        assert (change(path, "feature") == 0) != gone, "what is dropped cannot be dropped again"
        table = LakeTable.open(path)
        assert table.newest().protocol == Protocol(1, 7, (), ("appendOnly", "checkpointProtection", "invariants"))
        assert rows(table) == [(1, 2)]


WIDENED = (
    "lake.optimize_written:1",
    "lake.committed:2",
    "lake.widened:1",
    "lake.committed:3",
    "lake.downgrade_checked:1",
)


def test_types_that_are_widened_for_good_under_kills(tmp_path: Path) -> None:
    for number, point in enumerate(WIDENED):
        table = made(tmp_path / str(number), {"delta.enableTypeWidening": "true"})
        alter.change_column(table, ("id",), Changes(type=parse_type("bigint")), connection())
        assert change(table.path, "widening", point) == -signal.SIGKILL, point
        assert rows(LakeTable.open(table.path)) == [(1, 2)], point
        assert change(table.path, "widening") == 0
        table = LakeTable.open(table.path)
        assert table.newest().protocol == Protocol(1, 7, (), ("appendOnly", "checkpointProtection", "invariants"))
        (stored,) = stored_schemas([f"{table.path}/{file.path}" for file in table.snapshot().files])
        assert (stored, rows(table)) == (parse_schema("id bigint, v int"), [(1, 2)])


LONG_AGO = time.time() - 3 * 86_400
"""Older than the history that is kept then, younger than what every checkpoint cleans away."""
TRUNCATED = (
    "lake.truncating:1",
    "lake.truncating:2",
    "lake.truncating:3",
    "lake.downgrade_checked:1",
    "lake.committed:2",
)


def test_a_log_that_is_cut_short_can_be_read_whatever_is_killed(tmp_path: Path) -> None:
    for number, point in enumerate(TRUNCATED):
        path = made(tmp_path / str(number), {"delta.columnMapping.mode": "name"}).path
        assert change(path, "history") != 0, "the versions before are too young"
        for file in (Path(path) / "_delta_log").iterdir():
            os.utime(file, (LONG_AGO, LONG_AGO))
        assert change(path, "history", point) == -signal.SIGKILL, point
        assert rows(LakeTable.open(path)) == [(1, 2)], point
        assert DeltaTable(path).to_pyarrow_table().to_pylist() == [{"id": 1, "v": 2}]
        dropped = point == TRUNCATED[-1]
        assert (change(path, "history") == 0) != dropped
        table = LakeTable.open(path)
        assert table.newest().protocol == Protocol(1, 2)
        assert (rows(table), table.log_versions()[0] > 0) == ([(1, 2)], True)
