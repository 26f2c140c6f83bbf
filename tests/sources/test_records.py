"""Records beside rows: texts, bad ones, files and headers, of a scan in its own order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import LongType, StringType, StructField, StructType

from headwater.duck import Connection, Database, sql_text
from headwater.io.formats import FormatOptions, formats
from headwater.io.formats.base import ScanRequest
from headwater.io.formats.scan import nothing
from headwater.io.storage import FileStatus
from headwater.sources.records import COLUMNS, with_records, without_rows

SCHEMA = StructType([StructField("id", LongType()), StructField("k", StringType())])


@pytest.fixture
def connection() -> Connection:
    return Database(threads=2).connect()


def file(folder: Path, name: str, text: str) -> FileStatus:
    path = folder / name
    path.write_text(text)
    return FileStatus(str(path), path.stat().st_size, 0)


def read(connection: Connection, kind: str, files: list[FileStatus], rescue: str | None = None, **options: str) -> Any:
    request = ScanRequest(tuple(files), SCHEMA, FormatOptions(options), rescue=rescue)
    found = with_records(kind, formats.get(kind), request, ["id", "k"])  # type: ignore[arg-type]
    for name, data in found.inputs.items():
        connection.register(name, data)
    return connection.execute(sql_text(found.query)).fetchall()


@pytest.mark.parametrize("rescue", [None, "_rescued"])
def test_json(connection: Connection, tmp_path: Path, rescue: str | None) -> None:
    one = file(tmp_path, "a b.json", '{"id":1,"k":"a"}\nodd\n{"id":"x","k":"b"}\n')
    uri = f"file:{tmp_path}/a%20b.json"
    assert read(connection, "json", [one], rescue) == [
        (1, "a", '{"id":1,"k":"a"}', False, uri, None),
        (None, None, "odd", True, uri, None),
        (None, "b", '{"id":"x","k":"b"}', rescue is None, uri, None),
    ]


def test_each_csv_file_has_its_header_where_names_count(connection: Connection, tmp_path: Path) -> None:
    files = [file(tmp_path, "a", "id,k\n1,x\n"), file(tmp_path, "b", '"a,b",id\ny,2\n')]
    rows = read(connection, "csv", files, "_rescued", header="true")
    assert [(row[0], row[2], row[5]) for row in rows] == [(1, "1,x", "id,k"), (2, "y,2", '"a,b",id')]
    rows = read(connection, "csv", files[:1] * 1 + files[1:], header="true")
    assert {row[5] for row in rows} == {"id,k"}


@pytest.mark.parametrize("mode", ["DROPMALFORMED", "FAILFAST"])
def test_another_mode_is_obeyed(connection: Connection, tmp_path: Path, mode: str) -> None:
    one = file(tmp_path, "a", '{"id":1,"k":"a"}\n')
    assert [row[3] for row in read(connection, "json", [one], mode=mode)] == [False]


def test_a_format_without_text(connection: Connection, tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    connection.execute(f"COPY (SELECT 1::BIGINT AS id, 'x' AS k) TO '{path}'")
    one = FileStatus(str(path), path.stat().st_size, 0)
    assert read(connection, "parquet", [one]) == [(1, "x", None, False, f"file:{path}", None)]


def test_no_rows(connection: Connection) -> None:
    found = connection.execute(sql_text(without_rows(nothing(SCHEMA))))
    assert [column[0] for column in found.description or ()] == ["id", "k", *COLUMNS]
    assert found.fetchall() == []
