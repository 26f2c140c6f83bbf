"""How many rows each source gave a batch, read from DuckDB's profile of the statement that ran it.

Invariant: it never reads a row.
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
            tree = None
        # after a statement without a plan the profile is no object
        self._scans = list(_scans(tree.get("operator", []))) if isinstance(tree, dict) else []

    def rows(self, rows: BatchInput) -> int | None:
        """Rows scanned by the scan over the files that the query or its variables name, if it was this statement's.

        Each scan is counted for one input.
        """
        files = {name for names in rows.variables.values() for name in names}
        files = files or {literal.name for literal in rows.query.find_all(exp.Literal) if literal.is_string}
        for scan in self._scans:
            if scan[0] in files:
                self._scans.remove(scan)
                return scan[1]
        return None


def _scans(operators: Sequence[dict[str, Any]]) -> Iterator[tuple[str, int]]:
    """(first file, rows) of every file scan."""
    for operator in operators:
        info = operator.get("extra_info")
        names = str(info.get("Filename(s)", "")) if isinstance(info, dict) else ""
        if names:
            yield names.split(",")[0].strip(), int(operator.get("rows_scanned", operator.get("intermediate_rows", 0)))
        yield from _scans(operator.get("children", []))
