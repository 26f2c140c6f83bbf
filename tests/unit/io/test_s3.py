"""Storage in S3 against an emulator: created once whatever answers are lost, listings, errors that say what to do."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from headwater.io import s3
from headwater.io.s3 import S3Error, S3Storage, s3_storage
from support.s3_server import SECRET, Emulator, emulated


@pytest.fixture(scope="module")
def server() -> Iterator[Emulator]:
    with emulated("box") as one:
        yield one


@pytest.fixture
def storage(server: Emulator) -> S3Storage:
    return s3_storage()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No pauses between tries."""
    monkeypatch.setattr(s3, "_PAUSES", (0.0,) * 5)


def test_create_never_overwrites(storage: S3Storage) -> None:
    storage.create("s3://box/create/a", b"one")
    with pytest.raises(FileExistsError):
        storage.create("s3://box/create/a", b"two")
    assert storage.read("s3://box/create/a") == b"one"


def test_of_several_that_create_an_object_one_wins(storage: S3Storage) -> None:
    def tries(writer: int) -> list[int]:
        won = []
        for number in range(25):
            try:
                storage.create(f"s3://box/race/{number}", str(writer).encode())
            except FileExistsError:
                continue
            won.append(number)
        return won

    with ThreadPoolExecutor(4) as pool:
        won = list(pool.map(tries, range(4)))
    assert sorted(number for one in won for number in one) == list(range(25))
    for writer, numbers in enumerate(won):
        assert all(storage.read(f"s3://box/race/{number}") == str(writer).encode() for number in numbers)


def test_a_lost_answer_of_a_creation_is_looked_up(server: Emulator, storage: S3Storage, quick: None) -> None:
    server.lose_answers("PUT", "/lost/a", times=1)
    storage.create("s3://box/lost/a", b"one")
    assert server.lost() == 1
    assert storage.read("s3://box/lost/a") == b"one"
    with pytest.raises(FileExistsError):
        storage.create("s3://box/lost/a", b"one")


def test_a_lost_creation_is_tried_again(server: Emulator, storage: S3Storage, quick: None) -> None:
    server.lose_answers("PUT", "/lost/b", times=2, carried_out=False)
    storage.create("s3://box/lost/b", b"one")
    assert server.lost() == 2
    assert storage.read("s3://box/lost/b") == b"one"


def test_a_lost_answer_does_not_make_anothers_object_ours(server: Emulator, storage: S3Storage, quick: None) -> None:
    storage.create("s3://box/lost/c", b"same bytes")
    server.lose_answers("PUT", "/lost/c", times=1)
    with pytest.raises(FileExistsError):
        storage.create("s3://box/lost/c", b"same bytes")
    assert server.lost() == 1


def test_a_creation_whose_fate_stays_unknown_is_an_error(server: Emulator, storage: S3Storage, quick: None) -> None:
    server.lose_answers("PUT", "/lost/d", times=100, carried_out=False)
    with pytest.raises(OSError, match="lost/d") as caught:
        storage.create("s3://box/lost/d", b"one")
    assert not isinstance(caught.value, FileExistsError)
    server.lose_answers("PUT", "/", times=0)
    assert not storage.exists("s3://box/lost/d")


def test_listings(storage: S3Storage) -> None:
    for key in ("tree/a", "tree/b c/d=1%2F2/x", "tree/b c/é", "trees"):
        storage.replace(f"s3://box/{key}", key.encode())
    assert sorted(storage.list("s3://box/tree")) == ["a", "b c"]
    found = {one.path: one.size for one in storage.walk("s3://box/tree")}
    assert found == {
        "s3://box/tree/a": 6,
        "s3://box/tree/b c/d=1%2F2/x": len("tree/b c/d=1%2F2/x"),
        "s3://box/tree/b c/é": len("tree/b c/é".encode()),
    }
    assert storage.read("s3://box/tree/b c/d=1%2F2/x") == b"tree/b c/d=1%2F2/x"
    assert storage.list("s3://box/none") == []
    assert storage.times("s3://box/tree").keys() == {"a"}


def test_what_is_there(storage: S3Storage) -> None:
    storage.replace("s3://box/there/a", b"abc")
    assert storage.exists("s3://box/there")
    assert storage.exists("s3://box/there/a")
    assert not storage.exists("s3://box/ther")
    found, data = storage.status("s3://box/there/a"), storage.fetch("s3://box/there/a")
    assert found is not None
    assert (found.size, found.modified_ms) == (3, data[1])
    assert data[0] == b"abc"
    assert storage.status("s3://box/there") is None
    with pytest.raises(FileNotFoundError):
        storage.read("s3://box/there/none")


def test_an_object_in_the_place_of_another_has_another_identity(storage: S3Storage) -> None:
    storage.replace("s3://box/same", b"abc")
    before = storage.identity("s3://box/same")
    storage.replace("s3://box/same", b"abd")
    assert None not in (before, storage.identity("s3://box/same"))
    assert storage.identity("s3://box/same") != before
    assert storage.identity("s3://box/none") is None


def test_delete_takes_a_folder_and_nothing_beside_it(storage: S3Storage) -> None:
    for key in ("gone/a", "gone/b/c", "gone2"):
        storage.replace(f"s3://box/{key}", b"")
    storage.delete("s3://box/gone")
    assert not storage.exists("s3://box/gone")
    assert storage.exists("s3://box/gone2")
    storage.delete("s3://box/gone")


def test_move_renames_and_uploads(storage: S3Storage, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"0123456789" * 700_000)
    storage.move(str(tmp_path / "x"), "s3://box/moved/x")
    assert not (tmp_path / "x").exists()
    storage.move("s3://box/moved/x", "s3://box/moved/y")
    assert storage.list("s3://box/moved") == ["y"]
    assert storage.read("s3://box/moved/y") == b"0123456789" * 700_000
    assert storage.read_range("s3://box/moved/y", 6_999_998, 7_000_000) == b"89"


def test_a_bucket_that_is_not_there_is_named(storage: S3Storage, quick: None) -> None:
    for ask in (lambda path: storage.create(path, b""), storage.read, storage.list, storage.exists):
        with pytest.raises(S3Error, match=r"s3://no-such-bucket/a failed: S3 answered (NoSuchBucket|404)"):
            ask("s3://no-such-bucket/a")


def test_nothing_that_listens_is_an_error_of_its_path(monkeypatch: pytest.MonkeyPatch, server: Emulator) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free.getsockname()[1]}")
    monkeypatch.setattr(s3, "_RETRIES", 1)
    with pytest.raises(OSError, match="s3://box/a"):
        S3Storage().read("s3://box/a")


def test_secrets_show_nowhere(storage: S3Storage) -> None:
    shown = [repr(storage), repr(vars(storage)), repr(s3.access("s3"))]
    with pytest.raises(FileNotFoundError) as caught:
        storage.read("s3://box/none")
    shown += [str(caught.value), repr(caught.value)]
    assert not [text for text in shown if SECRET in text]
