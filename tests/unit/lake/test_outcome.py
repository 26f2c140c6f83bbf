"""What became of a commit, by what the storage said and what the log says after it."""

from __future__ import annotations

import errno

import pytest

from headwater.lake.actions import Commit
from headwater.lake.outcome import UNREADABLE, Outcome, certain, outcome

MINE = Commit(3, info={"txnId": "me"})
THEIRS = Commit(3, info={"txnId": "them"})
BARE = Commit(3)
LOST = ConnectionError("no reply")
FULL = OSError(errno.ENOSPC, "full")


@pytest.mark.parametrize("cause", [None, LOST, FULL])
@pytest.mark.parametrize("left", [0, 4])
def test_what_the_log_says_comes_before_what_the_storage_says(cause: OSError | None, left: int) -> None:
    assert outcome(MINE, "me", cause, left) is Outcome.MINE
    assert outcome(THEIRS, "me", cause, left) is Outcome.TAKEN
    assert outcome(BARE, "me", cause, left) is Outcome.TAKEN


@pytest.mark.parametrize(
    ("cause", "left", "found"),
    [
        (FULL, 4, Outcome.REFUSED),
        (FULL, 0, Outcome.REFUSED),
        (LOST, 4, Outcome.AGAIN),
        (LOST, 0, Outcome.UNKNOWN),
        (None, 4, Outcome.AGAIN),
        (None, 0, Outcome.UNKNOWN),
    ],
)
def test_where_nothing_is_found_only_a_certain_error_means_that_nothing_comes(
    cause: OSError | None, left: int, found: Outcome
) -> None:
    assert outcome(None, "me", cause, left) is found


@pytest.mark.parametrize("cause", [None, LOST, FULL])
def test_a_log_that_cannot_be_read_proves_nothing(cause: OSError | None) -> None:
    assert outcome(UNREADABLE, "me", cause, 1) is Outcome.AGAIN
    assert outcome(UNREADABLE, "me", cause, 0) is Outcome.UNKNOWN


@pytest.mark.parametrize(
    ("cause", "sure"),
    [
        (FULL, True),
        (PermissionError(errno.EACCES, "no"), True),
        (OSError(errno.EROFS, "read-only"), True),
        (OSError("503 SlowDown"), False),
        (OSError(errno.EIO, "I/O error"), False),
        (ConnectionResetError(errno.ECONNRESET, "reset"), False),
        (TimeoutError(errno.ETIMEDOUT, "late"), False),
    ],
)
def test_which_errors_say_that_nothing_was_done(cause: OSError, sure: bool) -> None:
    assert certain(cause) is sure
