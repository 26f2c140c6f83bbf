"""A checked streaming plan compiled once: the stateless part below, the operator's state, the part above.

Without an aggregation the whole plan is one query over the streams' views. With one, everything below it becomes the
operator's input, and everything above it a query over the operator's result.

Invariants: nothing is compiled again after the start; column names of the state do not depend on the plan around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlglot import exp

from headwater import compile as compiler
from headwater.compile.relations.aggregate import AggregatePieces, compile_aggregate
from headwater.compile.resolved import Resolved
from headwater.duck import sql_text
from headwater.errors import unsupported
from headwater.plan.node import Node
from headwater.plan.relations import Aggregate, CachedRemote, Relation
from headwater.sinks.base import OutputMode
from headwater.state.store import StateStore
from headwater.streaming.analysis import streaming_aggregate
from headwater.streaming.checkpoint import Checkpoint
from headwater.streaming.engine import CompiledStream
from headwater.streaming.leaves import Leaf, StreamContext, StreamSession
from headwater.streaming.operators.aggregate import AggregatePlan, StreamingAggregate, is_set

_RESULT = "aggregate_0"


@dataclass(frozen=True)
class Compiled:
    """A compiled plan whose state has no place yet."""

    resolved: Resolved
    leaves: tuple[tuple[str, ...], ...]
    aggregate: AggregatePlan | None = None
    below: Resolved | None = None

    def opened(self, checkpoint: Checkpoint, mode: OutputMode) -> CompiledStream:
        """The stream with its state in a checkpoint. Raises STREAMING_CHECKPOINT_MISMATCH."""
        checkpoint.check_operators(0 if self.aggregate is None else 1)
        inputs = {**(self.below.inputs if self.below else {}), **self.resolved.inputs}
        operators: tuple[StreamingAggregate, ...] = ()
        if self.aggregate is not None and mode != "append":
            store = StateStore(checkpoint.storage, checkpoint.state_path(0))
            operators = (StreamingAggregate(self.aggregate, store, mode, 0),)
        return CompiledStream(self.resolved.query, self.resolved.schema, self.leaves, inputs, operators)


def compile_stream(plan: Relation, leaves: Sequence[Leaf], session: StreamSession) -> Compiled:
    """Compile a checked plan. Raises as `compile_relation`."""
    known = {leaf.relation_id: leaf.resolved(index) for index, leaf in enumerate(leaves)}
    columns = tuple(leaf.columns for leaf in leaves)
    context = StreamContext(session, known)
    node = streaming_aggregate(plan, set(known))
    if node is None:
        return Compiled(compiler.compile_relation(plan, context), columns)
    if node.having is not None:
        raise unsupported("HAVING on a stream", "Filter the aggregated columns in an outer query.")
    pieces = compile_aggregate(node, context)
    above = _replaced(plan, node)
    resolved = compiler.compile_relation(above, StreamContext(session, {**known, _RESULT: _result(pieces)}))
    return Compiled(resolved, columns, _aggregate_plan(pieces), pieces.child)


def _replaced(plan: Relation, node: Aggregate) -> Relation:
    def change(one: Node) -> Node:
        return CachedRemote(_RESULT, plan_id=node.plan_id) if one is node else one.map_children(change)

    return cast(Relation, change(plan))


def _aggregate_plan(pieces: AggregatePieces) -> AggregatePlan:
    for state in pieces.states:
        if state.distinct and not is_set(state.call):
            raise unsupported(f"{sql_text(state.call)} on a stream", "Use approx_count_distinct.")
    return AggregatePlan(
        pieces.child.query,
        tuple(key.sql for key in pieces.keys),
        tuple(state.call for state in pieces.states),
        {attribute.sql: attribute.name for attribute in pieces.child.attributes},
    )


def _result(pieces: AggregatePieces) -> Resolved:
    """The aggregation's output over the operator's result view."""
    names = [key.attribute.sql for key in pieces.keys]
    keys = [exp.alias_(exp.column(f"key_{i}"), n, quoted=True) for i, n in enumerate(names)]
    states = [exp.alias_(exp.column(f"measure_{i}"), s.name, quoted=True) for i, s in enumerate(pieces.states)]
    inner = exp.select(*keys, *states).from_(_RESULT).subquery("grouped")
    outputs = [exp.alias_(cast(exp.Expression, i.sql).copy(), i.attribute.sql, quoted=True) for i in pieces.outputs]
    attributes = tuple(item.attribute for item in pieces.outputs)
    return Resolved(exp.select(*outputs).from_(inner), attributes, streaming=True)
