"""A child process that does one kind of work on a Delta table again and again, for tests of many writers at once.

    python mixed_writer.py PATH KIND NUMBER COUNT

Prints a JSON line for each attempt: the version it made (None if it changed nothing) or the condition it lost with.
Invariant: a row's id says who wrote it: `NUMBER * 1_000_000 + n`; whoever deletes or updates names the ids.
"""

from __future__ import annotations

import json
import sys

from sqlglot import exp

from headwater.errors import ConcurrentWriteError
from headwater.io.local import LocalStorage
from headwater.lake.merge import SOURCE, Clause, Merge, target_column
from headwater.lake.optimize import Optimize, optimize
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation
from headwater.lake.vacuum import Vacuum, vacuum
from headwater.types.ddl import parse_schema
from support.lake import connection, query

SCHEMA = parse_schema("id bigint, p bigint")


class Work:
    """One writer's steps; each returns the rows that its success adds and takes away."""

    def __init__(self, path: str, number: int) -> None:
        self.table, self.session, self.number = LakeTable.open(path), connection(), number

    def append(self, step: int) -> tuple[list[int], list[int]]:
        """Ten rows."""
        ids = [self.number * 1_000_000 + step * 10 + i for i in range(10)]
        values = ", ".join(f"({one}::BIGINT, {self.number}::BIGINT)" for one in ids)
        self.table.append(self.session, query(f"SELECT * FROM (VALUES {values}) v(id, p)"), SCHEMA)
        return ids, []

    def merge(self, step: int) -> tuple[list[int], list[int]]:
        """One row of the writer's own partition is added, the one before it deleted."""
        new, old = self.number * 1_000_000 + step, self.number * 1_000_000 + step - 1
        self.session.execute(
            f"CREATE OR REPLACE TEMP TABLE {SOURCE} AS SELECT {new}::BIGINT AS source_0 UNION ALL SELECT {old}::BIGINT"
        )
        mine = exp.EQ(this=exp.column(target_column(1)), expression=exp.Literal.number(self.number))
        same = exp.EQ(this=exp.column(target_column(0)), expression=exp.column("source_0"))
        only_new = exp.EQ(this=exp.column("source_0"), expression=exp.Literal.number(new))
        clauses = (
            Clause("matched", "delete"),
            Clause("not_matched", "insert", only_new, (exp.column("source_0"), exp.Literal.number(self.number))),
        )
        asked = Merge(SCHEMA, exp.And(this=mine, expression=same), clauses, Operation("MERGE"))
        counts = self.table.merge(self.session, asked)
        return [new] * counts.inserted, [old] * counts.deleted

    def optimize(self, _: int) -> tuple[list[int], list[int]]:
        """Small files of the first two partitions are joined."""
        optimize(self.table, self.session, Optimize(where=query("SELECT p <= 2").expressions[0]))
        return [], []

    def vacuum(self, _: int) -> tuple[list[int], list[int]]:
        """What no version of the last hour needs goes: nothing that anybody here writes."""
        vacuum(self.table, Vacuum(3_600_000, checked=False), LocalStorage())
        return [], []


def main(path: str, kind: str, number: int, count: int) -> None:
    """Do the work, one JSON line for each step."""
    work = Work(path, number)
    for step in range(count):
        try:
            added, gone = getattr(work, kind)(step)
            print(json.dumps({"added": added, "gone": gone}), flush=True)
        except ConcurrentWriteError as lost:
            print(json.dumps({"lost": lost.condition}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], *map(int, sys.argv[3:]))
