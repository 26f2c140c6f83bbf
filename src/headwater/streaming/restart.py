"""Queries that start themselves again after failures that pass.

    spark.conf.set("headwater.query.restart.maxAttempts", "5")

A failure passes if the same script, started again, may well succeed: the network, a full disk, a lost race for a table,
a schema that has grown. Wrong types, options, rights and the user's own functions do not pass.

Invariants: nothing is tried again unless the setting says so; a batch that goes on failing is tried so many times and
no more, and a batch that has ended counts anew; a query that runs elsewhere by now is never started again.
"""

from __future__ import annotations

import errno
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from headwater.duck import DuckError
from headwater.errors import ConcurrentWriteError, SparkError, UnknownFieldError

MAX_ATTEMPTS = "headwater.query.restart.maxAttempts"
BACKOFF = "headwater.query.restart.backoff"
MAX_BACKOFF = "headwater.query.restart.maxBackoff"

_ELSEWHERE = "CONCURRENT_STREAM_LOG_UPDATE"
_GROWN = ("DELTA_SCHEMA_CHANGED", "DELTA_STREAMING_METADATA_EVOLUTION")
_CONFLICT = re.compile(r"\[(DELTA_CONCURRENT_\w+|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED)")
_USERS = ("FOREACH_BATCH_USER_FUNCTION_ERROR", "FOREACH_USER_FUNCTION_ERROR")
_PASSING = frozenset(
    {
        *(errno.EIO, errno.ENOSPC, errno.EDQUOT, errno.EAGAIN, errno.EBUSY, errno.EMFILE, errno.ENFILE, errno.ESTALE),
        *(errno.ENETDOWN, errno.ENETUNREACH, errno.ENETRESET, errno.EHOSTDOWN, errno.EHOSTUNREACH, errno.ETIMEDOUT),
        *(errno.ECONNRESET, errno.ECONNREFUSED, errno.ECONNABORTED, errno.EPIPE, errno.EREMOTEIO),
    }
)


class Lookup(Protocol):
    """The session's settings."""

    def number(self, key: str) -> int:
        """An integer setting."""
        ...

    def duration_ms(self, key: str) -> int:
        """A duration setting in milliseconds."""
        ...


@dataclass(frozen=True)
class RestartPolicy:
    """How often and how soon.

    Attributes:
        max_attempts: restarts in a row without a finished batch; 0: none.
        backoff_ms: the pause before the first; each further one doubles it, give or take a fifth.
        max_backoff_ms: the longest pause.
    """

    max_attempts: int = 0
    backoff_ms: int = 1000
    max_backoff_ms: int = 60_000

    @classmethod
    def of(cls, settings: Lookup) -> RestartPolicy:
        """From a session's settings."""
        return cls(settings.number(MAX_ATTEMPTS), settings.duration_ms(BACKOFF), settings.duration_ms(MAX_BACKOFF))


class Restarts:
    """The restarts of one run.

    Attributes:
        count: how many there were.
        last: the message of the newest failure after which the run went on.
        attempt: how many there were since a batch ended.
    """

    def __init__(self, policy: RestartPolicy) -> None:
        self._policy = policy
        self._batch = -1
        self.attempt = 0
        self.count = 0
        self.last = ""

    def after(self, error: BaseException, batch_id: int) -> float | None:
        """Seconds to wait before the next start; None if there is to be none.

        Args:
            error: why the run of batch `batch_id` ended, in Spark's terms.
        """
        if batch_id > self._batch:  # one that could not be opened does not know yet how far it had come
            self._batch, self.attempt = batch_id, 0
        if self.attempt >= self._policy.max_attempts or not passes(error):
            return None
        self.attempt += 1
        self.count += 1
        self.last = str(error)
        if grown(error):
            return 0.0
        pause = min(self._policy.backoff_ms * 2.0 ** (self.attempt - 1), self._policy.max_backoff_ms)
        return pause * random.uniform(0.8, 1.2) / 1000

    def report(self) -> dict[str, Any]:
        """What progress tells of them; nothing if there were none."""
        return {"restarts": {"count": self.count, "lastError": self.last}} if self.count else {}


def passes(error: BaseException) -> bool:
    """Whether starting again may well succeed."""
    return grown(error) or any(_passes(each) for each in _causes(error))


def grown(error: BaseException) -> bool:
    """Whether the query ended for it has noted a wider schema, with which it goes on at its next start."""
    if isinstance(error, UnknownFieldError):
        return True
    return isinstance(error, SparkError) and error.condition.startswith(_GROWN)


def _passes(error: BaseException) -> bool:
    if isinstance(error, SparkError) and error.condition in _USERS:
        return _CONFLICT.search(str(error)) is not None
    if isinstance(error, ConcurrentWriteError):
        return error.condition != _ELSEWHERE
    if isinstance(error, OSError):
        return isinstance(error, ConnectionError | TimeoutError) or error.errno in _PASSING
    return isinstance(error, DuckError) and any(os.strerror(number) in str(error) for number in _PASSING)


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        if isinstance(seen, SparkError) and seen.condition in (*_USERS, _ELSEWHERE):
            return
        seen = seen.__cause__
