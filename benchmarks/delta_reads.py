"""Reading Delta tables: full scans against DuckDB on the same files, a point query on a Z-ordered table, a long log.

    python -m benchmarks.delta_reads scan FOLDER PARTITIONS ROWS     seconds here and of DuckDB, medians
    python -m benchmarks.delta_reads point FOLDER ROWS               files of the table, and files that one id takes
    python -m benchmarks.delta_reads log FOLDER COMMITS              milliseconds until the newest version is known

Each prints one JSON object. The table is made in FOLDER on the first run.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
from sqlglot import exp, parse_one

from headwater.io.local import LocalStorage
from headwater.lake import checkpoint
from headwater.lake.log import DeltaLog
from headwater.lake.table import LakeTable
from headwater.plan.commands import Command
from headwater.plan.relations import Relation
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sql import parse_statement
from headwater.types.ddl import parse_schema

_REPEAT = 5
_CHECKPOINT_AGE = 150
_FILES = 400


def scan(folder: str, partitions: int, rows: int) -> dict[str, Any]:
    """All rows, one aggregate; `partitions` 0 is a table without."""
    session = _session(folder)
    if not LakeTable.exists(folder):
        schema = parse_schema("id bigint, amount double, name string" + (", p int" if partitions else ""))
        part = f", (i % {partitions})::INT AS p" if partitions else ""
        query = f"SELECT i AS id, i / 7 AS amount, 'name ' || i % 1000 AS name{part} FROM range({rows}) r(i)"
        tree = parse_one(query, dialect="duckdb")
        assert isinstance(tree, exp.Query)
        partition_by = ("p",) if partitions else ()
        LakeTable.at(folder).append(session.binder(), tree, schema, partition_by=partition_by)
    paths = [os.path.join(folder, file.path) for file in LakeTable.open(folder).snapshot().files]
    listed = ", ".join(f"'{path}'" for path in paths)
    asked = "SELECT count(*), sum(id), sum(amount), max(name) FROM"
    plan = _relation(f"{asked} delta.`{folder}`")
    connection = duckdb.connect(config={"threads": os.cpu_count() or 1})
    floor = f"{asked} read_parquet([{listed}], hive_partitioning = false)"
    ours, theirs = _medians(lambda: session.execute(plan).table(), lambda: connection.execute(floor).to_arrow_table())
    return {"seconds": ours, "floor": theirs, "files": len(paths)}


def point(folder: str, rows: int) -> dict[str, Any]:
    """One id of a table that is Z-ordered by two columns, in about 400 files."""
    session = _session(folder)
    if not LakeTable.exists(folder):
        made = f"SELECT hash(id) % {rows} AS id, id % 1000 AS kind, uuid() AS payload FROM range({rows})"
        session.run(_command(f"CREATE TABLE points USING delta LOCATION '{folder}' AS {made}"))
        size = sum(file.size for file in LakeTable.open(folder).snapshot().files)
        session.settings.set("spark.databricks.delta.optimize.maxFileSize", str(size // _FILES))
        session.run(_command(f"OPTIMIZE delta.`{folder}` ZORDER BY (id, kind)"))
    files = len(LakeTable.open(folder).snapshot().files)
    plan = _relation(f"SELECT * FROM delta.`{folder}` WHERE id = {rows // 3}")
    read = len(session.input_files(plan))
    (seconds,) = _medians(lambda: session.execute(plan).table())
    return {"seconds": seconds, "files": files, "read": read}


def log(folder: str, commits: int) -> dict[str, Any]:
    """The first load of a log with a checkpoint some way back."""
    if not LakeTable.exists(folder):
        table = LakeTable.create(folder, parse_schema("id bigint, name string"))
        for version in range(1, commits):
            stats = {
                "numRecords": 9,
                "minValues": {"id": version, "name": "a"},
                "maxValues": {"id": version, "name": "b"},
            }
            add = {"path": f"{version}.parquet", "partitionValues": {}, "size": 1, "modificationTime": 1}
            lines = [
                {"commitInfo": {"operation": "WRITE"}},
                {"add": {**add, "dataChange": True, "stats": json.dumps(stats)}},
            ]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            Path(table.path, "_delta_log", f"{version:020}.json").write_text(text, "utf-8")
        checkpoint.write(folder, commits - _CHECKPOINT_AGE)
    began, used = time.perf_counter(), time.process_time()
    state = DeltaLog(folder, LocalStorage()).load()
    wall, cpu = time.perf_counter() - began, time.process_time() - used
    return {"milliseconds": wall * 1000, "cpu": cpu * 1000, "files": len(state.files)}


def _session(folder: str) -> Session:
    return Session(Runtime.local({"headwater.durability": "none"}, warehouse=f"{folder}-warehouse"))


def _command(text: str) -> Command:
    node = parse_statement(text)
    assert isinstance(node, Command)
    return node


def _relation(text: str) -> Relation:
    node = parse_statement(text)
    assert isinstance(node, Relation)
    return node


def _medians(*works: Callable[[], object]) -> list[float]:
    """Seconds of each, run in turn; the first round warms up."""
    found: list[list[float]] = [[] for _ in works]
    for _ in range(_REPEAT + 1):
        for number, work in enumerate(works):
            began = time.perf_counter()
            work()
            found[number].append(time.perf_counter() - began)
    return [statistics.median(times[1:]) for times in found]


if __name__ == "__main__":
    kind, place, *numbers = sys.argv[1:]
    kinds: dict[str, Callable[..., dict[str, Any]]] = {"scan": scan, "point": point, "log": log}
    print(json.dumps(kinds[kind](place, *map(int, numbers))))
