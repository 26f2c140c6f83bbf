"""Which commands claim a table's name while they run, so that two processes never make or drop one table at once.

Invariant: a command that only adds rows to a table that is there claims nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headwater.plan.commands import CloneTable, Command, CreateTable, DropObject, Write, WriteTo
from headwater.sessions.saving import DELTA

if TYPE_CHECKING:
    from headwater.sessions.session import Session


@contextmanager
def claiming(command: Command, session: Session) -> Iterator[None]:
    """The name that `command` makes or drops is its own until the end."""
    name = _named(command)
    if not name or (len(name) == 2 and name[0].lower() == DELTA) or _is_append(command, name, session):
        yield
        return
    with session.catalog.metastore.claim(*session.catalog.split(name)):
        yield


def _named(command: Command) -> tuple[str, ...]:
    if isinstance(command, CreateTable | WriteTo | CloneTable | Write):
        return command.table if not isinstance(command, CreateTable) else command.name
    if isinstance(command, DropObject) and command.kind == "table":
        return command.name
    return ()


def _is_append(command: Command, name: tuple[str, ...], session: Session) -> bool:
    if isinstance(command, WriteTo):
        return command.mode in ("append", "overwrite", "overwrite_partitions")
    return isinstance(command, Write) and session.catalog.stored(name) is not None
