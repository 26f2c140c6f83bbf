"""Reading a version: columns by name and type whatever the files hold, partitions, rows that vectors take away."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from headwater.duck import sql_text
from headwater.lake.snapshot import local_path, read_files
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, query, rows

EVERYTHING = (
    "a tinyint, b smallint, c int, d bigint, e float, f double, g decimal(20,5), h string, i binary, j boolean,"
    "k date, l timestamp, m timestamp_ntz, n array<int>, o map<string,array<int>>, p struct<q:int,`r s`:string>"
)


def types(table: LakeTable) -> list[str]:
    described = connection().execute("DESCRIBE " + sql_text(table.snapshot().query())).fetchall()
    return [row[1] for row in described]


def test_an_empty_table_has_its_columns_and_types(tmp_path: Path) -> None:
    schema = parse_schema(EVERYTHING.replace("`r s`", "r"))
    table = LakeTable.create(str(tmp_path / "t"), schema)
    empty = types(table)
    table.append(connection(), query("SELECT " + ", ".join("NULL" for _ in schema.fields)), schema)
    assert types(table) == empty
    assert rows(table) == [tuple(None for _ in schema.fields)] == by_deltalake(table.path)


def test_columns_added_later_are_null_in_older_files_at_every_depth(tmp_path: Path) -> None:
    older = parse_schema("s struct<x:int>, l array<struct<p:int>>")
    table = LakeTable.at(str(tmp_path / "t"))
    table.append(connection(), query("SELECT {'x': 1} AS s, [{'p': 1}] AS l"), older)
    newer = parse_schema("l array<struct<p:int,q:string>>, s struct<x:int,y:int>, z int")
    added = query("SELECT [{'p': 2, 'q': 'b'}] AS l, {'x': 2, 'y': 3} AS s, 9 AS z")
    table.append(connection(), added, newer, merge_schema=True)
    expected = [
        ({"x": 1, "y": None}, [{"p": 1, "q": None}], None),
        ({"x": 2, "y": 3}, [{"p": 2, "q": "b"}], 9),
    ]
    assert rows(table) == expected
    assert by_deltalake(table.path) == expected


@pytest.mark.parametrize("count", [3, 40])
def test_few_and_many_partitions_are_read_alike(tmp_path: Path, count: int) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    select = f"""SELECT nullif(i, 1)::INT AS p, i::INT AS v, 'it''s ' || i AS filename, encode('é' || i) AS b
                 FROM range({count}) r(i)"""
    schema = parse_schema("p int, v int, filename string, b binary")
    table.append(connection(), query(select), schema, partition_by=("p", "b"))
    expected = [(None if i == 1 else i, i, f"it's {i}", f"é{i}".encode()) for i in range(count)]
    assert rows(table) == sorted(expected, key=repr) == by_deltalake(table.path)


def test_many_partitions_are_read_right_with_file_names_and_conditions_on_them(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    select = "SELECT i::INT AS v, i::INT AS file_index, DATE '2024-01-01' + i::INT AS p FROM range(30) r(i)"
    table.append(connection(), query(select), parse_schema("v int, file_index int, p date"), partition_by=("p",))
    snapshot = table.snapshot()
    expected = [(i, i, date(2024, 1, 1) + timedelta(days=i)) for i in range(30)]
    named = sql_text(read_files(table.path, snapshot.metadata, snapshot.files, "file", row_column="row"))
    for text in (sql_text(snapshot.query()), named):
        found = connection().execute(f"SELECT v, file_index, p FROM ({text}) ORDER BY v").fetchall()
        assert found == expected
        assert connection().execute(f"SELECT v FROM ({text}) WHERE p = DATE '2024-01-20'").fetchall() == [(19,)]
    names = connection().execute(f"SELECT file, v, p FROM ({named})").fetchall()
    for name, v, p in names:
        text = f"SELECT v, p FROM ({named}) WHERE file = '{name}'"
        assert connection().execute(text).fetchall() == [(v, p)]


def test_names_with_quotes_and_case_are_read(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / 'it\'s "here"'))
    source = query("""SELECT 1 AS "we""ird", 2 AS "Über", 3 AS "select" """)
    table.append(connection(), source, parse_schema('`we"ird` int, `Über` int, `select` int'))
    assert rows(table) == by_deltalake(table.path) == [(1, 2, 3)]


# The rows 1 and 3 as a roaring bitmap in Z85.
VECTOR = "^Bg9^0rr910000000000iXQKl0rr9100031000000rri4"
CUT = {"storageType": "i", "pathOrInlineDv": VECTOR, "sizeInBytes": 36, "cardinality": 2}


@pytest.mark.parametrize("partitions", [1, 30])
def test_rows_that_a_deletion_vector_names_are_not_read(tmp_path: Path, partitions: int) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    source = query(f"SELECT i AS id, i % {partitions} AS p FROM range(300) r(i)")
    by = ("p",) if partitions > 1 else ()
    table.append(connection(), source, parse_schema("id bigint, p bigint"), partition_by=by)
    files = table.snapshot().files
    cut = tuple(replace(file, deletion_vector=CUT) if n % 2 == 0 else file for n, file in enumerate(files))
    places = sql_text(read_files(table.path, table.metadata, files, "file", row_column="place"))
    names = {local_path(table.path, file) for file in files[::2]}
    every = connection().execute(places).fetchall()
    left = [row[:2] for row in every if not (row[2] in names and row[3] in (1, 3))]
    assert rows(replace(table.snapshot(), files=cut)) == sorted(left, key=repr)
    assert sum(file.rows or 0 for file in cut) == len(left) == 300 - 2 * len(names)


def test_columns_named_as_the_readers_own_are_read(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    schema = parse_schema("file_row_number int, headwater_file string, filename string")
    table.append(connection(), query("SELECT 7, 'a', 'b' FROM range(5)"), schema)
    (file,) = table.snapshot().files
    snapshot = replace(table.snapshot(), files=(replace(file, deletion_vector=CUT),))
    assert rows(table) == [(7, "a", "b")] * 5
    assert rows(snapshot) == [(7, "a", "b")] * 3


def test_the_session_time_zone_does_not_change_what_is_read(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    stamp = query("SELECT TIMESTAMPTZ '2024-06-01 00:00:00+00' AS t, DATE '2024-06-01' AS d")
    table.append(connection("Asia/Tokyo"), stamp, parse_schema("t timestamp, d date"), partition_by=("d",))
    for zone in ("UTC", "America/New_York"):
        moment = rows(table, zone)[0][0]
        assert moment.timestamp() == 1_717_200_000


def test_rows_survive_a_reader_that_began_before_an_overwrite(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    table.append(connection(), numbers(10), parse_schema("id bigint, name string"))
    before = sql_text(table.snapshot().query())
    table.overwrite(connection(), numbers(0), parse_schema("id bigint, name string"))
    assert len(connection().execute(before).fetchall()) == 10
