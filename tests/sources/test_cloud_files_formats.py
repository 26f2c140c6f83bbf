"""Auto Loader's formats beside json, csv and parquet: types, new fields, rescue."""

import pyarrow as pa
import pyarrow.orc as orc
import pytest

from headwater.errors import IllegalArgumentError, UnknownFieldError
from sources.test_cloud_files import CloudBench
from unit.io.formats.test_avro import field, write


def test_text_lines_and_whole_texts(tmp_path):
    stream = CloudBench(tmp_path, "text")
    stream.put("a.txt", "x\ny\n")
    assert stream.columns == "struct<value:string>"
    assert stream.step() == [("x",), ("y",)]
    whole = CloudBench(tmp_path / "2", "text", reader={"wholetext": "true"})
    whole.put("a.txt", "x\ny\n")
    assert whole.step() == [("x\ny\n",)]


def test_binary_files(tmp_path):
    stream = CloudBench(tmp_path, "binaryFile")
    path = stream.put("a b.bin", b"\x00\x01")
    assert stream.columns == "struct<path:string,modificationTime:timestamp,length:bigint,content:binary>"
    ((where, when, length, content),) = stream.step()
    assert (where, length, content) == (f"file:{path}", 2, b"\x00\x01")
    assert int(when.timestamp() * 1000) == path.stat().st_mtime_ns // 1_000_000


def test_fixed_columns_take_no_rescue(tmp_path):
    with pytest.raises(IllegalArgumentError, match="always the same"):
        CloudBench(tmp_path, "text", reader={"rescuedDataColumn": "r"}).open()


def test_orc_grows(tmp_path):
    stream = CloudBench(tmp_path, "orc")
    orc.write_table(pa.table({"id": [1]}), str(tmp_path / "in" / "a.orc"))
    assert stream.step() == [(1, None)]
    orc.write_table(pa.table({"id": [2], "s": ["x"]}), str(tmp_path / "in" / "b.orc"))
    with pytest.raises(UnknownFieldError, match=r"\[s\].*b\.orc"):
        stream.step()
    assert stream.columns == "struct<id:bigint,s:string,_rescued_data:string>"
    assert stream.step() == [(2, "x", None)]


def test_avro_takes_the_widest_type_and_rescues_the_rest(tmp_path):
    stream = CloudBench(tmp_path, "avro")
    write(tmp_path / "in" / "a.avro", [field("a", "int"), field("b", "int")], [{"a": 1, "b": 1}])
    path = write(tmp_path / "in" / "b.avro", [field("a", "long"), field("b", "string")], [{"a": 1 << 40, "b": "x"}])
    assert stream.columns == "struct<a:bigint,b:int,_rescued_data:string>"
    assert stream.step() == [(1, 1, None), (1 << 40, None, f'{{"b":"x","_file_path":"file:{path}"}}')]


def test_xml_is_text_unless_types_are_inferred(tmp_path):
    stream = CloudBench(tmp_path, "xml", reader={"rowTag": "row"})
    stream.put("a.xml", '<r><row id="1"><a>2</a></row></r>')
    assert stream.columns == "struct<_id:string,a:string,_rescued_data:string>"
    assert stream.step() == [("1", "2", None)]
    stream.put("b.xml", "<r><row><a>3</a><new>4</new></row></r>")
    with pytest.raises(UnknownFieldError, match="new"):
        stream.step()
    stream.open()
    assert stream.step() == [(None, "3", "4", None)]
    typed = CloudBench(tmp_path / "2", "xml", inferColumnTypes="true", reader={"rowTag": "row"})
    typed.put("a.xml", '<r><row id="1"><a>2.5</a></row></r>')
    assert typed.columns == "struct<_id:bigint,a:double,_rescued_data:string>"


def test_a_file_of_no_bytes_neither_stops_inference_nor_the_stream(tmp_path):
    stream = CloudBench(tmp_path, "avro")
    stream.put("0.avro", b"")
    write(tmp_path / "in" / "a.avro", [field("a", "int")], [{"a": 1}])
    assert stream.step() == [(1, None)]
    stream.put("b.avro", b"")
    assert stream.step() == []
