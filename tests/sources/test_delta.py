"""The Delta source: a table as a batch at any version, and its appends as a stream that restarts exactly."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from headwater.clock import SystemClock
from headwater.duck import Database, sql_text
from headwater.errors import AnalysisError, IllegalArgumentError, SparkError, UnsupportedError
from headwater.io.formats.base import FormatOptions
from headwater.io.local import LocalStorage
from headwater.io.mounts import Mounts
from headwater.lake.table import LakeTable
from headwater.sources.base import Offset, ReadLimit, SourceContext, SourceRequest, StreamSource, sources
from headwater.sources.delta import parse_time
from headwater.types.ddl import parse_schema
from support.lake import connection, numbers, query

PAIRS = parse_schema("id bigint, name string")
LIMITED, ALL = ReadLimit(), ReadLimit(all=True)


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    return LakeTable.create(str(tmp_path / "t"), PAIRS)


def add(table: LakeTable, *ids: int) -> None:
    for number in ids:
        table.append(connection(), numbers(1, number), PAIRS)


def request(table: LakeTable, **options: object) -> SourceRequest:
    return SourceRequest("delta", None, FormatOptions({k: str(v) for k, v in options.items()}), (table.path,))


def context(log_path: str | None = None) -> SourceContext:
    return SourceContext(
        Database(threads=1), LocalStorage("none"), SystemClock(), {}, Mounts(), "UTC", log_path, log_path
    )


def stream(table: LakeTable, log_path: str | None = None, **options: object) -> StreamSource:
    provider = sources.get("delta")
    assert provider is not None
    return provider.open(request(table, **options), context(log_path))


def ids(source: StreamSource, start: Offset | None, end: Offset) -> list[Any]:
    session = connection()
    found = source.relation(session, start, end)
    values = sorted(row[0] for row in session.execute(sql_text(found.query)).fetchall())
    assert found.rows in (None, len(values))
    return values


def drain(
    source: StreamSource, start: Offset | None = None, limit: ReadLimit = LIMITED
) -> tuple[list[Any], Offset | None]:
    """The batches up to the end, and the last offset."""
    batches, position = [], start if start is not None else source.initial_offset()
    while (end := source.latest_offset(position, limit)) not in (None, position):
        assert end is not None
        batches.append(ids(source, position, end))
        source.commit(end)
        position = end
    return batches, position


# ── the stream ──────────────────────────────────────────────────────────────────────────────────────────────


def test_a_stream_gives_the_table_and_then_its_commits(table: LakeTable) -> None:
    add(table, 1, 2)
    source = stream(table)
    batches, position = drain(source)
    assert batches == [[1, 2]]
    add(table, 3)
    assert drain(source, position)[0] == [[3]]


def test_offsets_are_deltas_own_json(table: LakeTable) -> None:
    add(table, 1, 2)
    source = stream(table, maxFilesPerTrigger=1)
    first = source.latest_offset(None, LIMITED)
    assert first is not None
    assert json.loads(first) == {
        "sourceVersion": 1,
        "reservoirId": table.metadata.id,
        "reservoirVersion": 2,
        "index": 0,
        "isStartingVersion": True,
    }
    second = json.loads(source.latest_offset(first, LIMITED) or "")
    assert (second["reservoirVersion"], second["index"], second["isStartingVersion"]) == (3, -1, False)


def test_the_same_offsets_give_the_same_rows_after_a_restart_and_more_commits(table: LakeTable) -> None:
    add(table, 1, 2, 3)
    source = stream(table, maxFilesPerTrigger=2)
    first = source.latest_offset(None, LIMITED)
    assert first is not None
    second = source.latest_offset(first, LIMITED)
    assert second is not None
    add(table, 4)
    again = stream(table)
    assert (ids(again, None, first), ids(again, first, second)) == ([1, 2], [3])


def test_a_whole_first_batch_is_found_again_without_a_start(table: LakeTable) -> None:
    add(table, 1, 2)
    end = stream(table).latest_offset(None, LIMITED)
    assert end is not None
    add(table, 3)
    assert ids(stream(table), None, end) == [1, 2]


def test_rate_limits_cut_between_files_and_are_lifted_by_once(table: LakeTable) -> None:
    add(table, 1, 2, 3)
    assert drain(stream(table, maxFilesPerTrigger=2))[0] == [[1, 2], [3]]
    assert drain(stream(table, maxBytesPerTrigger="1b"))[0] == [[1], [2], [3]]
    assert drain(stream(table, maxFilesPerTrigger=1), limit=ALL)[0] == [[1, 2, 3]]
    source = stream(table, maxFilesPerTrigger=1)
    source.latest_offset(None, LIMITED)
    assert source.metrics()["numFilesOutstanding"] == "2"
    assert int(source.metrics()["numBytesOutstanding"]) > 0


def test_a_commit_of_several_files_can_be_cut(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "p"))
    add(table, 1)
    parts = LakeTable.at(str(tmp_path / "parts"))
    schema = parse_schema("id bigint, p int")
    rows = query("SELECT i::BIGINT AS id, i::INT AS p FROM range(3) r(i)")
    parts.append(connection(), rows, schema, partition_by=("p",))
    parts.append(connection(), rows, schema)
    batches, _ = drain(stream(parts, maxFilesPerTrigger=2, startingVersion=0))
    assert [len(batch) for batch in batches] == [2, 2, 2]
    assert sorted(number for batch in batches for number in batch) == [0, 0, 1, 1, 2, 2]


def test_an_empty_table_gives_nothing_until_rows_come(table: LakeTable) -> None:
    source = stream(table)
    assert source.latest_offset(None, LIMITED) is None
    add(table, 1)
    assert drain(source)[0] == [[1]]


def test_commits_without_rows_are_passed(table: LakeTable) -> None:
    add(table, 1)
    source = stream(table)
    _, position = drain(source)
    table.append(connection(), numbers(0), PAIRS)
    end = source.latest_offset(position, LIMITED)
    assert end != position
    assert ids(source, position, end or "") == []
    add(table, 2)
    assert drain(source, position)[0] == [[2]]


def test_available_now_ends_at_todays_version(table: LakeTable) -> None:
    add(table, 1, 2)
    source = stream(table, maxFilesPerTrigger=1)
    source.prepare_available_now()
    add(table, 3)
    assert drain(source)[0] == [[1], [2]]


def test_a_stream_can_start_at_a_version_or_a_time(table: LakeTable) -> None:
    add(table, 1, 2, 3)
    assert drain(stream(table, startingVersion=2), limit=ALL)[0] == [[2, 3]]
    assert drain(stream(table, startingVersion=0), limit=ALL)[0] == [[1, 2, 3]]
    for version in range(4):
        at = 1_000_000 + version * 86_400
        os.utime(Path(table.path, "_delta_log", f"{version:020}.json"), (at, at))
    assert drain(stream(table, startingTimestamp="1970-01-14 13:46:40"), limit=ALL)[0] == [[2, 3]]
    with pytest.raises(AnalysisError, match="DELTA_VERSION_NOT_FOUND"):
        stream(table, startingVersion=9).initial_offset()


def test_latest_means_the_same_version_after_a_restart(table: LakeTable, tmp_path: Path) -> None:
    add(table, 1)
    log = str(tmp_path / "checkpoint" / "sources" / "0")
    first = stream(table, log, startingVersion="latest").initial_offset()
    add(table, 2)
    source = stream(table, log, startingVersion="latest")
    assert source.initial_offset() == first
    assert drain(source)[0] == [[2]]


# ── changes that are more than an append ────────────────────────────────────────────────────────────────────


def test_an_overwrite_stops_the_stream_and_names_the_option(table: LakeTable) -> None:
    add(table, 1)
    source = stream(table)
    _, position = drain(source)
    table.overwrite(connection(), numbers(1, 50), PAIRS)
    with pytest.raises(UnsupportedError, match=r"DELTA_SOURCE_TABLE_IGNORE_CHANGES.*version 2.*skipChangeCommits"):
        source.latest_offset(position, LIMITED)
    assert drain(stream(table, skipChangeCommits="true"), position)[0] == [[]]
    assert drain(stream(table, ignoreChanges="true"), position)[0] == [[50]]


def test_a_delete_stops_the_stream_unless_deletes_are_ignored(table: LakeTable) -> None:
    add(table, 1)
    source = stream(table)
    _, position = drain(source)
    table.overwrite(connection(), numbers(0), PAIRS)
    add(table, 2)
    with pytest.raises(UnsupportedError, match=r"DELTA_SOURCE_IGNORE_DELETE.*ignoreDeletes"):
        source.latest_offset(position, LIMITED)
    assert drain(stream(table, ignoreDeletes="true"), position)[0] == [[2]]


def test_files_can_be_left_out_by_name(table: LakeTable) -> None:
    add(table, 1, 2)
    named = [file.path for file in table.snapshot().files]
    assert drain(stream(table, excludeRegex=named[0][:20]))[0] == [[2]]
    assert drain(stream(table, excludeRegex="^part-"))[0] == []
    assert drain(stream(table, excludeRegex="nothing"))[0] == [[1, 2]]


def test_compaction_by_delta_rs_gives_nothing_twice(table: LakeTable) -> None:
    from deltalake import DeltaTable

    add(table, 1, 2)
    source = stream(table)
    _, position = drain(source)
    DeltaTable(table.path).optimize.compact()
    add(table, 3)
    assert [batch for batch in drain(source, position)[0] if batch] == [[3]]


def test_a_new_column_stops_the_stream_and_a_restart_goes_on(table: LakeTable) -> None:
    add(table, 1)
    source = stream(table)
    _, position = drain(source)
    wider = parse_schema("id bigint, name string, extra int")
    table.append(connection(), query("SELECT 2::BIGINT AS id, 'x' AS name, 7 AS extra"), wider, merge_schema=True)
    with pytest.raises(SparkError, match=r"DELTA_SCHEMA_CHANGED_WITH_VERSION.*version 2"):
        source.latest_offset(position, LIMITED)
    again = stream(table)
    assert again.schema == wider
    assert drain(again, position)[0] == [[2]]


def test_a_log_cleaned_past_the_offset_is_an_error_or_skipped(table: LakeTable) -> None:
    add(table, 1)
    _, position = drain(stream(table))
    add(table, 2, 3)
    from headwater.lake import checkpoint

    checkpoint.write(table.path, 3)
    for version in range(3):
        os.unlink(Path(table.path, "_delta_log", f"{version:020}.json"))
    with pytest.raises(SparkError, match="DELTA_LOG_FILE_NOT_FOUND_FOR_STREAMING_SOURCE"):
        stream(table).latest_offset(position, LIMITED)
    assert drain(stream(table, failOnDataLoss="false"), position)[0] == [[3]]


def test_a_table_made_anew_at_the_same_place_is_another_table(table: LakeTable, tmp_path: Path) -> None:
    add(table, 1)
    _, position = drain(stream(table))
    other = LakeTable.create(str(tmp_path / "other"), PAIRS)
    with pytest.raises(SparkError, match="DELTA_DIFFERENT_DELTA_TABLE_READ_BY_STREAMING_SOURCE"):
        stream(other).latest_offset(position, LIMITED)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"maxFilesPerTrigger": 0}, "DELTA_ILLEGAL_OPTION.*maxFilesPerTrigger"),
        ({"maxBytesPerTrigger": "lots"}, "DELTA_ILLEGAL_OPTION.*maxBytesPerTrigger"),
        ({"startingVersion": 1, "startingTimestamp": "2024-01-01"}, "DELTA_STARTING_VERSION_AND_TIMESTAMP_BOTH_SET"),
        ({"withEventTimeOrder": "true"}, "UNSUPPORTED_FEATURE.*withEventTimeOrder"),
    ],
)
def test_impossible_options_are_refused_by_name(table: LakeTable, options: dict[str, object], message: str) -> None:
    with pytest.raises((IllegalArgumentError, UnsupportedError), match=message):
        stream(table, **options)


def test_the_description_names_the_tables_uri(table: LakeTable) -> None:
    assert stream(table).description == f"DeltaSource[file:{table.path}]"


# ── batch ───────────────────────────────────────────────────────────────────────────────────────────────────


def read(path: str, **options: object) -> list[Any]:
    provider: Any = sources.get("delta")
    texts = FormatOptions({k: str(v) for k, v in options.items()})
    found, schema = provider.batch(SourceRequest("delta", None, texts, (path,)), context())
    assert schema.names[0] == "id"
    return sorted(row[0] for row in connection().execute(sql_text(found.query)).fetchall())


def test_a_batch_reads_the_newest_version_or_the_one_asked_for(table: LakeTable) -> None:
    add(table, 1, 2)
    assert read(table.path) == [1, 2]
    assert read(table.path, versionAsOf=1) == [1]
    assert read(table.path + "@v1") == [1]
    for version in range(3):
        os.utime(Path(table.path, "_delta_log", f"{version:020}.json"), (86_400 * version, 86_400 * version))
    assert read(table.path, timestampAsOf="1970-01-02") == [1]
    with pytest.raises(AnalysisError, match="DELTA_UNSUPPORTED_TIME_TRAVEL_MULTIPLE_FORMATS"):
        read(table.path, versionAsOf=1, timestampAsOf="1970-01-02")


def test_what_is_not_a_delta_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"DELTA_PATH_DOES_NOT_EXIST.*nothing"):
        read(str(tmp_path / "nothing"))
    with pytest.raises(AnalysisError, match="DELTA_MISSING_DELTA_TABLE"):
        read(str(tmp_path))


def test_times_are_in_the_sessions_zone_unless_they_name_one() -> None:
    assert parse_time("1970-01-01 01:00:00", "Europe/Berlin") == 0
    assert parse_time("1970-01-01T00:00:00Z", "Europe/Berlin") == 0
    with pytest.raises(AnalysisError, match="DELTA_TIME_TRAVEL_INVALID_TIMESTAMP"):
        parse_time("soon", "UTC")
