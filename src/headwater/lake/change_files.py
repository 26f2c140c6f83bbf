"""Writing the rows that a version changed: the files of a Delta table's change data feed.

Invariants: as of `lake.files`; a file of changes lies below `_change_data` and is named only by its own version.
"""

from __future__ import annotations

import os

from sqlglot import exp

from headwater.duck import Connection
from headwater.lake.actions import ChangeFile, Metadata, decode_path
from headwater.lake.change_feed import FOLDER, recorded_metadata
from headwater.lake.files import FileWriter, flush


def write(
    connection: Connection, folder: str, metadata: Metadata, rows: exp.Query, *, durable: bool = True
) -> tuple[ChangeFile, ...]:
    """Write changed rows (the table's columns, then `_change_type`) as the files of the version to be committed.

    Raises as `FileWriter.write`.
    """
    wanted = recorded_metadata(metadata)
    target = os.path.join(folder, FOLDER)
    files = FileWriter(target, wanted, durable).write(connection, rows, wanted.schema)
    return tuple(ChangeFile(_named(target, file.path, durable), file.partition_values, file.size) for file in files)


def _named(folder: str, path: str, durable: bool) -> str:
    """The file's path in the table, once it has the name that files of changes have."""
    parent, name = os.path.split(path)
    target = os.path.join(parent, name.replace("part-", "cdc-", 1))
    os.rename(os.path.join(folder, decode_path(path)), os.path.join(folder, decode_path(target)))
    if durable:
        flush(os.path.join(folder, decode_path(parent)))
    return f"{FOLDER}/{target}"
