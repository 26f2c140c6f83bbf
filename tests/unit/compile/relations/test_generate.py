"""Generators."""

from __future__ import annotations

import pyarrow as pa
import pytest

from headwater.errors import AnalysisError
from support.sql_session import Sql


@pytest.mark.parametrize(
    ("query", "schema", "rows"),
    [
        ("select explode(array(1,2)), 5 f", "struct<col:int,f:int>", [(1, 5), (2, 5)]),
        ("select explode_outer(array()) x, 1 y", None, [(None, 1)]),
        ("select posexplode(array('p','q')) as (i, v)", "struct<i:int,v:string>", [(0, "p"), (1, "q")]),
        ("select explode(map('k', 1))", "struct<key:string,value:int>", [("k", 1)]),
        ("select inline(array(struct(1, 'a'), struct(2, 'b')))", "struct<col1:int,col2:string>", [(1, "a"), (2, "b")]),
        ("select stack(2, 1, 2, 3)", "struct<col0:int,col1:int>", [(1, 2), (3, None)]),
        ("select * from explode(array(1, 2))", "struct<col:int>", [(1,), (2,)]),
        (
            "select e.c, t.x from e lateral view explode(array(a, a + 1)) t as x where c = 'q'",
            None,
            [("q", 2), ("q", 3)],
        ),
        ("select c, x from e lateral view outer explode(array()) t as x where c = 'q'", None, [("q", None)]),
        ("select e.a, x.y from e, lateral explode(array(e.a, 5)) x(y) where e.c = 's'", None, [(9, 9), (9, 5)]),
        ("select id from range(1, 7, 3)", "struct<id:bigint>", [(1,), (4,)]),
    ],
)
def test_rows_of_a_generator(session, query, schema, rows):
    got_schema, got = session.query(query)
    assert got == rows
    assert schema is None or got_schema == schema


def test_two_generators_in_one_list_are_refused(session):
    with pytest.raises(AnalysisError, match="MULTI_GENERATOR"):
        session.query("select explode(array(1)), explode(array(2))")


@pytest.fixture
def changed(tmp_path):
    """A table of three versions: two inserts and an update of the second."""
    from deltalake import DeltaTable, write_deltalake

    path = str(tmp_path / "t")
    write_deltalake(path, pa.table({"id": [1]}), configuration={"delta.enableChangeDataFeed": "true"})
    write_deltalake(path, pa.table({"id": [2]}), mode="append")
    DeltaTable(path).update(predicate="id = 2", updates={"id": "3"})
    sql = Sql(str(tmp_path / "warehouse"))
    sql(f"CREATE TABLE t USING delta LOCATION '{path}'")
    yield sql, path
    sql.close()


def test_the_changes_of_a_table(changed):
    sql, path = changed
    columns = "id, _change_type, _commit_version"
    late = [(2, "update_preimage", 2), (3, "update_postimage", 2)]
    assert sql(f"SELECT {columns} FROM table_changes('t', 0) ORDER BY 3, 1") == [
        (1, "insert", 0),
        (2, "insert", 1),
        *late,
    ]
    for call in (
        "table_changes('default.t', 1 + 1)",
        "table_changes('t', 2, 2)",
        "table_changes('t', 2L)",
        f"table_changes('delta.`{path}`', 2)",
        f"table_changes_by_path('{path}', 2)",
    ):
        assert sql(f"SELECT {columns} FROM {call} ORDER BY 1") == late, call
    assert sql("SELECT c.id FROM table_changes('t', '2020-01-01') c WHERE c._commit_version = 0") == [(1,)]
    assert sql("SELECT count(*) FROM table_changes('t', TIMESTAMP'2020-01-01')") == [(4,)]


@pytest.mark.parametrize(
    ("call", "condition"),
    [
        ("table_changes('t')", "INCORRECT_NUMBER_OF_ARGUMENTS"),
        ("table_changes('t', 1, 2, 3)", "INCORRECT_NUMBER_OF_ARGUMENTS"),
        ("table_changes(concat('t', ''), 1)", "DELTA_UNSUPPORTED_EXPRESSION"),
        ("table_changes(1, 1)", "DELTA_UNSUPPORTED_EXPRESSION"),
        ("table_changes('t', 1.5)", "DELTA_UNSUPPORTED_EXPRESSION"),
        ("table_changes('t', NULL)", "DELTA_CDC_READ_NULL_RANGE_BOUNDARY"),
        ("table_changes('t', 2, 1)", "DELTA_INVALID_CDC_RANGE"),
        ("table_changes('nowhere', 1)", "TABLE_OR_VIEW_NOT_FOUND"),
        ("table_changes_by_path('/nowhere', 1)", "DELTA_PATH_DOES_NOT_EXIST"),
        ("STREAM table_changes('t', 1)", "UNSUPPORTED_FEATURE.HEADWATER"),
    ],
)
def test_impossible_changes_are_refused(changed, call, condition):
    changed[0].refused(f"SELECT * FROM {call}", condition)


def test_only_delta_tables_have_changes(changed):
    sql, _ = changed
    sql("CREATE TABLE plain (id INT) USING parquet")
    sql.refused("SELECT * FROM table_changes('plain', 0)", "DELTA_TABLE_ONLY_OPERATION")
