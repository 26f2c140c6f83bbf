"""Files appear whole or not at all, and never over another."""

import os
import threading

import pytest

from headwater.errors import IllegalArgumentError
from headwater.io.local import LocalStorage


@pytest.fixture(params=["full", "spark", "none"])
def storage(request):
    return LocalStorage(request.param)


def test_a_created_file_is_there_with_no_temporary_left(storage, tmp_path):
    path = str(tmp_path / "a" / "b" / "1")
    storage.create(path, b"x" * 10_000)
    assert storage.read(path) == b"x" * 10_000
    assert os.listdir(tmp_path / "a" / "b") == ["1"]


def test_creating_a_file_twice_keeps_the_first(storage, tmp_path):
    path = str(tmp_path / "1")
    storage.create(path, b"first")
    with pytest.raises(FileExistsError):
        storage.create(path, b"second")
    assert storage.read(path) == b"first"
    assert os.listdir(tmp_path) == ["1"]


def test_of_many_writers_exactly_one_creates_the_file(tmp_path):
    storage, won = LocalStorage("none"), []

    def write(number):
        try:
            storage.create(str(tmp_path / "n"), str(number).encode())
            won.append(number)
        except FileExistsError:
            pass

    threads = [threading.Thread(target=write, args=(number,)) for number in range(20)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert len(won) == 1
    assert storage.read(str(tmp_path / "n")) == str(won[0]).encode()


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        LocalStorage("full").create(str(tmp_path / "1"), b"x")
    assert os.listdir(tmp_path) == []


def test_replace_overwrites(storage, tmp_path):
    storage.replace(str(tmp_path / "x"), b"1")
    storage.replace(str(tmp_path / "x"), b"2")
    assert storage.read(str(tmp_path / "x")) == b"2"


def test_a_folder_that_is_not_there_is_empty(storage, tmp_path):
    assert storage.list(str(tmp_path / "no")) == []
    assert list(storage.walk(str(tmp_path / "no"))) == []
    storage.delete(str(tmp_path / "no"))


def test_walk_finds_all_files_below_with_sizes_and_times(storage, tmp_path):
    storage.create(str(tmp_path / "a" / "1"), b"12")
    storage.create(str(tmp_path / "2"), b"123")
    found = sorted(storage.walk(str(tmp_path)))
    assert [(os.path.relpath(file.path, tmp_path), file.size) for file in found] == [("2", 3), ("a/1", 2)]
    assert all(file.modified_ms > 1_600_000_000_000 for file in found)


def test_move_makes_folders_and_delete_takes_trees(storage, tmp_path):
    storage.create(str(tmp_path / "1"), b"x")
    storage.move(str(tmp_path / "1"), str(tmp_path / "deep" / "er" / "2"))
    assert storage.read(str(tmp_path / "deep" / "er" / "2")) == b"x"
    storage.delete(str(tmp_path / "deep"))
    assert os.listdir(tmp_path) == []


def test_an_unknown_durability_is_refused():
    with pytest.raises(IllegalArgumentError, match="full, spark or none"):
        LocalStorage("maybe")


def test_a_file_that_goes_while_its_folder_is_listed_is_not_there(tmp_path, monkeypatch):
    storage = LocalStorage("none")
    for name in ("kept", "going"):
        storage.create(str(tmp_path / "in" / name), b"x")
    scandir = os.scandir

    def scan_and_lose(folder):
        entries = list(scandir(folder))
        (tmp_path / "in" / "going").unlink(missing_ok=True)
        return entries

    monkeypatch.setattr(os, "scandir", scan_and_lose)
    assert [file.path for file in storage.walk(str(tmp_path / "in"))] == [str(tmp_path / "in" / "kept")]
    storage.create(str(tmp_path / "in" / "going"), b"x")
    assert list(storage.times(str(tmp_path / "in"))) == ["kept"]
