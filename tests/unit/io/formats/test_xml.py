"""XML beyond what is compared with Spark: rescue, corrupt records with text, entities, memory."""

import pytest

from headwater.errors import AnalysisError, UnsupportedError
from headwater.io.formats import FormatOptions
from headwater.io.formats.xml_records import Damaged, rows
from headwater.io.formats.xml_values import XmlOptions
from support.files import infer, put, scan, status

TAG = {"rowTag": "row"}


def test_unknown_and_misfitting_parts_are_rescued(tmp_path):
    path = put(
        tmp_path / "a.xml",
        '<r><row k="1"><a>x</a><s><q>1</q><new>2</new></s><b>z</b><b>y</b></row><row><a>5</a></row></r>',
    )
    found = scan("xml", path, "a int, s struct<q:int>", TAG, rescue="r")
    text = f'{{"a":"x","_k":"1","s":{{"new":"2"}},"b":["z","y"],"_file_path":"file:{path}"}}'
    assert found == [(None, {"q": 1}, text), (5, None, None)]


def test_names_in_another_case_are_rescued_unless_told_otherwise(tmp_path):
    path = put(tmp_path / "a.xml", "<r><row><A>1</A></row></r>")
    assert scan("xml", path, "a int", TAG, rescue="r") == [(None, f'{{"A":"1","_file_path":"file:{path}"}}')]
    assert scan("xml", path, "a int", {**TAG, "readerCaseSensitive": "false"}, rescue="r") == [(1, None)]


def test_a_damaged_document_is_kept_whole_in_rescued_data(tmp_path):
    path = put(tmp_path / "a.xml", "<r><row><a>1</a></row><row><a>2</r>")
    first, second = scan("xml", path, "a int", TAG, rescue="r")
    assert first == (1, None)
    assert second[1].startswith('{"_corrupt_record":"<r><row><a>1</a></row>')


def test_a_value_of_another_type_makes_a_record_corrupt(tmp_path):
    path = put(tmp_path / "a.xml", "<r><row><a>x</a></row><row><a>2</a></row></r>")
    assert scan("xml", path, "a int, _corrupt_record string", TAG) == [(None, "<row><a>x</a></row>"), (2, None)]


def test_entities_are_not_resolved(tmp_path):
    secret = put(tmp_path / "secret", "secret")
    text = f'<!DOCTYPE r [<!ENTITY e SYSTEM "file://{secret}">]><r><row><a>x&e;</a></row></r>'
    found = scan("xml", put(tmp_path / "a.xml", text), "a string", TAG)
    assert "secret" not in repr(found)


def test_rows_before_the_one_at_hand_are_let_go(tmp_path):
    path = put(tmp_path / "a.xml", "<r>" + "<row><a>1</a></row>" * 100_000 + "</r>")
    most = max(len(row.getparent()) for row in rows(status(path), XmlOptions("row")))
    assert most < 5000  # what the parser has read ahead
    assert [type(one) for one in rows(status(put(tmp_path / "b.xml", "<r><row>")), XmlOptions("row"))] == [Damaged]


def test_options_that_are_missing_or_unknown_raise(tmp_path):
    path = put(tmp_path / "a.xml", "<r/>")
    with pytest.raises(AnalysisError, match="XML_ROW_TAG_MISSING"):
        infer("xml", path)
    with pytest.raises(UnsupportedError, match="rowValidationXSDPath"):
        XmlOptions.of(FormatOptions({**TAG, "rowValidationXSDPath": "x"}))
