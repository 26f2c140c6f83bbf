"""`schemaTrackingLocation`: a stream stops at each change of its source's definition and goes on by the new one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import StructType

from headwater.clock import SystemClock
from headwater.duck import Database, sql_text
from headwater.errors import AnalysisError, SparkError, UnsupportedError
from headwater.io.formats.base import FormatOptions
from headwater.io.local import LocalStorage
from headwater.io.mounts import Mounts
from headwater.lake import alter, renaming
from headwater.lake.actions import Metadata
from headwater.lake.alter import Changes, NewColumn
from headwater.lake.schema_changes import java_hash
from headwater.lake.table import LakeTable
from headwater.sources.base import Offset, ReadLimit, SourceContext, SourceRequest, StreamSource, sources
from headwater.types.ddl import parse_schema, parse_type
from support.lake import connection, query

EVOLVED, BLOCKED = (
    "DELTA_STREAMING_METADATA_EVOLUTION",
    "DELTA_STREAMING_CANNOT_CONTINUE_PROCESSING_POST_SCHEMA_EVOLUTION",
)
PROPERTIES = {"delta.columnMapping.mode": "name", "delta.enableTypeWidening": "true"}


def nobody(_metadata: Metadata, _path: tuple[str, ...]) -> None:
    """No expression names a column."""


class Stream:
    """A stream of a table, restarted as often as it stops; the rows of its batches with the names they came under."""

    def __init__(self, folder: Path, **options: str) -> None:
        self.table = LakeTable.create(str(folder / "t"), parse_schema("a int, b int, c int"), properties=PROPERTIES)
        self.checkpoint = str(folder / "checkpoint")
        self.options = {"schemaTrackingLocation": f"{self.checkpoint}/log", **options}
        self.settings: dict[str, str] = {}
        self.position: Offset | None = None
        self.rows: list[dict[str, Any]] = []
        self.schema = StructType()

    def add(self, **values: int) -> None:
        """Add a row under the table's columns of today."""
        fields = LakeTable.open(self.table.path).schema
        text = ", ".join(f"{values.get(f.name, 0)}::{f.dataType.simpleString()} AS {f.name}" for f in fields.fields)
        self.table.append(connection(), query(f"SELECT {text}"), fields)

    def context(self, log_path: str | None = None) -> SourceContext:
        return SourceContext(
            Database(threads=1), LocalStorage("none"), SystemClock(), self.settings, Mounts(), "UTC", log_path,
            self.checkpoint,
        )  # fmt: skip

    def open(self) -> StreamSource:
        provider = sources.get("delta")
        assert provider is not None
        request = SourceRequest("delta", None, FormatOptions(self.options), (self.table.path,))
        self.schema = provider.schema(request, self.context())
        source = provider.open(request, self.context(f"{self.checkpoint}/sources/0"))
        assert source.schema == self.schema
        return source

    def run(self) -> None:
        """From the last position to the end."""
        source = self.open()
        if self.position is None:
            self.position = source.initial_offset()
        while (end := source.latest_offset(self.position, ReadLimit())) not in (None, self.position):
            assert end is not None
            found = source.relation(connection(), self.position, end)
            rows = connection().execute(sql_text(found.query)).fetchall()
            self.rows += [dict(zip(source.schema.names, row, strict=True)) for row in rows]
            self.position = end
            source.commit(end)

    def stops(self, condition: str) -> SparkError:
        with pytest.raises(SparkError) as caught:
            self.run()
        assert caught.value.condition == condition, caught.value
        return caught.value

    def log(self) -> list[dict[str, Any]]:
        """The entries of the schema log."""
        (folder,) = (Path(self.checkpoint) / "log").glob("_schema_log_*")
        files = sorted(folder.iterdir(), key=lambda file: int(file.name))
        texts = [file.read_text().split("\n") for file in files]
        assert all(version == "v1" for version, _ in texts)
        return [json.loads(text) for _, text in texts]


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    stream = Stream(tmp_path)
    stream.add(a=1)
    return stream


def rename(stream: Stream, old: str, new: str) -> None:
    renaming.rename_column(LakeTable.open(stream.table.path), (old,), new, nobody)


def test_the_first_start_notes_what_the_stream_reads_by(stream: Stream) -> None:
    stream.run()
    (entry,) = stream.log()
    assert entry["tableId"] == stream.table.metadata.id
    assert (entry["deltaCommitVersion"], entry["sourceMetadataPath"]) == (1, f"file:{stream.checkpoint}/sources/0")
    assert json.loads(entry["dataSchemaJson"]) == json.loads(stream.table.metadata.schema_text)
    assert json.loads(entry["partitionSchemaJson"])["fields"] == []
    assert entry["tableConfigurations"] == dict(stream.table.metadata.configuration)
    assert set(json.loads(entry["protocolJson"])) == {"protocol"}
    stream.add(a=2)
    stream.run()
    assert len(stream.log()) == 1
    assert [row["a"] for row in stream.rows] == [1, 2]


def test_a_rename_stops_the_stream_twice_and_then_it_goes_on(stream: Stream) -> None:
    stream.run()
    stream.add(a=2)
    rename(stream, "a", "k")
    stream.add(k=3)
    error = stream.stops(EVOLVED)
    assert " |-- k: integer" in str(error)
    assert json.loads(stream.position or "")["index"] == -20
    assert json.loads(stream.position or "")["sourceVersion"] == 3
    blocked = str(stream.stops(BLOCKED))
    assert "(RENAME COLUMN) between Delta version 1 and 3" in blocked
    assert "'a' -> 'k'" in blocked
    assert '.option("allowSourceColumnRename", "3")' in blocked
    stream.options["allowSourceColumnRename"] = "3"
    stream.run()
    assert [row.get("a", row.get("k")) for row in stream.rows] == [1, 2, 3]
    assert list(stream.rows[1]) == ["a", "b", "c"]
    assert list(stream.rows[2]) == ["k", "b", "c"]
    assert [entry["deltaCommitVersion"] for entry in stream.log()] == [1, 3]


def test_changes_without_rows_between_them_are_one(stream: Stream) -> None:
    stream.run()
    table = LakeTable.open(stream.table.path)
    rename(stream, "a", "k")
    renaming.drop_columns(table, [("b",)], nobody)
    alter.change_column(table, ("c",), Changes(type=parse_type("bigint")), connection())
    stream.add(k=3, c=5_000_000_000)
    stream.stops(EVOLVED)
    blocked = str(stream.stops(BLOCKED))
    assert "(RENAME, DROP AND TYPE WIDENING) between Delta version 1 and 4" in blocked
    assert "INT -> BIGINT" in blocked
    assert "SET spark.databricks.delta.streaming.allowSourceColumnRenameAndDrop.ckpt_" in blocked
    stream.options |= {f"allowSourceColumn{what}": "always" for what in ("Rename", "Drop")}
    stream.stops(BLOCKED)
    stream.options["allowSourceColumnTypeChange"] = "4"
    stream.run()
    assert stream.rows[1:] == [{"k": 3, "c": 5_000_000_000}]
    assert [entry.get("previousMetadataSeqNum") for entry in stream.log()] == [None, None, 0]


def test_a_new_column_stops_the_stream_once(stream: Stream) -> None:
    stream.run()
    field = parse_schema("d int").fields[0]
    alter.add_columns(LakeTable.open(stream.table.path), [NewColumn(("d",), field)])
    stream.add(a=2, d=7)
    stream.stops(EVOLVED)
    stream.run()
    assert stream.rows[-1] == {"a": 2, "b": 0, "c": 0, "d": 7}


def test_settings_of_the_session_allow_a_change_too(stream: Stream) -> None:
    stream.run()
    rename(stream, "a", "k")
    stream.stops(EVOLVED)
    prefix, path = "spark.databricks.delta.streaming.allowSourceColumnRename", f"file:{stream.checkpoint}/sources/0"
    own = f"{prefix}.ckpt_{java_hash(path)}"
    for key, value in (
        (prefix, "2"),
        (own, "1"),
        (own, "always"),
        (own, "2"),
        (prefix, "always"),
        (f"{prefix}AndDrop", "ALWAYS"),
    ):
        stream.settings = {key: value}
        if (key, value) in ((prefix, "2"), (own, "1")):
            stream.stops(BLOCKED)
        else:
            stream.run()


def test_a_change_with_rows_in_its_own_commit_comes_before_them(stream: Stream) -> None:
    stream.run()
    wider = parse_schema("a bigint, b int, c int, e int")
    rows = query("SELECT 6000000000::BIGINT AS a, 1::INT AS b, 2::INT AS c, 3::INT AS e")
    stream.table.append(connection(), rows, wider, merge_schema=True)
    stream.stops(EVOLVED)
    assert len(stream.rows) == 1
    stream.options["allowSourceColumnTypeChange"] = "always"
    stream.run()
    assert stream.rows[1:] == [{"a": 6_000_000_000, "b": 1, "c": 2, "e": 3}]


def test_a_stream_from_an_old_version_begins_with_the_columns_of_then(stream: Stream) -> None:
    rename(stream, "a", "k")
    stream.add(k=2)
    stream.options |= {"startingVersion": "0", "allowSourceColumnRename": "always"}
    stream.stops(EVOLVED)
    assert stream.rows == []
    stream.stops(EVOLVED)
    assert stream.rows == [{"a": 1, "b": 0, "c": 0}]
    stream.run()
    assert stream.rows[1:] == [{"k": 2, "b": 0, "c": 0}]


def test_killed_between_the_batch_and_the_log_the_stream_writes_it_when_it_starts(stream: Stream) -> None:
    stream.run()
    rename(stream, "a", "k")
    stream.add(k=2)
    stream.stops(EVOLVED)
    (folder,) = (Path(stream.checkpoint) / "log").glob("_schema_log_*")
    for index in (-20, -19):
        (folder / "1").unlink()
        stream.position = json.dumps({**json.loads(stream.position or ""), "index": index})
        stream.stops(EVOLVED)
        assert len(stream.log()) == 2
    stream.options["allowSourceColumnRename"] = "always"
    stream.run()
    assert [row.get("a", row.get("k")) for row in stream.rows] == [1, 2]


def test_the_changes_of_a_table_are_tracked_too(tmp_path: Path) -> None:
    stream = Stream(tmp_path, readChangeFeed="true", allowSourceColumnRename="always")
    table = LakeTable.open(stream.table.path)
    alter.set_properties(table, {"delta.enableChangeDataFeed": "true"})
    stream.add(a=1)
    stream.run()
    rename(stream, "a", "k")
    stream.add(k=2)
    stream.stops(EVOLVED)
    stream.run()
    assert [(row.get("a", row.get("k")), row["_change_type"]) for row in stream.rows] == [(1, "insert"), (2, "insert")]


def test_without_tracking_a_rename_ends_the_stream(stream: Stream) -> None:
    del stream.options["schemaTrackingLocation"]
    stream.run()
    source = stream.open()
    rename(stream, "a", "k")
    with pytest.raises(UnsupportedError, match="DELTA_STREAMING_INCOMPATIBLE_SCHEMA_CHANGE_USE_SCHEMA_LOG"):
        source.latest_offset(stream.position, ReadLimit())


def test_the_log_lies_in_the_checkpoint(stream: Stream, tmp_path: Path) -> None:
    stream.options["schemaTrackingLocation"] = str(tmp_path / "elsewhere")
    with pytest.raises(AnalysisError, match="DELTA_STREAMING_SCHEMA_LOCATION_NOT_UNDER_CHECKPOINT"):
        stream.open()


def test_two_sources_of_one_table_are_told_apart(stream: Stream) -> None:
    stream.run()
    provider = sources.get("delta")
    assert provider is not None
    request = SourceRequest("delta", None, FormatOptions(stream.options), (stream.table.path,))
    other = provider.open(request, stream.context(f"{stream.checkpoint}/sources/1"))
    with pytest.raises(SparkError, match="different from the one persisted"):
        other.latest_offset(None, ReadLimit())
    stream.options["streamingSourceTrackingId"] = "second"
    request = SourceRequest("delta", None, FormatOptions(stream.options), (stream.table.path,))
    provider.open(request, stream.context(f"{stream.checkpoint}/sources/1")).latest_offset(None, ReadLimit())
    assert len(list((Path(stream.checkpoint) / "log").glob("_schema_log_*_second"))) == 1


def test_two_streams_that_begin_one_log_meet(stream: Stream) -> None:
    first, second = stream.open(), stream.open()
    first.latest_offset(None, ReadLimit())
    with pytest.raises(AnalysisError, match="DELTA_STREAMING_SCHEMA_LOCATION_CONFLICT"):
        second.latest_offset(None, ReadLimit())


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("v1\n{", "DELTA_STREAMING_SCHEMA_LOG_DESERIALIZE_FAILED"),
        ("v2\n{}", "DELTA_STREAMING_SCHEMA_LOG_DESERIALIZE_FAILED"),
        ("", "DELTA_STREAMING_SCHEMA_LOG_DESERIALIZE_FAILED"),
        ('"dataSchemaJson":"x"', "DELTA_STREAMING_SCHEMA_LOG_PARSE_SCHEMA_FAILED"),
        ('"tableId":"other"', "DELTA_STREAMING_SCHEMA_LOG_INCOMPATIBLE_DELTA_TABLE_ID"),
    ],
)
def test_a_damaged_or_strange_log_is_named(stream: Stream, text: str, condition: str) -> None:
    stream.run()
    (folder,) = (Path(stream.checkpoint) / "log").glob("_schema_log_*")
    body = stream.log()[0]
    if text.startswith('"'):
        text = "v1\n" + json.dumps({**body, **json.loads("{" + text + "}")})
    (folder / "0").write_text(text)
    with pytest.raises(SparkError, match=condition):
        stream.open()


def test_a_type_that_is_no_wider_cannot_be_allowed(stream: Stream) -> None:
    stream.run()
    (folder,) = (Path(stream.checkpoint) / "log").glob("_schema_log_*")
    body = stream.log()[0]
    body["dataSchemaJson"] = body["dataSchemaJson"].replace('"integer"', '"string"', 1)
    (folder / "1").write_text("v1\n" + json.dumps({**body, "deltaCommitVersion": 2}))
    stream.options |= {f"allowSourceColumn{what}": "always" for what in ("Rename", "Drop", "TypeChange")}
    stream.stops("DELTA_SCHEMA_CHANGED_WITH_VERSION")
