"""`singleVariantColumn`: whole records as variants (tests/spark/test_file_formats.py compares them with Spark)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headwater.errors import AnalysisError
from sources.test_cloud_files import CloudBench
from support.files import SourceBench, infer, put, scan

TEXT = '{"a":1}\nbroken\n[1,2]\n'


def test_its_one_column_needs_no_file_and_another_schema_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path / "a.json", TEXT)
    assert infer("json", path, {"singleVariantColumn": "v"}) == "struct<v:variant>"
    with pytest.raises(AnalysisError, match="INVALID_SINGLE_VARIANT_COLUMN"):
        scan("json", path, "v variant, a int", {"singleVariantColumn": "v"})
    with pytest.raises(Exception, match="MALFORMED_RECORD_IN_PARSING"):
        scan("json", path, "v variant", {"singleVariantColumn": "v", "mode": "FAILFAST"})


def test_a_stream_reads_it_without_a_schema(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.json", '{"a":1}')
    stream = SourceBench("json", tmp_path, None, singleVariantColumn="v")
    assert stream.step() == [('{"a":1}',)]


def test_auto_loader_neither_rescues_nor_evolves_it(tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    stream = CloudBench(tmp_path, reader={"singleVariantColumn": "v", "badRecordsPath": str(bad)})
    stream.put("a.json", '{"a":1}\nbroken\n')
    assert stream.columns == "struct<v:variant>"
    assert stream.step() == [('{"a":1}',)]
    (kept,) = bad.glob("*/bad_records/part-*")
    assert json.loads(kept.read_text())["record"] == "broken"
    stream.put("b.json", '{"new":{"x":[]}}')
    assert stream.step() == [('{"new":{"x":[]}}',)]
