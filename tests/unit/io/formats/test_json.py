"""JSON files read by Spark's rules. Expected rows were measured on Spark 4.3."""

import gzip
import json
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf, isnan

import pytest

from headwater.duck import DuckError, sql_text
from headwater.io.formats import FormatOptions
from headwater.io.formats.base import ScanRequest
from headwater.types.ddl import parse_schema
from support.files import file_format, infer, put, scan, status

MESSY = """{"id":1,"name":"a","v":1.5}
{"id":"2","name":7,"v":"x"}
{"id":3.7,"name":true,"v":3}
garbage

{"id":4,"name":{"q":1},"v":[1]}
{"id":5,"name":"e"}
{"id":6,"name":null,"extra":1}
42
"str"
null
{"id":9,"nam"""
SCHEMA = "id bigint, name string, v double"
GOOD = [(1, "a", 1.5), (5, "e", None), (6, None, None)]


@pytest.fixture
def messy(tmp_path):
    return put(tmp_path / "messy.json", MESSY)


def test_a_bad_line_is_a_row_of_nulls_and_a_bad_value_a_null(messy):
    nothing = (None, None, None)
    assert scan("json", messy, SCHEMA) == [
        (1, "a", 1.5),
        (None, "7", None),
        (None, "true", 3.0),
        nothing,
        (4, '{"q":1}', None),
        (5, "e", None),
        (6, None, None),
        *[nothing] * 4,
    ]


def test_the_corrupt_record_column_holds_the_text_of_bad_records(messy):
    corrupt = [row[3] for row in scan("json", messy, SCHEMA + ", _corrupt_record string")]
    lines = [line for line in MESSY.split("\n") if line]
    clean = [lines.index(line) for line in lines if line.startswith(('{"id":1', '{"id":5', '{"id":6'))]
    assert corrupt == [None if index in clean else line for index, line in enumerate(lines)]


def test_dropmalformed_keeps_the_clean_records(messy):
    assert scan("json", messy, SCHEMA, {"mode": "DROPMALFORMED"}) == GOOD


def test_failfast_names_the_record_and_the_file(messy):
    with pytest.raises(DuckError, match=r"MALFORMED_RECORD_IN_PARSING(.|\n)*messy.json"):
        scan("json", messy, SCHEMA, {"mode": "FAILFAST"})


def test_failfast_reads_clean_files(tmp_path):
    assert scan("json", put(tmp_path / "a.json", '{"id":1}\n'), "id int", {"mode": "FAILFAST"}) == [(1,)]


def test_values_of_every_type(tmp_path):
    path = put(
        tmp_path / "a.json",
        '{"a":3000000000,"b":300,"c":1,"d":"2024-1-5","f":"NaN","g":"aGVsbG8=","h":"2024-01-01 10:00:00","i":true}\n'
        '{"a":7,"b":1,"c":"2024-01-01","d":"2024-01-05","f":"Infinity","g":"%","h":"x","i":"true"}\n',
    )
    first, second = scan(
        "json", path, "a int, b tinyint, c timestamp, d date, f double, g binary, h timestamp_ntz, i boolean"
    )
    assert first[:4] == (None, None, None, date(2024, 1, 5))
    assert isnan(first[4])
    assert first[5:] == (b"hello", datetime(2024, 1, 1, 10), True)
    assert second == (7, 1, datetime(2024, 1, 1, tzinfo=UTC), date(2024, 1, 5), inf, None, None, None)


def test_of_strings_only_the_names_of_special_numbers_are_numbers(tmp_path):
    words = ["Infinity", "+Infinity", "INF", "+INF", "-Infinity", "-INF", "1.5", "infinity", "+", "", "x"]
    path = put(tmp_path / "a.json", "".join(f'{{"f":"{word}","g":"{word}"}}\n' for word in words))
    expected = [inf] * 4 + [-inf] * 2 + [None] * 5
    assert scan("json", path, "f double, g float") == [(value, value) for value in expected]


def test_nested_values_are_as_strict_as_flat_ones(tmp_path):
    path = put(
        tmp_path / "a.json", '{"s":{"x":1,"y":"q"},"l":[1,2],"m":{"k":"1"}}\n{"s":{"x":3.7},"l":[1.5],"m":{"k":2}}\n'
    )
    assert scan("json", path, "s struct<x:int,y:string>, l array<int>, m map<string,int>") == [
        ({"x": 1, "y": "q"}, [1, 2], {"k": None}),
        ({"x": None, "y": None}, None, {"k": 2}),
    ]


def test_big_decimals_keep_their_digits(tmp_path):
    path = put(tmp_path / "a.json", '{"d":123456789012345678901234567890}\n{"d":"1.5"}\n')
    assert scan("json", path, "d decimal(38,1)") == [(Decimal("123456789012345678901234567890.0"),), (Decimal("1.5"),)]


def test_names_are_compared_with_case(tmp_path):
    assert scan("json", put(tmp_path / "a.json", '{"ID":1}\n'), "id int") == [(None,)]


def test_dates_and_times_follow_java_patterns(tmp_path):
    path = put(tmp_path / "a.json", '{"d":"05/01/2024","t":"2024.01.05 10h"}\n')
    options = {"dateFormat": "dd/MM/yyyy", "timestampFormat": "yyyy.MM.dd HH'h'"}
    assert scan("json", path, "d date, t timestamp", options) == [
        (date(2024, 1, 5), datetime(2024, 1, 5, 10, tzinfo=UTC))
    ]


@pytest.mark.parametrize(
    "text",
    [
        '[{"a":1},{"a":2}]',
        '\n [{"a":1},\n{"a":2}]'.replace("\n", ""),
        '\ufeff{"a":1}\r\n{"a":2}\r\n',
        '{"a":1}\n\n  \n{"a":2}',
    ],
)
def test_arrays_byte_order_marks_and_blank_lines_lose_no_row(tmp_path, text):
    assert scan("json", put(tmp_path / "a.json", text), "a int") == [(1,), (2,)]


def test_multi_line_documents(tmp_path):
    files = [put(tmp_path / "a.json", '[{"a":1},\n{"a":2}]'), put(tmp_path / "b.json", '{"a":\n3}')]
    assert scan("json", files, "a int", {"multiLine": "true"}) == [(1,), (2,), (3,)]


def test_compressed_and_empty_files(tmp_path):
    packed = put(tmp_path / "a.json.gz", gzip.compress(b'{"a":1}\n'))
    assert scan("json", [packed, put(tmp_path / "b.json", "")], "a int") == [(1,)]


def test_a_name_with_wildcards_is_no_glob(tmp_path):
    put(tmp_path / "a1.json", '{"a":2}')
    assert scan("json", put(tmp_path / "a[1]*.json", '{"a":1}'), "a int") == [(1,)]


@pytest.mark.parametrize(
    ("text", "schema"),
    [
        (MESSY, "struct<_corrupt_record:string,extra:bigint,id:string,name:string,v:string>"),
        ('{"b":1,"a":1.5}\n{"b":2.5,"h":true}', "struct<a:double,b:double,h:boolean>"),
        ('{"f":{"x":1}}\n{"f":{"y":"s"}}', "struct<f:struct<x:bigint,y:string>>"),
        ('{"e":[1,2.5],"j":[],"g":null}', "struct<e:array<double>,g:string,j:array<string>>"),
        ('{"t":"2024-01-01T10:00:00Z"}', "struct<t:string>"),
        ("", "struct<>"),
    ],
)
def test_inference(tmp_path, text, schema):
    assert infer("json", put(tmp_path / "a.json", text)) == schema


def test_primitives_as_string(tmp_path):
    path = put(tmp_path / "a.json", '{"a":1,"b":{"c":true}}')
    assert infer("json", path, {"primitivesAsString": "true"}) == "struct<a:string,b:struct<c:string>>"


@pytest.mark.parametrize("key", ["", "a\tb", "a\u0000b", "/a~1", "~", 'a"b\\', "é.*[0]", "$"])
def test_any_key_is_rescued(tmp_path, key):
    lines = [json.dumps({"id": 1, key: {key: 2}}), json.dumps({"id": 2, "s": {"x": 1, key: [3]}})]
    path = put(tmp_path / "a.json", "\n".join(lines))
    (_, _, first), (_, _, second) = scan("json", path, "id int, s struct<x int>", rescue="r")
    assert json.loads(first)[key] == {key: 2}
    assert json.loads(second)["s"] == {key: [3]}


def test_rescued_data_keeps_what_the_schema_cannot_take(messy):
    rescued = [row[3] for row in scan("json", messy, SCHEMA, rescue="_rescued_data")]
    path = f'"_file_path":"file:{messy}"'
    assert rescued[:8] == [
        None,
        '{"id":"2","v":"x",' + path + "}",
        '{"id":3.7,' + path + "}",
        '{"_corrupt_record":"garbage",' + path + "}",
        '{"v":[1],' + path + "}",
        None,
        '{"extra":1,' + path + "}",
        '{"_corrupt_record":"42",' + path + "}",
    ]


def test_metadata_says_which_file_a_row_is_from(tmp_path):
    files = [put(tmp_path / f"{number:02d} x.json", f'{{"a":{number}}}') for number in range(20)]
    for some in (files[:2], files):
        rows = scan("json", some, "a int", metadata=True)
        assert {row[0]: row[1]["file_path"] for row in rows} == {
            number: f"file:{tmp_path}/{number:02d}%20x.json" for number in range(len(some))
        }
        assert rows[0][1]["file_size"] == rows[0][1]["file_block_length"] == 7


def test_partition_values_are_typed_columns(tmp_path):
    files = [put(tmp_path / f"p={number}" / "x.json", '{"a":1}') for number in range(20)]
    for some in (files[:3], files):
        request = {
            "partition_schema": parse_schema("p int"),
            "partition_values": {str(path): (path.parent.name[2:],) for path in some},
        }
        assert sorted(scan("json", some, "a int", **request)) == [(1, number) for number in range(len(some))]


def test_the_plain_scan_is_one_native_read(tmp_path):
    path = put(tmp_path / "a.json", '{"a":1}')
    query = file_format("json").scan(ScanRequest((status(path),), parse_schema(SCHEMA), FormatOptions()))
    text = sql_text(query)
    assert text.count("READ_JSON(") + text.count("read_json(") == 1
    assert "JOIN" not in text
    assert "read_csv" not in text.lower()


def test_a_wrong_value_inside_a_struct_makes_the_record_bad(tmp_path):
    lines = ['{"id":1,"a":{"b":1,"new":2}}', '{"id":2,"a":7}', '{"id":3,"a":{"b":"x"}}', '{"id":"x","a":{"b":4}}']
    file = put(tmp_path / "a.json", "\n".join(lines))
    schema = "id bigint, a struct<b: bigint>"
    assert scan("json", file, schema, {"mode": "DROPMALFORMED"}) == [(1, {"b": 1})]
    rows = scan("json", file, schema + ", _corrupt_record string")
    assert [(row[0], row[2]) for row in rows] == [(1, None), (2, lines[1]), (3, lines[2]), (None, lines[3])]
