"""The noop sink: computes every row, keeps none."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.types.ddl import parse_schema
from support.lake import numbers, query
from support.sinks import SinkBench


@pytest.fixture
def bench(tmp_path: Path) -> SinkBench:
    return SinkBench("noop", tmp_path, parse_schema("id bigint, name string"))


def test_rows_are_counted(bench: SinkBench) -> None:
    assert bench.put(bench.open(), 0, numbers(5)).rows == 5


def test_a_row_that_fails_fails_the_batch(bench: SinkBench) -> None:
    with pytest.raises(Exception, match="boom"):
        bench.put(bench.open(), 0, query("SELECT 1::BIGINT AS id, error('boom') AS name"))
