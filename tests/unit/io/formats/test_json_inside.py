"""What the rescued-data column keeps of structs."""

import json

import pytest

from support.files import put, scan

SCHEMA = "id bigint, a struct<b: bigint, c: struct<d: string>>, e array<struct<f: bigint>>"


@pytest.mark.parametrize(
    ("record", "kept"),
    [
        ({"a": {"b": 1, "c": {"d": "x"}}, "e": [{"f": 1}]}, None),
        ({"a": None, "e": None}, None),
        ({"a": {"b": 1, "new": {"x": [1]}}}, {"a": {"new": {"x": [1]}}}),
        ({"a": {"b": "no number", "c": {"d": "x", "y": 'q"'}}}, {"a": {"b": "no number", "c": {"y": 'q"'}}}),
        (
            {"a": {"new": 1}, "top": 2, "e": [{"f": 1}, {"g": 2}]},
            {"top": 2, "a": {"new": 1}, "e": [{"f": 1}, {"g": 2}]},
        ),
        ({"a": 7}, {"a": 7}),
        ({"a": {"c": 7}}, {"a": {"c": 7}}),
        ({"e": {"f": 1}}, {"e": {"f": 1}}),
    ],
)
def test_what_does_not_fit_inside_a_struct_is_kept(tmp_path, record, kept):
    file = put(tmp_path / "a.json", json.dumps({"id": 1, **record}) + "\n")
    (row,) = scan("json", file, SCHEMA, rescue="_rescued_data")
    assert row[0] == 1
    found = json.loads(row[-1]) if row[-1] else None
    assert found == (None if kept is None else {**kept, "_file_path": f"file:{file}"})
