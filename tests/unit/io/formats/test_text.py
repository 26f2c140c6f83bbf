"""Text files, a row a line. Expected rows were measured on Spark 4.3."""

import pytest

from headwater.errors import AnalysisError
from support.files import infer, put, scan


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({}, ["a", "b", "", "c"]),
        ({"wholetext": "true"}, ["a\r\nb\n\nc"]),
        ({"lineSep": "b"}, ["a\r\n", "\n\nc"]),
    ],
)
def test_lines(tmp_path, options, rows):
    assert scan("text", put(tmp_path / "a.txt", "a\r\nb\n\nc"), "value string", options) == [(row,) for row in rows]


def test_the_end_of_the_last_line_is_no_row(tmp_path):
    assert scan("text", put(tmp_path / "a.txt", "a\n\n"), "value string") == [("a",), ("",)]


def test_empty_files_have_no_rows(tmp_path):
    assert scan("text", put(tmp_path / "a.txt", ""), "value string") == []


def test_the_schema_is_one_string(tmp_path):
    path = put(tmp_path / "a.txt", "a")
    assert infer("text", path) == "struct<value:string>"
    with pytest.raises(AnalysisError, match="single column"):
        scan("text", path, "a string, b string")
