"""A checked streaming plan cut into a dataflow: at every watermark and at every stateful operator.

The part below a cut is compiled as its input; above it, a leaf over its output takes its place. Operators are counted
from the top of the plan, as Spark counts them.

Invariants: nothing is compiled again after the start; a leaf above a cut has the attributes Spark has there, and the
DataFrames below the cut can still name their columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater import compile as compiler
from headwater.compile.relations.observe import check_metrics, check_names
from headwater.compile.relations.watermark import DELAY
from headwater.compile.resolved import Resolved
from headwater.errors import AnalysisError
from headwater.plan.node import Node
from headwater.plan.relations import Aggregate, CachedRemote, CollectMetrics, Limit, Relation, WithWatermark
from headwater.sinks.base import OutputMode
from headwater.state.store import StateStore
from headwater.streaming.checkpoint import Checkpoint
from headwater.streaming.dataflow import Dataflow, OperatorNode
from headwater.streaming.leaves import Leaf, StreamContext, StreamSession
from headwater.streaming.observing import ObserveNode
from headwater.streaming.operators import load_operators
from headwater.streaming.operators.base import Kind, OperatorPlan, Site, kinds, watermarked
from headwater.streaming.operators.refused import IN_A_BATCH, RefusedPlan
from headwater.streaming.pruning import pruned
from headwater.streaming.statics import StaticSide
from headwater.streaming.watermark import WatermarkNode
from headwater.types.duck import to_duck

_SCHEMA_CHECK = "spark.sql.streaming.stateStore.stateSchemaCheck"


@dataclass(frozen=True)
class OperatorCut:
    """A compiled operator, and the relations it is compiled over."""

    number: int
    plan: OperatorPlan
    sources: tuple[str, ...]


Cut = WatermarkNode | ObserveNode | OperatorCut


@dataclass(frozen=True)
class CutPlan:
    """A compiled plan whose state has no place yet."""

    output: Resolved
    leaves: tuple[tuple[str, ...], ...]
    inputs: dict[str, object]
    cuts: tuple[Cut, ...]
    statics: tuple[StaticSide, ...] = ()
    schema_check: bool = True

    def opened(self, checkpoint: Checkpoint) -> Dataflow:
        """The stream with its state in a checkpoint. Raises if other operators keep theirs there."""
        nodes = tuple(
            _opened(cut, _Stores(checkpoint, cut.number, self.schema_check)) if isinstance(cut, OperatorCut) else cut
            for cut in self.cuts
        )
        checkpoint.check_operators({n.number: n.operator.name for n in nodes if isinstance(n, OperatorNode)})
        return Dataflow(self.output.query, self.output.schema, self.leaves, dict(self.inputs), nodes, self.statics)


class _Stores:
    """Opens an operator's stores: the default one in its folder, named ones beneath."""

    def __init__(self, checkpoint: Checkpoint, number: int, schema_check: bool) -> None:
        self._checkpoint = checkpoint
        self._schema_check = schema_check
        self._folder = checkpoint.state_path(number)
        self.opened: list[StateStore] = []

    def __call__(self, name: str) -> StateStore:
        folder = f"{self._folder}/{name}" if name else self._folder
        store = StateStore(self._checkpoint.storage, folder, schema_check=self._schema_check)
        self.opened.append(store)
        return store


def _opened(cut: OperatorCut, stores: _Stores) -> OperatorNode:
    return OperatorNode(cut.number, cut.plan.opened(stores), cut.sources, stores.opened, _reads(cut))


def cut_plan(plan: Relation, leaves: Sequence[Leaf], session: StreamSession, mode: OutputMode) -> CutPlan:
    """Compile a checked plan. Raises as `compile_relation`."""
    load_operators()
    check_names(plan)
    cutter = _Cutter(StreamContext(session, {}), mode)
    for index, leaf in enumerate(leaves):
        cutter.context.add(leaf.relation_id, leaf.resolved(index))
    output = compiler.compile_relation(cutter.relation(plan), cutter.context)
    inputs = {**cutter.inputs, **output.inputs}
    cuts = tuple(cutter.finished(output.query))
    columns = tuple(leaf.columns for leaf in leaves)
    check = session.settings.flag(_SCHEMA_CHECK)
    return CutPlan(output, columns, inputs, cuts, tuple(cutter.context.statics), check)


class _Cutter:
    def __init__(self, context: StreamContext, mode: OutputMode) -> None:
        self.context = context
        self.mode = mode
        self.cuts: list[Cut] = []
        self.inputs: dict[str, object] = {}
        self._operators = self._empty = 0
        self._observed: dict[str, tuple[str, ...]] = {}
        self._kept: dict[int, Resolved] = {}

    def relation(self, node: Relation) -> Relation:
        """The plan with a leaf in the place of every cut."""
        return cast(Relation, self._cut(node))

    def _cut(self, node: Node) -> Node:
        if isinstance(node, Relation) and self.streams(node):
            if isinstance(node, WithWatermark):
                return self._watermark(node)
            if isinstance(node, CollectMetrics):
                return self._observe(node)
            if isinstance(node, Limit) and node.count == 0:
                return self._nothing(node)
            kind = kinds.get(type(node))
            if kind is not None and kind.applies(node, self.streams, self.mode):
                return self._operator(node, kind)
        return node.map_children(self._cut)

    def streams(self, node: Relation) -> bool:
        """Whether a stream is below."""
        return bool(self._sources(node))

    def _sources(self, node: Node) -> tuple[str, ...]:
        """What flows into a node; an `observe` lets through what flows into it."""
        found = (one.relation_id for one in node.walk() if isinstance(one, CachedRemote) and self.context.knows(one))
        return tuple(source for name in found for source in self._observed.get(name, (name,)))

    def finished(self, output: exp.Query) -> Iterator[Cut]:
        """The cuts, no row kept and no column computed that nothing reads: see `folding` and `pruning`."""
        cuts = self.cuts
        for node in [cut for cut in cuts if isinstance(cut, WatermarkNode)]:
            cuts = _folded(node, cuts, output)
        queries = [output, *(query for cut in cuts for query in _reads(cut))]
        blind = [cut for cut in cuts if isinstance(cut, OperatorCut) and not _reads(cut)]
        unknown = {name for cut in blind for name in cut.sources}
        for cut in cuts:
            if isinstance(cut, WatermarkNode) and cut.output not in unknown:
                yield pruned(cut, self._kept[cut.number], queries)
            else:
                yield cut

    # ── the cuts ────────────────────────────────────────────────────────────────────────────────────────

    def _watermark(self, node: WithWatermark) -> Relation:
        below = node.map_children(self._cut)
        sources = self._sources(below)
        number = sum(isinstance(cut, WatermarkNode) for cut in self.cuts)
        made = compiler.compile_cut(below, self.context)
        again = any(self._has_watermark(source) for source in sources)
        event = watermarked(made.attributes)
        assert event is not None
        time: exp.Expression = exp.column(event.sql, quoted=True)
        if isinstance(event.type, StructType):
            time = exp.Dot(this=time, expression=exp.to_identifier("end", quoted=True))
        cut = WatermarkNode(number, made.query, time, int(cast(int, event.metadata[DELAY])), again=again)
        self.cuts.append(cut)
        self._kept[number] = made
        return self._leaf(cut.output, _over(cut.output, made), node)

    def _observe(self, node: CollectMetrics) -> Relation:
        check_metrics(node)
        below = node.map_children(self._cut)
        sources = self._sources(below)
        made = compiler.compile_cut(below, self.context)
        number = len(self._observed)
        name = f"observe_{number}"
        leaf = self._leaf(name, _over(name, made), node)
        metrics = compiler.compile_relation(Aggregate(leaf, "groupby", (), node.metrics), self.context)
        self._observed[name] = sources
        self.inputs.update({**made.inputs, **metrics.inputs})
        self.cuts.append(ObserveNode(number, node.name, made.query, metrics, self.context.time_zone))
        return leaf

    def _has_watermark(self, source: str) -> bool:
        if source.startswith("watermark_"):
            return True
        cut = next((c for c in self.cuts if isinstance(c, OperatorCut) and f"operator_{c.number}" == source), None)
        return cut is not None and any(self._has_watermark(one) for one in cut.sources)

    def _operator(self, node: Relation, kind: Kind) -> Relation:
        number = self._operators
        self._operators += 1
        below = node.map_children(self._cut)
        site = Site(number, self.mode, self.context)
        plan = self._built(below, kind, site)
        self.inputs.update(site.inputs)
        self.cuts.append(OperatorCut(number, plan, self._sources(below)))
        return self._leaf(site.output, plan.result, node)

    def _built(self, below: Relation, kind: Kind, site: Site) -> OperatorPlan:
        try:
            return kind.build(below, site)
        except AnalysisError as error:
            if error.condition not in IN_A_BATCH:
                raise
            return RefusedPlan(site, site.compile(below), error)

    def _nothing(self, node: Limit) -> Relation:
        """`limit(0)`: as in Spark, what is below is not read at all."""
        made = compiler.compile_cut(node.input, self.context)
        nulls = [exp.alias_(exp.cast(exp.null(), to_duck(a.type)), a.sql, quoted=True) for a in made.attributes]
        query = exp.select(*nulls).where(exp.false())
        self._empty += 1
        return self._leaf(f"nothing_{self._empty}", replace(made, query=query, hidden=()), node)

    def _leaf(self, name: str, resolved: Resolved, node: Relation) -> Relation:
        self.inputs.update(resolved.inputs)
        self.context.add(name, replace(resolved, inputs={}, streaming=True))
        return CachedRemote(name, plan_id=node.plan_id)


def _reads(cut: Cut) -> tuple[exp.Query, ...]:
    """The queries of a cut over its inputs; none: not known."""
    if isinstance(cut, OperatorCut):
        return cast(tuple[exp.Query, ...], getattr(cut.plan, "reads", ()))
    return (cut.query, cut.metrics.query) if isinstance(cut, ObserveNode) else (cut.query,)


def _folded(node: WatermarkNode, cuts: Sequence[Cut], output: exp.Query) -> list[Cut]:
    """The cuts, a watermark that one operator alone reads folded into it if that can be."""
    readers = [cut for cut in cuts if isinstance(cut, OperatorCut) and node.output in cut.sources]
    others = [output, *(query for cut in cuts if not isinstance(cut, OperatorCut) for query in _reads(cut))]
    named = any(table.name == node.output for query in others for table in query.find_all(exp.Table))
    fold = getattr(readers[0].plan, "folded", None) if len(readers) == 1 and not named else None
    made = fold(node) if fold is not None else None
    if made is None:
        return list(cuts)
    folded, plan = made
    changed: dict[int, Cut] = {id(node): folded, id(readers[0]): replace(readers[0], plan=plan)}
    return [changed.get(id(cut), cut) for cut in cuts]


def _over(name: str, made: Resolved) -> Resolved:
    """The columns of a relation, read from the table that holds its rows."""
    columns = [exp.column(a.sql, quoted=True) for a in (*made.attributes, *made.hidden)]
    return replace(made, query=exp.select(*columns).from_(exp.to_table(name)))
