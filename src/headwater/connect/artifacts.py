"""Files and blobs a client sends to its session: one folder per session, gone with it.

Invariants: a name never leaves the folder (no absolute names, no `..`); what fails its CRC is not kept; a chunked
artifact appears whole or not at all.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from headwater.connect.proto import pb2
from headwater.errors import IllegalArgumentError, SparkError, unsupported

CACHE = "cache"
PYTHON_FILES = "pyfiles"
FORWARD = "forward_to_fs"

_Summary = pb2.AddArtifactsResponse.ArtifactSummary


class Artifacts:
    """The artifacts of one session."""

    def __init__(self) -> None:
        self._folder: str | None = None

    def add(self, requests: Iterator[Any]) -> list[Any]:
        """Store what a stream of AddArtifactsRequest carries; a summary of each. Raises on bad names and order."""
        summaries: list[Any] = []
        for request in requests:
            kind = request.WhichOneof("payload")
            if kind == "batch":
                summaries.extend(self._single(item.name, item.data) for item in request.batch.artifacts)
            elif kind == "begin_chunk":
                summaries.append(self._chunked(request.begin_chunk, requests))
            else:
                raise SparkError("INTERNAL_ERROR", message="An artifact's chunk came before its beginning.")
        return summaries

    def exists(self, name: str) -> bool:
        """Whether an artifact of this name is here."""
        return os.path.exists(self.path(name))

    def cached(self, digest: str) -> bytes:
        """The bytes of `cache/<digest>`. Raises if the client has not sent them."""
        try:
            with open(self.path(f"{CACHE}/{digest}"), "rb") as file:
                return file.read()
        except FileNotFoundError as error:
            raise SparkError("CONNECT_INVALID_PLAN.CANNOT_FIND_CACHED_LOCAL_RELATION", hash=digest) from error

    def path(self, name: str) -> str:
        """Where an artifact lies. Raises INVALID_ARTIFACT_PATH on absolute names and `..`."""
        parts = name.replace("\\", "/").split("/")
        if parts[0] == FORWARD:
            raise unsupported("copyFromLocalToFs", "Copy the file to the server's machine yourself.")
        if not name or name.startswith("/") or ".." in parts or "\0" in name or ":" in parts[0]:
            raise IllegalArgumentError("INVALID_ARTIFACT_PATH", name=name)
        return os.path.join(self.folder, *parts)

    @property
    def folder(self) -> str:
        """The session's folder, made when it is first needed."""
        if self._folder is None:
            self._folder = tempfile.mkdtemp(prefix="headwater-artifacts-")
        return self._folder

    def python_paths(self) -> list[str]:
        """What to add to `sys.path` for the Python files and archives that the client has sent."""
        if self._folder is None or not self.exists(PYTHON_FILES):
            return []
        folder = self.path(PYTHON_FILES)
        archives = [name for name in sorted(os.listdir(folder)) if name.endswith((".zip", ".egg"))]
        return [folder, *(os.path.join(folder, name) for name in archives)]

    def copy(self) -> Artifacts:
        """The same artifacts in a folder of their own."""
        other = Artifacts()
        if self._folder is not None:
            shutil.copytree(self._folder, other.folder, dirs_exist_ok=True)
        return other

    def close(self) -> None:
        """Delete everything."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _single(self, name: str, chunk: Any) -> Any:
        path = self.path(name)
        good = zlib.crc32(chunk.data) == chunk.crc
        if good:
            with _replacing(path) as file:
                file.write(chunk.data)
        return _Summary(name=name, is_crc_successful=good)

    def _chunked(self, begin: Any, requests: Iterator[Any]) -> Any:
        path = self.path(begin.name)
        with _replacing(path) as file:
            good = _append(file, begin.initial_chunk)
            for _ in range(begin.num_chunks - 1):
                request = next(requests, None)
                if request is None or request.WhichOneof("payload") != "chunk":
                    raise SparkError("INTERNAL_ERROR", message=f"The artifact {begin.name} ended too early.")
                good = _append(file, request.chunk) and good
            file.keep = good
        return _Summary(name=begin.name, is_crc_successful=good)


def _append(file: _replacing, chunk: Any) -> bool:
    file.write(chunk.data)
    return bool(zlib.crc32(chunk.data) == chunk.crc)


class _replacing:  # noqa: N801 (used as a verb)
    """A file that takes its name when it is complete."""

    def __init__(self, path: str) -> None:
        self._path = path
        self.keep = True

    def __enter__(self) -> _replacing:
        os.makedirs(os.path.dirname(self._path), exist_ok=True)
        handle, self._temporary = tempfile.mkstemp(dir=os.path.dirname(self._path), prefix=".")
        self._file = os.fdopen(handle, "wb")
        return self

    def write(self, data: bytes) -> None:
        self._file.write(data)

    def __exit__(self, kind: object, *_: object) -> None:
        self._file.close()
        if kind is None and self.keep:
            os.replace(self._temporary, self._path)
        else:
            with suppress(FileNotFoundError):
                os.unlink(self._temporary)
