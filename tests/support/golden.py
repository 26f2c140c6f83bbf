"""Golden checkpoints: what a build wrote, kept in the repository, for every later build to go on from.

    cd tests && python -m support.golden          writes tests/golden/<version>/<query>/ for this build

A query runs three batches into its checkpoint, which is kept; then three more, whose rows are the answer. All input
comes from `rate-micro-batch`, so that a checkpoint names no folder.

Invariant: a folder that is there is never written again: it is what that version wrote.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from headwater import __version__
from headwater.plan.commands import StartStream, Trigger
from headwater.plan.node import Node
from headwater.plan.relations import Deduplicate, Limit, ReadSource, ReadTable, Relation, SubqueryAlias, WithWatermark
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sinks.base import SinkContext, SinkRequest, sinks
from headwater.sql import parse_query
from headwater.streaming.start import start_query
from support.fakes import FakeSink
from support.stateful import STEPPING

FOLDER = Path(__file__).resolve().parents[1] / "golden"
BATCHES = 3
_sinks: dict[str, FakeSink] = {}


class _Sinks:
    output_modes = ("append", "update", "complete")

    def open(self, request: SinkRequest, _: SinkContext) -> FakeSink:
        return _sinks[request.options["name"]]


sinks.register("golden")(_Sinks())


def _rows(step_ms: int) -> Relation:
    options = {"rowsPerBatch": "5", "startTimestamp": "1767225600000", "advanceMillisPerBatch": str(step_ms)}
    return WithWatermark(
        ReadSource("rate-micro-batch", None, tuple(options.items()), streaming=True), "timestamp", "0 seconds"
    )


def _sql(text: str) -> Relation:
    """A query over `a` and `b`: five rows a batch, 15 seconds (b: 20) further each."""
    inputs = {"a": _rows(15_000), "b": _rows(20_000)}

    def put(node: Node) -> Node:
        if isinstance(node, ReadTable):
            return SubqueryAlias(inputs[node.parts[0]], node.parts[0])
        return node.map_children(put)

    return cast(Relation, put(parse_query(text, {}, ())))


def _stepping(name: str) -> Relation:
    """Rows (id, k): the functions say -1 where the state does not fit the row."""
    return STEPPING[name](_sql("SELECT value AS id, 'k' || (value % 3) AS k FROM a"))


_AGGREGATES = (
    "count(*) AS n, sum(value) AS total, avg(value) AS mean, min(CAST(value AS STRING)) AS least, "
    "max(timestamp) AS newest, collect_list(value) AS all, approx_count_distinct(value) AS about, "
    "stddev(value) AS spread, sum(CAST(value AS DECIMAL(20, 2))) AS exact, first(value) AS one"
)
_NEAR = "a.value % 4 = b.value % 7 AND b.timestamp BETWEEN a.timestamp AND a.timestamp + INTERVAL 20 SECONDS"

QUERIES: dict[str, tuple[str, Callable[[], Relation]]] = {
    "groups": ("update", lambda: _sql(f"SELECT value % 3 AS k, {_AGGREGATES} FROM a GROUP BY value % 3")),
    "groups_complete": ("complete", lambda: _sql(f"SELECT {_AGGREGATES} FROM a")),
    "windows": (
        "append",
        lambda: _sql(f"SELECT window(timestamp, '30 seconds', '10 seconds') AS w, {_AGGREGATES} FROM a GROUP BY ALL"),
    ),
    "sessions": (
        "append",
        lambda: _sql(
            "SELECT session_window(timestamp, '10 seconds') AS w, value % 2 AS k, count(*) AS n FROM a GROUP BY ALL"
        ),
    ),
    "duplicates": ("append", lambda: Deduplicate(_sql("SELECT value % 20 AS k, timestamp FROM a"), ("k",))),
    "duplicates_within_watermark": (
        "append",
        lambda: Deduplicate(_sql("SELECT value % 12 AS k, timestamp FROM a"), ("k",), within_watermark=True),
    ),
    "inner_join": ("append", lambda: _sql(f"SELECT a.value AS x, b.value AS y FROM a JOIN b ON {_NEAR}")),
    "full_join": ("append", lambda: _sql(f"SELECT a.value AS x, b.value AS y FROM a FULL JOIN b ON {_NEAR}")),
    "semi_join": ("append", lambda: _sql(f"SELECT a.value AS x FROM a LEFT SEMI JOIN b ON {_NEAR}")),
    "limit": ("append", lambda: Limit(_sql("SELECT value FROM a"), 22)),
    "windows_of_a_join": (
        "append",
        lambda: _sql(
            "SELECT window(t, '30 seconds') AS w, count(*) AS n FROM "
            f"(SELECT a.timestamp AS t FROM a JOIN b ON {_NEAR}) GROUP BY ALL"
        ),
    ),
    "apply_in_pandas_with_state": ("append", lambda: _stepping("applyInPandasWithState")),
    "transform_with_state": ("append", lambda: _stepping("transformWithState")),
}  # fmt: skip
"""Output mode and plan by name."""


def run(name: str, checkpoint: Path, batches: int) -> list[str]:
    """Run batches with new data; each one's rows as text, batches without data among them."""
    mode, build = QUERIES[name]
    runtime = Runtime.local({"headwater.durability": "none"})
    session = Session(runtime)
    sink = _sinks[str(checkpoint)] = FakeSink()
    options = (("name", str(checkpoint)), ("checkpointLocation", str(checkpoint)))
    try:
        for _ in range(batches):
            command = StartStream(build(), "golden", options, cast(Any, mode), Trigger("once"))
            query = start_query(command, cast(Any, session))
            query.await_termination()
            if query.exception() is not None:
                raise cast(BaseException, query.exception())
    finally:
        session.close()
        runtime.close()
    return [f"{batch}: {row}" for batch, rows in sorted(sink.batches.items()) for row in sorted(map(_text, rows))]


def _text(row: tuple[Any, ...]) -> str:
    """Instants as they are in UTC: DuckDB changes the class of their time zone from one version to the next."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: plain(each) for key, each in value.items()}
        if isinstance(value, datetime):
            return value.astimezone(UTC).replace(tzinfo=None)
        return value

    return repr(tuple(map(plain, row)))


def make() -> None:
    """Write what is missing for this version."""
    for name in QUERIES:
        target = FOLDER / __version__ / name
        if target.exists():
            continue
        run(name, target / "checkpoint", BATCHES)
        rest = target.parent / f"{name}.tmp"
        shutil.copytree(target / "checkpoint", rest)
        (target / "answer.json").write_text(json.dumps(run(name, rest, BATCHES), indent=1, ensure_ascii=False) + "\n")
        shutil.rmtree(rest)
        print(target, file=sys.stderr)


if __name__ == "__main__":
    make()
