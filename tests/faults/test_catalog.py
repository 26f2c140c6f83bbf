"""Several processes on one catalog: a name is made once, with the rows of the one that made it, and a kill frees it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TESTS = Path(__file__).resolve().parents[1]
SCRIPT = """
import json, sys
from headwater.errors import SparkError
from headwater.plan.relations import Relation
from headwater.sessions.runtime import Runtime
from headwater.sessions.session import Session
from headwater.sql import parse_statement

session = Session(Runtime.local({"spark.sql.warehouse.dir": sys.argv[1]}))
print("ready", flush=True)
for line in sys.stdin:
    try:
        made = parse_statement(json.loads(line))
        found = made if isinstance(made, Relation) else session.run(made)
        rows = [] if found is None else [list(r.values()) for r in session.execute(found).table().to_pylist()]
        print(json.dumps(rows, default=str), flush=True)
    except SparkError as error:
        print(json.dumps(error.condition), flush=True)
"""


class Process:
    """A process with a session on the warehouse, that runs the statements it is sent."""

    def __init__(self, warehouse: Path, crash_at: str | None = None) -> None:
        environment = {**os.environ, "PYTHONPATH": str(TESTS)}
        environment.pop("HEADWATER_CRASH_AT", None)
        if crash_at is not None:
            environment["HEADWATER_CRASH_AT"] = crash_at
        self._child = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(warehouse)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    def ready(self) -> Process:
        """Wait until it listens."""
        assert self._child.stdout is not None
        assert self._child.stdout.readline() == "ready\n"
        return self

    def send(self, *statements: str) -> None:
        """Statements to run; the answers wait."""
        assert self._child.stdin is not None
        for text in statements:
            self._child.stdin.write(json.dumps(text) + "\n")
        self._child.stdin.flush()

    def answers(self, count: int) -> list[Any]:
        """Rows, or the error's condition, of the next statements."""
        assert self._child.stdout is not None
        return [json.loads(self._child.stdout.readline()) for _ in range(count)]

    def end(self) -> int:
        """Its exit status."""
        self._child.communicate(timeout=60)
        return self._child.returncode


def test_of_several_makers_of_a_name_one_wins_and_only_its_rows_are_there(tmp_path: Path) -> None:
    processes = [Process(tmp_path) for _ in range(3)]
    for process in processes:
        process.ready()
    names = [f"t{i}" for i in range(4)]
    for number, process in enumerate(processes):
        process.send(*(f"CREATE TABLE {name} USING delta AS SELECT {number} AS maker" for name in names))
        process.send("CREATE TABLE IF NOT EXISTS shared (id INT) USING delta", f"INSERT INTO shared VALUES ({number})")
        process.send(f"CREATE SCHEMA IF NOT EXISTS s{number}", f"CREATE TABLE s{number}.own (id INT) USING delta")
    answers = [process.answers(len(names) + 4) for process in processes]
    for place, name in enumerate(names):
        winners = [number for number, given in enumerate(answers) if given[place] == []]
        others = [given[place] for number, given in enumerate(answers) if number not in winners]
        assert others == ["TABLE_OR_VIEW_ALREADY_EXISTS"] * 2
        processes[0].send(f"SELECT * FROM {name}")
        assert processes[0].answers(1) == [[winners]]
    assert [given[len(names) :] for given in answers] == [[[]] * 4] * 3
    processes[1].send("SELECT id FROM shared ORDER BY id", "SHOW TABLES", "SHOW SCHEMAS")
    rows, tables, schemas = processes[1].answers(3)
    assert rows == [[0], [1], [2]]
    assert [row[1] for row in tables] == ["shared", *names]
    assert [row[0] for row in schemas] == ["default", "s0", "s1", "s2"]
    assert [process.end() for process in processes] == [0, 0, 0]


def test_a_killed_maker_leaves_no_claim_and_no_name(tmp_path: Path) -> None:
    killed = Process(tmp_path, "lake.data_written:1").ready()
    killed.send("CREATE TABLE t USING delta LOCATION '" + str(tmp_path / "place") + "' AS SELECT 1 AS maker")
    assert killed.end() == -signal.SIGKILL
    other = Process(tmp_path).ready()
    other.send(
        "SHOW TABLES", "CREATE TABLE t USING delta LOCATION '" + str(tmp_path / "place") + "' AS SELECT 2 AS maker"
    )
    other.send("SELECT * FROM t", "DROP TABLE t", "SHOW TABLES")
    assert other.answers(5) == [[], [], [[2]], [], []]
    assert other.end() == 0


CTAS = "CREATE TABLE t USING delta AS SELECT id, 'rows of ' || id AS v FROM range(20)"
MAKERS = {
    "ctas": CTAS,
    "parquet": CTAS.replace("delta", "parquet"),
    "replace": CTAS.replace("CREATE", "CREATE OR REPLACE"),
    "empty": "CREATE TABLE t (id BIGINT) USING delta",
    "clone": "CREATE TABLE t SHALLOW CLONE source",
}


@pytest.mark.parametrize(
    ("maker", "point"),
    [
        ("ctas", "catalog.making:1"),
        ("ctas", "lake.data_written:1"),
        ("ctas", "storage.temp:1"),
        ("ctas", "storage.link:1"),
        ("ctas", "lake.committed:1"),
        ("replace", "lake.committed:1"),
        ("parquet", "catalog.making:1"),
        ("empty", "lake.committed:1"),
        ("clone", "lake.committed:1"),
    ],
)
def test_a_killed_maker_of_a_managed_table_leaves_its_folder_to_the_next_one(
    tmp_path: Path, maker: str, point: str
) -> None:
    first = Process(tmp_path).ready()
    first.send(f"CREATE TABLE source USING delta LOCATION '{tmp_path / 'source'}' AS SELECT 1L AS id")
    assert first.answers(1) == [[]]
    killed = Process(tmp_path, point).ready()
    killed.send(MAKERS[maker])
    assert killed.end() == -signal.SIGKILL
    first.send("SHOW TABLES", "SELECT * FROM t", "CREATE TABLE t USING delta AS SELECT 7 AS other", "SELECT * FROM t")
    tables, missing, *made = first.answers(4)
    assert [row[1] for row in tables] == ["source"]
    assert missing == "TABLE_OR_VIEW_NOT_FOUND"
    assert made[1] == [[7]]
    first.send("DESCRIBE HISTORY t", "DROP TABLE t", "SHOW TABLES")
    history, *_ = first.answers(3)
    assert [row[4] for row in history] == ["CREATE TABLE AS SELECT"]
    assert first.end() == 0


def test_a_killed_maker_is_cleared_away_by_a_stream_and_by_a_drop_too(tmp_path: Path) -> None:
    killed = Process(tmp_path, "lake.committed:1").ready()
    killed.send(CTAS)
    assert killed.end() == -signal.SIGKILL
    other = Process(tmp_path).ready()
    other.send("DROP TABLE IF EXISTS t")
    other.answers(1)
    assert not (tmp_path / "t").exists()
    other.send("CREATE TABLE t (id INT) USING delta", "SELECT * FROM t")
    assert other.answers(2)[1] == []
    assert other.end() == 0


def test_files_that_nobody_was_making_a_table_of_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "mine.txt").write_text("mine")
    process = Process(tmp_path).ready()
    process.send(CTAS, "DROP TABLE IF EXISTS t")
    assert process.answers(1) == ["LOCATION_ALREADY_EXISTS"]
    assert process.end() == 0
    assert (tmp_path / "t" / "mine.txt").read_text() == "mine"
