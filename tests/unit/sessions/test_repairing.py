"""Manifests, REORG, FSCK, REPAIR and DROP FEATURE of Delta tables, and the changes of a table in SQL."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from deltalake import DeltaTable

from headwater.lake.table import LakeTable
from support.delta_acceptance import HOME
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t (id INT, k STRING) USING delta PARTITIONED BY (k)")
    sql("INSERT INTO t VALUES (1, 'a b'), (2, NULL), (3, 'c/d')")
    yield sql
    sql.close()


def manifests(folder: Path) -> dict[str, list[str]]:
    root = folder / "_symlink_format_manifest"
    return {
        str(path.parent.relative_to(root)): path.read_text().splitlines()
        for path in root.rglob("*")
        if path.is_file() and not path.name.startswith(".")
    }


def test_manifests_name_the_files_of_each_partition(sql: Sql, tmp_path: Path) -> None:
    sql("GENERATE symlink_format_manifest FOR TABLE t")
    table = tmp_path / "warehouse" / "t"
    found = manifests(table)
    assert sorted(found) == ["k=__HIVE_DEFAULT_PARTITION__", "k=a b", "k=c%2Fd"]
    uris = DeltaTable(str(table)).file_uris()
    assert sorted(os.path.basename(name) for names in found.values() for name in names) == sorted(
        map(os.path.basename, uris)
    )
    assert all(name.startswith(f"file:{table}/") for names in found.values() for name in names)
    sql("DELETE FROM t WHERE id = 1")
    sql(f"GENERATE symlink_format_manifest FOR TABLE delta.`{table}`")
    assert sorted(manifests(table)) == ["k=__HIVE_DEFAULT_PARTITION__", "k=c%2Fd"]
    sql("CREATE TABLE e (id INT) USING delta")
    sql("GENERATE symlink_format_manifest FOR TABLE e")
    assert manifests(tmp_path / "warehouse" / "e") == {".": []}
    sql.refused("GENERATE other FOR TABLE e", "DELTA_MODE_NOT_SUPPORTED")


def test_tables_whose_files_do_not_say_their_rows_have_no_manifest(sql: Sql) -> None:
    mapped, deleted = HOME / "column_mapping" / "table", HOME / "deletion_vectors" / "table"
    sql.refused(
        f"GENERATE symlink_format_manifest FOR TABLE delta.`{mapped}`",
        "DELTA_UNSUPPORTED_MANIFEST_GENERATION_WITH_COLUMN_MAPPING",
    )
    sql.refused(
        f"GENERATE symlink_format_manifest FOR TABLE delta.`{deleted}`",
        "DELTA_UNSUPPORTED_GENERATE_WITH_DELETION_VECTORS",
    )


def test_fsck_takes_out_what_is_gone(sql: Sql, tmp_path: Path) -> None:
    table = tmp_path / "warehouse" / "t"
    assert (sql("FSCK REPAIR TABLE t"), sql("DESCRIBE HISTORY t")[0][0]) == ([], 1)
    gone = next(uri for uri in DeltaTable(str(table)).file_uris() if "a b" in uri or "a%20b" in uri)
    os.unlink(gone)
    ((path, missing, _, _),) = sql("FSCK REPAIR TABLE t DRY RUN")
    assert (os.path.basename(path), missing) == (os.path.basename(gone), True)
    assert sql("DESCRIBE HISTORY t")[0][0] == 1
    assert len(sql("FSCK REPAIR TABLE t")) == 1
    assert sorted(sql("SELECT id FROM t")) == [(2,), (3,)]
    assert (sql("DESCRIBE HISTORY t")[0][4], sql("FSCK REPAIR TABLE t")) == ("FSCK", [])


def test_repair_table(sql: Sql) -> None:
    LakeTable.open(sql.session.catalog.stored(("t",)).location or "")  # type: ignore[union-attr]
    sql("MSCK REPAIR TABLE t SYNC METADATA")
    sql("CREATE TABLE f (id INT, k INT) USING parquet PARTITIONED BY (k)")
    sql("MSCK REPAIR TABLE f ADD PARTITIONS")
    sql.refused("REPAIR TABLE f SYNC METADATA", "DELTA_TABLE_ONLY_OPERATION")
    sql.refused("FSCK REPAIR TABLE f", "DELTA_TABLE_ONLY_OPERATION")


def test_dropped_columns_go_out_of_the_files(sql: Sql) -> None:
    mapped = "TBLPROPERTIES ('delta.columnMapping.mode' = 'name')"
    sql(f"CREATE TABLE c (id INT, v INT, s STRUCT<a: INT, b: INT>, p INT) USING delta PARTITIONED BY (p) {mapped}")
    sql("INSERT INTO c SELECT 1, 2, named_struct('a', 3, 'b', 4), 1")
    sql("INSERT INTO c SELECT 2, 2, NULL, 2")
    assert removed(sql, "REORG TABLE c APPLY (PURGE)") == 0
    sql("ALTER TABLE c DROP COLUMN s.a")
    sql("INSERT INTO c SELECT 3, 2, named_struct('b', 4), 1")
    before = sorted(sql("SELECT * FROM c"))
    assert removed(sql, "REORG TABLE c WHERE p = 1 APPLY (PURGE)") == 1
    assert removed(sql, "REORG TABLE c APPLY (PURGE)") == 1
    sql("ALTER TABLE c DROP COLUMN v")
    assert removed(sql, "REORG TABLE c APPLY (PURGE)") == 3
    assert removed(sql, "REORG TABLE c APPLY (PURGE)") == 0
    assert sorted(sql("SELECT * FROM c")) == [(row[0], *row[2:]) for row in before]
    assert sql("DESCRIBE HISTORY c")[0][4:6] == ("REORG", [("predicate", "[]"), ("applyPurge", "true")])


def removed(sql: Sql, text: str) -> int:
    return int(sql(text)[0][1]["numFilesRemoved"])


def test_features_of_writers_are_dropped_once_nothing_needs_them(sql: Sql) -> None:
    sql("ALTER TABLE t ADD CONSTRAINT small CHECK (id < 10)")
    sql.refused("ALTER TABLE t DROP FEATURE checkConstraints", "DELTA_CANNOT_DROP_CHECK_CONSTRAINT_FEATURE")
    sql("ALTER TABLE t DROP CONSTRAINT small")
    sql("ALTER TABLE t DROP FEATURE 'CHECKCONSTRAINTS'")
    told = sql("DESCRIBE HISTORY t")[0]
    facts = {"featureName": "checkConstraints", "truncateHistory": "false"}
    assert (told[4], dict(told[5])) == ("DROP FEATURE", facts)
    assert sql("DESCRIBE DETAIL t")[0][12:15] == (1, 2, ["appendOnly", "invariants"])
    sql("INSERT INTO t VALUES (100, 'x')")
    for feature, condition in {
        "checkConstraints": "DELTA_FEATURE_DROP_FEATURE_NOT_PRESENT",
        "nonsense": "DELTA_FEATURE_DROP_UNSUPPORTED_CLIENT_FEATURE",
        "invariants": "DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE",
        "appendOnly": "DELTA_FEATURE_DROP_NONREMOVABLE_FEATURE",
    }.items():
        sql.refused(f"ALTER TABLE t DROP FEATURE {feature}", condition)


def test_changes_of_a_table_in_sql(sql: Sql) -> None:
    sql("CREATE TABLE c (id INT) USING delta TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    sql("INSERT INTO c VALUES (1), (2)")
    sql("UPDATE c SET id = 3 WHERE id = 1")
    sql("DELETE FROM c WHERE id = 2")
    select = "SELECT f.id, _change_type, _commit_version FROM c CHANGES FROM VERSION"
    assert sorted(sql(f"{select} 2 TO VERSION 2 AS f")) == [(1, "update_preimage", 2), (3, "update_postimage", 2)]
    assert len(sql(f"{select} 1 f WHERE _change_type = 'insert'")) == 2
    assert len(sql("SELECT * FROM c CHANGES FROM TIMESTAMP '2020-01-01' TO VERSION 1")) == 2
    sql.refused("SELECT * FROM t CHANGES FROM VERSION 0", "DELTA_MISSING_CHANGE_DATA")
    sql.refused("SELECT * FROM c CHANGES FROM VERSION id", "UNSUPPORTED_FEATURE.HEADWATER")
    sql.refused("SELECT * FROM c CHANGES FROM 1", "PARSE_SYNTAX_ERROR")


def test_reads_take_options(sql: Sql) -> None:
    assert len(sql("SELECT * FROM t WITH ('versionAsOf' = 1) AS x")) == 3
    assert sql("SELECT * FROM t WITH (versionAsOf = 0)") == []
