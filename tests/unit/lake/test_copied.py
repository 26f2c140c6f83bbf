"""The lists of COPY INTO: chained back from the counter, whole every so often, of one table."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import SparkError
from headwater.io.local import LocalStorage
from headwater.lake.copied import CopyLists, ListName, Loaded


def lists(folder: Path, table: str = "id") -> CopyLists:
    return CopyLists(LocalStorage("none"), str(folder), table)


def test_lists_add_up_and_few_are_read(tmp_path: Path) -> None:
    found, before = lists(tmp_path), Loaded()
    for number in range(40):
        before = found.read(found.add(before, [f"file:/{number}"]))
    assert before.paths == {f"file:/{number}" for number in range(40)}
    assert before.newest is not None
    assert before.newest.load == 40
    written = sorted((tmp_path / "_delta_log/_copy_into").iterdir(), key=lambda file: int(file.stem.split("-")[1]))
    for old in written[:31]:
        old.unlink()
    assert found.read(before.newest) == before


def test_a_list_that_lost_is_not_on_the_way(tmp_path: Path) -> None:
    found = lists(tmp_path)
    first = found.read(found.add(Loaded(), ["a"]))
    winner, loser = found.add(first, ["b"]), found.add(first, ["c"])
    assert winner != loser
    found.remove(loser)
    found.remove(loser)
    assert found.read(winner).paths == {"a", "b"}


def test_another_table_in_the_folder_has_loaded_nothing(tmp_path: Path) -> None:
    number = lists(tmp_path).add(Loaded(), ["a"])
    other = lists(tmp_path, "new")
    assert other.read(number) == Loaded(number)
    assert other.read(other.add(other.read(number), ["b"])).paths == {"b"}


def test_a_lost_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(SparkError, match=r"load-1-2\.json"):
        lists(tmp_path).read(ListName(1, 2))
