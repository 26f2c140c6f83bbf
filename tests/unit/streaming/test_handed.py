"""Rows that Python hands back: output typed by Spark's types, changes of a state by group number."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from pyspark.sql.types import LongType, StringType

from headwater.duck import Connection, Database, arrow
from headwater.io.local import LocalStorage
from headwater.state.column import StateColumn
from headwater.state.store import StateStore
from headwater.streaming.handed import GroupTable, OutputRows, by_position
from headwater.types.ddl import parse_schema

SCHEMA = parse_schema("k STRING, `two words` STRUCT<a: INT>, t TIMESTAMP")


@pytest.fixture
def connection() -> Connection:
    return Database().connect()


def test_output_is_added_to_until_it_is_cleared(connection: Connection) -> None:
    output = OutputRows("operator_0", SCHEMA)
    output.clear(connection)
    rows = pa.table({"k": ["a"], "s": [{"a": 1}], "t": pa.array([5], pa.timestamp("us", "UTC"))})

    output.add(connection, rows)
    output.add(connection, rows)
    output.add(connection, rows.slice(0, 0))

    resolved = output.resolved()
    assert resolved.schema == SCHEMA
    assert arrow(connection, resolved.query).num_rows == 2
    output.clear(connection)
    assert arrow(connection, resolved.query).num_rows == 0


def test_a_state_is_looked_up_and_changed_by_group_number(connection: Connection, tmp_path: Path) -> None:
    connection.execute("CREATE TEMP TABLE wanted AS SELECT * FROM (VALUES (1, NULL), (2, 'b')) AS w(group_id, key_0)")
    key = [StateColumn("key_0", StringType())]
    store = StateStore(LocalStorage("none"), str(tmp_path))
    state = GroupTable(store, "p", "wanted", key, [StateColumn("n", LongType())], [StateColumn("i", LongType())])
    state.table.prepare(connection)
    state.table.restore(connection, 0, None)

    def change(rows: list[tuple[int, int, int, bool]]) -> list[dict[str, object]]:
        columns = dict(zip(("group_id", "i", "n", "_removed"), zip(*rows, strict=True), strict=True))
        state.change(connection, pa.table({name: list(values) for name, values in columns.items()}))
        return sorted(state.load(connection).to_pylist(), key=str)

    assert change([(1, 0, 10, False), (2, 0, 20, False), (2, 1, 21, False)]) == [
        {"group_id": 1, "i": 0, "n": 10},
        {"group_id": 2, "i": 0, "n": 20},
        {"group_id": 2, "i": 1, "n": 21},
    ]
    assert change([(1, 0, 0, True), (2, 1, 22, False)]) == [
        {"group_id": 2, "i": 0, "n": 20},
        {"group_id": 2, "i": 1, "n": 22},
    ]
    assert state.table.rows == 2
    store.close()


def test_structs_are_taken_by_position(connection: Connection) -> None:
    from sqlglot import exp

    loaded = by_position(parse_schema("new INT, inner STRUCT<b: INT>"))
    assert loaded is not None
    stored = pa.struct([("old", pa.int32()), ("inner", pa.struct([("a", pa.int32())]))])
    text = exp.select(loaded(exp.column("s"), stored)).from_("stored").sql("duckdb")
    connection.execute("CREATE TABLE stored AS SELECT {'old': 1, 'inner': {'a': 2}} AS s UNION ALL SELECT NULL")

    assert connection.execute(text).fetchall() == [({"new": 1, "inner": {"b": 2}},), (None,)]
    assert by_position(LongType()) is None
