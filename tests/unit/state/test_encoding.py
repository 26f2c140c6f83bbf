"""Every value that is written to a state file comes back as it was, whatever its type."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyspark.sql.types import LongType

from headwater.duck import Connection, Database, arrow
from headwater.io.local import LocalStorage
from headwater.state.encoding import decode, decode_batches, encode
from headwater.state.store import StateStore
from headwater.state.table import StateColumn, StateTable
from headwater.types.ddl import parse_type

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
LONG = st.integers(-(2**63), 2**63 - 1)
MOMENT = st.integers(-62_135_596_800_000_000, 253_402_300_799_999_999)
LEAVES: list[tuple[pa.DataType, st.SearchStrategy[Any]]] = [
    (pa.bool_(), st.booleans()),
    (pa.int8(), st.integers(-128, 127)),
    (pa.int32(), st.integers(-(2**31), 2**31 - 1)),
    (pa.int64(), LONG),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float32(), st.floats(width=32)),
    (pa.float64(), st.floats()),
    (pa.decimal128(38, 0), st.integers(-(10**38) + 1, 10**38 - 1).map(Decimal)),
    (pa.decimal128(10, 2), st.integers(-(10**10) + 1, 10**10 - 1).map(lambda n: Decimal(n).scaleb(-2))),
    (pa.string(), TEXT),
    (pa.binary(), st.binary(max_size=20)),
    (pa.date32(), st.integers(-719_162, 2_932_896)),
    (pa.time64("us"), st.integers(0, 86_399_999_999)),
    (pa.timestamp("us", "UTC"), MOMENT),
    (pa.timestamp("us"), MOMENT),
    (
        pa.month_day_nano_interval(),
        st.builds(
            lambda months, days, nanoseconds: pa.MonthDayNano([months, days, nanoseconds]),
            st.integers(-(2**31), 2**31 - 1),
            st.integers(-(2**31), 2**31 - 1),
            LONG,
        ),
    ),
    (pa.null(), st.none()),
]


def nested(
    inner: st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[Any]]],
) -> st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy[Any]]]:
    def nullable(one: tuple[pa.DataType, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
        return st.none() | one[1]

    lists = inner.map(lambda one: (pa.list_(one[0]), st.lists(nullable(one), max_size=3)))
    maps = inner.map(
        lambda one: (
            pa.map_(pa.int64(), one[0]),
            st.dictionaries(LONG, nullable(one), max_size=3).map(lambda d: [*d.items()]),
        )
    )
    structs = st.tuples(inner, inner).map(
        lambda two: (
            pa.struct([("a", two[0][0]), ("b", two[1][0])]),
            st.fixed_dictionaries({"a": nullable(two[0]), "b": nullable(two[1])}),
        )
    )
    return lists | maps | structs


TYPES = st.recursive(st.sampled_from(LEAVES), nested, max_leaves=4)


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_every_value_round_trips(data: st.DataObject) -> None:
    kind, values = data.draw(TYPES)
    column = pa.array(data.draw(st.lists(st.none() | values, max_size=6)), kind)
    rows = pa.table({"c": column}).slice(data.draw(st.integers(0, 2)))

    written = encode(rows.schema, rows.to_batches())

    schema, batches = decode_batches(written)
    for again in (decode(written), pa.Table.from_batches(list(batches), schema)):
        assert again.schema == rows.schema
        assert repr(again.to_pylist()) == repr(rows.to_pylist())


SPARK = {
    "BOOLEAN": "true",
    "TINYINT": "-128",
    "SMALLINT": "32767",
    "INT": "-2147483648",
    "BIGINT": "9223372036854775807",
    "FLOAT": "'-0.0'",
    "DOUBLE": "'nan'",
    "DECIMAL(38,10)": "'9999999999999999999999999999.9999999999'",
    "STRING": "'é\u0000x'",
    "BINARY": "'\\x00\\xFF'::BLOB",
    "DATE": "'0001-01-01'",
    "TIMESTAMP": "'1883-11-18 12:03:58.000001+00'",
    "TIMESTAMP_NTZ": "'9999-12-31 23:59:59.999999'",
    "TIME": "'23:59:59.999999'",
    "INTERVAL DAY TO SECOND": "INTERVAL '-3 days 00:00:00.000001'",
    "INTERVAL YEAR TO MONTH": "INTERVAL '-14 months'",
    "ARRAY<INTERVAL DAY TO SECOND>": "[INTERVAL '1 day', NULL]",
    "MAP<STRING,INTERVAL YEAR TO MONTH>": "MAP {'a': INTERVAL '2 months'}",
    "STRUCT<a:ARRAY<STRUCT<b:DECIMAL(5,2)>>,i:INTERVAL DAY TO SECOND>": "{'a': [{'b': 1.2}], 'i': INTERVAL '1 hour'}",
}


@pytest.mark.parametrize("kind", SPARK)
def test_every_spark_type_is_a_key_and_a_value(tmp_path: Path, kind: str) -> None:
    key, value = StateColumn("k", parse_type(kind)), StateColumn("v", parse_type(kind))
    connection = Database(threads=1).connect()
    table = opened(connection, tmp_path, key, value)
    table.restore(connection, 0, None)
    one = SPARK[kind]
    changes = f"SELECT {one} AS k, {one} AS v, false AS _removed UNION ALL SELECT NULL, NULL, false"
    for _ in range(2):  # the second time it replaces what is there
        connection.execute(f"CREATE OR REPLACE TEMP TABLE b AS {changes}")
        table.apply(connection, "b")
    before = arrow(connection, f"SELECT k, v FROM {table.relation} ORDER BY k NULLS LAST")
    written = table.commit(connection, 1)
    written.wait()

    again = Database(threads=1).connect()
    restored = opened(again, tmp_path, key, value)
    restored.restore(again, 1, written.id)
    after = arrow(again, f"SELECT k, v FROM {restored.relation} ORDER BY k NULLS LAST")
    assert after.schema == before.schema
    assert repr(after.to_pylist()) == repr(before.to_pylist())
    assert after.num_rows == 2


def test_sums_beyond_64_bits_keep_every_digit(tmp_path: Path) -> None:
    connection = Database(threads=1).connect()
    connection.execute("CREATE TEMP TABLE t AS SELECT 9223372036854775807 AS v FROM range(1000)")
    table = StateTable(StateStore(LocalStorage("none"), str(tmp_path)), "s", [], [StateColumn("s", LongType())], sums())
    table.prepare(connection)
    table.restore(connection, 0, None)
    connection.execute("CREATE TEMP TABLE b AS SELECT sum(v) EXPORT_STATE AS s, false AS _removed FROM t")
    table.apply(connection, "b")
    written = table.commit(connection, 1)
    written.wait()

    again = Database(threads=1).connect()
    again.execute("CREATE TEMP TABLE t (v BIGINT)")
    restored = StateTable(
        StateStore(LocalStorage("none"), str(tmp_path)), "s", [], [StateColumn("s", LongType())], sums()
    )
    restored.prepare(again)
    restored.restore(again, 1, written.id)
    assert again.execute("SELECT finalize(s) FROM s_state").fetchall() == [(9223372036854775807 * 1000,)]


def sums() -> Any:
    from sqlglot import exp

    from headwater.duck import ExportState

    state = ExportState(this=exp.Sum(this=exp.column("v")))
    return exp.select(exp.alias_(state, "s")).from_("t")


def opened(connection: Connection, path: Path, key: StateColumn, value: StateColumn) -> StateTable:
    table = StateTable(StateStore(LocalStorage("none"), str(path)), "s", [key], [value])
    table.prepare(connection)
    return table
