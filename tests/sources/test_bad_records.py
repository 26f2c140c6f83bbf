"""`badRecordsPath` of streams of files: records that are none lie beside the stream, once, and are no rows of it."""

import json

import pytest

from headwater.errors import UnsupportedError
from headwater.io.formats import FormatOptions
from headwater.sources.bad_records import BadRecords
from support.files import SourceBench, put

LINES = {
    "json": '{"v":1}\nodd\n{"v":"x"}\n',
    "csv": "1\nodd\n2,3\n",
    "xml": "<rs><r><v>1</v></r><r><v>odd</v></r></rs>",
}
BAD = {"json": ["odd", '{"v":"x"}'], "csv": ["2,3", "odd"], "xml": ["<r><v>odd</v></r>"]}


@pytest.mark.parametrize("kind", ["json", "csv", "xml"])
def test_bad_records_of_a_plain_stream_of_files(tmp_path, kind):
    (tmp_path / "in").mkdir()
    bad = tmp_path / "bad"
    stream = SourceBench(kind, tmp_path, "v int", badRecordsPath=str(bad), rowTag="r")
    put(tmp_path / "in" / f"a.{kind}", LINES[kind])
    assert stream.step() == [(1,)]
    assert stream.rows(None, stream.offset) == [(1,)]  # the batch again, as after a crash
    kept = [json.loads(line) for path in bad.glob("*/bad_records/part-*") for line in path.open()]
    assert sorted(one["record"] for one in kept) == sorted(BAD[kind])
    assert {one["path"] for one in kept} == {f"file:{tmp_path}/in/a.{kind}"}


def test_a_batch_read_refuses_it(tmp_path):
    (tmp_path / "in").mkdir()
    put(tmp_path / "in" / "a.json", LINES["json"])
    with pytest.raises(UnsupportedError, match="badRecordsPath in a batch read"):
        SourceBench("json", tmp_path, "v int", badRecordsPath=str(tmp_path / "bad")).batch()


def test_formats_without_text_have_none():
    assert not BadRecords.asked(FormatOptions({"badRecordsPath": "/bad"}), "parquet")
    assert not BadRecords.asked(FormatOptions(), "json")
