"""Delta's relations (`delta.connect.DeltaRelation`): a `DeltaTable` as rows, and what its methods do.

What changes a table is done when the plan is decoded, as `spark.catalog` calls are: the relation is its result. The
genuine client sends each of them once.

Invariants: the table is found, or DELTA_MISSING_DELTA_TABLE raised, before anything else is decoded; a column that
was taken from the target's own DataFrame means the target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import reduce
from typing import Any, Literal, TypeVar

import pyarrow as pa

from headwater.connect.decode.base import Decoder, relation
from headwater.connect.decode.delta_messages import chosen, unpacked
from headwater.connect.decode.leaves import schema_text
from headwater.connect.proto import pb2
from headwater.errors import AnalysisError, unsupported
from headwater.plan.commands import (
    ConvertToDelta,
    Delete,
    Describe,
    Merge,
    MergeClause,
    Optimize,
    Restore,
    Update,
)
from headwater.plan.delta_tables import FindDelta, IsDeltaTable
from headwater.plan.expressions import Call, Column, Expression
from headwater.plan.identifiers import parse_name
from headwater.plan.node import Node
from headwater.plan.relations import LocalData, ReadTable, Relation, SubqueryAlias

When = Literal["matched", "not_matched", "not_matched_by_source"]
N = TypeVar("N", bound=Node)


@relation("extension")
def extension(decoder: Decoder, message: Any) -> Relation:
    """A relation of Delta. Raises UNSUPPORTED_FEATURE for other plug-ins."""
    name, content = chosen(unpacked(message, "DeltaRelation"))
    return _RELATIONS[name](decoder, content)


def table_name(message: Any) -> tuple[str, ...]:
    """The name of a `DeltaTable` message; the table need not exist."""
    if not message.HasField("path"):
        return name_or_path(message.table_or_view_name)
    if message.path.hadoop_conf:
        raise unsupported("hadoopConf of a DeltaTable", "Give the server the settings of the storage.")
    return ("delta", message.path.path)


def name_or_path(text: str) -> tuple[str, ...]:
    """The parts of a name; an absolute path is ``delta.`path` ``, for so `clone` names its target."""
    return ("delta", text) if text.startswith("/") or "://" in text.partition("`")[0] else parse_name(text)


def found_table(decoder: Decoder, message: Any) -> tuple[str, ...]:
    """The name of a `DeltaTable` message. Raises DELTA_MISSING_DELTA_TABLE."""
    name = table_name(message)
    decoder.run(FindDelta(name))
    return name


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────


def _scan(decoder: Decoder, message: Any) -> Relation:
    return decoder.run(FindDelta(table_name(message.table)))


def _history(decoder: Decoder, message: Any) -> Relation:
    return decoder.run(Describe("history", found_table(decoder, message.table)))


def _detail(decoder: Decoder, message: Any) -> Relation:
    return decoder.run(Describe("detail", found_table(decoder, message.table)))


def _is_delta_table(decoder: Decoder, message: Any) -> Relation:
    return decoder.run(IsDeltaTable(message.path))


# ── changing rows ───────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Target:
    """The table to change: its name, its alias, and the DataFrames that are it."""

    decoder: Decoder
    table: tuple[str, ...]
    alias: str | None
    plan_ids: frozenset[int]

    def expression(self, data: bytes) -> Expression:
        """An expression over its columns."""
        return self._bound(self.decoder.expression(pb2.Expression.FromString(data)))

    def condition(self, message: Any) -> Expression | None:
        """The message's condition, if it has one."""
        return self.expression(message.condition) if message.HasField("condition") else None

    def _bound(self, node: N) -> N:
        if isinstance(node, Column) and node.plan_id in self.plan_ids:
            names = (self.alias,) if self.alias else self.table
            return Column((*names, *node.parts))  # type: ignore[return-value]
        return node.map_children(self._bound)


def _target(decoder: Decoder, data: bytes) -> _Target:
    """The target as the client sends it: a scan, with the aliases it was given around it."""
    node = decoder.relation(pb2.Relation.FromString(data))
    alias, ids = None, set()
    while isinstance(node, SubqueryAlias) and not node.columns:
        alias = alias or node.alias
        ids.add(node.plan_id)
        node = node.input
    if not isinstance(node, ReadTable):
        raise unsupported("a DeltaTable that is not a table", "Take it by DeltaTable.forName or forPath.")
    ids.add(node.plan_id)
    return _Target(decoder, node.parts, alias, frozenset(found for found in ids if found is not None))


def _delete(decoder: Decoder, message: Any) -> Relation:
    target = _target(decoder, message.target)
    return decoder.run(Delete(target.table, target.condition(message), target.alias))


def _update(decoder: Decoder, message: Any) -> Relation:
    target = _target(decoder, message.target)
    columns, values = _assigned(target, message.assignments)
    return decoder.run(Update(target.table, columns, values, target.condition(message), target.alias))


def _assigned(target: _Target, assignments: Iterable[Any]) -> tuple[tuple[Expression, ...], tuple[Expression, ...]]:
    found = [(target.expression(one.field), target.expression(one.value)) for one in assignments]
    return tuple(column for column, _ in found), tuple(value for _, value in found)


def _merge(decoder: Decoder, message: Any) -> Relation:
    target = _target(decoder, message.target)
    clauses = (
        *_clauses(target, "matched", message.matched_actions),
        *_clauses(target, "not_matched", message.not_matched_actions),
        *_clauses(target, "not_matched_by_source", message.not_matched_by_source_actions),
    )
    if not clauses and not message.with_schema_evolution:
        raise AnalysisError("DELTA_MERGE_MISSING_WHEN")
    source = decoder.relation(pb2.Relation.FromString(message.source))
    on = target.expression(message.condition)
    return decoder.run(Merge(target.table, source, on, clauses, target.alias, message.with_schema_evolution))


def _clauses(target: _Target, when: When, actions: Iterable[Any]) -> Iterator[MergeClause]:
    for action in actions:
        yield _clause(target, when, action)


def _clause(target: _Target, when: When, action: Any) -> MergeClause:
    condition = target.condition(action)
    if action.HasField("delete_action"):
        return MergeClause(when, "delete", condition)
    for kind in ("update", "insert"):
        if action.HasField(f"{kind}_star_action"):
            return MergeClause(when, kind, condition, star=True)
        if action.HasField(f"{kind}_action"):
            assigned = _assigned(target, getattr(action, f"{kind}_action").assignments)
            return MergeClause(when, kind, condition, *assigned)
    raise unsupported("a newer action of delta.connect.MergeIntoTable")


# ── changing files ──────────────────────────────────────────────────────────────────────────────────────────


def _optimize(decoder: Decoder, message: Any) -> Relation:
    from headwater.sql import parse_expression

    table = found_table(decoder, message.table)
    filters = [parse_expression(text) for text in message.partition_filters]
    condition = reduce(lambda one, other: Call("and", (one, other)), filters) if filters else None
    return decoder.run(Optimize(table, condition, tuple(message.zorder_columns)))


def _restore(decoder: Decoder, message: Any) -> Relation:
    table = found_table(decoder, message.table)
    version = message.version if message.HasField("version") else None
    return decoder.run(Restore(table, version, message.timestamp if message.HasField("timestamp") else None))


def _convert(decoder: Decoder, message: Any) -> Relation:
    """The result is how the client finds the table then: its name, or ``delta.`path` ``."""
    name = parse_name(message.identifier)
    schema = None
    if message.HasField("partition_schema_struct"):
        schema = decoder.struct(pb2.DataType.FromString(message.partition_schema_struct))
    elif message.HasField("partition_schema_string"):
        schema = schema_text(message.partition_schema_string)
    decoder.run(ConvertToDelta(name, schema))
    of_path = len(name) == 2 and name[0].lower() == "parquet"
    return LocalData(pa.table({"identifier": [f"delta.`{name[1]}`" if of_path else message.identifier]}))


_RELATIONS: dict[str, Callable[[Decoder, Any], Relation]] = {
    "scan": _scan,
    "describe_history": _history,
    "describe_detail": _detail,
    "is_delta_table": _is_delta_table,
    "delete_from_table": _delete,
    "update_table": _update,
    "merge_into_table": _merge,
    "optimize_table": _optimize,
    "restore_table": _restore,
    "convert_to_delta": _convert,
}
