"""How long the rows of a real-time query were on their way, as Databricks reports it: `rtmMetrics` in a progress.

    sourceQueuingLatencyMs   from a row's arrival at its source until the batch reads it
    processingLatencyMs      from there until the sink has it
    e2eLatencyMs             both

Invariant: percentiles are of rows, by nearest rank; they are told only of sources that know when their rows arrived.
"""

from __future__ import annotations

from collections.abc import Sequence

PERCENTILES = (0, 50, 90, 95, 99)


def rtm_metrics(arrivals: Sequence[tuple[int, int]], read_ms: int, written_ms: int) -> dict[str, dict[str, int]]:
    """The percentiles of one batch; empty without rows.

    Args:
        arrivals: when rows arrived and how many, times in milliseconds since 1970.
        read_ms: when the batch was read.
        written_ms: when the sink had it.
    """
    some = [(arrived, rows) for arrived, rows in arrivals if rows > 0]
    if not some:
        return {}
    whole = [(written_ms - read_ms, sum(rows for _, rows in some))]
    return {
        "processingLatencyMs": _percentiles(whole),
        "sourceQueuingLatencyMs": _percentiles([(read_ms - arrived, rows) for arrived, rows in some]),
        "e2eLatencyMs": _percentiles([(written_ms - arrived, rows) for arrived, rows in some]),
    }


def _percentiles(times: Sequence[tuple[int, int]]) -> dict[str, int]:
    return {f"P{each}": _percentile(sorted(times), each) for each in PERCENTILES}


def _percentile(times: Sequence[tuple[int, int]], percent: int) -> int:
    """The time that so many percent of the rows did not exceed."""
    wanted = sum(rows for _, rows in times) * percent / 100
    seen = 0
    for time, rows in times:
        seen += rows
        if seen >= wanted:
            return max(time, 0)
    return max(times[-1][0], 0)
