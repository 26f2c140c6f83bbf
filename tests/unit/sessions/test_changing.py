"""MERGE, UPDATE and DELETE of Delta tables."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from headwater.errors import SparkError
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path: Path) -> Iterator[Sql]:
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t (id INT, v STRING, n BIGINT) USING delta")
    sql("INSERT INTO t VALUES (1, 'a', 1), (2, 'b', 2), (3, NULL, 3)")
    sql("CREATE TEMPORARY VIEW s AS SELECT * FROM VALUES (1, 'x', 10), (4, 'y', 40), (NULL, 'z', 50) AS s(id, v, n)")
    yield sql
    sql.close()


def t(sql: Sql) -> list[tuple[object, ...]]:
    return sorted(sql("SELECT * FROM t"), key=repr)


def test_an_upsert_tells_how_many_rows_it_changed(sql: Sql) -> None:
    text = "MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    relation = sql.relation(text)
    assert relation is not None
    result = sql.session.execute(relation).table()
    assert result.schema.names == ["num_affected_rows", "num_updated_rows", "num_deleted_rows", "num_inserted_rows"]
    assert result.to_pylist() == [dict(zip(result.schema.names, (3, 1, 0, 2), strict=True))]
    assert t(sql) == [(1, "x", 10), (2, "b", 2), (3, None, 3), (4, "y", 40), (None, "z", 50)]


def test_columns_are_named_by_alias_by_table_or_alone(sql: Sql) -> None:
    sql(
        "MERGE INTO t AS old USING (SELECT id, v AS w FROM s) AS new ON old.id = new.id "
        "WHEN MATCHED THEN UPDATE SET old.v = concat(old.v, w), n = n + 1 "
        "WHEN NOT MATCHED AND new.id IS NOT NULL THEN INSERT (v, id) VALUES (new.w, new.id)"
    )
    assert t(sql) == [(1, "ax", 2), (2, "b", 2), (3, None, 3), (4, "y", None)]
    sql("MERGE INTO default.t USING s ON default.t.id = s.id WHEN MATCHED THEN DELETE")
    assert [row[0] for row in t(sql)] == [2, 3]


def test_rows_without_a_source_row(sql: Sql) -> None:
    found = sql(
        "MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED BY TARGET AND s.id > 0 THEN INSERT * "
        "WHEN NOT MATCHED BY SOURCE AND t.v IS NULL THEN DELETE WHEN NOT MATCHED BY SOURCE THEN UPDATE SET v = 'old'"
    )
    assert found == [(3, 1, 1, 1)]
    assert t(sql) == [(1, "a", 1), (2, "old", 2), (4, "y", 40)]


def test_values_are_cast_to_the_column(sql: Sql) -> None:
    sql("UPDATE t SET v = true, n = '7' WHERE id = 1")
    assert t(sql)[0] == (1, "true", 7)
    sql("UPDATE t SET v = n - 5, n = 2.9 WHERE id = 1")
    assert t(sql)[0] == (1, "2", 2)
    sql.refused("UPDATE t SET n = 'x'", "CAST_INVALID_INPUT")
    sql.refused("UPDATE t SET n = array(1)", "DATATYPE_MISMATCH.CAST_WITHOUT_SUGGESTION")
    sql.refused("UPDATE t SET id = 3000000000", "DELTA_CAST_OVERFLOW_IN_TABLE_WRITE")
    assert t(sql)[0] == (1, "2", 2)


def test_update_and_delete_tell_how_many_rows_they_changed(sql: Sql) -> None:
    assert sql("UPDATE t AS x SET n = x.n * 2 WHERE x.id >= 2") == [(2,)]
    assert sql("DELETE FROM t WHERE v IS NULL") == [(1,)]
    assert sql("DELETE FROM t WHERE id = 77") == [(0,)]
    assert t(sql) == [(1, "a", 1), (2, "b", 4)]
    assert sql("DELETE FROM t") == [(2,)]
    assert sql("UPDATE t SET n = 1") == [(0,)]
    names = [row[4] for row in sql("DESCRIBE HISTORY t")]
    assert names[:3] == ["DELETE", "DELETE", "UPDATE"], "what changes nothing leaves no version"


def test_a_source_may_bring_columns(sql: Sql) -> None:
    merge = (
        "INTO t USING (SELECT 2 AS id, 9L AS n, 'k' AS extra UNION ALL SELECT 7, 7L, NULL) s ON t.id = s.id "
        "WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    sql.refused(f"MERGE {merge}", "DELTA_MERGE_UNRESOLVED_EXPRESSION")
    assert sql(f"MERGE WITH SCHEMA EVOLUTION {merge}") == [(2, 1, 0, 1)]
    assert t(sql) == [(1, "a", 1, None), (2, "b", 9, "k"), (3, None, 3, None), (7, None, 7, None)]


def test_a_statement_with_a_counter_is_done_once(sql: Sql) -> None:
    sql("SET spark.databricks.delta.write.txnAppId = app")
    for version in (1, 1, 2):
        sql(f"SET spark.databricks.delta.write.txnVersion = {version}")
        sql("UPDATE t SET n = n + 1")
    assert [row[2] for row in t(sql)] == [3, 4, 5]
    for _ in range(2):
        sql("SET spark.databricks.delta.write.txnVersion = 3")
        sql("INSERT INTO t VALUES (9, 'once', 9)")
    sql("SET spark.databricks.delta.write.txnVersion = 4")
    assert sql("DELETE FROM t WHERE id = 9") == [(1,)]
    sql("SET spark.databricks.delta.write.txnVersion.autoReset.enabled = true")
    for version in (5, 5):
        sql(f"SET spark.databricks.delta.write.txnVersion = {version}")
        sql("UPDATE t SET n = n + 1")
        sql("UPDATE t SET n = n + 10")
    assert [row[2] for row in t(sql)] == [24, 25, 26]
    sql("SET spark.databricks.delta.write.txnVersion = 6")
    assert sql("DELETE FROM t") == [(3,)]
    assert sql("SET spark.databricks.delta.write.txnVersion")[0][1] == "<undefined>"


def test_history_names_the_clauses(sql: Sql) -> None:
    sql("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT *")
    (newest, *_) = sql("DESCRIBE HISTORY t")
    parameters = dict(newest[5])
    assert newest[4] == "MERGE"
    assert parameters == {
        "predicate": '["(id = id)"]',
        "matchedPredicates": '[{"actionType":"delete"}]',
        "notMatchedPredicates": '[{"actionType":"insert"}]',
        "notMatchedBySourcePredicates": "[]",
    }


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("MERGE INTO t USING s ON t.id = s.id", "MERGE_WITHOUT_WHEN"),
        ("MERGE INTO t USING s ON id = 1 WHEN MATCHED THEN DELETE", "AMBIGUOUS_REFERENCE"),
        ("MERGE INTO t USING s ON t.id = s.q WHEN MATCHED THEN DELETE", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id) VALUES (t.id)",
         "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
        ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN DELETE WHEN MATCHED THEN UPDATE SET n = 1",
         "NON_LAST_MATCHED_CLAUSE_OMIT_CONDITION"),
        ("MERGE INTO t USING s ON t.id = s.id WHEN MATCHED THEN UPDATE SET n = 1, n = 2", "DELTA_CONFLICT_SET_COLUMN"),
        ("MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN INSERT (id, n) VALUES (1)",
         "MERGE_INSERT_VALUE_COUNT_MISMATCH"),
        ("MERGE INTO t USING s ON t.id = s.id WHEN NOT MATCHED THEN DELETE", "PARSE_SYNTAX_ERROR"),
        ("MERGE INTO t USING (SELECT a.* FROM s a, s b) s ON t.id = s.id WHEN MATCHED THEN UPDATE SET *",
         "DELTA_MULTIPLE_SOURCE_ROW_MATCHING_TARGET_ROW_IN_MERGE"),
        ("MERGE INTO t USING s ON t.id IN (SELECT id FROM s) WHEN MATCHED THEN DELETE", "DELTA_UNSUPPORTED_SUBQUERY"),
        ("DELETE FROM s", "TABLE_OR_VIEW_NOT_FOUND"),
        ("DELETE FROM nowhere", "TABLE_OR_VIEW_NOT_FOUND"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_changes_nothing(sql: Sql, text: str, condition: str) -> None:
    before = t(sql)
    sql.refused(text, condition)
    assert t(sql) == before


def test_updates_and_deletes_may_ask_other_tables(sql: Sql) -> None:
    assert sql("UPDATE t SET v = (SELECT max(v) FROM s) WHERE id NOT IN (SELECT id FROM s WHERE id > 0)") == [(2,)]
    assert t(sql) == [(1, "a", 1), (2, "z", 2), (3, "z", 3)]
    assert sql("DELETE FROM t WHERE EXISTS (SELECT 1 FROM s WHERE s.id = t.id AND s.n > t.n)") == [(1,)]
    assert sql("DELETE FROM t WHERE n = (SELECT max(n) FROM t)") == [(1,)]
    assert t(sql) == [(2, "z", 2)]


def test_other_formats_are_refused(sql: Sql) -> None:
    sql("CREATE TABLE p USING parquet AS SELECT 1 AS id")
    sql.refused("DELETE FROM p", "DELTA_TABLE_ONLY_OPERATION")


def test_any_merge_is_what_plain_python_says(sql: Sql) -> None:
    generator = random.Random(20_261_122)
    sql("CREATE TABLE r (id INT, v INT, part INT) USING delta PARTITIONED BY (part)")
    truth: dict[int, int] = {}
    for _ in range(12):
        keys = generator.sample(range(60), generator.randrange(1, 25))
        source = {key: generator.randrange(100) for key in keys}
        low, cut = generator.randrange(100), generator.randrange(60)
        values = ", ".join(f"({key}, {value})" for key, value in source.items())
        found = sql(
            f"MERGE INTO r USING (SELECT * FROM VALUES {values} AS x(id, v)) s ON r.id = s.id "
            f"WHEN MATCHED AND s.v < {low} AND r.id > {cut} THEN DELETE WHEN MATCHED THEN UPDATE SET v = r.v + s.v "
            f"WHEN NOT MATCHED AND s.v >= {low} THEN INSERT (id, v, part) VALUES (s.id, s.v, s.id % 3) "
            f"WHEN NOT MATCHED BY SOURCE AND r.id < 3 THEN UPDATE SET v = 0"
        )
        deleted = {k for k, v in source.items() if k in truth and v < low and k > cut}
        updated = {k: truth[k] + v for k, v in source.items() if k in truth and k not in deleted}
        updated |= {k: 0 for k in truth if k not in source and k < 3}
        inserted = {k: v for k, v in source.items() if k not in truth and v >= low}
        counts = (len(updated), len(deleted), len(inserted))
        truth = {k: v for k, v in (truth | updated | inserted).items() if k not in deleted}
        assert found == [(sum(counts), *counts)]
        assert sorted(sql("SELECT * FROM r")) == sorted((k, v, k % 3) for k, v in truth.items())


def test_which_assignments_bring_columns(sql: Sql) -> None:
    """A name without an alias does; with one it has to be there, but for a field of a struct; as genuine Delta 4.3."""
    sql("CREATE TABLE m (id INT, t STRUCT<a: INT>, v INT) USING delta")
    sql("INSERT INTO m VALUES (1, named_struct('a', 1), 1)")
    new = "MERGE WITH SCHEMA EVOLUTION INTO m"
    matched = "ON {0}.id = s.id WHEN MATCHED THEN UPDATE SET"
    for alias in ("t", "x"):
        text = f"{new} {alias} USING (SELECT 1 AS id, 9 AS b) s {matched.format(alias)} {alias}.b = s.b"
        with pytest.raises(SparkError, match=r"FIELD_NOT_FOUND|UNRESOLVED_COLUMN"):
            sql(text)
    sql(f"{new} t USING (SELECT 1 AS id, 9 AS c, 8 AS v) s {matched.format('t')} c = s.c, t.v = s.v")
    struct = "(SELECT 1 AS id, named_struct('a', 5, 'n', 6) AS t) s"
    sql(f"{new} t USING {struct} {matched.format('t')} t.t.n = s.t.n")
    assert [row[:2] for row in sql("DESCRIBE m")] == [
        ("id", "int"), ("t", "struct<a:int,n:int>"), ("v", "int"), ("c", "int")
    ]  # fmt: skip
    assert sql("SELECT to_json(struct(*)) FROM m") == [('{"id":1,"t":{"a":1,"n":6},"v":8,"c":9}',)]
