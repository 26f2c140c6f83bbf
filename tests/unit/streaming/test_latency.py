"""Latencies of real-time batches are percentiles of their rows."""

from __future__ import annotations

import statistics

from hypothesis import given
from hypothesis import strategies as st

from headwater.streaming.latency import rtm_metrics


def test_each_row_counts() -> None:
    found = rtm_metrics([(100, 98), (40, 1), (0, 1)], read_ms=110, written_ms=130)
    assert found == {
        "processingLatencyMs": {"P0": 20, "P50": 20, "P90": 20, "P95": 20, "P99": 20},
        "sourceQueuingLatencyMs": {"P0": 10, "P50": 10, "P90": 10, "P95": 10, "P99": 70},
        "e2eLatencyMs": {"P0": 30, "P50": 30, "P90": 30, "P95": 30, "P99": 90},
    }


def test_without_rows_there_are_none() -> None:
    assert rtm_metrics([], 1, 2) == {}
    assert rtm_metrics([(5, 0)], 1, 2) == {}


def test_a_clock_that_went_back_makes_no_negative_times() -> None:
    assert rtm_metrics([(10, 1)], 5, 7)["e2eLatencyMs"]["P99"] == 0


@given(st.lists(st.tuples(st.integers(0, 1000), st.integers(1, 5)), min_size=1))
def test_the_middle_is_the_low_median(arrivals: list[tuple[int, int]]) -> None:
    rows = [1000 - arrived for arrived, count in arrivals for _ in range(count)]
    assert rtm_metrics(arrivals, 1000, 1000)["sourceQueuingLatencyMs"]["P50"] == statistics.median_low(rows)
