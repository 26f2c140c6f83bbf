"""What became of a commit: whether the file that has its version number is ours, somebody else's, or nobody knows.

A storage may have done what it reports an error for: the reply is lost, or a client asks again by itself and is told
that the name is taken, by its own first try. So neither an error nor "taken" is believed before the log was read again.

Invariants: pure; a commit that may still arrive is never taken for one that failed, because its data files would be
deleted under it. Every storage's commits are judged here.
"""

from __future__ import annotations

import errno
from enum import Enum, auto
from typing import Final

from headwater.lake.actions import Commit


class Outcome(Enum):
    """What to do after an attempt."""

    MINE = auto()
    """The version is ours."""
    TAKEN = auto()
    """Another writer has the version: look at its commit, then try the next one."""
    AGAIN = auto()
    """Nothing is there, and it is safe to try the same version once more."""
    REFUSED = auto()
    """Nothing is there, nor will be: the data files may go."""
    UNKNOWN = auto()
    """It may be there or yet come: the data files must stay."""


class _Unreadable:
    """The log could not be read."""


UNREADABLE: Final = _Unreadable()

_CERTAIN = frozenset(
    {
        errno.EACCES,
        errno.EDQUOT,
        errno.EFBIG,
        errno.EISDIR,
        errno.ELOOP,
        errno.EMFILE,
        errno.ENAMETOOLONG,
        errno.ENFILE,
        errno.ENOENT,
        errno.ENOSPC,
        errno.ENOTDIR,
        errno.EPERM,
        errno.EROFS,
    }
)
"""Errors with which an operating system says that it did nothing."""


def outcome(found: Commit | _Unreadable | None, txn_id: str, cause: OSError | None, tries_left: int) -> Outcome:
    """Judge an attempt to create a version's commit.

    Args:
        found: the version's commit as it was read after the attempt; None: there is none.
        txn_id: the `txnId` that the attempt carried.
        cause: what the storage reported; None: that the version is taken.
        tries_left: how often the same version may still be tried.
    """
    if isinstance(found, Commit):
        return Outcome.MINE if found.info.get("txnId") == txn_id else Outcome.TAKEN
    if found is None and cause is not None and certain(cause):
        return Outcome.REFUSED
    if tries_left > 0:
        return Outcome.AGAIN
    return Outcome.UNKNOWN


def certain(cause: OSError) -> bool:
    """Whether the error says that nothing was created, rather than that no answer came."""
    return not isinstance(cause, ConnectionError | TimeoutError) and cause.errno in _CERTAIN
