"""The Delta source on tables that genuine Spark made: mapped names, deletion vectors, widened types, as streams."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from headwater.clock import SystemClock
from headwater.duck import Database, sql_text
from headwater.errors import UnsupportedError
from headwater.io.formats.base import FormatOptions
from headwater.io.local import LocalStorage
from headwater.io.mounts import Mounts
from headwater.lake.table import LakeTable
from headwater.sources.base import ReadLimit, SourceContext, SourceRequest, StreamSource, sources
from support.delta_acceptance import put
from support.lake import connection


def stream(path: Path, **options: object) -> StreamSource:
    provider = sources.get("delta")
    assert provider is not None
    texts = FormatOptions({key: str(value) for key, value in options.items()})
    context = SourceContext(Database(threads=1), LocalStorage("none"), SystemClock(), {}, Mounts(), "UTC", None, None)
    return provider.open(SourceRequest("delta", None, texts, (str(path),)), context)


def batches(source: StreamSource) -> Iterator[list[tuple[Any, ...]]]:
    position = source.initial_offset()
    while (end := source.latest_offset(position, ReadLimit())) not in (None, position):
        assert end is not None
        found = source.relation(connection(), position, end)
        rows = connection().execute(sql_text(found.query)).fetchall()
        assert found.rows in (None, len(rows))
        yield sorted(rows, key=repr)
        position = end


def everything(path: Path, version: int | None = None) -> list[tuple[Any, ...]]:
    query = LakeTable.open(str(path)).snapshot(version).query()
    return sorted(connection().execute(sql_text(query)).fetchall(), key=repr)


@pytest.mark.parametrize(
    "name", ["column_mapping", "column_mapping_nested", "column_mapping_id", "type_widening", "deletion_vectors"]
)
def test_a_stream_begins_with_the_rows_of_the_table(name: str, tmp_path: Path) -> None:
    path = put(name, tmp_path)
    (rows,) = batches(stream(path))
    assert rows == everything(path) != []


@pytest.mark.parametrize("by", ["startingVersion", "startingTimestamp"])
def test_a_stream_that_begins_later_reads_mapped_columns(by: str, tmp_path: Path) -> None:
    path = put("column_mapping", tmp_path)
    for version in range(4):
        moment = datetime(2026, 1, 1 + version, tzinfo=UTC).timestamp()
        os.utime(path / "_delta_log" / f"{version:020}.json", (moment, moment))
    source = stream(path, **{by: {"startingVersion": "3", "startingTimestamp": "2026-01-03 12:00:00"}[by]})
    (rows,) = batches(source)
    assert len(rows) == 5
    assert set(rows) <= set(everything(path))
    assert all(number is not None and day is not None for _, number, day in rows)


def test_a_rename_after_the_start_is_an_error_of_its_own(tmp_path: Path) -> None:
    source = stream(put("column_mapping_nested", tmp_path), startingVersion=1)
    with pytest.raises(UnsupportedError, match="DELTA_STREAMING_INCOMPATIBLE_SCHEMA_CHANGE_USE_SCHEMA_LOG"):
        list(batches(source))


def test_rows_deleted_by_a_vector_are_a_change_that_a_stream_cannot_tell(tmp_path: Path) -> None:
    path = put("deletion_vectors", tmp_path)
    with pytest.raises(UnsupportedError, match="DELTA_SOURCE_TABLE_IGNORE_CHANGES"):
        list(batches(stream(path, startingVersion=1)))
    assert list(batches(stream(path, startingVersion=1, skipChangeCommits="true"))) == [everything(path, 1)]


def test_users_see_no_trace_of_the_mapping_in_the_schema(tmp_path: Path) -> None:
    assert "delta." not in stream(put("column_mapping", tmp_path)).schema.json()
