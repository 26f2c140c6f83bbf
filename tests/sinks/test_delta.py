"""The Delta sink: a batch is one commit, once; tables are made, grown or refused as Delta does."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from deltalake import DeltaTable

from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.lake.table import LakeTable
from headwater.settings import Settings
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, numbers, query, unnamed_files
from support.sinks import SinkBench

PAIRS = parse_schema("id bigint, name string")


@pytest.fixture
def bench(tmp_path: Path) -> SinkBench:
    return SinkBench("delta", tmp_path, PAIRS)


def test_batches_are_added_once_also_after_a_restart(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    sink = bench.open(path=path)
    result = bench.put(sink, 0, numbers(3))
    bench.put(sink, 0, numbers(3))
    bench.put(sink, 1, numbers(2, 3))
    again = bench.open(path=path)
    bench.put(again, 1, numbers(2, 3))
    bench.put(again, 2, numbers(1, 5))
    assert [row[0] for row in by_deltalake(path)] == [0, 1, 2, 3, 4, 5]
    assert result.rows == -1
    assert unnamed_files(path) == []


def test_another_query_has_its_own_counter(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.put(bench.open("one", path=path), 0, numbers(1))
    bench.put(bench.open("two", path=path), 0, numbers(1))
    assert len(by_deltalake(path)) == 2


def test_complete_mode_puts_the_new_result_in_place_of_the_old(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.mode = "complete"
    sink = bench.open(path=path)
    bench.put(sink, 0, numbers(3))
    bench.put(sink, 1, numbers(1, 10))
    assert by_deltalake(path) == [(10, "row 10")]
    assert DeltaTable(path).history()[0]["operationParameters"]["outputMode"] == "Complete"


def test_update_mode_is_refused_as_by_delta(bench: SinkBench, tmp_path: Path) -> None:
    bench.mode = "update"
    with pytest.raises(AnalysisError, match=r"DELTA_UNSUPPORTED_OUTPUT_MODE.*Update"):
        bench.open(path=str(tmp_path / "out"))


def test_the_commit_says_which_batch_of_which_query_it_is(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.put(bench.open(path=path, options={"userMetadata": "mine"}), 0, numbers(3))
    lines = [json.loads(line) for line in Path(path, "_delta_log", f"{0:020}.json").read_text().splitlines()]
    info = next(line["commitInfo"] for line in lines if "commitInfo" in line)
    assert info["operation"] == "STREAMING UPDATE"
    assert info["operationParameters"] == {"outputMode": "Append", "queryId": "query-1", "epochId": "0"}
    assert (info["userMetadata"], info["operationMetrics"]["numAddedFiles"]) == ("mine", "1")
    txn = next(line["txn"] for line in lines if "txn" in line)
    assert (txn["appId"], txn["version"]) == ("query-1", 0)


def test_an_empty_batch_moves_the_counter(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.put(bench.open(path=path), 0, numbers(0))
    assert DeltaTable(path).transaction_version("query-1") == 0
    assert by_deltalake(path) == []


def test_a_new_column_needs_merge_schema_and_old_rows_get_null(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.put(bench.open(path=path), 0, numbers(1))
    wider = parse_schema("id bigint, name string, extra double")
    rows = query("SELECT 7::BIGINT AS id, 'x' AS name, 1.5::DOUBLE AS extra")
    with pytest.raises(AnalysisError, match=r"DELTA_METADATA_MISMATCH(.|\n)*mergeSchema(.|\n)*extra: double"):
        bench.put(bench.open(path=path, schema=wider), 1, rows, wider)
    bench.put(bench.open(path=path, schema=wider, options={"mergeSchema": "true"}), 1, rows, wider)
    assert by_deltalake(path) == [(0, "row 0", None), (7, "x", 1.5)]


def test_a_complete_result_may_bring_other_columns_with_overwrite_schema(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.mode = "complete"
    bench.put(bench.open(path=path), 0, numbers(2))
    bench.schema = parse_schema("total bigint")
    other = query("SELECT 7::BIGINT AS total")
    with pytest.raises(AnalysisError, match="DELTA_METADATA_MISMATCH"):
        bench.put(bench.open(path=path), 1, other)
    bench.put(bench.open(path=path, options={"overwriteSchema": "true"}), 1, other)
    assert LakeTable.open(path).schema == parse_schema("total bigint")
    assert by_deltalake(path) == [(7,)]


def test_a_type_that_does_not_fit_is_refused_and_a_wider_one_cast(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.put(bench.open(path=path), 0, numbers(1))
    text = parse_schema("id string, name string")
    with pytest.raises(AnalysisError, match=r"DELTA_FAILED_TO_MERGE_FIELDS.*'id'.*bigint and string"):
        bench.put(bench.open(path=path, schema=text), 1, query("SELECT 'x' AS id, 'y' AS name"), text)
    small = parse_schema("name string, id int")
    bench.put(bench.open(path=path, schema=small), 1, query("SELECT 'y' AS name, 5 AS id"), small)
    assert by_deltalake(path) == [(0, "row 0"), (5, "y")]


def test_partitions_are_made_and_a_mismatch_is_refused(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.put(bench.open(path=path, partition_by=("name",)), 0, numbers(2))
    assert DeltaTable(path).metadata().partition_columns == ["name"]
    with pytest.raises(AnalysisError, match=r"DELTA_PARTITION_MISMATCH.*Given: \[id\].*Table: \[name\]"):
        bench.put(bench.open(path=path, partition_by=("id",)), 1, numbers(2))


def test_to_table_makes_the_table_at_the_start_and_finds_it_again(bench: SinkBench) -> None:
    sink = bench.open(table=("events",), partition_by=("name",))
    found = bench.catalog.stored(("events",))
    assert found is not None
    assert (found.provider, found.kind) == ("delta", "MANAGED")
    assert LakeTable.open(found.location or "").schema == PAIRS
    bench.put(sink, 0, numbers(2))
    bench.put(bench.open(table=("default", "events")), 1, numbers(1, 2))
    assert [row[0] for row in by_deltalake(found.location or "")] == [0, 1, 2]


def test_to_table_goes_on_if_a_crash_came_between_table_and_catalog(bench: SinkBench) -> None:
    LakeTable.create(bench.catalog.managed_location(("events",)), PAIRS)
    bench.put(bench.open(table=("events",)), 0, numbers(2))
    found = bench.catalog.stored(("events",))
    assert found is not None
    assert len(by_deltalake(found.location or "")) == 2


def test_a_sink_without_a_target_says_so(bench: SinkBench) -> None:
    with pytest.raises(AnalysisError, match="'path' is not specified"):
        bench.open()


def test_the_description_names_the_path(bench: SinkBench, tmp_path: Path) -> None:
    assert bench.open(path=f"{tmp_path}/out").description == f"DeltaSink[file:{tmp_path}/out]"


# ── sizes of files ──────────────────────────────────────────────────────────────────────────────────────────


def settings(**values: str) -> SimpleNamespace:
    prefix = "spark.databricks.delta.autoCompact."
    return SimpleNamespace(settings=Settings({prefix + name: value for name, value in values.items()}))


def test_small_files_are_joined_between_batches(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.session = settings(enabled="true", minNumFiles="4")
    sink = bench.open(path=path)
    for batch in range(10):
        bench.put(sink, batch, numbers(5, batch * 5))
    commits = LakeTable.open(path).history()
    assert [commit.info["operation"] for commit in commits].count("OPTIMIZE") == 3
    assert len(DeltaTable(path).file_uris()) == 1
    assert sorted(row[0] for row in by_deltalake(path)) == list(range(50))
    again = bench.open(path=path)
    bench.put(again, 9, numbers(5, 45))
    assert LakeTable.open(path).version == commits[0].version, "a batch that is there already joins nothing"


def test_a_table_can_ask_for_it_and_a_session_can_forbid_it(bench: SinkBench, tmp_path: Path) -> None:
    for name, session, files in (("on", None, 1), ("off", settings(enabled="false"), 50)):
        table = LakeTable.create(str(tmp_path / name), PAIRS, properties={"delta.autoOptimize.autoCompact": "true"})
        bench.session = session
        sink = bench.open(path=table.path)
        for batch in range(50):
            bench.put(sink, batch, numbers(1, batch))
        table.refresh()
        assert len(table.snapshot().files) == files


def test_files_end_where_the_options_say(bench: SinkBench, tmp_path: Path) -> None:
    path = str(tmp_path / "out")
    bench.put(bench.open(path=path, options={"maxRecordsPerFile": 30}), 0, numbers(100))
    assert sorted(file.rows or 0 for file in LakeTable.open(path).snapshot().files) == [10, 30, 30, 30]
    for options in ({"maxRecordsPerFile": "many"}, {"optimizeWrite": "maybe"}):
        with pytest.raises(IllegalArgumentError, match="DELTA_ILLEGAL_OPTION"):
            bench.open(path=path, options=options)


def test_a_stream_makes_a_clustered_table_and_goes_on_only_with_the_same_columns(
    bench: SinkBench, tmp_path: Path
) -> None:
    for target in ({"path": str(tmp_path / "out")}, {"table": ("made",)}):
        bench.put(bench.open(cluster_by=("id",), **target), 0, numbers(3))
        bench.put(bench.open(cluster_by=("ID",), **target), 1, numbers(3, 3))
        with pytest.raises(AnalysisError, match="DELTA_CLUSTERING_COLUMNS_MISMATCH"):
            bench.open(cluster_by=("name",), **target)
        with pytest.raises(AnalysisError, match="SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED"):
            bench.open(cluster_by=("name",), partition_by=("id",), **target)
    made = bench.catalog.stored(("made",))
    assert made is not None
    for path in (str(tmp_path / "out"), made.location or ""):
        table = LakeTable.open(path)
        assert "delta.clustering" in table.newest().domains
        assert [commit.info["operation"] for commit in table.history()][-1] == "CREATE TABLE"
        assert len(by_deltalake(path)) == 6
