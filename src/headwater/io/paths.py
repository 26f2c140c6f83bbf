"""Paths as the house passes them on: absolute local ones, and `s3://bucket/key` for what lies in an object store.

Invariant: `absolute` and `real` leave an object's path as it is; `os.path.join`, `dirname` and `basename` serve both.
"""

from __future__ import annotations

import os

REMOTE = "s3://"
"""What the paths of objects begin with; `mounts` writes `s3a` and `s3n` so too."""


def is_remote(path: str) -> bool:
    """Whether the path is of an object store."""
    return path.startswith(REMOTE)


def as_remote(path: str) -> str:
    """A path as it is, but `s3a://` and `s3n://` as `s3://`: what other engines write into a Delta log."""
    return REMOTE + path[len("s3a://") :] if path.startswith(("s3a://", "s3n://")) else path


def as_uri(path: str) -> str:
    """`file:/x` of an absolute local path; an object's path is one already."""
    return path if path.startswith(REMOTE) else "file:" + path


def absolute(path: str) -> str:
    """`os.path.abspath` of a local path; an object's path without a slash at its end."""
    return path.rstrip("/") if path.startswith(REMOTE) else os.path.abspath(path)


def real(path: str) -> str:
    """`os.path.realpath` of a local path; there are no links among objects."""
    return path.rstrip("/") if path.startswith(REMOTE) else os.path.realpath(path)


def bucket_and_key(path: str) -> tuple[str, str]:
    """The two parts of an object's path; the key of a bucket itself is empty."""
    bucket, _, key = path[len(REMOTE) :].partition("/")
    return bucket, key.strip("/")
