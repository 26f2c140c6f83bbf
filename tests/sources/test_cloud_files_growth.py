"""Auto Loader: schemas that grow in width, names in another case, records that are none."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from headwater.errors import RuntimeSparkError, UnknownFieldError
from sources.test_cloud_files import CloudBench

WIDENING = {"schemaEvolutionMode": "addNewColumnsWithTypeWidening"}


def test_parquet_types_are_widened_and_other_changes_rescued(tmp_path):
    stream = CloudBench(tmp_path, "parquet", **WIDENING)
    first = pa.table({"i": pa.array([1], pa.int32()), "f": pa.array([1.5], pa.float32()), "s": [1]})
    pq.write_table(first, tmp_path / "in" / "a.parquet")
    assert stream.step() == [(1, 1.5, 1, None)]
    pq.write_table(pa.table({"i": [1 << 40], "f": [0.1], "s": ["x"], "n": [1]}), tmp_path / "in" / "b.parquet")
    with pytest.raises(UnknownFieldError, match="n, i, f"):
        stream.step()
    assert stream.columns == "struct<i:bigint,f:double,s:bigint,n:bigint,_rescued_data:string>"
    ((whole, part, text, new, rescued),) = stream.step()
    assert (whole, part, text, new, json.loads(rescued)["s"]) == (1 << 40, 0.1, None, 1, "x")


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_text_columns_are_widened_only_where_a_value_needs_it(tmp_path, kind):
    def record(number, text):
        return f'{{"i":{number},"s":"{text}"}}\n' if kind == "json" else f"i,s\n{number},{text}\n"

    stream = CloudBench(tmp_path, kind, inferColumnTypes="true", schemaHints="i smallint", **WIDENING)
    stream.put("a", record(1, "x"))
    assert stream.step() == [(1, "x", None)]
    stream.put("b", record(2, "y"))
    assert stream.step() == [(2, "y", None)]
    stream.put("c", record(5_000_000_000 if kind == "json" else 70_000, "z"))
    with pytest.raises(UnknownFieldError, match=r"\[i\]"):
        stream.step()
    assert ("i:bigint" if kind == "json" else "i:int") in stream.columns
    assert [row[1:] for row in stream.step()] == [("z", None)]


def test_without_the_mode_a_wider_value_is_rescued(tmp_path):
    stream = CloudBench(tmp_path, inferColumnTypes="true", schemaHints="i smallint")
    path = stream.put("a.json", '{"i":70000}')
    assert stream.step() == [(None, f'{{"i":70000,"_file_path":"file:{path}"}}')]


@pytest.mark.parametrize("kind", ["json", "csv", "parquet"])
def test_a_name_in_another_case_is_rescued_and_never_a_new_column(tmp_path, kind):
    for number, sensitive in enumerate(("true", "false")):
        stream = CloudBench(tmp_path / str(number), kind, reader={"readerCaseSensitive": sensitive})
        _put(stream, kind, "a", "id", "1")
        assert stream.step() == [("1", None)]
        path = _put(stream, kind, "b", "ID", "2")
        kept = f'{{"ID":"2","_file_path":"file:{path}"}}'
        assert stream.step() == [(None, kept) if sensitive == "true" else ("2", None)]


def _put(stream, kind, name, column, value):
    path = stream.root / "in" / f"{name}.{kind}"
    if kind == "parquet":
        pq.write_table(pa.table({column: [value]}), path)
        return path
    return stream.put(path.name, f'{{"{column}":"{value}"}}\n' if kind == "json" else f"{column}\n{value}\n")


def test_types_never_make_a_rescued_record_corrupt_but_damage_does(tmp_path):
    stream = CloudBench(tmp_path, schema="id int, _corrupt_record string", reader={"rescuedDataColumn": "r"})
    path = stream.put("a.json", '{"id":"x"}\n{"id":1}\n{"id":\n')
    where = f',"_file_path":"file:{path}"}}'
    broken = f'{{"_corrupt_record":{json.dumps(chr(123) + chr(34) + "id" + chr(34) + ":")}{where}'
    rows = [(None, '{"id":', broken), (None, None, '{"id":"x"' + where), (1, None, None)]
    assert stream.step() == sorted(rows, key=repr)


def test_failfast_stops_at_a_record_that_is_none(tmp_path):
    stream = CloudBench(tmp_path, schema="id int", reader={"mode": "FAILFAST"})
    stream.put("a.json", '{"id":1}\n{"id":\n')
    with pytest.raises(Exception, match="MALFORMED_RECORD_IN_PARSING") as caught:
        stream.step()
    assert caught.type is not RuntimeSparkError or caught.value.condition.startswith("MALFORMED")


@pytest.mark.parametrize("kind", ["json", "csv"])
def test_bad_records_are_kept_beside_the_stream_once(tmp_path, kind):
    bad = tmp_path / "bad"
    stream = CloudBench(
        tmp_path, kind, schema="id int, k string", reader={"badRecordsPath": str(bad), "header": "true"}
    )
    text = '{"id":1,"k":"a"}\n{"id":\n{"id":2,"k":"b"}\n' if kind == "json" else "id,k\n1,a\nx,y\n2,b\n"
    path = stream.put(f"a.{kind}", text)
    start = stream.offset
    assert stream.step() == [(1, "a"), (2, "b")]
    assert stream.rows(start, stream.offset) == [(1, "a"), (2, "b")]  # the batch again, as after a crash
    (kept,) = bad.glob("*/bad_records/part-*")
    (line,) = map(json.loads, kept.read_text().splitlines())
    assert (line["path"], line["record"]) == (f"file:{path}", '{"id":' if kind == "json" else "x,y")
    assert line["reason"].startswith("MALFORMED_RECORD_IN_PARSING")
    stream.put(f"b.{kind}", text.replace('{"id":\n', "").replace("x,y\n", ""))
    stream.step()
    assert len(list(bad.glob("*/bad_records/part-*"))) == 1


def test_bad_records_beside_rescued_data_are_only_those_that_are_none(tmp_path):
    bad = tmp_path / "bad"
    stream = CloudBench(tmp_path, inferColumnTypes="true", schemaHints="id int", reader={"badRecordsPath": str(bad)})
    path = stream.put("a.json", '{"id":1}\n{"id":"x"}\nnothing\n')
    assert stream.step() == [(1, None), (None, f'{{"id":"x","_file_path":"file:{path}"}}')]
    (kept,) = bad.glob("*/bad_records/part-*")
    assert [json.loads(line)["record"] for line in kept.read_text().splitlines()] == ["nothing"]
