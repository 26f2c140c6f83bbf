"""The Delta source's change data feed: as a batch, and as a stream that gives the table as inserts first."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from headwater.clock import SystemClock
from headwater.duck import Database, sql_text
from headwater.errors import AnalysisError
from headwater.io.formats.base import FormatOptions
from headwater.io.local import LocalStorage
from headwater.io.mounts import Mounts
from headwater.sources.base import Offset, ReadLimit, SourceContext, SourceRequest, StreamSource, sources
from support.lake import connection

ON = {"delta.enableChangeDataFeed": "true"}
Changed = list[tuple[int, str, int]]


def people(*ids: int) -> pa.Table:
    return pa.table({"id": pa.array(ids, pa.int64())})


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Versions 0 and 1 insert, 2 updates, 3 deletes, 4 overwrites."""
    path = str(tmp_path / "t")
    write_deltalake(path, people(1, 2), configuration=ON)
    write_deltalake(path, people(3), mode="append")
    DeltaTable(path).update(predicate="id = 2", updates={"id": "20"})
    DeltaTable(path).delete("id = 1")
    write_deltalake(path, people(7), mode="overwrite")
    return path


def request(path: str, options: dict[str, object]) -> SourceRequest:
    texts = {"readChangeFeed": "true", **{name: str(value) for name, value in options.items()}}
    return SourceRequest("delta", None, FormatOptions(texts), (path,))


def context(**settings: str) -> SourceContext:
    return SourceContext(Database(threads=1), LocalStorage("none"), SystemClock(), settings, Mounts())


def provider() -> Any:
    found = sources.get("delta")
    assert found is not None
    return found


def stream(path: str, **options: object) -> StreamSource:
    return provider().open(request(path, options), context())


def changed(source: StreamSource, start: Offset | None, end: Offset) -> Changed:
    found = source.relation(connection(), start, end)
    rows = connection().execute(sql_text(found.query)).fetchall()
    return sorted((row[2], row[1], row[0]) for row in rows)


def drain(source: StreamSource, start: Offset | None = None) -> tuple[list[Changed], list[Offset]]:
    """The batches up to the end, and their ends."""
    batches, ends = [], []
    position = start if start is not None else source.initial_offset()
    while (end := source.latest_offset(position, ReadLimit())) not in (None, position):
        assert end is not None
        batches.append(changed(source, position, end))
        source.commit(end)
        ends.append(end)
        position = end
    return batches, ends


def places(ends: list[Offset]) -> list[tuple[int, int, bool]]:
    bodies = [json.loads(end) for end in ends]
    return [(body["reservoirVersion"], body["index"], body["isStartingVersion"]) for body in bodies]


UPDATED = [(2, "update_postimage", 20), (2, "update_preimage", 2)]
OVERWRITTEN = [(4, "delete", 3), (4, "delete", 20), (4, "insert", 7)]


def test_a_stream_gives_the_table_as_inserts_and_then_every_change(path: str) -> None:
    source = stream(path)
    assert source.schema.names == ["id", "_change_type", "_commit_version", "_commit_timestamp"]
    batches, ends = drain(source)
    assert batches == [[(4, "insert", 7)]]
    DeltaTable(path).update(updates={"id": "8"})
    write_deltalake(path, people(9), mode="append")
    later, _ = drain(stream(path), ends[-1])
    assert later == [[(5, "update_postimage", 8), (5, "update_preimage", 7), (6, "insert", 9)]]


def test_a_stream_from_a_version_gives_no_table_first(path: str) -> None:
    batches, _ = drain(stream(path, startingVersion=2))
    assert batches == [[*UPDATED, (3, "delete", 1), *OVERWRITTEN]]


def test_a_version_with_recorded_changes_is_not_parted(path: str) -> None:
    batches, ends = drain(stream(path, startingVersion=0, maxFilesPerTrigger=1))
    flat = [row for batch in batches for row in batch]
    assert UPDATED in batches
    assert sorted(flat) == [
        (0, "insert", 1),
        (0, "insert", 2),
        (1, "insert", 3),
        *UPDATED,
        (3, "delete", 1),
        *OVERWRITTEN,
    ]
    assert places(ends)[-1][:1] == (5,)
    assert any(version == 4 and index >= 0 for version, index, _ in places(ends)), "an overwrite is parted"


def test_the_same_offsets_give_the_same_rows_after_a_restart(path: str) -> None:
    _, ends = drain(stream(path, startingVersion=0, maxFilesPerTrigger=2))
    pairs = list(itertools.pairwise(ends))
    first = [changed(stream(path, startingVersion=0), a, b) for a, b in pairs]
    write_deltalake(path, people(50), mode="append")
    again = stream(path, startingVersion=0)
    assert [changed(again, a, b) for a, b in reversed(pairs)] == first[::-1]


def test_a_restart_in_the_first_batch_finds_the_table_as_it_was(path: str) -> None:
    end = stream(path).latest_offset(None, ReadLimit())
    assert end is not None
    write_deltalake(path, people(50), mode="append")
    assert changed(stream(path), None, end) == [(4, "insert", 7)]


def test_a_stream_stops_where_the_feed_is_off(tmp_path: Path, path: str) -> None:
    plain = str(tmp_path / "plain")
    write_deltalake(plain, people(1))
    with pytest.raises(AnalysisError, match="DELTA_MISSING_CHANGE_DATA"):
        drain(stream(plain))
    _, ends = drain(stream(path))
    DeltaTable(path).alter.set_table_properties({"delta.enableChangeDataFeed": "false"})
    with pytest.raises(AnalysisError, match=r"(?s)DELTA_MISSING_CHANGE_DATA.*version \[5\]"):
        drain(stream(path, startingVersion=0), ends[-1])


def test_files_can_be_left_out_by_name(path: str) -> None:
    assert drain(stream(path, startingVersion=2, excludeRegex="_change_data"))[0] == [OVERWRITTEN]


def batch(path: str, settings: dict[str, str] | None = None, **options: object) -> Changed:
    found, schema = provider().batch(request(path, options), context(**settings or {}))
    assert schema.names[1:] == ["_change_type", "_commit_version", "_commit_timestamp"]
    return sorted((row[2], row[1], row[0]) for row in connection().execute(sql_text(found.query)).fetchall())


def test_a_batch_gives_the_changes_of_a_range(path: str) -> None:
    assert batch(path, startingVersion=2, endingVersion=3) == [*UPDATED, (3, "delete", 1)]
    assert batch(path, readChangeFeed="false", readChangeData="true", startingVersion=4) == OVERWRITTEN
    with pytest.raises(AnalysisError, match="DELTA_NO_START_FOR_CDC_READ"):
        batch(path)
    with pytest.raises(AnalysisError, match="DELTA_UNSUPPORTED_TIME_TRAVEL_VIEWS"):
        batch(path, startingVersion=0, versionAsOf=1)


def test_a_range_after_the_table_is_empty_if_the_session_says_so(path: str) -> None:
    setting = {"spark.databricks.delta.changeDataFeed.timestampOutOfRange.enabled": "true"}
    assert batch(path, setting, startingVersion=99) == []
    assert batch(path, setting, startingTimestamp="2100-01-01") == []


def test_a_table_whose_changes_are_asked_for_is_not_followed(path: str) -> None:
    assert provider().follow(request(path, {"startingVersion": 0}), context()) is None
    assert provider().schema(request(path, {}), context()).names[-1] == "_commit_timestamp"
