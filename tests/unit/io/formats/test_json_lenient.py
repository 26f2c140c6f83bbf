"""JSON that is not quite JSON. What each option takes is what Jackson's feature of that name takes."""

import pytest

from headwater.errors import UnsupportedError
from support.files import infer, put, scan

SCHEMA = "a bigint, b string"


@pytest.mark.parametrize(
    ("option", "text", "row"),
    [
        ("allowSingleQuotes", "{'a': 1, 'b': 'it\\'s \"x\"'}", (1, 'it\'s "x"')),
        ("allowUnquotedFieldNames", '{a: 1, b : "{c: 1}"}', (1, "{c: 1}")),
        ("allowComments", '{"a": 1, /* one */ "b": "//no"} // end', (1, "//no")),
        ("allowNumericLeadingZeros", '{"a": 0012, "b": ":007"}', (12, ":007")),
        ("allowBackslashEscapingAnyCharacter", '{"a": 1, "b": "\\q\\\\n\\n"}', (1, "q\\n\n")),
        ("allowUnquotedControlChars", '{"a": 1, "b": "x\ty"}', (1, "x\ty")),
    ],
)
def test_each_option_takes_its_record_and_leaves_json_alone(tmp_path, option, text, row):
    file = put(tmp_path / "a.json", f'{{"a": 5, "b": "plain"}}\n{text}\n{{"a": 6, "b": "\'"}}\ngarbage\'\n')
    good = [(5, "plain"), row, (6, "'"), (None, None)]
    assert scan("json", file, SCHEMA, {option: "true"}) == good
    assert scan("json", file, SCHEMA, {option: "false"}) == [good[0], (None, None), *good[2:]]


def test_single_quotes_are_taken_by_default_where_the_file_begins_with_them(tmp_path):
    file = put(tmp_path / "a.json", "{ 'a': 1, 'b': 'x'}\n{\"a\": 2}\n")
    assert scan("json", file, SCHEMA) == [(1, "x"), (2, None)]
    assert infer("json", file) == "struct<a:bigint,b:string>"


def test_numbers_that_are_none_cannot_be_switched_off(tmp_path):
    file = put(tmp_path / "a.json", '{"a": NaN}\n')
    with pytest.raises(UnsupportedError, match="allowNonNumericNumbers"):
        scan("json", file, "a double", {"allowNonNumericNumbers": "false"})
