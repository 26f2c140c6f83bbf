"""How many rows each source gave a batch, read from DuckDB's profile of the statement that ran it.

Invariant: it never reads a row; a source whose scan is not in the profile counts 0.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from sqlglot import exp

from headwater.duck import Connection, DuckError
from headwater.sources.base import BatchInput


def enable(connection: Connection) -> None:
    """Make DuckDB keep a profile of each statement, `COPY` and `CREATE TABLE` too, and print none."""
    connection.execute("PRAGMA enable_profiling = 'no_output'").fetchall()
    connection.execute("SET profiling_coverage = 'ALL'").fetchall()


class Profile:
    """The scans of the statement that ran last on a connection."""

    def __init__(self, connection: Connection) -> None:
        try:
            tree = json.loads(connection.get_profiling_information(format="json"))
        except (DuckError, ValueError):
            tree = {}
        self._scans = list(_scans(tree.get("operator", [])))

    def __bool__(self) -> bool:
        return bool(self._scans)

    def rows(self, rows: BatchInput) -> int:
        """Rows scanned by the scan over the files that the query names; each scan is counted for one input."""
        files = {name for names in rows.variables.values() for name in names}
        files |= {literal.name for literal in rows.query.find_all(exp.Literal) if literal.is_string}
        for scan in self._scans:
            if scan[0] in files:
                self._scans.remove(scan)
                return scan[1]
        return 0


def _scans(operators: Sequence[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """(first file, rows) of every file scan."""
    for operator in operators:
        names = str(operator.get("extra_info", {}).get("Filename(s)", ""))
        if names:
            yield names.split(",")[0].strip(), int(operator.get("rows_scanned", operator.get("intermediate_rows", 0)))
        yield from _scans(operator.get("children", []))
