"""Auto Loader: fields that are new inside structs, arrays and maps of them grow the column."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.orc as orc
import pyarrow.parquet as pq
import pytest

from headwater.errors import UnknownFieldError
from sources.test_cloud_files import CloudBench
from support.server import spark_session
from unit.io.formats.test_avro import field, write

TYPED = {"inferColumnTypes": "true"}


def test_a_field_that_is_new_inside_a_struct_stops_the_stream_and_is_a_field_of_it_then(tmp_path: Path) -> None:
    stream = CloudBench(tmp_path, **TYPED)
    stream.put("a.json", '{"s":{"a":1,"deep":{"x":"y"}}}')
    assert stream.step() == [({"a": 1, "deep": {"x": "y"}}, None)]
    stream.put("b.json", '{"s":{"a":2,"b":[1.5],"deep":{"x":"z","new":true}},"top":1}')
    with pytest.raises(UnknownFieldError, match=r"\[top, s\.b, s\.deep\.new\]|top, s\.b, s\.deep\.new"):
        stream.step()
    assert stream.columns == (
        "struct<s:struct<a:bigint,deep:struct<x:string,new:boolean>,b:array<double>>,top:bigint,_rescued_data:string>"
    )
    assert stream.step() == [({"a": 2, "deep": {"x": "z", "new": True}, "b": [1.5]}, 1, None)]
    stream.put("c.json", '{"s":{"a":3}}')
    assert stream.step() == [({"a": 3, "deep": None, "b": None}, None, None)]


def test_inside_arrays_and_maps(tmp_path: Path) -> None:
    hints = "m map<string, struct<x int>>"
    stream = CloudBench(tmp_path, schemaHints=hints, **TYPED)
    stream.put("a.json", '{"l":[{"a":1}],"m":{"k":{"x":1}}}')
    assert len(stream.step() or []) == 1
    stream.put("b.json", '{"l":[{"a":1},{"b":2}],"m":{"k":{"x":1},"other":{"y":"z"}}}')
    with pytest.raises(UnknownFieldError, match=r"l\.element\.b, m\.value\.y"):
        stream.step()
    assert "l:array<struct<a:bigint,b:bigint>>,m:map<string,struct<x:int,y:string>>" in stream.columns
    ((listed, mapped, rescued),) = stream.step() or []
    assert listed == [{"a": 1, "b": None}, {"a": None, "b": 2}]
    assert mapped == {"k": {"x": 1, "y": None}, "other": {"x": None, "y": "z"}}
    assert rescued is None


def test_of_hinted_structs_the_new_field_is_text_and_a_hint_decides(tmp_path: Path) -> None:
    stream = CloudBench(tmp_path, schemaHints="s.a int, s.d date")
    stream.put("a.json", '{"s":{"a":1}}')
    assert stream.step() == [({"a": 1, "d": None}, None)]
    stream.put("b.json", '{"s":{"a":2,"n":3}}')
    with pytest.raises(UnknownFieldError, match=r"s\.n"):
        stream.step()
    assert stream.columns == "struct<s:struct<a:int,d:date,n:string>,_rescued_data:string>"
    assert stream.step() == [({"a": 2, "d": None, "n": "3"}, None)]


@pytest.mark.parametrize("mode", ["rescue", "none", "failOnNewColumns"])
def test_other_modes_rescue_drop_or_fail_for_good(tmp_path: Path, mode: str) -> None:
    stream = CloudBench(tmp_path, schemaEvolutionMode=mode, **TYPED)
    stream.put("a.json", '{"s":{"a":1}}')
    stream.step()
    path = stream.put("b.json", '{"s":{"a":2,"b":3}}')
    if mode == "failOnNewColumns":
        for _ in range(2):
            with pytest.raises(UnknownFieldError, match=r"s\.b"):
                stream.step()
            stream.source = None
        return
    lost = f'{{"s":{{"b":3}},"_file_path":"file:{path}"}}'
    assert stream.step() == [({"a": 2}, lost) if mode == "rescue" else ({"a": 2},)]


def test_a_name_in_another_case_is_rescued(tmp_path: Path) -> None:
    stream = CloudBench(tmp_path, **TYPED)
    stream.put("a.json", '{"s":{"a":1}}')
    stream.step()
    stream.put("b.json", '{"s":{"A":2}}')
    ((struct, rescued),) = stream.step() or []
    assert struct == {"a": None}
    assert json.loads(rescued)["s"] == {"A": 2}


def _parquet(path: Path, rows: list[dict[str, Any]]) -> None:
    pq.write_table(pa.Table.from_pylist(rows), path)


def _orc(path: Path, rows: list[dict[str, Any]]) -> None:
    orc.write_table(pa.Table.from_pylist(rows), str(path))


def _avro(path: Path, rows: list[dict[str, Any]]) -> None:
    inner = [field(name, ["null", "long"]) for name in rows[0]["s"]]
    write(path, [field("s", {"type": "record", "name": "inner", "fields": inner})], rows)


def _xml(path: Path, rows: list[dict[str, Any]]) -> None:
    fields = "".join(f"<{name}>{value}</{name}>" for name, value in rows[0]["s"].items())
    path.write_text(f"<rows><row><s>{fields}</s></row></rows>")


WRITERS = {"parquet": _parquet, "orc": _orc, "avro": _avro, "xml": _xml}


@pytest.mark.parametrize("kind", WRITERS)
def test_formats_that_nest(tmp_path: Path, kind: str) -> None:
    stream = CloudBench(tmp_path, kind, reader={"rowTag": "row"}, **TYPED)
    WRITERS[kind](tmp_path / "in" / f"a.{kind}", [{"s": {"a": 1, "z": 5}}])
    assert stream.step() == [({"a": 1, "z": 5}, None)]
    WRITERS[kind](tmp_path / "in" / f"b.{kind}", [{"s": {"a": 2, "b": 3, "z": 6}}])
    with pytest.raises(UnknownFieldError, match=r"s\.b"):
        stream.step()
    assert stream.columns == "struct<s:struct<a:bigint,z:bigint,b:bigint>,_rescued_data:string>"
    assert stream.step() == [({"a": 2, "z": 6, "b": 3}, None)]
    WRITERS[kind](tmp_path / "in" / f"c.{kind}", [{"s": {"a": 4, "z": 7}}])
    assert stream.step() == [({"a": 4, "z": 7, "b": None}, None)]


def test_a_delta_table_grows_with_the_struct(tmp_path: Path) -> None:
    def run(session: Any) -> None:
        options = {"cloudFiles.format": "json", "cloudFiles.inferColumnTypes": "true"}
        options["cloudFiles.schemaLocation"] = str(tmp_path / "schemas")
        stream = session.readStream.format("cloudFiles").options(**options).load(str(tmp_path / "in"))
        writer = stream.writeStream.format("delta").option("mergeSchema", "true").trigger(availableNow=True)
        query = writer.option("checkpointLocation", str(tmp_path / "checkpoint")).start(str(tmp_path / "out"))
        assert query.awaitTermination(60)

    (tmp_path / "in").mkdir()
    with spark_session() as session:
        (tmp_path / "in" / "a.json").write_text('{"l":[{"x":1}],"s":{"a":1}}')
        run(session)
        (tmp_path / "in" / "b.json").write_text('{"l":[{"x":2,"y":3}],"s":{"a":2,"b":{"c":"d"}}}')
        with pytest.raises(Exception, match=r"UNKNOWN_FIELD_EXCEPTION.*l\.element\.y, s\.b"):
            run(session)
        run(session)
        table = session.read.format("delta").load(str(tmp_path / "out"))
        assert table.drop("_rescued_data").schema.simpleString() == (
            "struct<l:array<struct<x:bigint,y:bigint>>,s:struct<a:bigint,b:struct<c:string>>>"
        )
        rows = [json.loads(row[0]) for row in table.selectExpr("to_json(struct(l, s))").collect()]
    assert sorted(rows, key=str) == [
        {"l": [{"x": 1}], "s": {"a": 1}},
        {"l": [{"x": 2, "y": 3}], "s": {"a": 2, "b": {"c": "d"}}},
    ]
