"""The memory sink: a temporary view named after the query that holds whole batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from headwater.errors import AnalysisError
from headwater.types.ddl import parse_schema
from support.lake import numbers
from support.sinks import SinkBench


@pytest.fixture
def bench(tmp_path: Path) -> SinkBench:
    return SinkBench("memory", tmp_path, parse_schema("id bigint, name string"))


def ids(bench: SinkBench) -> list[Any]:
    plan: Any = bench.catalog.views["q"].plan
    return plan.data.column("id").to_pylist()


def test_the_view_is_there_from_the_start_and_grows_by_batches(bench: SinkBench) -> None:
    sink = bench.open()
    assert ids(bench) == []
    assert bench.put(sink, 0, numbers(2)).rows == 2
    bench.put(sink, 1, numbers(1, 2))
    assert ids(bench) == [0, 1, 2]


def test_a_batch_seen_before_adds_nothing(bench: SinkBench) -> None:
    sink = bench.open()
    bench.put(sink, 0, numbers(2))
    bench.put(sink, 0, numbers(2))
    assert ids(bench) == [0, 1]


def test_complete_mode_shows_the_last_batch_and_update_mode_all(bench: SinkBench) -> None:
    for mode, expected in (("complete", [5]), ("update", [0, 1, 5])):
        bench.mode = mode  # type: ignore[assignment]
        sink = bench.open()
        bench.put(sink, 0, numbers(2))
        bench.put(sink, 1, numbers(1, 5))
        assert ids(bench) == expected


def test_a_query_without_a_name_is_refused(bench: SinkBench) -> None:
    bench.query_name = None
    with pytest.raises(AnalysisError, match="queryName must be specified for memory sink"):
        bench.open()
