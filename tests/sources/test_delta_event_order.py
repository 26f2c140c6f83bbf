"""The Delta source with `withEventTimeOrder`: the table as it is comes by event time, and no row is late."""

from __future__ import annotations

import json
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
from headwater.sources.base import Offset, ReadLimit, SourceContext, SourceRequest, StreamSource, sources
from headwater.types.ddl import parse_schema
from support.command import run_job
from support.lake import connection, query

SCHEMA = parse_schema("at timestamp, n int")


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    """A file for each hour, written from the last to the first."""
    made = LakeTable.create(str(tmp_path / "t"), SCHEMA)
    for hour in (3, 2, 1, 0):
        add(made, hour)
    return made


def add(table: LakeTable, hour: int) -> None:
    text = f"SELECT TIMESTAMPTZ '1970-01-01 0{hour}:00:00+00' AS at, {hour} AS n"
    table.append(connection(), query(text), SCHEMA)


def stream(table: LakeTable, event_time: str | None = "at", **options: object) -> StreamSource:
    texts = {"withEventTimeOrder": "true", **{name: str(value) for name, value in options.items()}}
    request = SourceRequest("delta", None, FormatOptions(texts), (table.path,), event_time=event_time)
    found = sources.get("delta")
    assert found is not None
    return found.open(request, SourceContext(Database(threads=1), LocalStorage("none"), SystemClock(), {}, Mounts()))


def read(source: StreamSource, start: Offset | None, end: Offset) -> list[Any]:
    rows = connection().execute(sql_text(source.relation(connection(), start, end).query)).fetchall()
    return sorted(row[1] for row in rows)


def drain(source: StreamSource, position: Offset | None = None) -> tuple[list[list[Any]], list[Offset]]:
    batches, ends = [], []
    while (end := source.latest_offset(position, ReadLimit())) not in (None, position):
        assert end is not None
        batches.append(read(source, position, end))
        ends.append(end)
        position = end
    return batches, ends


def test_the_table_comes_by_event_time_and_then_its_commits(table: LakeTable) -> None:
    source = stream(table, maxFilesPerTrigger=1)
    batches, ends = drain(source)
    assert batches == [[0], [1], [2], [3]]
    first, last = json.loads(ends[0]), json.loads(ends[-1])
    assert (first["eventTimeMillis"], first["index"], first["isStartingVersion"]) == (3_600_000, -1, True)
    assert (last["reservoirVersion"], last["isStartingVersion"], "eventTimeMillis" in last) == (5, False, False)
    add(table, 0)
    assert drain(source, ends[-1])[0] == [[0]]


def test_the_same_offsets_give_the_same_rows_under_other_limits(table: LakeTable) -> None:
    _, ends = drain(stream(table, maxFilesPerTrigger=1))
    add(table, 0)
    again = stream(table, maxFilesPerTrigger=3)
    assert [read(again, a, b) for a, b in zip([None, *ends], ends, strict=False)] == [[0], [1], [2], [3]]
    assert drain(stream(table), ends[1])[0] == [[2, 3], [0]]


def test_what_has_begun_by_event_time_ends_so(table: LakeTable) -> None:
    _, ends = drain(stream(table, maxFilesPerTrigger=1))
    assert drain(stream(table, withEventTimeOrder="false"), ends[0])[0] == [[1, 2, 3]]
    source = stream(table, withEventTimeOrder="false", maxFilesPerTrigger=1)
    plain = source.latest_offset(None, ReadLimit())
    assert plain is not None
    rest = drain(stream(table), plain)[0]
    assert sorted([*read(source, None, plain), *(n for batch in rest for n in batch)]) == [0, 1, 2, 3]


def test_the_backlog_is_what_may_hold_later_rows(table: LakeTable) -> None:
    source = stream(table, maxFilesPerTrigger=1)
    source.latest_offset(None, ReadLimit())
    assert source.metrics()["numFilesOutstanding"] == "3"


def test_once_takes_all_of_the_table(table: LakeTable) -> None:
    source = stream(table, maxFilesPerTrigger=1)
    end = source.latest_offset(None, ReadLimit(all=True))
    assert end is not None
    assert read(source, None, end) == [0, 1, 2, 3]


def test_an_order_needs_a_column_of_times(table: LakeTable) -> None:
    for name in (None, "n", "nowhere"):
        with pytest.raises(UnsupportedError, match="withEventTimeOrder"):
            stream(table, name)
    with pytest.raises(UnsupportedError, match="withEventTimeOrder"):
        stream(table, readChangeFeed="true")


JOB = """
rows = (spark.readStream.format("delta").option("withEventTimeOrder", "true").option("maxFilesPerTrigger", 1)
    .load("{path}").filter("n >= 0").withWatermark("at", "1 minute"))
counts = rows.groupBy(F.window("at", "1 hour")).count()
query = (counts.writeStream.format("delta").option("checkpointLocation", "ck").trigger(availableNow=True).start("out"))
query.awaitTermination()
"""


def test_no_row_of_the_table_is_late(table: LakeTable, tmp_path: Path) -> None:
    job = "from pyspark.sql import functions as F\n" + JOB.format(path=table.path)
    (tmp_path / "job.py").write_text(job)
    assert run_job(tmp_path) == 0
    written = LakeTable.open(str(tmp_path / "out")).snapshot()
    rows = connection().execute(sql_text(written.query())).fetchall()
    # The watermark is at 02:59: the last two windows are still open.
    assert sorted((row[0]["start"].hour, row[1]) for row in rows) == [(0, 1), (1, 1)]
