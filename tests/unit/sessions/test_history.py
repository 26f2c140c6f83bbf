"""DESCRIBE HISTORY and DETAIL: Delta's columns, by name and by path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from headwater.errors import AnalysisError
from headwater.plan.relations import Relation
from headwater.sessions.session import Session
from headwater.sql import parse_statement


def ask(session: Session, text: str) -> list[dict[str, Any]]:
    statement = parse_statement(text)
    relation = statement if isinstance(statement, Relation) else session.run(statement)
    return session.execute(relation).table().to_pylist() if relation is not None else []


@pytest.fixture
def path(session: Session, tmp_path: Path) -> str:
    place = str(tmp_path / "a table")
    ask(session, f"CREATE TABLE t (id INT, day STRING) USING delta PARTITIONED BY (day) LOCATION '{place}'")
    ask(session, "INSERT INTO t VALUES (1, 'x'), (2, 'y')")
    ask(session, "DELETE FROM t WHERE id = 1")
    return place


def add(path: str, version: int, *actions: dict[str, Any]) -> None:
    """A commit of another writer."""
    text = "".join(json.dumps(action) + "\n" for action in actions)
    (Path(path) / "_delta_log" / f"{version:020d}.json").write_text(text, "utf-8")


def test_history_by_name_by_path_and_its_newest(session: Session, path: str) -> None:
    for name in ("t", f"'{path}'", f"delta.`{path}`"):
        found = ask(session, f"DESCRIBE HISTORY {name}")
        assert [(row["version"], row["operation"]) for row in found] == [
            (2, "DELETE"), (1, "WRITE"), (0, "CREATE TABLE")
        ]  # fmt: skip
    assert [row["version"] for row in ask(session, f"DESC HISTORY '{path}' LIMIT 2")] == [2, 1]
    assert ask(session, "DESCRIBE HISTORY t LIMIT 0") == []


def test_columns_are_delta_s(session: Session, path: str) -> None:
    assert list(ask(session, "DESCRIBE HISTORY t")[0]) == [
        "version", "timestamp", "userId", "userName", "operation", "operationParameters", "job", "notebook",
        "clusterId", "readVersion", "isolationLevel", "isBlindAppend", "operationMetrics", "userMetadata", "engineInfo",
    ]  # fmt: skip
    assert list(ask(session, "DESCRIBE DETAIL t")[0]) == [
        "format", "id", "name", "description", "location", "createdAt", "lastModified", "partitionColumns",
        "clusteringColumns", "numFiles", "sizeInBytes", "properties", "minReaderVersion", "minWriterVersion",
        "tableFeatures",
    ]  # fmt: skip


def test_what_databricks_writes_into_a_commit_is_shown(session: Session, path: str) -> None:
    job = {
        "jobId": "7",
        "jobName": "nightly",
        "jobRunId": "8",
        "runId": "9",
        "jobOwnerId": "1",
        "triggerType": "manual",
    }
    info = {"operation": "OPTIMIZE", "job": job, "notebook": {"notebookId": "42"}, "clusterId": "c-1"}
    add(path, 3, {"commitInfo": {**info, "operationParameters": {"auto": False}}})
    (row,) = ask(session, "DESCRIBE HISTORY t LIMIT 1")
    assert (row["job"], row["notebook"], row["clusterId"]) == (job, {"notebookId": "42"}, "c-1")
    assert dict(row["operationParameters"]) == {"auto": "false"}


def test_detail_by_name_and_by_path(session: Session, path: str) -> None:
    (named,) = ask(session, "DESCRIBE DETAIL t")
    assert (named["format"], named["name"], named["partitionColumns"], named["numFiles"]) == (
        "delta", "spark_catalog.default.t", ["day"], 1
    )  # fmt: skip
    assert (named["clusteringColumns"], named["tableFeatures"]) == ([], ["appendOnly", "invariants"])
    (by_path,) = ask(session, f"DESCRIBE DETAIL '{path}'")
    assert by_path == {**named, "name": None}


def test_detail_of_features_and_clustering(session: Session, path: str) -> None:
    schema = {
        "type": "struct",
        "fields": [
            {"name": "id", "type": "integer", "nullable": True, "metadata": {}},
            {
                "name": "day",
                "type": "string",
                "nullable": True,
                "metadata": {"delta.columnMapping.physicalName": "c-7"},
            },
        ],
    }
    metadata = {"id": "x", "format": {"provider": "parquet", "options": {}}, "schemaString": json.dumps(schema)}
    domain = {"domain": "delta.clustering", "configuration": '{"clusteringColumns":[["c-7"],["id"]]}', "removed": False}
    features = ["clustering", "domainMetadata", "vacuumProtocolCheck"]
    add(
        path,
        3,
        {"protocol": {"minReaderVersion": 3, "minWriterVersion": 7, "readerFeatures": ["vacuumProtocolCheck"],
                      "writerFeatures": features}},
        {"metaData": {**metadata, "partitionColumns": [], "configuration": {}}},
        {"domainMetadata": domain},
    )  # fmt: skip
    (row,) = ask(session, "DESCRIBE DETAIL t")
    assert (row["clusteringColumns"], row["tableFeatures"]) == (["day", "id"], features)


def test_what_is_no_delta_table(session: Session, tmp_path: Path) -> None:
    ask(session, "CREATE TABLE p (id INT, day STRING) USING parquet PARTITIONED BY (day) COMMENT 'files'")
    (row,) = ask(session, "DESCRIBE DETAIL p")
    told = {"format": "parquet", "name": "spark_catalog.default.p", "description": "files", "partitionColumns": ["day"]}
    assert {key: row[key] for key in told} == told
    assert [row[key] for key in ("id", "numFiles", "sizeInBytes", "minReaderVersion", "tableFeatures")] == [None] * 5
    for text, condition in (
        ("HISTORY p", "DELTA_ONLY_OPERATION"),
        (f"HISTORY '{tmp_path}/nope'", "DELTA_TABLE_ONLY_OPERATION"),
        (f"DETAIL '{tmp_path}/nope'", "DELTA_FILE_NOT_FOUND"),
        ("HISTORY nope", "TABLE_OR_VIEW_NOT_FOUND"),
        ("DETAIL nope", "TABLE_OR_VIEW_NOT_FOUND"),
    ):
        with pytest.raises(AnalysisError) as caught:
            ask(session, f"DESCRIBE {text}")
        assert caught.value.condition == condition
