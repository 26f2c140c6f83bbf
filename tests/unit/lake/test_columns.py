"""SET and DROP DEFAULT in the log: the feature they need, the field, the history."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headwater.errors import AnalysisError, UnsupportedError
from headwater.lake.columns import set_default
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema

FEATURE = {"delta.feature.allowColumnDefaults": "supported"}


def test_a_default_is_set_and_dropped_in_the_field_and_told_in_history(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path), parse_schema("a int, b string comment 'c'"), (), FEATURE)
    set_default(table, ("B",), "'x'")
    assert table.metadata.schema.fields[1].metadata == {"comment": "c", "CURRENT_DEFAULT": "'x'"}
    told = table.history(1)[0].info
    assert told["operation"] == "CHANGE COLUMN"
    assert json.loads(told["operationParameters"]["column"]) == {
        "name": "b",
        "type": "string",
        "nullable": True,
        "metadata": {"comment": "c", "CURRENT_DEFAULT": "'x'"},
    }
    set_default(table, ("b",), None)
    assert table.metadata.schema.fields[1].metadata == {"comment": "c"}


def test_a_default_needs_the_feature_a_column_and_no_struct(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path), parse_schema("a int, s struct<x: int>"))
    for path, condition in (
        ("a", "WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED"),
        ("z", "UNRESOLVED_COLUMN.WITH_SUGGESTION"),
    ):
        with pytest.raises(AnalysisError) as caught:
            set_default(table, (path,), "1")
        assert caught.value.condition == condition
    with pytest.raises(UnsupportedError, match="struct"):
        set_default(table, ("s", "x"), "1")
    assert table.version == 0
