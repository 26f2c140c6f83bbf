"""Auto Loader's documented behaviours that no other test of it names."""

import json
from datetime import UTC, datetime

import pytest

from headwater.errors import UnknownFieldError
from sources.test_cloud_files import CloudBench
from support.files import age


def test_the_checkpoint_may_hold_the_schema(tmp_path):
    stream = CloudBench(tmp_path, schemaLocation=str(tmp_path / "checkpoint"))
    stream.put("a.json", '{"id":1}')
    assert stream.step() == [("1", None)]
    assert (tmp_path / "checkpoint" / "_schemas" / "0").exists()


def test_hints_reach_inside_maps_and_arrays_and_unseen_columns(tmp_path):
    hints = "m MAP<STRING,INT>, a.element.id INT, s.d DATE, later BIGINT"
    stream = CloudBench(tmp_path, inferColumnTypes="true", schemaHints=hints)
    stream.put("a.json", '{"m":{"k":1},"a":[{"id":2,"x":"y"}],"s":{"d":"2024-01-02"}}')
    kinds = (
        "struct<a:array<struct<id:int,x:string>>,m:map<string,int>,s:struct<d:date>,later:bigint,_rescued_data:string>"
    )
    assert stream.columns == kinds
    ((a, m, s, later, rescued),) = stream.step()
    assert (a, m, str(s["d"]), later, rescued) == ([{"id": 2, "x": "y"}], {"k": 1}, "2024-01-02", None, None)


def test_a_renamed_column_is_a_new_one_and_a_dropped_one_is_null(tmp_path):
    stream = CloudBench(tmp_path)
    stream.put("a.json", '{"id":1,"old":"x","gone":"y"}')
    stream.step()
    stream.put("b.json", '{"id":2,"new":"z"}')
    with pytest.raises(UnknownFieldError):
        stream.step()
    assert stream.columns == "struct<gone:string,id:string,old:string,new:string,_rescued_data:string>"
    assert stream.step() == [(None, "2", None, "z", None)]


def test_the_input_path_may_change(tmp_path):
    stream = CloudBench(tmp_path, schemaLocation=str(tmp_path / "schemas"))
    stream.put("a.json", '{"id":1}')
    stream.step()
    other = tmp_path / "other"
    other.mkdir()
    (other / "b.json").write_text('{"id":2}')
    stream.path, stream.source = str(other), None
    assert stream.step() == [("2", None)]
    stream.path, stream.source = str(tmp_path / "in"), None
    assert stream.step() is None


def test_files_older_than_max_file_age_are_passed_over(tmp_path):
    stream = CloudBench(tmp_path, maxFileAge="14 days")
    age(stream.put("old.json", '{"id":1}'), 1_700_000_000_000)
    age(stream.put("new.json", '{"id":2}'), 1_700_000_000_000 + 15 * 86_400_000)
    assert stream.step() == [("2", None)]
    assert stream.step() is None


def test_globs_and_folders_of_partitions(tmp_path):
    stream = CloudBench(tmp_path)
    stream.put("x1/day=1/a.json", '{"id":1}')
    stream.put("x2/day=2/b.json", '{"id":2}')
    stream.put("y/day=3/c.json", '{"id":3}')
    stream.path = str(tmp_path / "in" / "x*")
    assert stream.step() == [("1", None, 1), ("2", None, 2)]


def test_the_offset_and_the_metrics_are_those_of_databricks(tmp_path):
    stream = CloudBench(tmp_path, maxFilesPerTrigger="1")
    for number in range(3):
        stream.put(f"{number}.json", '{"id":1}')
    stream.step()
    offset = json.loads(stream.offset)
    keys = ["seqNum", "sourceVersion", "lastBackfillStartTimeMs", "lastBackfillFinishTimeMs", "lastInputPath"]
    assert list(offset) == keys
    assert offset["lastInputPath"] == f"file:{tmp_path}/in"
    waiting = {"numFilesOutstanding": "2", "numBytesOutstanding": "16", "approximateQueueSize": "0"}
    assert stream.source.metrics() == waiting


def test_files_are_chosen_by_their_modification_time(tmp_path):
    reader = {"modifiedAfter": "2024-01-01T00:00:00", "modifiedBefore": "2024-01-03T00:00:00"}
    stream = CloudBench(tmp_path, schema="id int", reader=reader)
    for number in range(4):
        moment = datetime(2024, 1, 1, tzinfo=UTC).timestamp() + 43_200 * (2 * number - 1)
        age(stream.put(f"{number}.json", f'{{"id":{number}}}'), int(moment * 1000))
    assert stream.step() == [(1,), (2,)]
    assert stream.step() is None
