"""Storage in S3 and what speaks its protocol: paths are `s3://bucket/key`, folders are what keys have in common.

An object is created with a conditional PUT (`If-None-Match: *`), so of two writers exactly one wins. Each creation
carries a mark of its own in the object's metadata. When the answer to a PUT is lost, the mark tells whether the object
that is there came from it, before anything is tried again.

Invariants: see `storage.Storage`; `create` succeeds for one caller alone, whatever answers are lost; an answer that
stays unknown is an error, never a success; no message holds more of a server's answer than its code.
"""

from __future__ import annotations

import errno
import os
import re
import threading
import time
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

from headwater.crash import crash_point
from headwater.errors import SparkError
from headwater.io.aws import Access, access, missing_package
from headwater.io.paths import REMOTE, bucket_and_key
from headwater.io.storage import FileStatus

_MARK = "headwater-writer"
_PAUSES = (0.0, 0.1, 0.4, 1.5, 4.0)
_RETRIES, _RETRY_SECONDS, _REQUEST_SECONDS = 5, 60, 60
_FINAL = frozenset({
    "NoSuchBucket", "InvalidBucketName", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken",
    "InvalidToken", "PermanentRedirect", "AllAccessDisabled", "403 Forbidden", "401 Unauthorized",
})  # fmt: skip
_CODE = re.compile(r"<Code>(\w+)</Code>")
_STATUS = re.compile(r"status code: (\d{3}[^:]*)")


class S3Error(SparkError, OSError):
    """A request that S3 refused or that was not answered; callers may handle it as any failure of a disk.

    Attributes:
        final: asking again gives the same answer.
    """

    final = False


class S3Storage:
    """The buckets that `AWS_*` opens, as a `Storage`; see the module. Use `s3_storage()`."""

    durable = True

    def __init__(self) -> None:
        self._stores: dict[tuple[str, bool, Access], Any] = {}
        self._lock = threading.Lock()

    # ── writing ─────────────────────────────────────────────────────────────────────────────────────────────

    def create(self, path: str, data: bytes) -> None:
        """See `Storage.create`. Raises S3_REQUEST_FAILED if whether it was written stays unknown."""
        mark = uuid.uuid4().hex
        failure: S3Error | None = None
        for pause in _PAUSES:
            time.sleep(pause)
            try:
                self._put_new(path, data, mark)
            except FileExistsError:
                pass  # by us, if an answer was lost, or by another: the mark tells
            except S3Error as cause:
                if cause.final:
                    raise
                failure = cause
            else:
                crash_point("storage.created")
                return
            try:
                found = self._mark_of(path)
            except S3Error as cause:
                failure = cause
                continue
            if found == mark:
                return
            if found is not None:
                raise FileExistsError(path)
        raise failure or _failed(path, "another request changed it at the same time")

    def _put_new(self, path: str, data: bytes, mark: str) -> None:
        store, key = self._at(path, once=True)
        with _errors(path):
            _obstore().put(store, key, data, mode="create", use_multipart=False, attributes={_MARK: mark})

    def _mark_of(self, path: str) -> str | None:
        """Who has created the object; None if it is not there."""
        store, key = self._at(path)
        try:
            with _errors(path):
                found: Mapping[str, str] = _obstore().get(store, key, options={"head": True}).attributes
        except FileNotFoundError:
            return None
        return found.get(_MARK, "")

    def replace(self, path: str, data: bytes, durable: bool = True) -> None:  # noqa: ARG002 (S3 is always durable)
        """See `Storage.replace`."""
        store, key = self._at(path)
        with _errors(path):
            _obstore().put(store, key, data, use_multipart=False)
        crash_point("storage.rename")

    def upload(self, source: str, path: str) -> None:
        """Make the local file `source` the object `path`; large ones go in several parts."""
        store, key = self._at(path)
        with _errors(path):
            _obstore().put(store, key, Path(source))
        crash_point("storage.uploaded")

    def delete(self, path: str) -> None:
        """See `Storage.delete`."""
        store, key = self._at(path)
        with _errors(path):
            below = [one["path"] for chunk in _obstore().list(store, key or None) for one in chunk]
        self.delete_all([path, *(f"{REMOTE}{bucket_and_key(path)[0]}/{one}" for one in below)])

    def delete_all(self, paths: Iterable[str]) -> None:
        """Delete objects of one bucket, many with one request; what is not there is passed over."""
        keys: dict[str, list[str]] = {}
        for path in paths:
            bucket, key = bucket_and_key(path)
            if key:
                keys.setdefault(bucket, []).append(key)
        for bucket, some in keys.items():
            store, _ = self._at(f"{REMOTE}{bucket}")
            try:
                with _errors(f"{REMOTE}{bucket}"):
                    _obstore().delete(store, some)
            except FileNotFoundError:
                continue

    def move(self, source: str, target: str) -> None:
        """See `Storage.move`; a local source is uploaded."""
        if not source.startswith(REMOTE):
            self.upload(source, target)
            os.unlink(source)
            return
        store, key = self._at(source)
        other, to = self._at(target)
        with _errors(source):
            if store is other:
                _obstore().copy(store, key, to)
            else:
                _obstore().put(other, to, self.read(source))
        self.delete_all([source])

    # ── reading ─────────────────────────────────────────────────────────────────────────────────────────────

    def read(self, path: str) -> bytes:
        """See `Storage.read`."""
        return self.fetch(path)[0]

    def fetch(self, path: str) -> tuple[bytes, int]:
        """See `Storage.fetch`."""
        store, key = self._at(path)
        with _errors(path):
            found = _obstore().get(store, key)
            return bytes(found.bytes()), _milliseconds(found.meta)

    def read_range(self, path: str, start: int, end: int, etag: str | None = None) -> bytes:
        """The bytes from `start` before `end`. With `etag`: of that content alone, else OSError."""
        store, key = self._at(path)
        options: dict[str, Any] = {"range": (start, end)}
        if etag is not None:
            options["if_match"] = etag
        with _errors(path):
            return bytes(_obstore().get(store, key, options=options).bytes())

    def exists(self, path: str) -> bool:
        """See `Storage.exists`."""
        return self.facts(path) is not None or self.is_folder(path)

    def is_folder(self, path: str) -> bool:
        """Whether any object lies below `path`."""
        store, key = self._at(path)
        with _errors(path):
            found = next(iter(_obstore().list(store, key or None, chunk_size=1)), ())
        return len(found) > 0 or not key

    def facts(self, path: str) -> Mapping[str, Any] | None:
        """`size`, `last_modified` and `e_tag` of an object; None if it is not there."""
        store, key = self._at(path)
        if not key:
            return None
        try:
            with _errors(path):
                facts: Mapping[str, Any] = _obstore().head(store, key)
        except FileNotFoundError:
            return None
        return facts

    def identity(self, path: str) -> object:
        """See `Storage.identity`."""
        facts = self.facts(path)
        return None if facts is None else (facts["e_tag"], facts["last_modified"])

    def status(self, path: str) -> FileStatus | None:
        """See `Storage.status`."""
        facts = self.facts(path)
        return None if facts is None else FileStatus(path, facts["size"], _milliseconds(facts))

    def list(self, folder: str) -> list[str]:
        """See `Storage.list`."""
        files, folders = self.children(folder)
        return [*(os.path.basename(file.path) for file in files), *folders]

    def children(self, folder: str) -> tuple[Sequence[FileStatus], Sequence[str]]:
        """The files directly in a folder, and the names of the folders in it."""
        store, key = self._at(folder)
        with _errors(folder):
            found = _obstore().list_with_delimiter(store, key or None)
        bucket, _ = bucket_and_key(folder)
        files = [_status(bucket, one) for one in found["objects"]]
        return files, [prefix.rstrip("/").rpartition("/")[2] for prefix in found["common_prefixes"]]

    def times(self, folder: str) -> dict[str, int]:
        """See `Storage.times`."""
        return {os.path.basename(file.path): file.modified_ms for file in self.children(folder)[0]}

    def walk(self, folder: str, after: str | None = None) -> Iterator[FileStatus]:
        """See `Storage.walk`; in order of keys. With `after` only objects whose paths are greater are asked for."""
        store, key = self._at(folder)
        bucket, _ = bucket_and_key(folder)
        offset = None if after is None else bucket_and_key(after)[1]
        with _errors(folder):
            for chunk in _obstore().list(store, key or None, offset=offset, chunk_size=1000):
                yield from (_status(bucket, one) for one in chunk)

    # ── the way there ───────────────────────────────────────────────────────────────────────────────────────

    def _at(self, path: str, *, once: bool = False) -> tuple[Any, str]:
        """The store of a path and the key in it; `once`: its requests are never tried again."""
        bucket, key = bucket_and_key(path)
        place = (bucket, once, access("s3"))
        with self._lock:
            store = self._stores.get(place)
            if store is None:
                store = self._stores[place] = _opened(*place)
        return store, key


_making = threading.Lock()


def s3_storage() -> S3Storage:
    """The one of this process."""
    with _making:
        return _the_storage()


@cache
def _the_storage() -> S3Storage:
    from headwater.io.s3_files import register

    storage = S3Storage()
    register(storage)
    return storage


def delta_options(path: str) -> dict[str, str] | None:
    """What delta-rs must be told to open the table at `path`; None for a local one."""
    if not path.startswith(REMOTE):
        return None
    found = access("s3")
    options = {"aws_region": found.region, "aws_skip_signature": str(found.anonymous).lower()}
    if found.endpoint:
        options |= {"aws_endpoint": found.endpoint, "allow_http": str(found.endpoint.startswith("http:")).lower()}
    keys = found.current_keys()
    if keys:
        names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
        options |= {name: key for name, key in zip(names, keys, strict=True) if key}
    return options


def _opened(bucket: str, once: bool, found: Access) -> Any:
    _obstore()
    from obstore.store import S3Store

    options: dict[str, Any] = {"region": found.region, "skip_signature": found.anonymous}
    if found.endpoint:
        options["endpoint"] = found.endpoint
    if found.keys:
        names = ("access_key_id", "secret_access_key", "session_token")
        options |= {name: key for name, key in zip(names, found.keys, strict=True) if key}
    elif found.session is not None:
        from obstore.auth.boto3 import Boto3CredentialProvider

        options["credential_provider"] = Boto3CredentialProvider(found.session)
    return S3Store(
        bucket,
        client_options={
            "allow_http": bool(found.endpoint and found.endpoint.startswith("http:")),
            "connect_timeout": timedelta(seconds=10),
            "timeout": timedelta(seconds=_REQUEST_SECONDS),
        },
        retry_config={
            "max_retries": 0 if once else _RETRIES,
            "retry_timeout": timedelta(seconds=_RETRY_SECONDS),
        },
        **options,
    )


@cache
def _obstore() -> Any:
    try:
        import fsspec  # noqa: F401 (DuckDB reads through it)
        import obstore
    except ImportError as cause:
        raise missing_package(cause.name or "obstore") from cause
    return obstore


@contextmanager
def _errors(path: str) -> Iterator[None]:
    """obstore's errors as Python's own, with nothing of the server's answer but its code."""
    try:
        yield
    except Exception as cause:
        raise _translated(path, cause) from None


def _translated(path: str, cause: Exception) -> Exception:
    from obstore import exceptions

    if isinstance(cause, exceptions.AlreadyExistsError):
        return FileExistsError(path)
    text = str(cause)
    code, status = _CODE.search(text), _STATUS.search(text)
    if isinstance(cause, FileNotFoundError):
        if not code or code[1] != "NoSuchBucket":
            return FileNotFoundError(2, "No such file or directory", path)
    elif not isinstance(cause, exceptions.BaseError):
        return cause
    if code or status:
        answer = code[1] if code else status[1].strip() if status else ""
        return _failed(path, f"S3 answered {answer}", final=answer in _FINAL)
    return _failed(path, " ".join(text.split("\n")[0].split())[:300])


def _failed(path: str, reason: str, *, final: bool = False) -> S3Error:
    error = S3Error("S3_REQUEST_FAILED", path=path, reason=reason)
    error.final = final
    error.errno = errno.EACCES if final else errno.EIO
    return error


def _status(bucket: str, facts: Mapping[str, Any]) -> FileStatus:
    return FileStatus(f"{REMOTE}{bucket}/{facts['path']}", facts["size"], _milliseconds(facts))


def _milliseconds(facts: Mapping[str, Any]) -> int:
    return int(facts["last_modified"].timestamp() * 1000)
