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


def test_a_file_that_goes_and_comes_again_before_it_was_looked_at_is_found(tmp_path: Path) -> None:
    queue = FileQueue(Mounts(), [str(tmp_path)])
    (tmp_path / "a").symlink_to(tmp_path / "nowhere")  # listed, and not there
    queue.refresh()
    assert queue.take() == []
    (tmp_path / "a").unlink()
    put(tmp_path, "a", 1_700_000_000)
    queue.refresh()
    assert names(queue.take()) == ["a"]


def test_a_file_that_was_handed_out_never_comes_again(tmp_path: Path) -> None:
    queue = FileQueue(Mounts(), [str(tmp_path)])
    put(tmp_path, "a", 1_700_000_000)
    queue.refresh()
    assert names(queue.take()) == ["a"]
    (tmp_path / "a").unlink()
    queue.refresh()
    put(tmp_path, "a", 1_700_000_099)
    queue.refresh()
    assert queue.take() == []


def test_what_another_run_was_given_does_not_wait_any_more(tmp_path: Path) -> None:
    queue = FileQueue(Mounts(), [str(tmp_path)])
    for name in "ab":
        put(tmp_path, name, 1_700_000_000)
    queue.refresh()
    assert queue.waiting == (2, 2)
    queue.remember(str(tmp_path), "a", 1)
    assert queue.waiting == (1, 1)
    assert names(queue.take()) == ["b"]


def test_a_file_written_over_while_it_waits_waits_once(tmp_path: Path) -> None:
    queue = FileQueue(Mounts(), [str(tmp_path)], QueueOptions(overwrites=True))
    for seconds in (1, 2, 2):
        put(tmp_path, "a", 1_700_000_000 + seconds)
        queue.refresh()
    assert queue.waiting == (1, 1)
    (taken,) = queue.take()
    assert taken.modified_ms == 1_700_000_002_000
    queue.refresh()
    assert queue.take() == []
    put(tmp_path, "a", 1_700_000_003)
    queue.refresh()
    assert names(queue.take()) == ["a"]


def test_names_that_go_are_forgotten_but_not_those_of_files_that_may_come_again(tmp_path: Path) -> None:
    queue = FileQueue(Mounts(), [str(tmp_path)], QueueOptions(max_age_ms=1000))
    for number in range(1500):
        put(tmp_path, f"_{number}", 1_700_000_000)
        put(tmp_path, f"{number}", 1_700_000_000 + number // 1000)
    queue.refresh()
    assert len(queue.take()) == 1500
    for path in tmp_path.iterdir():
        path.unlink()
    put(tmp_path, "new", 1_700_000_002)
    queue.refresh()
    assert names(queue.take()) == ["new"]
    queue.refresh()
    folder = queue._folders[str(tmp_path)]
    assert folder.other == set()
    assert len(folder.known) == 501
