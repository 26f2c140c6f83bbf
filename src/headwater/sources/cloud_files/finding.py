"""How an Auto Loader stream finds its files: by listing at every trigger, or by notifications and some listings.

Invariants: both fill the same `FileQueue`, so a stream may change from one to the other between two runs; what is not
an object of S3 is never found by notifications.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Protocol, cast

from headwater.errors import IllegalArgumentError
from headwater.io.file_log import FileLog
from headwater.io.file_queue import FileQueue
from headwater.io.mounts import Mounts
from headwater.io.paths import is_remote
from headwater.io.storage import FileStatus
from headwater.log import logger
from headwater.sources.base import Offset, SourceContext, SourceRequest
from headwater.sources.cloud_files.backfill import Backfill
from headwater.sources.cloud_files.notification_options import NotificationOptions
from headwater.sources.cloud_files.notified import Notified
from headwater.sources.cloud_files.subscription import opened

_log = logger("sources")


class Finder(Protocol):
    """What a stream asks for new files; they come into its `FileQueue`."""

    def resume(self, start: Offset | None) -> None:
        """Take over what an earlier run has noted in the stream's offset."""
        ...

    def look(self, start: Offset | None, wanted: int | None) -> None:
        """Look for files until `wanted` wait (None: all there are). `start`: where the stream stands."""
        ...

    def given(self, files: Sequence[FileStatus]) -> None:
        """These files went to a batch; they are not durable yet."""
        ...

    def settle(self) -> None:
        """Files have become durable."""
        ...

    def freeze(self) -> None:
        """Fix today's end."""
        ...

    def passed_over(self) -> None:
        """What was there at the first start is not to be read."""
        ...

    def times(self) -> tuple[int, int]:
        """When the last full listing beside notifications or incremental ones began and ended, in ms; 0: none."""
        ...

    def metrics(self) -> Mapping[str, str]:
        """Of progress."""
        ...

    def stop(self) -> None:
        """Free what is held."""
        ...


class Listed:
    """Files found by listing; `times` are those of the last full listing whose files have all gone to batches."""

    def __init__(self, files: FileQueue) -> None:
        self._files = files
        self._frozen = self._once = self._known = False
        self._full = 0, 0

    def resume(self, start: Offset | None) -> None:
        """See `Finder`."""
        if not self._known and start is not None:
            known = json.loads(start)
            began, ended = (int(known.get(f"lastBackfill{one}TimeMs", 0)) for one in ("Start", "Finish"))
            self._full = self._files.full_listing = began, ended
        self._known = True

    def look(self, start: Offset | None, wanted: int | None) -> None:  # noqa: ARG002
        """See `Finder`."""
        if not self._frozen:
            self._files.refresh()
        self._frozen = self._once

    def given(self, files: Sequence[FileStatus]) -> None:  # noqa: ARG002
        """See `Finder`."""
        if not self._files.waiting[0]:
            self._full = self._files.full_listing

    def settle(self) -> None:
        """See `Finder`."""

    def freeze(self) -> None:
        """Look once; later calls hand out what was found. What to list the offset has a say in, if not all."""
        if not self._files.incremental:
            self._files.refresh()
            self._frozen = True
        self._once = True

    def passed_over(self) -> None:
        """See `Finder`."""
        self._full = self._files.full_listing

    def times(self) -> tuple[int, int]:
        """See `Finder`."""
        return self._full

    def metrics(self) -> Mapping[str, str]:
        """See `Finder`."""
        return {"approximateQueueSize": "0"}

    def stop(self) -> None:
        """Nothing is held."""


class Told:
    """Files found by notifications, and by listing at the first start and every `backfillInterval`."""

    def __init__(self, notified: Notified, backfill: Backfill) -> None:
        self._notified, self._backfill = notified, backfill

    def resume(self, start: Offset | None) -> None:
        """See `Finder`."""
        self._backfill.resume(start)

    def look(self, start: Offset | None, wanted: int | None) -> None:
        """See `Finder`."""
        self._backfill.run_if_due(start)
        self._notified.poll(wanted)

    def given(self, files: Sequence[FileStatus]) -> None:
        """See `Finder`."""
        self._backfill.given(files)

    def settle(self) -> None:
        """See `Finder`."""
        self._notified.settle()

    def freeze(self) -> None:
        """See `Finder`."""
        self._notified.freeze()

    def passed_over(self) -> None:
        """See `Finder`."""
        self._backfill.passed_over()

    def times(self) -> tuple[int, int]:
        """See `Finder`."""
        return self._backfill.started_ms, self._backfill.finished_ms

    def metrics(self) -> Mapping[str, str]:
        """See `Finder`."""
        skipped = str(self._notified.skipped)
        return {"approximateQueueSize": str(self._notified.size()), "numMessagesSkipped": skipped}

    def stop(self) -> None:
        """See `Finder`."""
        self._notified.stop()


def finder(
    request: SourceRequest, context: SourceContext, options: NotificationOptions, files: FileQueue, log: FileLog
) -> Finder:
    """How a stream finds its files. Raises CF_SOURCE_UNSUPPORTED for notifications of a local folder."""
    mounts = cast(Mounts, context.mounts)
    if not options.used or not _in_s3(mounts, request.paths):
        return Listed(files)
    queue, since_ms = opened(request.paths, context, options)
    backfill = Backfill(files, context.clock, since_ms, options.backfill_ms, mounts.uri(request.paths[0]))
    return Told(Notified(queue, files, log, context.clock), backfill)


def _in_s3(mounts: Mounts, paths: Sequence[str]) -> bool:
    for path in paths:
        if not is_remote(mounts.local(path)):
            uri = mounts.uri(path)
            if uri.startswith("file:"):
                raise IllegalArgumentError("CF_SOURCE_UNSUPPORTED", path=path, uri=uri)
            _log.info("%s is mounted at a local folder: it is listed, there are no notifications of it", uri)
            return False
    return True
