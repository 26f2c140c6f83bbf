"""Streams with dead letters killed at each step: every row is in the table or among the letters, once."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kill import KILLED, Job, Nursery, read_delta

STEPS = tuple(f"step{number}:1" for number in range(3, 9))
WRITES = tuple(f"{point}:{hit}" for point in ("lake.data_written", "storage.created") for hit in (1, 2, 3))
POINTS = (*STEPS, "dead_letters.kept:1", "dead_letters.kept:2", *WRITES)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


class Truth:
    """Files of rows of which some are good, some are no records, and some fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.good: list[tuple[int, int]] = []
        self.letters: Counter[tuple[str, str]] = Counter()
        self._files = 0
        (folder / "in").mkdir()

    def add(self) -> None:
        """One more file."""
        number = self._files
        failing = json.dumps({"id": number, "k": f"x{number}"})
        lines = [f"no record {number}", failing]
        self.letters.update([(lines[0], "MALFORMED_RECORD_IN_PARSING"), (failing, "CAST_INVALID_INPUT")])
        for id_ in (10 * number, 10 * number + 1):
            self.good.append((id_, id_ % 3))
            lines.insert(1, json.dumps({"id": id_, "k": str(id_ % 3)}))
        hidden = self.folder / f"{number}.tmp"
        hidden.write_text("".join(f"{line}\n" for line in lines))
        hidden.rename(self.folder / "in" / f"{number:05}.json")
        self._files += 1

    def check_letters(self) -> None:
        assert Counter(read_delta(self.folder / "letters", ("record", "error_class"))) == self.letters


def run(nursery: Nursery, folder: Path, script: str, crash: str | None = None) -> int:
    (outcome,) = nursery.run(Job(str(folder), "json", script=script, crash=crash))
    assert outcome.status in (0, KILLED), outcome.error
    return outcome.status


def test_rows_or_letters(nursery: Nursery, tmp_path: Path) -> None:
    truth, kills = Truth(tmp_path), 0
    for point in POINTS:
        truth.add()
        kills += run(nursery, tmp_path, "letters_of_rows", point) == KILLED
    truth.add()
    assert run(nursery, tmp_path, "letters_of_rows") == 0
    assert kills == len(POINTS)
    assert Counter(read_delta(tmp_path / "out", ("id", "k"))) == Counter(truth.good)
    truth.check_letters()


def test_below_state(nursery: Nursery, tmp_path: Path) -> None:
    truth, kills = Truth(tmp_path), 0
    for point in POINTS:
        truth.add()
        kills += run(nursery, tmp_path, "letters_below_state", point) == KILLED
    truth.add()
    assert run(nursery, tmp_path, "letters_below_state") == 0
    assert kills >= len(POINTS) - 1
    assert Counter(dict(read_delta(tmp_path / "out", ("k", "count")))) == Counter(k for _, k in truth.good)
    truth.check_letters()


@pytest.mark.parametrize("point", ["dead_letters.kept:2", "step6:1", "step7:1"])
def test_what_failed_once_does_not_arrive_as_well(nursery: Nursery, tmp_path: Path, point: str) -> None:
    """Where the user mends the query after the crash, the batch that was begun keeps its letters."""
    truth = Truth(tmp_path)
    truth.add()
    assert run(nursery, tmp_path, "letters_once_flaky", point) == KILLED
    (tmp_path / "mended").touch()
    truth.add()
    assert run(nursery, tmp_path, "letters_once_flaky") == 0
    later = [(1, None)]  # of the file that came after the mending
    assert Counter(read_delta(tmp_path / "out", ("id", "k"))) == Counter([*truth.good, *later])
    found = Counter(read_delta(tmp_path / "letters", ("record", "error_class")))
    assert found == truth.letters - Counter({(json.dumps({"id": 1, "k": "x1"}), "CAST_INVALID_INPUT"): 1})
