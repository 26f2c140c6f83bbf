"""Reading a version: columns by name and type whatever the files hold, partitions, deletion vectors refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headwater.duck import sql_text
from headwater.errors import UnsupportedError
from headwater.lake.actions import AddFile, Metadata
from headwater.lake.snapshot import read_files
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


def test_names_with_quotes_and_case_are_read(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / 'it\'s "here"'))
    source = query("""SELECT 1 AS "we""ird", 2 AS "Über", 3 AS "select" """)
    table.append(connection(), source, parse_schema('`we"ird` int, `Über` int, `select` int'))
    assert rows(table) == by_deltalake(table.path) == [(1, 2, 3)]


def test_files_with_deletion_vectors_are_refused_by_name() -> None:
    file = AddFile("x", {}, 1, 1, deletion_vector={"storageType": "u"})
    metadata = Metadata("id", json.dumps({"type": "struct", "fields": []}))
    with pytest.raises(UnsupportedError, match=r"deletionVectors.*/table.*REORG"):
        read_files("/table", metadata, [file])


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
