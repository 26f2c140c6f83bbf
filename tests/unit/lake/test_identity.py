"""Identity columns: numbers from start by step, each given once, and marks that never go back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from headwater.errors import AnalysisError, ConcurrentWriteError
from headwater.lake.columns import sync_identity
from headwater.lake.files import FileWriter
from headwater.lake.identity import check_defined
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query, rows

VALUES = parse_schema("v int")


def column(start: int = 1, step: int = 1, *, explicit: bool = False, kind: Any = None) -> StructField:
    kept = {"delta.identity.start": start, "delta.identity.step": step, "delta.identity.allowExplicitInsert": explicit}
    return StructField("id", kind or LongType(), True, kept)


def table(folder: Path, field: StructField) -> LakeTable:
    return LakeTable.create(str(folder / "t"), StructType([field, StructField("v", IntegerType())]))


def append(table: LakeTable, *values: int, **arguments: Any) -> None:
    text = " UNION ALL ".join(f"SELECT {value}::INT" for value in values) or "SELECT 1::INT WHERE false"
    table.append(connection(), query(text), VALUES, **arguments)


def mark(table: LakeTable) -> int | None:
    return table.metadata.schema.fields[0].metadata.get("delta.identity.highWaterMark")


def test_rows_are_numbered_and_the_mark_is_the_last_number(tmp_path: Path) -> None:
    t = table(tmp_path, column(5, -2))
    append(t, 1, 2)
    append(t, 3)
    assert rows(t) == [(1, 3), (3, 2), (5, 1)]
    assert mark(t) == 1
    append(t)
    assert (mark(t), t.commit_at(t.version).metadata) == (1, None)  # type: ignore[union-attr]


def test_another_handle_counts_on_from_the_log(tmp_path: Path) -> None:
    append(table(tmp_path, column()), 1, 2)
    again = LakeTable.open(str(tmp_path / "t"))
    append(again, 3)
    assert [number for number, _ in rows(again)] == [1, 2, 3]


def test_a_replayed_batch_takes_no_numbers(tmp_path: Path) -> None:
    t = table(tmp_path, column())
    append(t, 1, txn=("a", 1))
    append(t, 1, txn=("a", 1))
    assert (rows(t), mark(t)) == ([(1, 1)], 1)


def test_given_numbers_leave_the_mark_alone_until_it_is_synced(tmp_path: Path) -> None:
    t = table(tmp_path, column(1, 10, explicit=True))
    t.append(connection(), query("SELECT 25::BIGINT, 0::INT"), parse_schema("id bigint, v int"))
    append(t, 1)
    assert rows(t) == [(1, 1), (25, 0)]
    sync_identity(t, ("ID",), connection())
    append(t, 2)
    assert (mark(t), rows(t)[-1]) == (41, (41, 2))
    sync_identity(t, ("id",), connection())
    assert mark(t) == 41


@pytest.mark.parametrize(("start", "step", "value", "wanted"), [(10, 5, 3, None), (10, -5, 12, None), (10, -5, -3, -5)])
def test_a_sync_goes_to_the_next_number_of_the_columns_own(
    tmp_path: Path, start: int, step: int, value: int, wanted: int | None
) -> None:
    t = table(tmp_path, column(start, step, explicit=True))
    t.append(connection(), query(f"SELECT ({value})::BIGINT, 0::INT"), parse_schema("id bigint, v int"))
    sync_identity(t, ("id",), connection())
    assert mark(t) == wanted


def test_only_an_identity_column_is_synced(tmp_path: Path) -> None:
    with pytest.raises(AnalysisError) as caught:
        sync_identity(table(tmp_path, column()), ("v",), connection())
    assert caught.value.condition == "DELTA_IDENTITY_COLUMNS_ALTER_NON_IDENTITY_COLUMN"


@pytest.mark.parametrize(
    ("field", "partitions", "condition"),
    [
        (column(kind=IntegerType()), (), "DELTA_IDENTITY_COLUMNS_UNSUPPORTED_DATA_TYPE"),
        (column(step=0), (), "DELTA_IDENTITY_COLUMNS_ILLEGAL_STEP"),
        (column(), ("ID",), "DELTA_IDENTITY_COLUMNS_PARTITION_NOT_SUPPORTED"),
    ],
)
def test_what_cannot_number_rows(field: StructField, partitions: tuple[str, ...], condition: str) -> None:
    with pytest.raises(AnalysisError) as caught:
        check_defined(StructType([field]), partitions)
    assert caught.value.condition == condition


def test_numbers_are_not_given_where_the_table_gives_them(tmp_path: Path) -> None:
    t = table(tmp_path, column())
    with pytest.raises(AnalysisError) as caught:
        t.append(connection(), query("SELECT 1::BIGINT, 1::INT"), parse_schema("ID bigint, v int"))
    assert caught.value.condition == "DELTA_IDENTITY_COLUMNS_EXPLICIT_INSERT_NOT_SUPPORTED"


def test_of_two_writers_of_the_same_numbers_one_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    t = table(tmp_path, column())
    write = FileWriter.write
    others = [LakeTable.open(t.path)]

    def write_late(self: FileWriter, *arguments: Any, **named: Any) -> Any:
        found = write(self, *arguments, **named)
        while others:
            append(others.pop(), 7)
        return found

    monkeypatch.setattr(FileWriter, "write", write_late)
    with pytest.raises(ConcurrentWriteError) as caught:
        append(t, 8)
    assert caught.value.condition == "DELTA_METADATA_CHANGED"
    append(t, 9)
    assert rows(t) == [(1, 7), (2, 9)]
