"""Making a Delta table and putting another in its place: one commit each, with Delta's history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headwater.errors import AnalysisError, ConcurrentWriteError, SparkError, UnsupportedError
from headwater.lake.actions import Protocol
from headwater.lake.create import NewTable, create, replace
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query, rows

IDS = parse_schema("id int not null")
ONE = query("SELECT 1::INT AS id")


def made(path: Path, **properties: str) -> LakeTable:
    table = LakeTable.at(str(path / "t"))
    create(table, NewTable(IDS, properties=properties, description="first", managed=True))
    return table


def test_history_tells_how_a_table_was_made(tmp_path: Path) -> None:
    table = made(tmp_path, a="b")
    assert (table.metadata.description, table.metadata.configuration) == ("first", {"a": "b"})
    info = table.history()[0].info
    assert info["operation"] == "CREATE TABLE"
    assert info["operationParameters"] == {
        "partitionBy": "[]",
        "clusterBy": "[]",
        "description": "first",
        "isManaged": "true",
        "properties": '{"a":"b"}',
    }


def test_nothing_of_a_replaced_table_stays_but_its_versions(tmp_path: Path) -> None:
    table = made(tmp_path, a="b")
    table.append(connection(), ONE, IDS)
    before = table.metadata
    replace(table, NewTable(parse_schema("v string not null, w int"), ("w",), {"c": "d"}))
    assert (table.version, table.schema) == (2, parse_schema("v string not null, w int"))
    assert (table.metadata.description, table.metadata.configuration) == (None, {"c": "d"})
    assert table.metadata.id != before.id
    assert (table.partition_by, table.snapshot().files) == (("w",), ())
    assert rows(table.snapshot(1)) == [(1,)]
    commit = table.history()[0]
    assert (commit.info["operation"], len(commit.removes)) == ("CREATE OR REPLACE TABLE", 1)


def test_rows_and_definition_of_a_replaced_table_are_one_commit(tmp_path: Path) -> None:
    table = made(tmp_path, a="b")
    result = table.overwrite(
        connection(), query("SELECT 'x' AS v"), parse_schema("v string"), properties={}, replaces_table=True
    )
    assert (result.version, table.schema, table.metadata.configuration) == (1, parse_schema("v string"), {})


def test_an_append_only_table_is_not_replaced(tmp_path: Path) -> None:
    table = made(tmp_path, **{"delta.appendOnly": "true"})
    with pytest.raises(SparkError, match="DELTA_CANNOT_MODIFY_APPEND_ONLY"):
        replace(table, NewTable(parse_schema("v string")))


def test_a_table_that_changes_while_it_is_replaced_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, other = made(tmp_path), LakeTable.open(str(tmp_path / "t"))
    wins = [{"o": "1"}]

    def meanwhile(_: str) -> None:
        if wins:
            replace(other, NewTable(IDS, properties=wins.pop()))

    monkeypatch.setattr("headwater.lake.create.crash_point", meanwhile)
    with pytest.raises(ConcurrentWriteError, match="DELTA_METADATA_CHANGED"):
        replace(table, NewTable(parse_schema("v string")))
    assert LakeTable.open(table.path).metadata.configuration == {"o": "1"}


@pytest.mark.parametrize(
    ("properties", "protocol"),
    [
        ({}, Protocol(1, 2)),
        ({"delta.appendOnly": "true"}, Protocol(1, 2)),
        ({"delta.minWriterVersion": "4"}, Protocol(1, 4)),
        ({"delta.feature.vacuumProtocolCheck": "supported"}, None),
    ],
)
def test_properties_reach_the_protocol(tmp_path: Path, properties: dict[str, str], protocol: Protocol | None) -> None:
    table = made(tmp_path, **properties)
    found = json.loads((tmp_path / "t/_delta_log/00000000000000000000.json").read_text().splitlines()[1])["protocol"]
    if protocol is None:
        assert found["readerFeatures"] == ["vacuumProtocolCheck"]
        assert found["writerFeatures"] == ["appendOnly", "invariants", "vacuumProtocolCheck"]
    else:
        assert found == protocol.action()["protocol"]
    assert not any(key.startswith(("delta.feature", "delta.min")) for key in table.metadata.configuration)
    assert table.append(connection(), ONE, IDS).committed


@pytest.mark.parametrize(
    ("key", "value", "feature"),
    [
        ("delta.enableRowTracking", "true", "rowTracking"),
        ("delta.feature.icebergCompatV1", "supported", "icebergCompatV1"),
    ],
)
def test_a_table_that_could_not_be_written_is_not_made(tmp_path: Path, key: str, value: str, feature: str) -> None:
    with pytest.raises(UnsupportedError, match=feature):
        made(tmp_path, **{key: value})
    assert not LakeTable.exists(str(tmp_path / "t"))


def test_a_feature_that_nobody_knows_is_named(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError, match=r"DELTA_UNSUPPORTED_FEATURES_IN_CONFIG.*delta\.feature\.nope"):
        made(tmp_path, **{"delta.feature.nope": "supported"})
