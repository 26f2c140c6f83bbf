"""COPY INTO as it was asked for.

Invariants: as for commands; at most one of `files` and `pattern` is given.
"""

from __future__ import annotations

from headwater.plan.commands import Command, Options
from headwater.plan.node import node
from headwater.plan.relations import Relation

ALL_ROWS = -1


@node
class CopyInto(Command):
    """COPY INTO table [BY POSITION | (columns)] FROM 'path' | (SELECT … FROM 'path') FILEFORMAT = format …

    Attributes:
        path: the folder, file or glob to load from.
        query: over a table of the one-part name `path`; None: all columns.
        by_position: columns go to the table's by place, those of `columns` if there are any.
        files: names below the path. pattern: a glob below the path.
        validate: how many rows to look at instead of loading; `ALL_ROWS`; None: load.
    """

    table: tuple[str, ...]
    path: str
    format: str
    query: Relation | None = None
    columns: tuple[str, ...] = ()
    by_position: bool = False
    files: tuple[str, ...] = ()
    pattern: str | None = None
    validate: int | None = None
    format_options: Options = ()
    copy_options: Options = ()
