"""`df.mergeInto(table, condition)…merge()`.

Invariant: what the client lets one build in any order is one list of clauses, each kind in the order it was added.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, cast

from headwater.connect.decode.base import Decoder, command, expression
from headwater.connect.proto import pb2
from headwater.errors import AnalysisError
from headwater.plan.commands import Merge, MergeClause
from headwater.plan.identifiers import parse_name

_Action = pb2.MergeAction
_KINDS = {
    _Action.ACTION_TYPE_DELETE: "delete",
    _Action.ACTION_TYPE_INSERT: "insert",
    _Action.ACTION_TYPE_INSERT_STAR: "insert",
    _Action.ACTION_TYPE_UPDATE: "update",
    _Action.ACTION_TYPE_UPDATE_STAR: "update",
}
_STARS = (_Action.ACTION_TYPE_INSERT_STAR, _Action.ACTION_TYPE_UPDATE_STAR)


@command("merge_into_table_command")
def merge(decoder: Decoder, message: Any) -> Merge:
    """Raises NO_MERGE_ACTION_SPECIFIED."""
    groups = {
        "matched": message.match_actions,
        "not_matched": message.not_matched_actions,
        "not_matched_by_source": message.not_matched_by_source_actions,
    }
    clauses = tuple(clause for when, actions in groups.items() for clause in _clauses(decoder, when, actions))
    if not clauses:
        raise AnalysisError("NO_MERGE_ACTION_SPECIFIED")
    return Merge(
        parse_name(message.target_table_name),
        decoder.relation(message.source_table_plan),
        decoder.expression(message.merge_condition),
        clauses,
        evolve=message.with_schema_evolution,
    )


def _clauses(decoder: Decoder, when: str, actions: Iterable[Any]) -> Iterator[MergeClause]:
    for action in actions:
        yield replace(cast(MergeClause, decoder.expression(action)), when=when)  # type: ignore[arg-type]


@expression("merge_action")
def action(decoder: Decoder, message: Any) -> MergeClause:
    """A clause; the command that it stands in says when it applies."""
    return MergeClause(
        "matched",
        _KINDS[message.action_type],  # type: ignore[arg-type]
        decoder.expression(message.condition) if message.HasField("condition") else None,
        decoder.expressions(one.key for one in message.assignments),
        decoder.expressions(one.value for one in message.assignments),
        star=message.action_type in _STARS,
    )
