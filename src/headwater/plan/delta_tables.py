"""What `delta.tables.DeltaTable` asks for beyond SQL's commands.

Invariants: as for commands; a table is named by its parts, one at a path by ``delta.`path` ``.
"""

from __future__ import annotations

from typing import Literal as OneOf

from headwater.plan.commands import Command, CreateTable
from headwater.plan.node import node


@node
class FindDelta(Command):
    """`DeltaTable.forName`, `forPath`: a Delta table by its name; the result is the table as a relation."""

    table: tuple[str, ...]


@node
class IsDeltaTable(Command):
    """`DeltaTable.isDeltaTable(path)`; the result is one boolean."""

    path: str


@node
class BuildDelta(Command):
    """`DeltaTable.create()…execute()` and its kin.

    `table.name` is empty for a table that has a location only; of `table`, `replace` and `if_not_exists` are not set.
    """

    mode: OneOf["create", "create_if_not_exists", "replace", "create_or_replace"]
    table: CreateTable
