"""Data files: Parquet as Spark expects it, null constraints, and a disk that is full."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from headwater.errors import SparkError
from headwater.lake.file_sizes import Sizes
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import by_deltalake, connection, numbers, query, rows

PAIRS = parse_schema("id bigint, name string")


def test_times_are_stored_as_utc_microseconds(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    stamps = query("SELECT TIMESTAMPTZ '2024-01-01 00:00:00+00' AS z, TIMESTAMP '2024-01-01 00:00:00' AS n")
    table.append(connection("Asia/Tokyo"), stamps, parse_schema("z timestamp, n timestamp_ntz"))
    (file,) = Path(table.path).glob("*.parquet")
    kinds = [str(pq.read_schema(file).field(name).type) for name in ("z", "n")]
    assert kinds == ["timestamp[us, tz=UTC]", "timestamp[us]"]
    assert file.name.startswith("part-00000-")
    assert file.name.endswith("-c000.snappy.parquet")


def test_columns_are_written_by_position_under_the_tables_names(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), PAIRS)
    table.append(connection(), query("SELECT 'x' AS \"name#1\", 5 AS whatever"), parse_schema("NAME string, ID int"))
    assert rows(table) == [(5, "x")]


def test_rows_of_another_type_than_said_are_cast_to_the_tables(tmp_path: Path) -> None:
    table = LakeTable.at(str(tmp_path / "t"))
    table.append(connection(), query("SELECT 1.5 AS d, 7 AS t"), parse_schema("d double, t tinyint"))
    (file,) = Path(table.path).glob("*.parquet")
    assert [str(field.type) for field in pq.read_schema(file)] == ["double", "int8"]


def test_a_null_in_a_not_null_column_is_refused_by_name(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), parse_schema("id bigint not null, name string"))
    with pytest.raises(SparkError, match=r"DELTA_NOT_NULL_CONSTRAINT_VIOLATED.*column: id\."):
        table.append(connection(), query("SELECT NULL AS id, 'x' AS name"), PAIRS)
    with pytest.raises(SparkError, match="DELTA_NOT_NULL_CONSTRAINT_VIOLATED"):
        table.append(connection(), query("SELECT 'x' AS name"), parse_schema("name string"))
    table.append(connection(), query("SELECT 1::BIGINT AS id, NULL AS name"), PAIRS)
    assert by_deltalake(table.path) == [(1, None)]


@contextlib.contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_named_and_the_table_goes_on_when_there_is_space(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        table = LakeTable.at(str(disk / "t"))
        table.append(connection(), numbers(10), PAIRS, txn=("q", 0))
        filler = disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb") as file:
            file.write(b"x" * (2 << 20))
        big = query("SELECT i AS id, md5(i::VARCHAR) AS name FROM range(20000) r(i)")
        with pytest.raises(SparkError, match=rf"TASK_WRITE_FAILED.*{disk}.*Free space"):
            table.append(connection(), big, PAIRS, txn=("q", 1))
        os.unlink(filler)
        assert len(by_deltalake(table.path)) == 10
        assert table.append(connection(), numbers(10, 10), PAIRS, txn=("q", 1)).committed
        assert len(by_deltalake(table.path)) == 20
        assert len(list(Path(table.path).glob("*.parquet"))) == 2
    assert "panicked" not in capfd.readouterr().err


def test_a_file_ends_at_the_most_rows_of_a_file(tmp_path: Path) -> None:
    schema = parse_schema("id bigint, part string")
    for partitions in ((), ("part",)):
        table = LakeTable.create(str(tmp_path / f"t{len(partitions)}"), schema, partitions)
        source = query("SELECT i AS id, 'p' || i % 2 AS part FROM range(1000) r(i)")
        files = table.writer(table.metadata).write(connection(), source, schema, Sizes(300))
        wanted = [100, 300, 300, 300] if not partitions else [200, 200, 300, 300]
        assert sorted(file.rows or 0 for file in files) == wanted
        assert not [name for _, names, _ in os.walk(table.path) for name in names if "headwater" in name]
        tables = [pq.ParquetFile(os.path.join(table.path, file.path)).read(["id"]) for file in files]
        assert sorted(value for one in tables for value in one.column("id").to_pylist()) == list(range(1000))


def test_a_file_ends_when_it_has_grown_enough(tmp_path: Path) -> None:
    table = LakeTable.create(str(tmp_path / "t"), PAIRS)
    writer = table.writer(table.metadata)
    source = query("SELECT i AS id, hash(i)::varchar AS name FROM range(500000) r(i)")
    files = writer.write(connection(), source, PAIRS, Sizes(None, 1 << 20))
    assert len(files) > 2
    assert sum(file.rows or 0 for file in files) == 500_000
    empty = writer.write(connection(), query("SELECT 1 AS id, 'x' AS name WHERE false"), PAIRS, Sizes(None, 1 << 20))
    assert empty == []
    assert len(list(Path(table.path).glob("*.parquet"))) == len(files), "no rows, no file"
