"""Parquet files: columns by name, missing ones null."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headwater.errors import FileReadError
from support.files import infer, put, scan


@pytest.fixture
def files(tmp_path):
    pq.write_table(pa.table({"id": [1, 2], "s": ["a", "b"]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": pa.array([3], pa.int32()), "x": [1.5]}), tmp_path / "b.parquet")
    return [tmp_path / "a.parquet", tmp_path / "b.parquet"]


def test_columns_are_found_by_name_and_missing_ones_are_null(files):
    assert scan("parquet", files, "s string, id bigint, x double, none string") == [
        ("a", 1, None, None),
        ("b", 2, None, None),
        (None, 3, 1.5, None),
    ]


def test_the_schema_is_that_of_a_file(files):
    assert infer("parquet", files[0]) == "struct<id:bigint,s:string>"


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    with pytest.raises(FileReadError, match=r"CANNOT_READ_FILE_FOOTER.*x\.parquet"):
        infer("parquet", put(tmp_path / "x.parquet", "hello world, no parquet"))


def test_rescued_data_takes_unknown_columns_and_values_that_do_not_fit(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": ["7", "x"], "l": [[1, 2], None]}), path)
    assert scan("parquet", path, "id int", rescue="r") == [
        (7, f'{{"l":[1,2],"_file_path":"file:{path}"}}'),
        (None, f'{{"id":"x","_file_path":"file:{path}"}}'),
    ]
