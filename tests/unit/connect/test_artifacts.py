"""Artifacts: stored under their name, checked, confined to their folder."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator

import pytest

from headwater.connect.artifacts import Artifacts
from headwater.connect.proto import pb2
from headwater.errors import SparkError

Request = pb2.AddArtifactsRequest


@pytest.fixture
def artifacts() -> Iterator[Artifacts]:
    store = Artifacts()
    yield store
    store.close()


def chunk(data: bytes, crc: int | None = None) -> object:
    return Request.ArtifactChunk(data=data, crc=zlib.crc32(data) if crc is None else crc)


def single(name: str, data: bytes, crc: int | None = None) -> object:
    item = Request.SingleChunkArtifact(name=name, data=chunk(data, crc))
    return Request(batch=Request.Batch(artifacts=[item]))


def test_a_single_artifact_is_stored(artifacts: Artifacts) -> None:
    (summary,) = artifacts.add(iter([single("cache/abc", b"hello")]))
    assert summary.is_crc_successful
    assert artifacts.exists("cache/abc")
    assert artifacts.cached("abc") == b"hello"


def test_a_chunked_artifact_is_put_together(artifacts: Artifacts) -> None:
    begin = Request.BeginChunkedArtifact(name="files/big", total_bytes=4, num_chunks=2, initial_chunk=chunk(b"ab"))
    (summary,) = artifacts.add(iter([Request(begin_chunk=begin), Request(chunk=chunk(b"cd"))]))
    assert summary.is_crc_successful
    with open(artifacts.path("files/big"), "rb") as file:
        assert file.read() == b"abcd"


def test_a_wrong_crc_is_reported_and_not_kept(artifacts: Artifacts) -> None:
    begin = Request.BeginChunkedArtifact(name="b", total_bytes=4, num_chunks=2, initial_chunk=chunk(b"ab", 1))
    summaries = artifacts.add(iter([single("a", b"x", 1), Request(begin_chunk=begin), Request(chunk=chunk(b"cd"))]))
    assert [item.is_crc_successful for item in summaries] == [False, False]
    assert not artifacts.exists("a")
    assert not artifacts.exists("b")


def test_an_artifact_cut_short_is_an_error_and_not_kept(artifacts: Artifacts) -> None:
    begin = Request.BeginChunkedArtifact(name="b", total_bytes=4, num_chunks=2, initial_chunk=chunk(b"ab"))
    with pytest.raises(SparkError, match="ended too early"):
        artifacts.add(iter([Request(begin_chunk=begin)]))
    assert not artifacts.exists("b")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "a/../../x", "", "c:/x", "a\\..\\..\\x"])
def test_names_cannot_leave_the_folder(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(SparkError, match="INVALID_ARTIFACT_PATH"):
        artifacts.add(iter([single(name, b"x")]))


def test_files_for_the_servers_own_folders_are_refused(artifacts: Artifacts) -> None:
    with pytest.raises(SparkError, match="copyFromLocalToFs"):
        artifacts.add(iter([single("forward_to_fs/etc/x", b"x")]))


def test_python_files_and_archives_can_be_imported_from(artifacts: Artifacts) -> None:
    assert artifacts.python_paths() == []
    artifacts.add(iter([single("pyfiles/a.py", b""), single("pyfiles/b.zip", b"")]))
    assert artifacts.python_paths() == [artifacts.path("pyfiles"), artifacts.path("pyfiles/b.zip")]


def test_an_unknown_hash_is_named(artifacts: Artifacts) -> None:
    with pytest.raises(SparkError, match="abc"):
        artifacts.cached("abc")


def test_a_copy_is_independent_and_closing_deletes(artifacts: Artifacts) -> None:
    artifacts.add(iter([single("a", b"x")]))
    copy = artifacts.copy()
    folder = copy.folder
    assert copy.exists("a")
    copy.close()
    assert not os.path.exists(folder)
    assert artifacts.exists("a")
