"""Whether two plans mean the same: their structure with DataFrame numbers renamed in order of appearance.

Invariant: equal fingerprints for equal plans in every process (no hash randomisation), also for local data.
"""

from __future__ import annotations

import hashlib
import zlib
from dataclasses import fields
from typing import Any

import pyarrow as pa

from headwater.plan.node import Node
from headwater.plan.relations import Relation


def fingerprint(relation: Relation) -> int:
    """A 32-bit signed number, as `semanticHash` returns it."""
    unsigned = zlib.crc32(canonical(relation).encode())
    return unsigned - (1 << 32) if unsigned >= 1 << 31 else unsigned


def canonical(relation: Relation) -> str:
    """The plan as text in which only its meaning counts."""
    return _text(relation, {})


def _text(value: Any, plans: dict[int, int]) -> str:
    if isinstance(value, Node):
        return f"{type(value).__name__}({', '.join(_field(value, item.name, plans) for item in fields(value))})"  # type: ignore[arg-type]
    if isinstance(value, tuple):
        return f"({', '.join(_text(item, plans) for item in value)})"
    if isinstance(value, pa.Table):
        return _digest(value)
    return repr(value)


def _field(node: Node, name: str, plans: dict[int, int]) -> str:
    value = getattr(node, name)
    if name != "plan_id":
        return _text(value, plans)
    if value is None or isinstance(node, Relation):
        return "-"
    return str(plans.setdefault(value, len(plans)))


def _digest(table: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()
