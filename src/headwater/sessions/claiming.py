"""Which commands claim a table's name while they run, so that two processes never make or drop one table at once.

Invariants: a command that only adds rows to a table that is there claims nothing; a managed table whose maker was
killed is not there, and its folder is free for the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from headwater.catalog import Table
from headwater.crash import crash_point
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
    with session.catalog.metastore.claim(*session.catalog.split(name), session.runtime.storage):
        yield


@contextmanager
def making(table: Table, session: Session) -> Iterator[None]:
    """What comes into the folder of a new managed table is thrown away, unless the table is stored in the end.

    If this process is killed, whoever claims the name next does it. A folder that holds something is left alone.
    """
    metastore, storage = session.catalog.metastore, session.runtime.storage
    there = metastore.table(table.database, table.name) is not None
    if table.kind != "MANAGED" or not table.location or there or storage.list(table.location):
        yield
        return
    metastore.begin_table(table)
    crash_point("catalog.making")
    try:
        yield
    except BaseException:
        metastore.clear(table.database, table.name, storage)
        raise


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
