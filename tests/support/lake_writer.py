"""A child process that appends numbered batches to a Delta table, for tests that kill it or race it.

    python lake_writer.py PATH FIRST LAST [ROWS]

Appends batch i (ids i*ROWS … i*ROWS+ROWS-1) as ("writer", i) for i in FIRST..LAST and prints `i added|seen`.
Invariant: a batch has the same rows in every process.
"""

from __future__ import annotations

import sys

from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, numbers


def main(path: str, first: int, last: int, rows: int = 10) -> None:
    """Append the batches in order, printing one line each."""
    table, session = LakeTable.at(path), connection()
    for batch in range(first, last + 1):
        write = numbers(rows, batch * rows)
        result = table.append(session, write, parse_schema("id bigint, name string"), txn=("writer", batch))
        print(batch, "added" if result.committed else "seen", flush=True)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
