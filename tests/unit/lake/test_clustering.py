"""Clustering columns: in the log, refused where they cannot cluster, and which files are clustered again."""

from __future__ import annotations

from pathlib import Path

import pytest
from deltalake import DeltaTable

from headwater.errors import AnalysisError
from headwater.lake import clustering
from headwater.lake.actions import AddFile
from headwater.lake.create import NewTable, create, replace
from headwater.lake.table import LakeTable
from headwater.lake.zorder import ColumnPath
from headwater.types.ddl import parse_schema
from support.lake import connection, query, rows

SCHEMA = parse_schema("a int, s struct<x: int, y: string>, many array<int>, flag boolean, late int")


def made(path: Path, *columns: ColumnPath, **more: object) -> LakeTable:
    table = LakeTable.at(str(path))
    create(table, NewTable(SCHEMA, cluster_by=columns, **more))  # type: ignore[arg-type]
    return table


def test_a_clustered_table_has_deltas_domain_and_features(tmp_path: Path) -> None:
    table = made(tmp_path / "t", ("A",), ("s", "X"))
    state = table.newest()
    assert state.domains == {
        "delta.clustering": '{"clusteringColumns":[["a"],["s","x"]],"domainName":"delta.clustering"}'
    }
    assert state.protocol is not None
    assert (state.protocol.reader_version, state.protocol.writer_version) == (1, 7)
    assert {"clustering", "domainMetadata"} <= set(state.protocol.writer_features)
    assert "delta.feature.clustering" not in table.metadata.configuration
    assert table.history()[0].info["operationParameters"]["clusterBy"] == '["A","s.X"]'
    table.append(connection(), query("SELECT 1, {'x': 2, 'y': 'z'}, [3], true, 4"), SCHEMA)
    assert len(rows(LakeTable.open(table.path))) == 1
    assert DeltaTable(table.path).version() == 1


def test_a_table_that_takes_its_place_is_not_clustered(tmp_path: Path) -> None:
    table = made(tmp_path / "t", ("a",))
    replace(table, NewTable(parse_schema("b int")))
    assert clustering.columns_of(table.newest().domains) == ()


@pytest.mark.parametrize(
    ("columns", "condition"),
    [
        ([("nope",)], "DELTA_COLUMN_NOT_FOUND_IN_SCHEMA"),
        ([("a",), ("A",)], "DELTA_DUPLICATE_COLUMNS_FOUND"),
        ([("many",)], "DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED"),
        ([("flag",)], "DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED"),
        ([("s",)], "DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED"),
        ([("a",)] * 5, "DELTA_CLUSTER_BY_INVALID_NUM_COLUMNS"),
        ([("late",)], "DELTA_CLUSTERING_COLUMN_MISSING_STATS"),
    ],
)
def test_columns_that_cannot_cluster_are_refused(tmp_path: Path, columns: list[ColumnPath], condition: str) -> None:
    with pytest.raises(AnalysisError, match=condition):
        made(tmp_path / "t", *columns, properties={"delta.dataSkippingNumIndexedCols": "3"})
    assert not LakeTable.exists(str(tmp_path / "t"))


def test_partitions_and_clusters_exclude_each_other(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match="DELTA_CLUSTER_BY_WITH_PARTITIONED_BY"):
        made(tmp_path / "t", ("a",), partition_by=("late",))


def file(name: str, size: int = 1, cube: str | None = None, columns: str = '["a"]') -> AddFile:
    tags = {"tags": {"ZCUBE_ID": cube, "ZCUBE_ZORDER_BY": columns}, "clusteringProvider": "liquid"}
    return AddFile(name, {}, size, 0, other=tags if cube else {})


def chosen(*files: AddFile, full: bool = False) -> set[str]:
    return {one.path for one in clustering.cubes(files, [("a",)], full=full).chosen}


def test_new_files_and_small_cubes_are_clustered_together() -> None:
    large = file("large", 101 << 30, "one")
    assert chosen(large, file("small", 1, "two")) == set(), "one small cube alone stays"
    assert chosen(large, file("small", 1, "two"), file("new")) == {"small", "new"}
    assert chosen(file("p", 1, "two"), file("q", 1, "three")) == {"p", "q"}
    other = file("other", 1, "four", '["b"]')
    assert chosen(other) == set()
    assert chosen(other, full=True) == {"other"}
    found = clustering.cubes([large, file("new")], [("a",)], full=False)
    assert (len(found.clustered), len(found.others), found.count) == (1, 1, 1)
