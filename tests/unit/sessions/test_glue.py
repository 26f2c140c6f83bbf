"""Delta tables in S3 are registered in Glue as Athena takes them, once, and again when their columns change."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from headwater.cli.main import main
from headwater.sessions.glue import Registered, hive_type, register
from headwater.types.ddl import parse_schema
from support.s3_server import SECRET, Emulator, emulated
from support.sql_session import Sql


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("lake") as one:
        yield one


@pytest.fixture
def sql(server: Emulator, tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


def table(server: Emulator, database: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = server.client("glue").get_table(DatabaseName=database, Name=name)["Table"]
    return found


def test_a_table_is_registered_as_athena_takes_delta_tables(sql: Sql, server: Emulator) -> None:
    sql("CREATE DATABASE sales")
    sql(
        "CREATE TABLE sales.Orders (id BIGINT COMMENT 'the key', Price DECIMAL(10, 2), tags ARRAY<STRING>, "
        "at TIMESTAMP, place STRUCT<x: INT, y: MAP<STRING, DOUBLE>>, day DATE) "
        "USING delta PARTITIONED BY (day) COMMENT 'all orders' LOCATION 's3://lake/orders'"
    )
    assert list(register(sql.session, ["sales.orders"])) == [Registered("sales.orders", "created", "s3://lake/orders")]
    found = table(server, "sales", "orders")
    assert found["TableType"] == "EXTERNAL_TABLE"
    assert found["Description"] == "all orders"
    assert found["PartitionKeys"] == []
    assert found["Parameters"]["table_type"] == "DELTA"
    assert found["Parameters"]["spark.sql.sources.provider"] == "delta"
    place = found["StorageDescriptor"]
    assert place["Location"] == place["SerdeInfo"]["Parameters"]["path"] == "s3://lake/orders"
    assert [(one["Name"], one["Type"]) for one in place["Columns"]] == [
        ("id", "bigint"),
        ("price", "decimal(10,2)"),
        ("tags", "array<string>"),
        ("at", "timestamp"),
        ("place", "struct<x:int,y:map<string,double>>"),
        ("day", "date"),
    ]
    assert place["Columns"][0]["Comment"] == "the key"


def test_it_is_written_again_only_when_it_has_changed(sql: Sql, server: Emulator) -> None:
    sql("CREATE TABLE grows (id INT) USING delta LOCATION 's3://lake/grows'")
    outcomes = [[one.outcome for one in register(sql.session, ["grows"])]]
    before = table(server, "default", "grows")
    sql("INSERT INTO grows VALUES (1)")
    outcomes.append([one.outcome for one in register(sql.session, ["default.grows"])])
    assert table(server, "default", "grows")["VersionId"] == before["VersionId"]
    client = server.client("glue")
    added = {"Name": "grows", "Parameters": {**before["Parameters"], "team": "a"}, "Owner": "me"}
    kept = {key: before[key] for key in ("TableType", "StorageDescriptor", "PartitionKeys")}
    client.update_table(DatabaseName="default", TableInput={**kept, **added})
    sql("ALTER TABLE grows ADD COLUMNS (name STRING)")
    outcomes.append([one.outcome for one in register(sql.session, ["grows"])])
    assert outcomes == [["created"], ["unchanged"], ["updated"]]
    found = table(server, "default", "grows")
    assert [one["Name"] for one in found["StorageDescriptor"]["Columns"]] == ["id", "name"]
    assert (found["Parameters"]["team"], found["Owner"]) == ("a", "me")


def test_all_tables_in_s3_are_registered_and_local_ones_are_told(sql: Sql, tmp_path: Path) -> None:
    sql("CREATE TABLE far (id INT) USING delta LOCATION 's3://lake/far'")
    sql("CREATE TABLE near (id INT) USING delta")
    sql("CREATE TABLE plain (id INT) USING parquet")
    sql("CREATE VIEW seen AS SELECT * FROM far")
    assert [(one.name, one.outcome) for one in register(sql.session, [])] == [
        ("default.far", "created"),
        ("default.near", "skipped"),
    ]


def test_what_cannot_be_registered_is_refused(sql: Sql, server: Emulator) -> None:
    sql("CREATE TABLE here (id INT) USING delta")
    sql("CREATE TABLE plain (id INT) USING parquet")
    sql("CREATE TABLE taken (id INT) USING delta LOCATION 's3://lake/taken'")
    client = server.client("glue")
    client.create_table(DatabaseName="default", TableInput={"Name": "taken", "Parameters": {"table_type": "ICEBERG"}})
    for name, condition in (
        ("here", "GLUE_LOCATION_NOT_IN_S3"),
        ("plain", "DELTA_TABLE_ONLY_OPERATION"),
        ("taken", "GLUE_TABLE_EXISTS"),
        ("nowhere", "TABLE_OR_VIEW_NOT_FOUND"),
    ):
        with pytest.raises(Exception, match=condition):
            list(register(sql.session, [name]))
    assert table(server, "default", "taken")["Parameters"] == {"table_type": "ICEBERG"}


def test_the_command(sql: Sql, server: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    sql("CREATE TABLE told (id INT) USING delta LOCATION 's3://lake/told'")
    options = ["--warehouse", str(sql.runtime.warehouse)]
    done = CliRunner().invoke(main, ["catalog", "register", "--glue", "told", *options])
    assert done.output == "created    default.told  (s3://lake/told)\n"
    assert CliRunner().invoke(main, ["catalog", "register", "told", *options]).exit_code == 2
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    failed = CliRunner().invoke(main, ["catalog", "register", "--glue", "told", *options])
    assert failed.exit_code == 1
    assert "GLUE_REQUEST_FAILED" in failed.output
    assert SECRET not in failed.output


def test_hive_types() -> None:
    schema = parse_schema("a tinyint, b smallint, c float, d binary, e boolean, f array<struct<g: timestamp_ntz>>")
    assert [hive_type(field.dataType) for field in schema.fields] == [
        "tinyint", "smallint", "float", "binary", "boolean", "array<struct<g:timestamp>>",
    ]  # fmt: skip
