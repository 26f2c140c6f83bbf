"""DuckDB and Arrow read objects by ranges, each file as one content."""

from __future__ import annotations

import io
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from headwater.duck import Database, DuckError
from headwater.io.s3 import s3_storage
from headwater.io.s3_files import ObjectFile, opened
from support.s3_server import Emulator, emulated


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated() as one:
        one.bucket("box")
        yield one


def test_duckdb_reads_parquet_and_json_by_path(server: Emulator, tmp_path: Path) -> None:
    before = Database(threads=2)
    copy = "COPY (SELECT i, 'row ' || i AS name FROM range(50_000) r(i)) TO '{}'"
    for name in ("a.parquet", "[b] c*.json"):
        before.connect().execute(copy.format(tmp_path / name))
        s3_storage().upload(str(tmp_path / name), f"s3://box/in/{name}")
    for database in (before, Database(threads=2)):
        connection = database.connect()
        total = "SELECT count(*), sum(i), min(filename) FROM {}(['s3://box/in/{}'], filename = true)"
        for function, name in (("read_parquet", "a.parquet"), ("read_json", "[b] c*.json")):
            found = connection.execute(total.format(function, name)).fetchall()
            assert found == [(50_000, 1_249_975_000, f"s3://box/in/{name}")]


def test_a_missing_object_is_an_error(server: Emulator) -> None:
    s3_storage()
    with pytest.raises(DuckError, match="No such file or directory"):
        Database().connect().execute("SELECT * FROM read_parquet('s3://box/none.parquet')")


def test_duckdb_does_not_write_objects(server: Emulator) -> None:
    s3_storage()
    with pytest.raises(DuckError, match="written by uploading"):
        Database().connect().execute("COPY (SELECT 1) TO 's3://box/out.parquet'")


def test_arrow_reads_what_is_opened(server: Emulator, tmp_path: Path) -> None:
    path = str(tmp_path / "a.parquet")
    Database().connect().execute(f"COPY (SELECT 1 AS x) TO '{path}'")
    s3_storage().upload(path, "s3://box/arrow.parquet")
    assert opened(path) == path
    assert pq.read_schema(opened("s3://box/arrow.parquet")).names == ["x"]


def test_seeking_and_reading(server: Emulator) -> None:
    s3_storage().replace("s3://box/digits", bytes(range(200)))
    file = ObjectFile(s3_storage(), "s3://box/digits")
    assert file.read(3) == bytes([0, 1, 2])
    assert (file.tell(), file.seek(-2, io.SEEK_END)) == (3, 198)
    assert (file.read(10), file.read(10)) == (bytes([198, 199]), b"")
    file.seek(5)
    file.seek(1, io.SEEK_CUR)
    assert file.read()[:2] == bytes([6, 7])


def test_threads_read_one_file_each_at_its_own_place(server: Emulator) -> None:
    s3_storage().replace("s3://box/shared", bytes(range(256)) * 4)
    file = ObjectFile(s3_storage(), "s3://box/shared")

    def read(at: int) -> bool:
        file.seek(at)
        return file.read(4) == bytes((at + i) % 256 for i in range(4))

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(read, range(0, 400, 4)))


def test_a_file_that_was_replaced_meanwhile_is_not_read_as_a_mixture(server: Emulator) -> None:
    s3_storage().replace("s3://box/changing", b"a" * 100)
    file = ObjectFile(s3_storage(), "s3://box/changing")
    assert file.read(10) == b"a" * 10
    s3_storage().replace("s3://box/changing", b"b" * 100)
    with pytest.raises(OSError, match="changing"):
        file.read(10)
