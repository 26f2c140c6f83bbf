"""`saveAsTable`, `insertInto`, `writeTo`: rows into tables, by name or by position."""

import pytest
from pyspark.sql.types import BooleanType, IntegerType, LongType, StringType, StructField, StructType

from headwater.errors import SparkError
from headwater.plan.commands import Write, WriteTo
from headwater.plan.expressions import Column, Literal
from headwater.plan.relations import Range
from headwater.sessions.leaves import rows
from support.sql_session import Sql


@pytest.fixture
def sql(tmp_path):
    sql = Sql(str(tmp_path / "warehouse"))
    yield sql
    sql.close()


_KINDS = (LongType(), StringType())


def pairs(*values, names=("a", "b"), kinds=_KINDS):
    schema = StructType([StructField(name, kind) for name, kind in zip(names, kinds, strict=True)])
    return rows(schema, values)


def refused(condition, sql, command):
    with pytest.raises(SparkError) as caught:
        sql.session.run(command)
    assert caught.value.condition == condition, caught.value


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_save_as_table_appends_by_name(sql, kind):
    sql.session.run(Write(pairs((1, "x")), kind, "errorifexists", table=("t",)))
    swapped = pairs(("y", 2), names=("b", "a"), kinds=(StringType(), LongType()))
    sql.session.run(Write(swapped, kind, "append", table=("t",)))
    assert sorted(sql("SELECT a, b FROM t")) == [(1, "x"), (2, "y")]


@pytest.mark.parametrize("kind", ["delta", "parquet"])
def test_insert_into_goes_by_position(sql, kind):
    sql.session.run(Write(pairs((1, "x")), kind, "errorifexists", table=("t",)))
    sql.session.run(Write(pairs((2, "y"), names=("b", "a")), None, "append", table=("t",), insert=True))
    assert sorted(sql("SELECT a, b FROM t")) == [(1, "x"), (2, "y")]
    sql.session.run(Write(pairs((3, "z")), None, "overwrite", table=("t",), insert=True))
    assert sql("SELECT a, b FROM t") == [(3, "z")]


def test_a_smaller_number_type_fits_a_larger_column(sql):
    sql("CREATE TABLE t (a BIGINT, b STRING)")
    small = pairs((1, "x"), kinds=(IntegerType(), StringType()))
    sql.session.run(Write(small, None, "append", table=("t",)))
    sql.session.run(Write(small, None, "append", table=("t",), insert=True))
    assert sql("SELECT * FROM t") == [(1, "x"), (1, "x")]


def test_modes_of_save_as_table(sql):
    sql.session.run(Write(Range(0, 2, 1), "parquet", "errorifexists", table=("t",)))
    refused("TABLE_OR_VIEW_ALREADY_EXISTS", sql, Write(Range(0, 2, 1), "parquet", "errorifexists", table=("t",)))
    refused("TABLE_FORMAT_MISMATCH", sql, Write(Range(0, 2, 1), "csv", "append", table=("t",)))
    sql.session.run(Write(Range(5, 9, 1), "parquet", "ignore", table=("t",)))
    assert sorted(sql("SELECT * FROM t")) == [(0,), (1,)]
    sql.session.run(Write(pairs((1, "x")), "parquet", "overwrite", table=("t",)))
    assert sql("SELECT * FROM t") == [(1, "x")]
    refused("SCHEMA_NOT_FOUND", sql, Write(Range(0, 2, 1), None, "append", table=("nope", "t")))
    refused("TABLE_OR_VIEW_NOT_FOUND", sql, Write(Range(0, 2, 1), None, "append", table=("nope",), insert=True))


def test_a_path_makes_the_table_external(sql, tmp_path):
    command = Write(Range(0, 2, 1), None, "append", table=("t",), options=(("path", str(tmp_path / "ext")),))
    sql.session.run(command)
    sql("DROP TABLE t")
    assert (tmp_path / "ext" / "_delta_log").is_dir()


def test_new_columns_need_merge_schema(sql):
    sql("CREATE TABLE t (a BIGINT)")
    more = Write(pairs((1, "x")), None, "append", table=("t",))
    refused("DELTA_METADATA_MISMATCH", sql, more)
    sql.session.run(Write(pairs((1, "x")), None, "append", table=("t",), options=(("mergeSchema", "true"),)))
    assert sql("SELECT * FROM t") == [(1, "x")]


def test_write_to(sql):
    sql.session.run(WriteTo(pairs((1, "x"), (2, "y")), ("t",), "create", partition_by=(Column(("b",)),)))
    refused("TABLE_OR_VIEW_ALREADY_EXISTS", sql, WriteTo(Range(0, 1, 1), ("t",), "create"))
    sql.session.run(WriteTo(pairs((3, "y")), ("t",), "append"))
    assert sorted(sql("SELECT * FROM t")) == [(1, "x"), (2, "y"), (3, "y")]
    sql.session.run(WriteTo(pairs((4, "y")), ("t",), "overwrite_partitions"))
    assert sorted(sql("SELECT * FROM t")) == [(1, "x"), (4, "y")]
    sql.session.run(WriteTo(pairs((5, "z")), ("t",), "overwrite", condition=Literal(True, BooleanType())))
    assert sql("SELECT * FROM t") == [(5, "z")]
    sql.session.run(WriteTo(Range(0, 1, 1), ("t",), "create_or_replace", provider="csv"))
    assert sql("SHOW COLUMNS IN t") == [("id",)]
    refused("TABLE_OR_VIEW_NOT_FOUND", sql, WriteTo(Range(0, 1, 1), ("nope",), "append"))
    refused("TABLE_OR_VIEW_NOT_FOUND", sql, WriteTo(Range(0, 1, 1), ("nope",), "replace"))


def test_properties_and_comment_reach_the_delta_log(sql):
    properties = (("delta.appendOnly", "true"), ("mine", "1"))
    sql.session.run(WriteTo(Range(0, 1, 1), ("t",), "create", properties=properties))
    versions = [("delta.minReaderVersion", "1"), ("delta.minWriterVersion", "2")]
    assert sql("SHOW TBLPROPERTIES t") == [("delta.appendOnly", "true"), *versions, ("mine", "1")]
