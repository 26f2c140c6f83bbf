"""Encodings and record ends of text files."""

import pytest

from headwater.errors import UnsupportedError
from support.files import infer, put, scan


def test_records_end_where_the_option_says(tmp_path):
    json = put(tmp_path / "a.json", '{"a": 1}|{"a": 2}||{"a": 3}')
    assert scan("json", json, "a bigint", {"lineSep": "|"}) == [(1,), (2,), (3,)]
    csv = put(tmp_path / "a.csv", "a,b;1,x;2,y\nz;")
    assert scan("csv", csv, "a bigint, b string", {"lineSep": ";", "header": "true"}) == [(1, "x"), (2, "y\nz")]
    assert infer("csv", csv, {"lineSep": ";", "header": "true"}) == "struct<a:string,b:string>"


@pytest.mark.parametrize(("encoding", "codec"), [("ISO-8859-1", "latin-1"), ("UTF-16", "utf-16")])
def test_json_in_another_encoding(tmp_path, encoding, codec):
    (tmp_path / "a.json").write_bytes('{"a": "é"}\n{"a": "ü"}\n'.encode(codec))
    assert scan("json", tmp_path / "a.json", "a string", {"encoding": encoding}) == [("é",), ("ü",)]


@pytest.mark.parametrize("file_format", ["json", "csv"])
@pytest.mark.parametrize(
    "options",
    [
        {"encoding": "EBCDIC"},
        {"encoding": "UTF-16", "multiLine": "true"},
        {"lineSep": "|", "multiLine": "true"},
        {"locale": "de-DE"},
        {"timeZone": "Asia/Tokyo"},
    ],
)
def test_what_cannot_be_kept_is_refused(tmp_path, file_format, options):
    file = put(tmp_path / "a", "1\n")
    with pytest.raises(UnsupportedError, match=next(iter(options.values()))):
        scan(file_format, file, "a string", options)


def test_csv_has_no_variant_column_yet(tmp_path):
    with pytest.raises(UnsupportedError, match="singleVariantColumn"):
        scan("csv", put(tmp_path / "a", "1\n"), "a string", {"singleVariantColumn": "v"})
