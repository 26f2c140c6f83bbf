"""The streaming test language: a query over a source filled by hand, driven step by step, without sleeping.

    stream = StreamTest(tmp_path, schema).plan(lambda source: Filter(source, …))
    stream.add_data(rows).check_answer(rows).stop().add_data(more).start().check_answer(rows + more)

Invariants: every step runs the real engine through `start_query`; a step that fails shows the steps so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from pyspark.sql.types import StructType

from headwater.errors import SparkError
from headwater.plan.commands import StartStream, Trigger
from headwater.plan.relations import ReadSource, Relation
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sinks.base import SinkContext, SinkRequest, sinks
from headwater.sources.base import SourceContext, SourceRequest, sources
from headwater.streaming.query import StreamingQuery
from headwater.streaming.start import start_query
from support.fakes import FakeSink, FakeSource

_sources: dict[str, FakeSource] = {}
_sinks: dict[str, FakeSink] = {}


class _Sources:
    def schema(self, request: SourceRequest, _: SourceContext) -> StructType:
        return _sources[request.options["name"]].schema

    def open(self, request: SourceRequest, _: SourceContext) -> FakeSource:
        return _sources[request.options["name"]]


class _Sinks:
    output_modes = ("append", "update", "complete")

    def open(self, request: SinkRequest, _: SinkContext) -> FakeSink:
        return _sinks[request.options["name"]]


sources.register("fake")(_Sources())
sinks.register("fake")(_Sinks())


class StreamTest:
    """One query over one or more hand-filled sources.

    Args:
        folder: where checkpoint and warehouse go.
        schema: of every source.
    """

    def __init__(self, folder: Path, schema: StructType, names: Sequence[str] = ("a",)) -> None:
        self.folder = folder
        self.runtime = Runtime.local(
            {"spark.sql.warehouse.dir": str(folder / "warehouse"), "headwater.durability": "none"}
        )
        self.session = Session(self.runtime)
        self.keys = [f"{folder}/{name}" for name in names]
        self.sources = [FakeSource(schema, name) for name in names]
        _sources.update(zip(self.keys, self.sources, strict=True))
        self.sink = FakeSink()
        _sinks[str(folder)] = self.sink
        self.steps: list[str] = []
        self.query: StreamingQuery | None = None
        self._build: Callable[..., Relation] = lambda *reads: reads[0]
        self._mode = "append"
        self._trigger = Trigger()
        self._name: str | None = None

    def plan(self, build: Callable[..., Relation], mode: str = "append", trigger: Trigger | None = None) -> StreamTest:
        """The query: `build(*sources)` gives its plan."""
        self._build, self._mode, self._trigger = build, mode, trigger or Trigger()
        return self

    def reads(self) -> list[Relation]:
        """The sources as plan leaves."""
        return [ReadSource("fake", None, (("name", key),), streaming=True) for key in self.keys]

    def command(self, name: str | None = None) -> StartStream:
        """The command that starts the query."""
        options = (("name", str(self.folder)), ("checkpointLocation", str(self.folder / "checkpoint")))
        return StartStream(
            self._build(*self.reads()),
            "fake",
            options,
            cast(Any, self._mode),
            self._trigger,
            name,
        )

    def start(self, name: str | None = None) -> StreamTest:
        """Start the query, or start it again."""
        self.steps.append("start")
        for source in self.sources:
            source.end = None
        self.query = start_query(self.command(name), cast(Any, self.session))
        return self

    def stop(self) -> StreamTest:
        """Stop it and wait."""
        self.steps.append("stop")
        self.running.stop()
        return self

    def add_data(self, rows: Sequence[Mapping[str, Any]], source: int = 0) -> StreamTest:
        """Rows for a source; one chunk, one offset."""
        self.steps.append(f"add {rows}")
        self.sources[source].add(rows)
        return self

    def check_answer(self, *rows: tuple[Any, ...]) -> StreamTest:
        """Process all there is; the sink holds exactly these rows, in any order."""
        self.steps.append("check")
        self.running.process_all_available()
        self._same(self.sink.rows, rows)
        return self

    def check_last(self, *rows: tuple[Any, ...]) -> StreamTest:
        """Process all there is; the newest batch in the sink is exactly these rows."""
        self.steps.append("check last")
        self.running.process_all_available()
        last = self.sink.batches[max(self.sink.batches)] if self.sink.batches else []
        self._same(last, rows)
        return self

    def expect_failure(self, condition: str) -> StreamTest:
        """The query ends with an error that mentions `condition`."""
        self.steps.append(f"expect {condition}")
        with pytest.raises(SparkError) as caught:
            self.running.process_all_available()
        assert condition in str(caught.value), self._story(str(caught.value))
        return self

    @property
    def running(self) -> StreamingQuery:
        """The newest run."""
        assert self.query is not None, "start first"
        return self.query

    def close(self) -> None:
        """Stop everything."""
        self.session.close()
        self.runtime.close()

    def _same(self, found: Sequence[tuple[Any, ...]], wanted: Sequence[tuple[Any, ...]]) -> None:
        missing, extra = Counter(wanted) - Counter(found), Counter(found) - Counter(wanted)
        assert not missing + extra, self._story(f"missing {dict(missing)}, too many {dict(extra)}")

    def _story(self, what: str) -> str:
        steps = "\n".join(f"   {step}" for step in self.steps[:-1])
        return f"{what}\n{steps}\n=> {self.steps[-1]}\nprogress: {self.query and self.query.last_progress}"
