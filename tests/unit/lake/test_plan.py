"""What a write may do to a table, decided from the table's state alone."""

from __future__ import annotations

from typing import Any

import pytest

from headwater.errors import AnalysisError, SparkError
from headwater.lake.actions import Protocol
from headwater.lake.log import LogState
from headwater.lake.plan import Write, new_table, plan
from headwater.types.ddl import parse_schema

PAIRS = parse_schema("id bigint, name string")


def state(schema: str = "id bigint, name string", partition_by: tuple[str, ...] = (), **properties: str) -> LogState:
    metadata, protocol = new_table(parse_schema(schema), partition_by, properties, 0)
    return LogState(3, protocol, metadata)


def write(schema: str = "id bigint, name string", mode: Any = "append", **arguments: Any) -> Write:
    return Write(parse_schema(schema), mode, **arguments)


def test_the_first_write_makes_a_nullable_table_with_its_properties() -> None:
    planned = plan(LogState(), write("id bigint not null", properties={"a": "b"}), 7)
    assert planned.metadata.schema == parse_schema("id bigint")
    assert (planned.changed, planned.metadata.created_time, planned.metadata.configuration) == (True, 7, {"a": "b"})


def test_a_write_that_fits_changes_no_metadata() -> None:
    assert not plan(state(), write(), 0).changed


def test_rows_without_columns_make_no_table() -> None:
    for before, asked in ((LogState(), write("")), (state(), write("", "overwrite", replaces_table=True))):
        with pytest.raises(AnalysisError, match="DELTA_EMPTY_DATA"):
            plan(before, asked, 0)


def test_a_table_without_columns_gets_those_of_its_first_rows() -> None:
    planned = plan(state(""), write("id bigint", merge_schema=True), 0)
    assert (planned.metadata.schema, planned.changed) == (parse_schema("id bigint"), True)
    with pytest.raises(AnalysisError, match="DELTA_METADATA_MISMATCH"):
        plan(state(""), write("id bigint"), 0)


def test_an_append_only_table_is_not_overwritten() -> None:
    with pytest.raises(SparkError, match=r"DELTA_CANNOT_MODIFY_APPEND_ONLY"):
        plan(state(**{"delta.appendOnly": "true"}), write(mode="overwrite"), 0)
    assert not plan(state(**{"delta.appendOnly": "true"}), write(), 0).changed


def test_overwriting_the_schema_takes_the_rows_schema_and_partitions() -> None:
    planned = plan(state(partition_by=("name",)), write("x int, y int", "overwrite", overwrite_schema=True), 0)
    assert (planned.metadata.schema, planned.metadata.partition_columns) == (parse_schema("x int, y int"), ())
    with pytest.raises(AnalysisError, match="DELTA_OVERWRITE_SCHEMA_WITH_DYNAMIC_PARTITION_OVERWRITE"):
        plan(state(), write(mode="overwrite", overwrite_schema=True, dynamic_partitions=True), 0)


def test_a_new_timestamp_without_zone_raises_the_protocol() -> None:
    planned = plan(state(), write("id bigint, t timestamp_ntz", merge_schema=True), 0)
    assert planned.protocol == Protocol(3, 7, ("timestampNtz",), ("appendOnly", "invariants", "timestampNtz"))


def test_partitioning_must_agree_but_need_not_be_said() -> None:
    assert not plan(state(partition_by=("name",)), write(partition_by=("NAME",)), 0).changed
    assert not plan(state(partition_by=("name",)), write(), 0).changed
    with pytest.raises(AnalysisError, match=r"DELTA_PARTITION_MISMATCH.*Table: \[none\]"):
        plan(state(), write(partition_by=("id",)), 0)
