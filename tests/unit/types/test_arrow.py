"""Spark's types in Arrow's words, both ways, and data brought into Connect's form."""

from __future__ import annotations

import datetime as dt

import pyarrow as pa
from hypothesis import given, settings
from pyspark.sql.types import StructField, StructType, VariantType, VariantVal

from headwater.duck import Database
from headwater.types.arrow import arrow_schema, conform, from_arrow, to_arrow
from headwater.types.ddl import parse_schema
from support.spark_types import data_types, schemas


@given(data_types(text_only=False))
@settings(max_examples=100, deadline=None)
def test_a_type_survives_arrow(data_type):
    assert from_arrow(to_arrow(data_type)) == data_type


@given(schemas(text_only=False))
@settings(max_examples=50, deadline=None)
def test_a_schema_survives_arrow(schema):
    assert from_arrow(arrow_schema(schema, "Europe/Berlin")) == schema


def test_duckdb_results_take_connects_types_names_and_zone():
    schema = parse_schema(
        "s struct<a: int, t: timestamp>, m map<string, array<bigint>>, d interval day to second, x string"
    )
    table = (
        Database(threads=1)
        .connect()
        .sql(
            "SELECT {'q': 1, 't': TIMESTAMPTZ '2024-01-01 00:00:00+00'} AS z, MAP {'k': [1, NULL]} AS y, "
            "INTERVAL '25 hours' AS d, NULL AS x UNION ALL SELECT NULL, NULL, NULL, 'v'"
        )
        .to_arrow_table()
    )
    got = conform(table, schema, "Asia/Tokyo")
    assert got.schema == arrow_schema(schema, "Asia/Tokyo")
    first, second = got.to_pylist()
    assert first["s"]["a"] == 1
    assert first["s"]["t"].astimezone(dt.UTC) == dt.datetime(2024, 1, 1, tzinfo=dt.UTC)
    assert (first["m"], first["d"], first["x"]) == ([("k", [1, None])], dt.timedelta(hours=25), None)
    assert second == {"s": None, "m": None, "d": None, "x": "v"}


def test_sliced_nested_batches_keep_their_rows():
    schema = parse_schema("s struct<a: bigint>, l array<struct<b: bigint>>")
    table = pa.table(
        {
            "s": pa.array([{"q": i} if i % 3 else None for i in range(10)]),
            "l": pa.array([[{"r": i}, {"r": -i}] if i % 2 else None for i in range(10)]),
        }
    )
    rows = conform(table.slice(3, 4).to_batches()[0], schema).to_pylist()
    assert rows == [
        {"s": {"a": i} if i % 3 else None, "l": [{"b": i}, {"b": -i}] if i % 2 else None} for i in range(3, 7)
    ]


def test_a_table_without_columns_is_left_alone():
    assert conform(pa.table({}), StructType([])).num_columns == 0


def test_variants_go_out_as_the_two_binaries_that_the_client_reads():
    column = pa.chunked_array([['{"a": [1, "x"]}', None]])
    sent = conform(pa.table({"v": column}), StructType([StructField("v", VariantType())]), "UTC")["v"]
    first = sent[0].as_py()
    assert VariantVal(first["value"], first["metadata"]).toPython() == {"a": [1, "x"]}
    assert sent[1].as_py() is None
    assert sent.type.field("metadata").metadata == {b"variant": b"true"}
