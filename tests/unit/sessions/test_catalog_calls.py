"""`spark.catalog`: every call of the protocol answers, in the columns the client reads by position."""

import pytest
from pyspark.sql.connect.proto import catalog_pb2
from pyspark.sql.types import LongType, StructField, StructType

from headwater.errors import SparkError
from headwater.plan.commands import CatalogCall, CreateView
from headwater.plan.relations import Range
from headwater.sessions.commands.catalog_calls import _CALLS
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path):
    sql = Sql(str(tmp_path / "warehouse"))
    sql("CREATE TABLE t (a INT COMMENT 'first', b STRING) USING delta PARTITIONED BY (b) COMMENT 'a table'")
    sql.session.run(CreateView(Range(0, 1, 1), ("v",), "temporary"))
    yield sql
    sql.close()


@pytest.fixture
def call(sql):
    def ask(name, **arguments):
        relation = sql.session.run(CatalogCall(name, tuple(arguments.items())))
        return [tuple(row.values()) for row in sql.session.execute(relation).table().to_pylist()]

    return ask


def test_every_call_of_the_protocol_is_answered():
    names = {field.name for field in catalog_pb2.Catalog.DESCRIPTOR.fields}
    assert names == set(_CALLS)


def test_where_we_are(call):
    call("create_database", db_name="d", properties={"k": "v"})
    assert call("current_catalog") == [("spark_catalog",)]
    assert call("set_current_database", db_name="d") == []
    assert call("current_database") == [("d",)]
    assert call("list_catalogs") == [("spark_catalog", None)]
    with pytest.raises(SparkError) as caught:
        call("set_current_catalog", catalog_name="other")
    assert caught.value.condition == "CATALOG_NOT_FOUND"


def test_databases(call, tmp_path):
    call("create_database", db_name="d", if_not_exists=False)
    assert [row[0] for row in call("list_databases")] == ["d", "default"]
    assert [row[0] for row in call("list_databases", pattern="def*")] == ["default"]
    where = f"file:{tmp_path}/warehouse"
    assert call("get_database", db_name="default") == [("default", "spark_catalog", "default database", where)]
    assert call("database_exists", db_name="nope") == [(False,)]
    call("drop_database", db_name="d", if_exists=False, cascade=False)
    assert call("database_exists", db_name="d") == [(False,)]


def test_tables(call):
    table = ("t", "spark_catalog", ["default"], "a table", "MANAGED", False)
    view = ("v", None, [], None, "TEMPORARY", True)
    assert call("list_tables") == [table, view]
    assert call("list_tables", pattern="T|x*") == [table]
    assert call("list_views") == [view]
    assert call("get_table", table_name="default.t") == [table]
    assert call("get_table", table_name="`v`") == [view]
    assert call("table_exists", table_name="t", db_name="default") == [(True,)]
    assert call("table_exists", table_name="nope") == [(False,)]
    columns = call("list_columns", table_name="t")
    assert columns == [
        ("a", "first", "int", True, False, False, False),
        ("b", None, "string", True, True, False, False),
    ]
    with pytest.raises(SparkError) as caught:
        call("get_table", table_name="nope")
    assert caught.value.condition == "TABLE_OR_VIEW_NOT_FOUND"


def test_changing_tables(call, sql):
    schema = StructType([StructField("id", LongType())])
    call("create_table", table_name="n", source="parquet", schema=schema, description="new", options={})
    assert call("get_table", table_name="n")[0][3] == "new"
    sql("INSERT INTO n VALUES (1)")
    call("truncate_table", table_name="n")
    assert sql("SELECT * FROM n") == []
    call("drop_table", table_name="n", if_exists=False, purge=False)
    call("drop_table", table_name="n", if_exists=True)
    assert call("drop_temp_view", view_name="v") == [(True,)]
    assert call("drop_temp_view", view_name="v") == [(False,)]


def test_about_a_table(call, sql):
    sql("INSERT INTO t VALUES (1, 'x')")
    assert call("list_partitions", table_name="t") == [("b=x",)]
    assert call("get_create_table_string", table_name="t", as_serde=False)[0][0].startswith("CREATE TABLE")
    assert call("get_table_properties", table_name="t") == []
    assert call("is_cached", table_name="t") == [(False,)]
    for name in ("cache_table", "uncache_table", "refresh_table", "analyze_table"):
        assert call(name, table_name="t") == []


def test_functions(call):
    assert [row[0] for row in call("list_functions", pattern="uppe*")] == ["upper"]
    assert call("get_function", function_name="upper")[0][0] == "upper"
    assert call("function_exists", function_name="nope") == [(False,)]
    with pytest.raises(SparkError) as caught:
        call("get_function", function_name="nope")
    assert caught.value.condition == "UNRESOLVED_ROUTINE"
