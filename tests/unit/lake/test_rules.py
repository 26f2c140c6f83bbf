"""Rules of a table: checks and generated columns, applied to whatever is appended."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlglot import exp

from headwater.duck import Connection
from headwater.errors import SparkError, UnsupportedError
from headwater.lake import rules
from headwater.lake.actions import Metadata
from headwater.lake.create import NewTable, create
from headwater.lake.rules import Check, Rules, row_column
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, query
from support.lake import rows as rows_of

PAIRS = parse_schema("id int, twice int")
IDS = parse_schema("id int")


@pytest.fixture
def table(tmp_path: Path) -> LakeTable:
    table = LakeTable.at(str(tmp_path / "t"))
    create(table, NewTable(PAIRS, properties={"delta.constraints.pos": "id > 0"}))
    return table


def compiled(_: Metadata, __: Connection) -> Rules:
    column = exp.column(row_column(0))
    check = Check("pos", "(id > 0)", exp.GT(this=column, expression=exp.Literal.number(0)), (("id", column),))
    return Rules((check,), {1: exp.Mul(this=column, expression=exp.Literal.number(2))})


def test_a_table_with_rules_is_not_written_where_nobody_compiles_them(
    table: LakeTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "_compilers", [])
    with pytest.raises(UnsupportedError, match="checkConstraints"):
        table.append(connection(), query("SELECT 1 AS id"), IDS)


def test_a_batch_of_a_stream_obeys_and_leaves_no_file(table: LakeTable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "_compilers", [compiled])
    table.append(connection(), query("SELECT 3 AS id"), IDS, txn=("query", 0))
    assert rows_of(table) == [(3, 6)]
    for bad in ("-1", "NULL::INT"):
        with pytest.raises(SparkError) as caught:
            table.append(connection(), query(f"SELECT 1 AS id UNION ALL SELECT {bad}"), IDS, txn=("query", 1))
        assert caught.value.condition == "DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"
        assert caught.value.parameters == {
            "constraintName": "pos",
            "expression": "(id > 0)",
            "values": f" - id : {bad.split('::')[0].lower()}",
        }
    assert table.refresh() == 1
    assert table.append(connection(), query("SELECT 1 AS id"), IDS, txn=("query", 1)).committed


def test_constraints_are_found_by_their_names() -> None:
    metadata = Metadata("id", PAIRS.json(), configuration={"delta.constraints.a.b": "x", "delta.appendOnly": "true"})
    assert rules.constraints(metadata) == {"a.b": "x"}
    assert rules.generations(metadata) == {}
