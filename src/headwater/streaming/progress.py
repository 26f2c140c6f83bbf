"""What a query reports about itself: progress with exactly Spark's JSON keys, and its status.

Invariants: one report per finished batch, in order; rates have one decimal; the keys and their order are Spark's.
"""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from headwater.state.table import Written

PARTS = ("addBatch", "commitOffsets", "getBatch", "latestOffset", "queryPlanning", "triggerExecution", "walCommit")
"""The parts of `durationMs`, in Spark's order."""


@dataclass(frozen=True)
class Status:
    """`query.status`: the three keys of Spark's JSON."""

    message: str
    is_data_available: bool = False
    is_trigger_active: bool = False


@dataclass(frozen=True)
class StateReport:
    """One stateful operator's counters for one batch; times in milliseconds, memory in bytes."""

    operator: str
    rows_total: int
    rows_updated: int
    rows_removed: int = 0
    updates_ms: int = 0
    removals_ms: int = 0
    memory_bytes: int = 0
    rows_dropped: int = 0
    metrics: Mapping[str, int] = field(default_factory=dict)
    written: tuple[Written, ...] = ()
    """The new version of each of its stores."""

    @property
    def ids(self) -> tuple[str, ...]:
        """What each of its stores is written as."""
        return tuple(each.id for each in self.written)

    def wait(self) -> None:
        """Until its state is durable. Raises why it cannot be."""
        for each in self.written:
            each.wait()

    def json(self) -> dict[str, Any]:
        """Spark's keys; the state is one partition in one store. Waits as `wait`."""
        changelog = {"changelogBytes": sum(each.bytes for each in self.written)} if self.written else {}
        return {
            "operatorName": self.operator,
            "numRowsTotal": self.rows_total,
            "numRowsUpdated": self.rows_updated,
            "allUpdatesTimeMs": self.updates_ms,
            "numRowsRemoved": self.rows_removed,
            "allRemovalsTimeMs": self.removals_ms,
            "commitTimeMs": sum(each.milliseconds for each in self.written),
            "memoryUsedBytes": self.memory_bytes,
            "numRowsDroppedByWatermark": self.rows_dropped,
            "numShufflePartitions": 1,
            "numStateStoreInstances": 1,
            "customMetrics": {**changelog, **self.metrics},
        }


@dataclass(frozen=True)
class SourceReport:
    """One source's part of one batch; offsets are JSON text."""

    description: str
    start: str | None
    end: str | None
    latest: str | None
    rows: int
    metrics: Mapping[str, str] = field(default_factory=dict)

    def json(self, input_seconds: float, seconds: float) -> dict[str, Any]:
        """Spark's keys; rates over the time since the last trigger and over this one."""
        report = {
            "description": self.description,
            "startOffset": _offset(self.start),
            "endOffset": _offset(self.end),
            "latestOffset": _offset(self.latest),
            "numInputRows": self.rows,
            "inputRowsPerSecond": rate(self.rows, input_seconds),
            "processedRowsPerSecond": rate(self.rows, seconds),
        }
        return {**report, "metrics": dict(self.metrics)} if self.metrics else report


@dataclass(frozen=True)
class BatchReport:
    """What the engine knows at the end of a batch.

    Attributes:
        started_ms: when its trigger fired.
        previous_ms: when the trigger before fired; None for the first.
        durations: milliseconds per part of `PARTS`.
        sink: description, rows (-1: the sink does not say), metrics.
        event_time: milliseconds since 1970 by Spark's keys `avg`, `max`, `min`, `watermark`; empty without watermarks.
        observed: observed metrics by name, JSON values.
        latencies: of a real-time query, see `latency`.
    """

    batch_id: int
    started_ms: int
    previous_ms: int | None
    durations: Mapping[str, int]
    sources: Sequence[SourceReport]
    sink: tuple[str, int, Mapping[str, str]]
    state: Sequence[StateReport] = ()
    event_time: Mapping[str, int] = field(default_factory=dict)
    observed: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    latencies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def json(self, identity: tuple[str, str, str | None]) -> dict[str, Any]:
        """Spark's progress of the query `(id, run id, name)`."""
        seconds = self.durations.get("triggerExecution", 0) / 1000
        waited = 0.0 if self.previous_ms is None else (self.started_ms - self.previous_ms) / 1000
        rows = sum(source.rows for source in self.sources)
        return {
            "id": identity[0],
            "runId": identity[1],
            "name": identity[2],
            "timestamp": timestamp(self.started_ms),
            "batchId": self.batch_id,
            "batchDuration": self.durations.get("triggerExecution", 0),
            "numInputRows": rows,
            "inputRowsPerSecond": rate(rows, waited),
            "processedRowsPerSecond": rate(rows, seconds),
            "durationMs": {part: self.durations[part] for part in PARTS if part in self.durations},
            **({"eventTime": {k: timestamp(v) for k, v in self.event_time.items()}} if self.event_time else {}),
            "stateOperators": [operator.json() for operator in self.state],
            "sources": [source.json(waited, seconds) for source in self.sources],
            "sink": _sink(*self.sink),
            **({"observedMetrics": dict(self.observed)} if self.observed else {}),
            **({"rtmMetrics": dict(self.latencies)} if self.latencies else {}),
        }


class ProgressLog:
    """The newest reports of one run, and its status; safe to read from any thread."""

    def __init__(self, keep: int) -> None:
        self._reports: deque[str] = deque(maxlen=max(keep, 1))
        self._lock = threading.Lock()
        self.status = Status("Initializing StreamExecution")

    def add(self, report: Mapping[str, Any]) -> str:
        """Keep a report; returns its JSON text."""
        text = json.dumps(report, separators=(",", ":"), ensure_ascii=False)
        with self._lock:
            self._reports.append(text)
        return text

    def recent(self) -> list[str]:
        """The reports kept, oldest first, as JSON text."""
        with self._lock:
            return list(self._reports)

    def last(self) -> str | None:
        """The newest report as JSON text."""
        with self._lock:
            return self._reports[-1] if self._reports else None


class Stopwatch:
    """Milliseconds spent in the named parts of one trigger."""

    def __init__(self) -> None:
        self._spent: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the block to `name`."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self._spent[name] = self._spent.get(name, 0.0) + time.perf_counter() - start

    def milliseconds(self) -> dict[str, int]:
        """Whole milliseconds per part."""
        return {name: int(seconds * 1000) for name, seconds in self._spent.items()}


def timestamp(milliseconds: int) -> str:
    """ISO 8601 with milliseconds, UTC, as Spark prints it."""
    moment = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{milliseconds % 1000:03d}Z"


def rate(rows: int, seconds: float) -> float:
    """Rows per second with one decimal; 0.0 when no time is known."""
    return round(rows / seconds, 1) if seconds > 0 else 0.0


def _offset(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _sink(description: str, rows: int, metrics: Mapping[str, str]) -> dict[str, Any]:
    sink = {"description": description, "numOutputRows": rows}
    return {**sink, "metrics": dict(metrics)} if metrics else sink
