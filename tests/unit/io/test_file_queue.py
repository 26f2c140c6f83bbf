"""Files wait in order, and looking at the next ones does not hand them out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headwater.io.file_queue import FileQueue, QueueOptions, Take
from headwater.io.mounts import Mounts


def put(folder: Path, name: str, seconds: int) -> None:
    (folder / name).write_text("1")
    os.utime(folder / name, (seconds, seconds))


def names(files: list[object]) -> list[str]:
    return [os.path.basename(file.path) for file in files]  # type: ignore[attr-defined]


@pytest.mark.parametrize(("latest", "order"), [(False, ["a", "b", "c", "d"]), (True, ["d", "c", "b", "a"])])
def test_what_is_looked_at_is_what_is_taken(tmp_path: Path, latest: bool, order: list[str]) -> None:
    queue = FileQueue(Mounts(), [str(tmp_path)], QueueOptions(latest_first=latest))
    for seconds, name in enumerate("cadb"):
        put(tmp_path, name, 1_700_000_000 + "abcd".index(name))
        if seconds == 1:
            queue.refresh()
            queue.peek()  # what comes later is put in order all the same
    queue.refresh()

    (looked_at,) = queue.peek(Take(3))
    assert names(looked_at) == order[:3]
    assert [names(files) for files in queue.peek(Take(3), times=5)] == [order[:3], order[3:]]
    assert names(queue.take(Take(3))) == names(looked_at)
    assert names(queue.take()) == order[3:]
    assert queue.peek() == []


def test_too_old_files_are_passed_over_once_a_newer_one_is_there(tmp_path: Path) -> None:
    queue = FileQueue(Mounts(), [str(tmp_path)], QueueOptions(max_age_ms=5000))
    put(tmp_path, "a", 1_700_000_000)
    queue.refresh()
    assert names(queue.peek()[0]) == ["a"]
    put(tmp_path, "b", 1_700_000_010)
    queue.refresh()
    assert names(queue.take()) == ["b"]
