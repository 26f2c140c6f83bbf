"""Tables that genuine Spark and Delta made (after DAT's recipes, and more): read right, or refused by name.

Which tables there are, and how they are made: `support/delta_recipes.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headwater.duck import sql_text
from headwater.errors import UnsupportedError
from headwater.lake.table import LakeTable
from support.delta_acceptance import HOME, put, told
from support.delta_recipes import RECIPES
from support.lake import connection

REFUSED = {"variant_column": "variantType"}
"""Tables that ask for a feature that is not here."""
READ = sorted({*RECIPES} - {*REFUSED})


def expected(name: str, version: int, time_zone: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names and rows as Spark read them."""
    file = HOME / name / f"{version}.parquet"
    found = connection(time_zone).execute(f"SELECT * FROM read_parquet('{file}')")
    return [column[0] for column in found.description], sorted(found.fetchall(), key=repr)


def found(table: LakeTable, version: int, time_zone: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Names and rows as they are read here."""
    result = connection(time_zone).execute(sql_text(table.snapshot(version).query()))
    return [column[0] for column in result.description], sorted(result.fetchall(), key=repr)


def test_every_recipe_is_recorded() -> None:
    assert {folder.name for folder in HOME.iterdir()} == {*RECIPES}


@pytest.mark.parametrize("name", READ)
def test_the_rows_are_those_that_spark_reads(name: str, tmp_path: Path) -> None:
    table = LakeTable.open(str(put(name, tmp_path)))
    versions = told(name)["versions"]
    assert table.version == versions[-1]
    for version in versions:
        assert found(table, version, "UTC") == expected(name, version, "UTC")


@pytest.mark.parametrize(
    "name", ["times_of_other_zones", "all_primitive_types", "multi_partitioned_2", "timestamp_ntz"]
)
@pytest.mark.parametrize("zone", ["America/New_York", "Asia/Tokyo"])
def test_the_session_time_zone_does_not_change_an_instant(name: str, zone: str, tmp_path: Path) -> None:
    table = LakeTable.open(str(put(name, tmp_path)))
    assert found(table, table.version, zone) == expected(name, table.version, zone)


@pytest.mark.parametrize("name", READ)
def test_the_types_are_the_schemas(name: str, tmp_path: Path) -> None:
    table = LakeTable.open(str(put(name, tmp_path)))
    snapshot = table.snapshot()
    described = connection().execute("DESCRIBE " + sql_text(snapshot.query())).fetchall()
    file = HOME / name / f"{table.version}.parquet"
    spark = connection().execute(f"DESCRIBE SELECT * FROM read_parquet('{file}')").fetchall()
    assert [row[:2] for row in described] == [row[:2] for row in spark]


@pytest.mark.parametrize(("name", "feature"), REFUSED.items())
def test_what_is_not_here_is_refused_by_name(name: str, feature: str, tmp_path: Path) -> None:
    path = str(put(name, tmp_path))
    with pytest.raises(UnsupportedError, match=f"`{feature}`"):
        LakeTable.open(path)
