"""Tables in S3 through SQL: every command, time travel, upkeep, and a catalog that finds them again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.lake import checkpoint
from support.lake import by_deltalake
from support.s3_server import SECRET, Emulator, emulated
from support.sql_session import Sql


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("lake") as one:
        yield one


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("warehouse")


@pytest.fixture
def sql(server: Emulator, warehouse: Path) -> Iterator[Sql]:
    sql = Sql(str(warehouse))
    yield sql
    sql.close()


ROWS = [(1, "a", "b c/d%=é"), (2, "b", "q"), (3, "c", None), (4, "d", "q")]


def test_every_command_on_a_table_in_s3(sql: Sql, server: Emulator) -> None:
    path = "s3://lake/tables/all"
    sql(
        "CREATE TABLE everything (id BIGINT, v STRING, p STRING) USING delta PARTITIONED BY (p) "
        f"LOCATION '{path}' TBLPROPERTIES (delta.enableChangeDataFeed = true)"
    )
    sql("INSERT INTO everything VALUES (1, 'a', 'b c/d%=é'), (2, 'b', 'q'), (3, 'c', NULL), (4, 'd', 'q')")
    assert sql("SELECT * FROM everything ORDER BY id") == ROWS
    assert by_deltalake(path) == sorted(ROWS, key=repr)
    sql("UPDATE everything SET v = 'z' WHERE id = 2")
    sql("DELETE FROM everything WHERE id = 3")
    sql(
        "MERGE INTO everything t USING (SELECT 4 AS id, 'm' AS v, 'q' AS p UNION ALL SELECT 9, 'n', 'new') s "
        "ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    now = [(1, "a", "b c/d%=é"), (2, "z", "q"), (4, "m", "q"), (9, "n", "new")]
    assert sql("SELECT * FROM everything ORDER BY id") == now
    assert by_deltalake(path) == sorted(now, key=repr)
    operations = [row[4] for row in sql("DESCRIBE HISTORY everything")]
    assert operations == ["MERGE", "DELETE", "UPDATE", "WRITE", "CREATE TABLE"]
    changed = sql("SELECT _change_type, id FROM table_changes('everything', 2) ORDER BY _commit_version, id, 1")
    assert changed == [
        ("update_postimage", 2), ("update_preimage", 2), ("delete", 3),
        ("update_postimage", 4), ("update_preimage", 4), ("insert", 9),
    ]  # fmt: skip
    assert [key for key in server.keys("lake", "tables/all/_change_data/") if "/cdc-" not in key] == []


def test_time_travel_and_restore(sql: Sql) -> None:
    sql("CREATE TABLE travel (id BIGINT) USING delta LOCATION 's3a://lake/tables/travel'")
    for number in range(3):
        sql(f"INSERT INTO travel VALUES ({number})")
    assert sql("SELECT count(*) FROM travel VERSION AS OF 1") == [(1,)]
    moment = sql("DESCRIBE HISTORY travel")[0][1]
    assert sql(f"SELECT count(*) FROM travel TIMESTAMP AS OF '{moment}'") == [(3,)]
    sql("RESTORE TABLE travel TO VERSION AS OF 2")
    assert sql("SELECT * FROM travel ORDER BY id") == [(0,), (1,)]
    sql.refused("SELECT * FROM travel VERSION AS OF 99", "DELTA_VERSION_NOT_FOUND")


def test_optimize_and_vacuum_leave_the_rows_and_the_files_of_now(sql: Sql, server: Emulator) -> None:
    path = "s3://lake/tables/upkeep"
    sql(f"CREATE TABLE upkeep (id BIGINT) USING delta LOCATION '{path}'")
    for number in range(4):
        sql(f"INSERT INTO upkeep VALUES ({number})")
    sql("OPTIMIZE upkeep ZORDER BY (id)")
    assert len(server.keys("lake", "tables/upkeep/part-")) == 5
    sql("SET spark.databricks.delta.retentionDurationCheck.enabled = false")
    gone = sql("VACUUM upkeep RETAIN 0 HOURS DRY RUN")
    assert len(gone) == 4
    assert all(row[0].startswith(f"{path}/part-") for row in gone)
    assert sql("VACUUM upkeep RETAIN 0 HOURS") == [(path,)]
    assert len(server.keys("lake", "tables/upkeep/part-")) == 1
    assert sql("SELECT * FROM upkeep ORDER BY id") == [(n,) for n in range(4)] == by_deltalake(path)
    sql("UPDATE upkeep SET id = id + 1")
    assert len(sql("VACUUM upkeep LITE RETAIN 0 HOURS DRY RUN")) == 1
    assert path in sql("DESCRIBE DETAIL upkeep")[0]


def test_a_checkpoint_of_the_log_is_written_and_read(sql: Sql, server: Emulator) -> None:
    path = "s3://lake/tables/long"
    sql(f"CREATE TABLE long (id BIGINT) USING delta LOCATION '{path}' TBLPROPERTIES (delta.checkpointInterval = 3)")
    for number in range(4):
        sql(f"INSERT INTO long VALUES ({number})")
        checkpoint.wait(path)
    last = json.loads(server.read("lake", "tables/long/_delta_log/_last_checkpoint"))["version"]
    assert last == 2
    again = Sql(str(sql.runtime.warehouse))
    server.client("s3").delete_object(Bucket="lake", Key="tables/long/_delta_log/00000000000000000000.json")
    assert again("SELECT count(*) FROM long") == [(4,)]
    again.close()


def test_a_table_in_s3_survives_a_restart_of_the_catalog(sql: Sql, warehouse: Path) -> None:
    sql("CREATE DATABASE far LOCATION 's3://lake/far'")
    sql("CREATE TABLE far.kept (id BIGINT) USING delta")
    sql("INSERT INTO far.kept VALUES (7)")
    sql("CREATE TABLE kept USING delta LOCATION 's3://lake/far/kept'")
    sql.close()
    again = Sql(str(warehouse))
    assert again("SELECT * FROM far.kept") == again("SELECT * FROM kept") == [(7,)]
    assert again("SELECT * FROM delta.`s3a://lake/far/kept`") == [(7,)]
    again.refused("ALTER TABLE far.kept RENAME TO far.other", "UNSUPPORTED_FEATURE.HEADWATER")
    again("DROP TABLE kept")
    assert again("SELECT * FROM far.kept") == [(7,)]
    again("DROP TABLE far.kept")
    assert again.runtime.storage.list("s3://lake/far/kept") == []
    again.close()


def test_cloning_and_converting(sql: Sql, server: Emulator) -> None:
    sql("CREATE TABLE origin (id BIGINT) USING delta LOCATION 's3://lake/tables/origin'")
    sql("INSERT INTO origin VALUES (1), (2)")
    sql("CREATE TABLE twin SHALLOW CLONE origin LOCATION 's3://lake/tables/twin'")
    sql("INSERT INTO twin VALUES (3)")
    assert sql("SELECT * FROM twin ORDER BY id") == [(1,), (2,), (3,)]
    (key,) = server.keys("lake", "tables/origin/part-")
    for day in (1, 2):
        copy = {"Bucket": "lake", "Key": key}
        server.client("s3").copy_object(Bucket="lake", Key=f"plain/day={day}/x.parquet", CopySource=copy)
    sql("CONVERT TO DELTA parquet.`s3://lake/plain` PARTITIONED BY (day INT)")
    assert sql("SELECT day, sum(id) FROM delta.`s3://lake/plain` GROUP BY day ORDER BY day") == [(1, 3), (2, 3)]


def test_a_mount_wins_over_a_bucket_and_may_lead_to_one(sql: Sql, tmp_path: Path, server: Emulator) -> None:
    mounts = {"s3://lake/near": str(tmp_path / "near"), "/mnt/lake": "s3://lake/mounted"}
    settings = {f"spark.headwater.mounts.{prefix}": place for prefix, place in mounts.items()}
    mounted = Sql(str(tmp_path / "warehouse"), **settings)
    mounted("CREATE TABLE near (id INT) USING delta LOCATION 's3://lake/near/t'")
    mounted("CREATE TABLE far (id INT) USING delta LOCATION '/mnt/lake/t'")
    mounted("INSERT INTO near VALUES (1)")
    mounted("INSERT INTO far VALUES (2)")
    assert (tmp_path / "near" / "t" / "_delta_log").is_dir()
    assert server.keys("lake", "near") == []
    assert sql("SELECT * FROM delta.`s3://lake/mounted/t`") == [(2,)]
    mounted.close()


def test_a_warehouse_stays_local(server: Emulator) -> None:
    with pytest.raises(Exception, match="give databases and tables a LOCATION 's3://…'"):
        Sql("s3://lake/warehouse")


def test_a_bucket_that_is_not_there_is_named_and_no_secret_is(sql: Sql) -> None:
    error = sql.refused(
        "CREATE TABLE nowhere (id INT) USING delta LOCATION 's3://no-such-bucket/t'", "S3_REQUEST_FAILED"
    )
    assert "NoSuchBucket" in str(error)
    assert SECRET not in str(error)
