"""CSV files read by Spark's rules. Expected rows were measured on Spark 4.3."""

import gzip
from datetime import UTC, date, datetime
from decimal import Decimal
from math import inf

import pytest

from headwater.duck import DuckError
from headwater.errors import IllegalArgumentError, UnsupportedError
from support.files import infer, put, scan

MESSY = 'id,name,v\n1,a,1.5\n2,b\n3,c,3.5,extra\nx,d,4\n5,"q,""r",\n6, sp ,"",\n\n7,"multi\nline",7\n8,hal'
SCHEMA = "id int, name string, v double"
HEADER = {"header": "true"}
ROWS = [
    (1, "a", 1.5),
    (2, "b", None),
    (3, "c", 3.5),
    (None, "d", 4.0),
    (5, '"q,""r"', None),
    (6, " sp ", None),
    (7, "multi", None),
    (None, "7", None),
    (8, "hal", None),
]


@pytest.fixture
def messy(tmp_path):
    return put(tmp_path / "messy.csv", MESSY)


def test_missing_cells_are_null_surplus_cells_dropped_bad_cells_null(messy):
    assert scan("csv", messy, SCHEMA, HEADER) == ROWS


def test_without_header_the_first_line_is_a_row(messy):
    assert scan("csv", messy, SCHEMA) == [(None, "name", None), *ROWS]


def test_the_corrupt_record_column_holds_the_text_of_bad_records(messy):
    rows = scan("csv", messy, SCHEMA + ", _corrupt_record string", HEADER)
    assert [row[3] for row in rows] == [
        None,
        "2,b",
        "3,c,3.5,extra",
        "x,d,4",
        None,
        '6, sp ,"",',
        '7,"multi',
        'line",7',
        "8,hal",
    ]


def test_dropmalformed_drops_records_of_another_width(messy):
    rows = scan("csv", messy, SCHEMA, {"mode": "DROPMALFORMED", **HEADER})
    assert rows[0] == (1, "a", 1.5)
    assert not {row[0] for row in rows} & {2, 3, 6, 7, 8}


def test_failfast_names_the_record_and_the_file(messy):
    with pytest.raises(DuckError, match=r"MALFORMED_RECORD_IN_PARSING(.|\n)*2,b (.|\n)*messy.csv"):
        scan("csv", messy, SCHEMA, {"mode": "FAILFAST", **HEADER})


def test_multi_line_keeps_line_breaks_inside_quotes(messy):
    rows = scan("csv", messy, SCHEMA, {"multiLine": "true", **HEADER})
    assert rows[6:] == [(7, "multi\nline", 7.0), (8, "hal", None)]


def test_null_and_empty_values(messy):
    rows = scan("csv", messy, "id string, name string, v string", {"nullValue": "b", "emptyValue": "EMPTY", **HEADER})
    assert rows[1] == ("2", None, None)
    assert rows[5] == ("6", " sp ", "EMPTY")


def test_white_space_can_be_ignored(messy):
    trim = {"ignoreLeadingWhiteSpace": "true", "ignoreTrailingWhiteSpace": "true"}
    assert scan("csv", messy, SCHEMA, {**trim, **HEADER})[5] == (6, "sp", None)


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('"a\\"b",c', ('a"b', "c")),
        ('"a""b",d', ('"a""b"', "d")),
        ('x"y,z', ('x"y', "z")),
        ('"ab"c,d', ('"ab"c', "d")),
        ('"unclosed,e', ("unclosed,e", None)),
        ('"a,b",c', ("a,b", "c")),
        (",", (None, None)),
    ],
)
def test_quotes_and_escapes(tmp_path, line, cells):
    assert scan("csv", put(tmp_path / "a.csv", line + "\nf,g\n"), "a string, b string") == [cells, ("f", "g")]


def test_a_doubled_quote_with_quote_as_escape(tmp_path):
    path = put(tmp_path / "a.csv", '"a""b","c,d"\n')
    assert scan("csv", path, "a string, b string", {"escape": '"'}) == [('a"b', "c,d")]


def test_values_of_every_type(tmp_path):
    path = put(
        tmp_path / "a.csv",
        "TRUE,1,1.234,1,2024-01-01,2024-01-01 10:00:00\nyes,300,12345.6,x,2024-13-01,z\n-,1.5,1,Inf,,",
    )
    assert scan("csv", path, "a boolean, b tinyint, c decimal(5,2), d float, e date, f timestamp") == [
        (True, 1, Decimal("1.23"), 1.0, date(2024, 1, 1), datetime(2024, 1, 1, 10, tzinfo=UTC)),
        (None,) * 6,
        (None, None, Decimal("1.00"), inf, None, None),
    ]


def test_separator_comment_and_dates(tmp_path):
    path = put(tmp_path / "a.csv", "a;b\n1;05.01.2024\n# no\n2;\n")
    options = {"sep": ";", "comment": "#", "dateFormat": "dd.MM.yyyy", **HEADER}
    assert scan("csv", path, "a int, b date", options) == [(1, date(2024, 1, 5)), (2, None)]


def test_byte_order_mark_carriage_returns_gzip_and_empty_files(tmp_path):
    files = [
        put(tmp_path / "a.csv", "\ufeffa,b\r\n1,2\r\n3,4\r\n"),
        put(tmp_path / "b.csv.gz", gzip.compress(b"a,b\n5,6\n")),
        put(tmp_path / "c.csv", ""),
    ]
    assert scan("csv", files, "a int, b int", HEADER) == [(1, 2), (3, 4), (5, 6)]


def test_a_header_of_other_columns_is_refused_if_the_schema_is_not_enforced(messy):
    with pytest.raises(IllegalArgumentError, match=r"id, name, v(.|\n)*messy.csv"):
        scan("csv", messy, "x int, name string, v double", {"enforceSchema": "false", **HEADER})


def test_no_good_row_is_lost_beside_ten_thousand_broken_ones(tmp_path):
    broken = ['"', '1,"x', "1,2,3,4,5", "\\", '"a"b"c', ",,,,", "\x00"]
    lines = [line for number in range(10_000) for line in (f"{number},good", broken[number % len(broken)])]
    rows = scan("csv", put(tmp_path / "a.csv", "\n".join(lines)), "id int, name string")
    assert sorted(row[0] for row in rows if row[1] == "good") == list(range(10_000))


@pytest.mark.parametrize(
    ("text", "options", "schema"),
    [
        (MESSY, {}, "struct<_c0:string,_c1:string,_c2:string>"),
        (MESSY, HEADER, "struct<id:string,name:string,v:string>"),
        (MESSY, {"inferSchema": "true", **HEADER}, "struct<id:string,name:string,v:double>"),
        ("a,a,,A\n1,2,3,4\n", HEADER, "struct<a0:string,a1:string,_c2:string,A3:string>"),
        (
            "1,3000000000,1.5,true,2024-01-01,2024-01-01T10:00:00,x,,NaN,99999999999999999999,1e5\n"
            "2,3,2,false,2024-01-02,2024-01-02 10:00:00,y,,1.0,1,2\n",
            {"inferSchema": "true"},
            "struct<_c0:int,_c1:bigint,_c2:double,_c3:boolean,_c4:date,_c5:timestamp,_c6:string,_c7:string,_c8:double,"
            "_c9:decimal(20,0),_c10:double>",
        ),
        ("1,2\n1,2,3\n", {"inferSchema": "true"}, "struct<_c0:int,_c1:int>"),
        ("", HEADER, "struct<>"),
    ],
)
def test_inference(tmp_path, text, options, schema):
    assert infer("csv", put(tmp_path / "a.csv", text), options) == schema


def test_rescued_data_finds_columns_by_name_in_each_files_header(tmp_path):
    files = [put(tmp_path / "a.csv", "id,name\n1,x\n2,y,z\n"), put(tmp_path / "b.csv", "name,id,new\nq,7,9\n")]
    assert scan("csv", files, "id int, name string", HEADER, rescue="_rescued_data") == [
        (1, "x", None),
        (2, "y", f'{{"_c2":"z","_file_path":"file:{files[0]}"}}'),
        (7, "q", f'{{"new":"9","_file_path":"file:{files[1]}"}}'),
    ]


def test_encodings(tmp_path):
    path = put(tmp_path / "a.csv", "1,café\n".encode("latin-1"))
    assert scan("csv", path, "a int, b string", {"encoding": "ISO-8859-1"}) == [(1, "café")]
    with pytest.raises(UnsupportedError, match="EBCDIC"):
        scan("csv", path, "a int", {"encoding": "EBCDIC"})


def test_an_option_that_is_neither_true_nor_false_is_named(messy):
    with pytest.raises(IllegalArgumentError, match=r"maybe.*header"):
        scan("csv", messy, SCHEMA, {"header": "maybe"})


def test_modes_look_at_width_and_types(tmp_path):
    file = put(tmp_path / "a.csv", '1,k1\n2,k2,surplus\n3\nx,k4\n,k5\n\n6,"k6\n7,k7\n')
    schema = "id bigint, k string"
    good = [(1, "k1"), (None, "k5"), (6, "k6"), (7, "k7")]
    assert scan("csv", file, schema, {"mode": "DROPMALFORMED"}) == good
    corrupt = [row[2] for row in scan("csv", file, schema + ", _corrupt_record string")]
    assert corrupt == [None, "2,k2,surplus", "3", "x,k4", None, None, None]
