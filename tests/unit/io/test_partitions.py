"""Partition columns from folders, typed as Spark types them. Expected values were measured on Spark 4.3."""

import pytest

from headwater.errors import RuntimeSparkError
from headwater.io.partitions import discover, merge_schema
from headwater.types.ddl import parse_schema
from support.files import put, status


def found(tmp_path, *folders, base=""):
    files = [status(put(tmp_path / folder / "x.json", "{}")) for folder in folders]
    return discover(files, [str(tmp_path / base)])


@pytest.mark.parametrize(
    ("folders", "schema"),
    [
        (["p=1", "p=2"], "struct<p:int>"),
        (["p=1", "p=3000000000"], "struct<p:bigint>"),
        (["p=1", "p=1.5"], "struct<p:double>"),
        (["p=1", "p=a"], "struct<p:string>"),
        (["p=2024-01-01"], "struct<p:date>"),
        (["p=2024-01-01 10%3A00%3A00"], "struct<p:timestamp>"),
        (["p=2024-01-01", "p=2024-01-01 10%3A00%3A00"], "struct<p:timestamp>"),
        (["p=true"], "struct<p:string>"),
        (["p=01"], "struct<p:int>"),
        (["p=1", "p=__HIVE_DEFAULT_PARTITION__"], "struct<p:int>"),
        (["p=1", "p=2024-01-01"], "struct<p:string>"),
        (["p=1/q=a", "p=2/q=b%20c"], "struct<p:int,q:string>"),
    ],
)
def test_types_of_partition_columns(tmp_path, folders, schema):
    assert found(tmp_path, *folders).schema.simpleString() == schema


def test_values_are_unescaped_and_the_hive_default_is_null(tmp_path):
    values = found(tmp_path, "p=b%20c", "p=__HIVE_DEFAULT_PARTITION__").values
    assert set(values.values()) == {("b c",), (None,)}


def test_folders_above_the_base_are_no_columns(tmp_path):
    assert found(tmp_path, "p=1/q=a", base="p=1").schema.simpleString() == "struct<q:string>"


def test_a_file_outside_any_partition_has_nulls(tmp_path):
    partitions = found(tmp_path, "", "p=1")
    assert set(partitions.values.values()) == {(None,), ("1",)}


def test_folders_that_disagree_are_an_error_that_names_them(tmp_path):
    with pytest.raises(RuntimeSparkError, match=r"CONFLICTING_PARTITION_COLUMN_NAMES(.|\n)*p=1(.|\n)*q=1"):
        found(tmp_path, "p=1", "q=1")


def test_the_users_types_win_and_partition_columns_go_last(tmp_path):
    data, columns = merge_schema(parse_schema("p string, v int"), found(tmp_path, "p=1/q=a").schema)
    assert (data.simpleString(), columns.simpleString()) == ("struct<v:int>", "struct<p:string,q:string>")
