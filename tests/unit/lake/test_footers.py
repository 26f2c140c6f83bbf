"""The columns that a data file itself says it has."""

from __future__ import annotations

from pathlib import Path

from headwater.lake.footers import stored_schema, stored_schemas
from support.lake import connection


def test_columns_of_files(tmp_path: Path) -> None:
    session = connection()
    session.execute(f"COPY (SELECT 1::INT AS a, {{'b': 2::SMALLINT}} AS s) TO '{tmp_path}/1.parquet'")
    session.execute(f"COPY (SELECT DATE '2026-01-01' AS d) TO '{tmp_path}/2.parquet'")
    session.execute(f"COPY (SELECT 1::UINTEGER AS u) TO '{tmp_path}/3.parquet'")
    (tmp_path / "4.parquet").write_bytes(b"no parquet")
    found = stored_schemas([f"{tmp_path}/{name}.parquet" for name in range(1, 6)])
    told = [None if one is None else one.simpleString() for one in found]
    assert told[:2] == ["struct<a:int,s:struct<b:smallint>>", "struct<d:date>"]
    assert told[3:] == [None, None]
    assert stored_schema(f"{tmp_path}/1.parquet") == found[0]
    assert stored_schemas([]) == []
