"""Relations that aggregate, and those with several inputs: groupBy, joins, set operations, subqueries.

Invariant: one function per protocol message, nothing resolved.
"""

from __future__ import annotations

from typing import Any

from headwater.connect.decode.base import Decoder, relation
from headwater.connect.decode.literals import literal
from headwater.connect.proto import pb2
from headwater.errors import unsupported
from headwater.plan import relations as p

_GROUPS = {
    pb2.Aggregate.GROUP_TYPE_GROUPBY: "groupby",
    pb2.Aggregate.GROUP_TYPE_ROLLUP: "rollup",
    pb2.Aggregate.GROUP_TYPE_CUBE: "cube",
    pb2.Aggregate.GROUP_TYPE_PIVOT: "pivot",
    pb2.Aggregate.GROUP_TYPE_GROUPING_SETS: "grouping_sets",
}
_JOINS = {
    pb2.Join.JOIN_TYPE_UNSPECIFIED: "inner",
    pb2.Join.JOIN_TYPE_INNER: "inner",
    pb2.Join.JOIN_TYPE_FULL_OUTER: "full_outer",
    pb2.Join.JOIN_TYPE_LEFT_OUTER: "left_outer",
    pb2.Join.JOIN_TYPE_RIGHT_OUTER: "right_outer",
    pb2.Join.JOIN_TYPE_LEFT_ANTI: "left_anti",
    pb2.Join.JOIN_TYPE_LEFT_SEMI: "left_semi",
    pb2.Join.JOIN_TYPE_CROSS: "cross",
}
_SETS = {
    pb2.SetOperation.SET_OP_TYPE_INTERSECT: "intersect",
    pb2.SetOperation.SET_OP_TYPE_UNION: "union",
    pb2.SetOperation.SET_OP_TYPE_EXCEPT: "except",
}


@relation("aggregate")
def aggregate(decoder: Decoder, message: Any) -> p.Aggregate:
    """`groupBy(…).agg(…)`, `rollup`, `cube`, `pivot`, `groupingSets`."""
    kind = _GROUPS.get(message.group_type)
    if kind is None:
        raise unsupported("an unknown kind of grouping")
    pivot = message.pivot if message.HasField("pivot") else None
    return p.Aggregate(
        decoder.relation(message.input),
        kind,  # type: ignore[arg-type]
        decoder.expressions(message.grouping_expressions),
        decoder.expressions(message.aggregate_expressions),
        decoder.expression(pivot.col) if pivot else None,
        tuple([literal(decoder, value) for value in pivot.values]) if pivot else (),
        tuple([decoder.expressions(each.grouping_set) for each in message.grouping_sets]),
    )


@relation("join")
def join(decoder: Decoder, message: Any) -> p.Join:
    """`join`, `crossJoin`."""
    return p.Join(
        decoder.relation(message.left),
        decoder.relation(message.right),
        _JOINS[message.join_type],  # type: ignore[arg-type]
        decoder.expression(message.join_condition) if message.HasField("join_condition") else None,
        tuple(message.using_columns),
    )


@relation("lateral_join")
def lateral_join(decoder: Decoder, message: Any) -> p.Join:
    """`lateralJoin`."""
    return p.Join(
        decoder.relation(message.left),
        decoder.relation(message.right),
        _JOINS[message.join_type],  # type: ignore[arg-type]
        decoder.expression(message.join_condition) if message.HasField("join_condition") else None,
        lateral=True,
    )


@relation("set_op")
def set_operation(decoder: Decoder, message: Any) -> p.SetOperation:
    """`union`, `unionByName`, `intersect`, `exceptAll`, …"""
    kind = _SETS.get(message.set_op_type)
    if kind is None:
        raise unsupported("an unknown set operation")
    return p.SetOperation(
        decoder.relation(message.left_input),
        decoder.relation(message.right_input),
        kind,  # type: ignore[arg-type]
        message.is_all,
        message.by_name,
        message.allow_missing_columns,
    )


@relation("with_relations")
def with_relations(decoder: Decoder, message: Any) -> p.WithRelations:
    """A plan and the plans that its subqueries name."""
    references = tuple([decoder.relation(reference) for reference in message.references])
    return p.WithRelations(decoder.relation(message.root), references)
