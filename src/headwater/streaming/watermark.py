"""Watermarks: how far event time has come, where it is measured, and what it means to each stateful operator.

A `withWatermark` node keeps its batch in a table, so that the event times can be looked at without reading the source
twice; or the one operator that reads its rows tells them (`folding`). At the end of a batch the largest event time
seen, minus the delay, is the node's watermark; the query's is the least (or largest:
`spark.sql.streaming.multipleWatermarkPolicy`) of its nodes', and holds from the next batch on.

Invariants: a query's watermark never falls; an operator's input watermark is the least of what flows into it (Spark's
`PropagateWatermarkSimulator`); late rows are judged by the watermark of the batch before, eviction by this batch's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sqlglot import exp

from headwater import duck
from headwater.duck import Connection, sql_text
from headwater.streaming.statements import create, run


@dataclass(frozen=True)
class EventTimes:
    """The event times of one node in one batch, in milliseconds since 1970; a node without rows has none."""

    max_ms: int
    min_ms: int
    avg_ms: int

    @classmethod
    def of(cls, most: int | None, least: int | None, mean: float | None) -> EventTimes | None:
        """From aggregates, which are NULL of no rows."""
        return None if most is None or least is None or mean is None else cls(most, least, int(mean))


@dataclass(frozen=True)
class WatermarkNode:
    """One `withWatermark` of a plan.

    Attributes:
        number: counts from 0 in plan order; names its table `watermark_<number>`.
        query: the rows, over the streams' views.
        time: the event time over the table's columns, a timestamp.
        delay_ms: how late a row may come.
        told_by: the operator that reads the rows and tells their event times; they are kept in no table then.
        again: the rows come from another such node. Spark refuses that as soon as there is a watermark.
    """

    number: int
    query: exp.Query
    time: exp.Expression
    delay_ms: int
    told_by: int | None = None
    again: bool = False

    @property
    def output(self) -> str:
        """The table or view of the batch's rows."""
        return f"watermark_{self.number}"

    def prepare(self, connection: Connection) -> WatermarkStage:
        """The node at work on a connection."""
        return WatermarkStage(self, connection)


class WatermarkStage:
    """A node's rows and their event times."""

    def __init__(self, node: WatermarkNode, connection: Connection) -> None:
        self.node = node
        self._connection = connection
        self._fill = create(node.output, node.query, "VIEW" if node.told_by is not None else "TABLE")
        # Spark reads a NULL time as 0: it counts in the least and the mean
        time = exp.Coalesce(this=exp.func("epoch_ms", node.time.copy()), expressions=[exp.Literal.number(0)])
        figures = [exp.Max(this=time), exp.Min(this=time.copy()), exp.Avg(this=time.copy())]
        self._look = sql_text(exp.select(*figures).from_(node.output))
        self.times: EventTimes | None = None
        run(connection, self._fill)

    def advance(self, ran: Callable[[], None]) -> None:
        """Keep the batch's rows, and look at their event times; nothing, if an operator tells them."""
        if self.node.told_by is not None:
            return
        run(self._connection, self._fill)
        ran()
        self.times = EventTimes.of(*duck.run(self._connection, self._look)[0])


class WatermarkTracker:
    """The query's watermark over its nodes.

    Args:
        delays_ms: each node's delay.
        policy: `min` or `max`.
    """

    def __init__(self, delays_ms: Sequence[int], policy: str) -> None:
        self._delays = delays_ms
        self.policy = policy
        self._nodes = [0] * len(delays_ms)
        self.watermark_ms = 0

    def set(self, watermark_ms: int) -> None:
        """Take over what the logs say; what single nodes had seen is not logged, as in Spark."""
        self.watermark_ms = max(self.watermark_ms, watermark_ms)

    def update(self, seen: Sequence[EventTimes | None]) -> None:
        """Take in a batch's event times."""
        for index, times in enumerate(seen):
            if times is not None:
                self._nodes[index] = max(self._nodes[index], times.max_ms - self._delays[index])
        if self._nodes:
            self.set(max(self._nodes) if self.policy.lower() == "max" else min(self._nodes))


@dataclass(frozen=True)
class Feed:
    """What flows into an operator: the relations it is compiled over (`stream_0`, `watermark_0`, `operator_1`)."""

    number: int
    sources: tuple[str, ...]
    output_watermark: Callable[[int], int | None]


def input_watermarks(feeds: Sequence[Feed], watermark_ms: int | None) -> dict[int, int | None]:
    """The watermark at each operator's input, by its number, for one watermark of the query.

    Args:
        feeds: the operators, inputs before what reads them.
        watermark_ms: the query's watermark.
    """
    outputs: dict[str, int | None] = {}
    inputs: dict[int, int | None] = {}
    for feed in feeds:
        known = [_of(source, outputs, watermark_ms) for source in feed.sources]
        defined = [one for one in known if one is not None]
        inputs[feed.number] = least = min(defined) if defined else None
        outputs[f"operator_{feed.number}"] = None if least is None else feed.output_watermark(least)
    return inputs


def _of(source: str, outputs: Mapping[str, int | None], watermark_ms: int | None) -> int | None:
    return watermark_ms if source.startswith("watermark_") else outputs.get(source)
