"""Writing the rows that a version changed: the files of a Delta table's change data feed.

Invariants: as of `lake.files`; a file of changes lies below `_change_data` and is named only by its own version.
"""

from __future__ import annotations

import os

from sqlglot import exp

from headwater.duck import Connection
from headwater.lake.actions import ChangeFile, Metadata
from headwater.lake.change_feed import FOLDER, recorded_metadata
from headwater.lake.files import FileWriter


def write(
    connection: Connection, folder: str, metadata: Metadata, rows: exp.Query, *, durable: bool = True
) -> tuple[ChangeFile, ...]:
    """Write changed rows (the table's columns, then `_change_type`) as the files of the version to be committed.

    Raises as `FileWriter.write`.
    """
    wanted = recorded_metadata(metadata)
    target = os.path.join(folder, FOLDER)
    files = FileWriter(target, wanted, durable, prefix="cdc").write(connection, rows, wanted.schema)
    return tuple(ChangeFile(f"{FOLDER}/{file.path}", file.partition_values, file.size) for file in files)
