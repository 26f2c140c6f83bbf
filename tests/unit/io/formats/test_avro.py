"""Avro: Spark's types for Avro's, unions, a reader's schema, damage, rescue."""

import datetime as dt
import uuid
from decimal import Decimal

import fastavro
import pytest

from headwater.errors import FileReadError, UnsupportedError
from support.files import infer, put, scan

MOMENT = dt.datetime(2024, 6, 2, 3, 4, 5, 123000, tzinfo=dt.UTC)


def write(path, fields, rows, codec="deflate"):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as stream:
        fastavro.writer(stream, {"type": "record", "name": "top", "fields": fields}, rows, codec)
    return path


def field(name, kind):
    return {"name": name, "type": kind}


ENUM = {"type": "enum", "name": "e", "symbols": ["A", "B"]}
POINT = {"type": "record", "name": "p", "fields": [field("x", "int"), field("of", ["null", "e"])]}
FIELDS = [
    field("i", "int"),
    field("l", ["null", "long"]),
    field("wide", ["int", "long"]),
    field("frac", ["float", "double"]),
    field("t", {"type": "long", "logicalType": "timestamp-millis"}),
    field("n", {"type": "long", "logicalType": "local-timestamp-micros"}),
    field("d", {"type": "int", "logicalType": "date"}),
    field("dec", {"type": "bytes", "logicalType": "decimal", "precision": 5, "scale": 2}),
    field("u", {"type": "string", "logicalType": "uuid"}),
    field("e", ENUM),
    field("f", {"type": "fixed", "name": "two", "size": 2}),
    field("arr", {"type": "array", "items": ["null", POINT]}),
    field("m", {"type": "map", "values": "p"}),
    field("any", ["null", "int", "string", "p"]),
]
ROW = {
    "i": 1, "l": None, "wide": 5_000_000_000, "frac": 2.5, "t": MOMENT, "n": dt.datetime(2024, 1, 1),
    "d": dt.date(2024, 1, 2), "dec": Decimal("1.25"), "u": uuid.UUID(int=7), "e": "B", "f": b"ab",
    "arr": [{"x": 1, "of": "A"}, None],
    "m": {"k": {"x": 2, "of": None}}, "any": {"x": 3, "of": None},
}  # fmt: skip
SCHEMA = (
    "struct<i:int,l:bigint,wide:bigint,frac:double,t:timestamp,n:timestamp_ntz,d:date,dec:decimal(5,2),u:string,e:string,"
    "f:binary,arr:array<struct<x:int,of:string>>,m:map<string,struct<x:int,of:string>>,"
    "any:struct<member0:int,member1:string,member2:struct<x:int,of:string>>>"
)


def test_every_type_is_the_one_that_spark_gives_it(tmp_path):
    path = write(
        tmp_path / "a.avro", FIELDS, [ROW, {**ROW, "any": 4, "l": 9}, {**ROW, "any": "s"}, {**ROW, "any": None}]
    )
    assert infer("avro", path) == SCHEMA
    rows = scan("avro", path, SCHEMA.removeprefix("struct<")[:-1])
    assert rows[0] == (
        1, None, 5_000_000_000, 2.5, MOMENT, dt.datetime(2024, 1, 1), dt.date(2024, 1, 2), Decimal("1.25"),
        str(uuid.UUID(int=7)), "B", b"ab", [{"x": 1, "of": "A"}, None], {"k": {"x": 2, "of": None}},
        {"member0": None, "member1": None, "member2": {"x": 3, "of": None}},
    )  # fmt: skip
    members = [row[-1] and {key: value for key, value in row[-1].items() if value is not None} for row in rows[1:]]
    assert members == [{"member0": 4}, {"member1": "s"}, None]


def test_columns_are_found_by_name_and_widened(tmp_path):
    one = write(tmp_path / "a.avro", [field("A", "int"), field("b", "string")], [{"A": 1, "b": "x"}])
    other = write(tmp_path / "b.avro", [field("b", "string"), field("a", "long")], [{"a": 2, "b": "y"}])
    assert scan("avro", [one, other], "a bigint, b string, c int") == [(1, "x", None), (2, "y", None)]


def test_another_type_than_the_stored_one_is_refused_or_rescued(tmp_path):
    path = write(tmp_path / "a.avro", [field("a", "string"), field("n", "long")], [{"a": "x", "n": 1 << 40}])
    with pytest.raises(FileReadError, match="AVRO_INCOMPATIBLE_READ_TYPE"):
        scan("avro", path, "a int, n bigint")
    text = f'{{"a":"x","n":{1 << 40},"_file_path":"file:{path}"}}'
    assert scan("avro", path, "a int, n int", rescue="r") == [(None, None, text)]


def test_the_readers_schema_resolves_all_files(tmp_path):
    path = write(tmp_path / "a.avro", [field("a", "int")], [{"a": 1}])
    fields = '[{"name":"a","type":"long"},{"name":"z","type":"string","default":"d"}]'
    schema = f'{{"type":"record","name":"top","fields":{fields}}}'
    assert infer("avro", path, {"avroSchema": schema}) == "struct<a:bigint,z:string>"
    assert scan("avro", path, "a bigint, z string", {"avroSchema": schema}) == [(1, "d")]


def test_more_rows_than_a_batch_and_a_codec(tmp_path):
    path = write(tmp_path / "a.avro", [field("a", "int")], [{"a": number} for number in range(20_000)], "null")
    assert [row[0] for row in scan("avro", path, "a int")] == list(range(20_000))


def test_damage_names_the_file(tmp_path):
    path = write(tmp_path / "a.avro", [field("a", "int")], [{"a": number} for number in range(20_000)], "null")
    whole = path.read_bytes()
    cut = put(tmp_path / "cut.avro", whole[: len(whole) // 2])
    with pytest.raises(Exception, match=r"FAILED_READ_FILE.*cut\.avro"):
        scan("avro", cut, "a int")
    with pytest.raises(FileReadError, match=r"no Avro file"):
        infer("avro", put(tmp_path / "text.avro", "text"))


def test_what_cannot_be_told_apart_or_never_ends_is_refused(tmp_path):
    link = {"type": "record", "name": "link", "fields": [field("next", ["null", "link"])]}
    path = write(tmp_path / "a.avro", [field("a", ["null", link])], [{"a": None}])
    with pytest.raises(UnsupportedError, match="contains itself"):
        infer("avro", path)


def test_a_file_of_no_bytes_has_no_rows(tmp_path):
    empty = put(tmp_path / "empty.avro", "")
    full = write(tmp_path / "a.avro", [field("a", "int")], [{"a": 1}])
    assert scan("avro", [empty, full], "a int") == [(1,)]
    assert scan("avro", empty, "a int", rescue="r", metadata=True) == []
