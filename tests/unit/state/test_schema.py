"""A state's schema is noted once; names may change, types may not."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql.types import (
    ArrayType,
    DecimalType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
)

from headwater.errors import RuntimeSparkError
from headwater.io.local import LocalStorage
from headwater.state.column import StateColumn
from headwater.state.schema import StateSchema, check_schema, compatible, read_schema, shown_type

STORAGE = LocalStorage("none")
TYPES = pa.schema([(name, pa.null()) for name in ("key_0", "k", "n", "a", "c")])


def schema(keys: list[StateColumn], values: list[StateColumn]) -> StateSchema:
    return StateSchema.of(keys, values, TYPES)


NOTED = schema([StateColumn("key_0", StringType(), "user")], [StateColumn("n", LongType())])


def check(path: Path, now: StateSchema) -> None:
    check_schema(STORAGE, str(path), now)


def test_a_schema_comes_back(tmp_path: Path) -> None:
    check(tmp_path, NOTED)

    found = read_schema(STORAGE, str(tmp_path))
    assert found == NOTED
    assert found.key_type == StructType([StructField("user", StringType())])
    assert [c.shown for c in found.values] == ['"n"']
    assert read_schema(STORAGE, str(tmp_path / "none")) is None


def test_names_may_change(tmp_path: Path) -> None:
    check(tmp_path, NOTED)
    check(tmp_path, schema([StateColumn("a", StringType(), "b")], [StateColumn("c", LongType())]))


@pytest.mark.parametrize(
    ("now", "message"),
    [
        (
            schema([StateColumn("k", LongType(), "user")], [StateColumn("n", LongType())]),
            r"STATE_STORE_KEY_SCHEMA_NOT_COMPATIBLE.*"
            r"key_schema=StructType\(StructField\(user,StringType,true\)\) and "
            r"new key_schema=StructType\(StructField\(user,LongType,true\)\)",
        ),
        (
            schema([StateColumn("k", StringType())], []),
            r"STATE_STORE_VALUE_SCHEMA_NOT_COMPATIBLE.*new value_schema=StructType\(\)",
        ),
    ],
)
def test_types_may_not(tmp_path: Path, now: StateSchema, message: str) -> None:
    check(tmp_path, NOTED)
    with pytest.raises(RuntimeSparkError, match="(?s)" + message):
        check(tmp_path, now)


def test_the_check_can_be_left_out(tmp_path: Path) -> None:
    check(tmp_path, NOTED)
    check_schema(STORAGE, str(tmp_path), schema([StateColumn("k", LongType())], []), refuse=False)

    assert read_schema(STORAGE, str(tmp_path)) == NOTED


def test_nulls_may_not_come_where_there_were_none() -> None:
    some, none = ArrayType(LongType(), True), ArrayType(LongType(), False)
    assert compatible(none, some)
    assert not compatible(some, none)
    assert not compatible(MapType(LongType(), LongType(), True), MapType(LongType(), LongType(), False))
    strict = StructType([StructField("a", LongType(), False)])
    assert not compatible(StructType([StructField("b", LongType())]), strict)
    assert compatible(strict, StructType([StructField("b", LongType())]))


def test_types_are_shown_as_scala_does() -> None:
    kind = StructType(
        [
            StructField("a", ArrayType(DecimalType(10, 2))),
            StructField("m", MapType(StringType(), IntegerType(), False), False),
        ]
    )
    assert shown_type(kind) == (
        "StructType(StructField(a,ArrayType(DecimalType(10,2),true),true),"
        "StructField(m,MapType(StringType,IntegerType,false),false))"
    )
