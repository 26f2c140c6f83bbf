"""Two operations meet on one table: who wins, who fails and how, and what the table holds then.

Every pair of `support.conflict_operations` runs for real: both read the same version, one commits, the other tries.
The outcome is the one that Delta 4.3 on Apache Spark had, which `support.record_conflicts` has recorded.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import headwater.lake.table
from headwater.errors import SparkError
from headwater.lake.table import LakeTable
from support.conflict_operations import DEFINITION, OPERATIONS, ROWS
from support.lake import rows
from support.sql_session import Sql

RECORD = json.loads((Path(__file__).parents[1] / "data" / "delta_conflicts" / "outcomes.json").read_text("utf-8"))
PAIRS = [pytest.param(level, pair, id=f"{level}-{pair['winner']}-{pair['loser']}".replace(" ", "_"))
         for level, pairs in RECORD.items() for pair in pairs]  # fmt: skip
OWN_WAYS = {
    ("set property", "vacuum"): "its two log entries change nothing, so they follow whatever has been committed",
    ("stream q", "stream q"): "a batch that is there already is passed over, which adds nothing either",
}
"""Where a loser that Delta refuses goes on here, with the same rows."""


class Writer:
    """A server of its own, with the table under a name."""

    def __init__(self, warehouse: Path) -> None:
        self.sql = Sql(str(warehouse))
        self._tables = 0

    def does(self, name: str, path: str) -> None:
        """Run an operation on the table in `path`."""
        self._tables += 1
        table = f"t{self._tables}"
        self.sql(f"CREATE TABLE {table} USING delta LOCATION '{path}'")
        try:
            for text in OPERATIONS[name]:
                self.sql(text.replace("{t}", table))
        finally:
            for text in OPERATIONS[name]:
                if text.startswith("RESET"):
                    self.sql(text)


@pytest.fixture(scope="module")
def writers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Writer, Writer]]:
    found = [Writer(tmp_path_factory.mktemp(name)) for name in ("winner", "loser")]
    yield found[0], found[1]
    for writer in found:
        writer.sql.close()


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory, writers: tuple[Writer, Writer]) -> dict[str, Path]:
    """The table that pairs meet on, by isolation level; the other level is what a table has that says nothing."""
    found = {}
    for level in ("WriteSerializable", "Serializable"):
        sql, path = writers[0].sql, tmp_path_factory.mktemp(level) / "t"
        sql(DEFINITION.replace("{t}", level) + f" LOCATION '{path}'")
        if level == "Serializable":
            # In the first version, so that versions are numbered as recorded.
            log = path / "_delta_log" / f"{0:020}.json"
            asked = f'"configuration":{{"delta.isolationLevel":"{level}"}}'
            log.write_text(log.read_text("utf-8").replace('"configuration":{}', asked), "utf-8")
        for text in ROWS:
            sql(text.replace("{t}", level))
        found[level] = path
    return found


@pytest.fixture
def meanwhile(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
    """Lets something be done between the next write's reading and its commit."""
    commit = headwater.lake.table.commit

    def once(action: Callable[[], None]) -> None:
        waiting = [action]

        def paused(*arguments: Any) -> Any:
            if waiting:
                waiting.pop()()
            return commit(*arguments)

        monkeypatch.setattr(headwater.lake.table, "commit", paused)

    return once


@pytest.mark.parametrize(("level", "pair"), PAIRS)
def test_a_pair_ends_as_with_delta(
    level: str,
    pair: dict[str, Any],
    writers: tuple[Writer, Writer],
    tables: dict[str, Path],
    meanwhile: Callable[[Callable[[], None]], None],
    tmp_path: Path,
) -> None:
    path = str(tmp_path / "t")
    shutil.copytree(tables[level], path)
    meanwhile(lambda: writers[0].does(pair["winner"], path))
    error = None
    try:
        writers[1].does(pair["loser"], path)
    except SparkError as caught:
        error = caught
    found = sorted((list(row) for row in rows(LakeTable.open(path))), key=repr)
    assert found == pair["rows"]
    if (pair["winner"], pair["loser"]) in OWN_WAYS:
        assert (error, pair["error"] is None) == (None, False)
        return
    assert outcome_of(error) == recorded(pair["error"])
    if error is not None and error.condition.startswith("DELTA_CONCURRENT"):
        assert str(error.parameters["operation"]) in str(error)


def outcome_of(error: SparkError | None) -> list[str] | None:
    return None if error is None else [error.java_classes[0].rpartition(".")[2], error.condition, error.sql_state]


def recorded(error: list[str] | None) -> list[str] | None:
    """The class, the condition and the SQLSTATE."""
    return None if error is None else [*error[:2], "2D521"]
