"""Which queue a stream of notifications reads: the user's, or one that was set up for it and is kept.

It stands in `sources/<i>/notifications` of the checkpoint: the line `v1`, then `{"streamId", "queueUrl", "places",
"own", "sinceMs"}`. `sinceMs` is from when on the queue gets events; `queueUrl` is null while it is being set up.

Invariants: a stream's id is durable before anything is made under it, so a crash leaves nothing behind that the next
start does not use; a queue of its own that has gone is made anew, and `sinceMs` with it, so that files are listed.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from headwater.crash import crash_point
from headwater.io.aws_errors import AwsError
from headwater.io.listing import is_glob
from headwater.io.mounts import Mounts
from headwater.io.paths import bucket_and_key
from headwater.log import logger
from headwater.sources.base import SourceContext
from headwater.sources.cloud_files.notification_options import NotificationOptions
from headwater.sources.cloud_files.queue import Queue
from headwater.sources.cloud_files.services import Place, Services

_log = logger("sources")
_NAME = "notifications"


@dataclass(frozen=True)
class Subscription:
    """See the module."""

    stream_id: str
    queue_url: str | None
    places: tuple[str, ...]
    own: bool
    since_ms: int


def opened(paths: Sequence[str], context: SourceContext, options: NotificationOptions) -> tuple[Queue, int]:
    """The queue, set up if need be, and from when on it gets events."""
    mounts = cast(Mounts, context.mounts)
    places = tuple(dict.fromkeys(place_of(mounts.local(path)) for path in paths))
    known = _read(context)
    if options.queue_url is not None:
        found = _given(options.queue_url, places, known, context)
    else:
        found = _own(places, known, (context, options))
    queue = Queue(cast(str, found.queue_url), options.login, options.parallelism)
    try:
        queue.facts()
    except AwsError:
        queue.close()
        raise
    return queue, found.since_ms


def place_of(local: str) -> Place:
    """The folder of a path `s3://bucket/key` whose events are asked for: above its first wildcard."""
    while is_glob(local):
        local = local.rpartition("/")[0]
    bucket, key = bucket_and_key(local)
    return Place(bucket, f"{key}/" if key else "")


def _given(url: str, places: Sequence[Place], known: Subscription | None, context: SourceContext) -> Subscription:
    names = tuple(map(str, places))
    if known is not None and (known.own, known.queue_url, known.places) == (False, url, names):
        return known
    return _write(context, Subscription("", url, names, False, context.clock.now_ms()))


def _own(
    places: Sequence[Place], known: Subscription | None, asked: tuple[SourceContext, NotificationOptions]
) -> Subscription:
    context, options = asked
    names = tuple(map(str, places))
    if known is not None and known.own and known.queue_url and known.places == names:
        if _is_there(known.queue_url, options):
            return known
        _log.warning("the queue %s has gone: another one is set up and the files are listed", known.queue_url)
        known = None  # SQS gives a name away again only after a while
    if known is None or not known.own:
        known = Subscription(uuid.uuid4().hex, None, names, True, 0)
    named = _write(context, replace(known, queue_url=None, places=names))
    crash_point("cloud_files.queue_named")
    url = Services(options.login, options.tags).set_up(named.stream_id, places)
    crash_point("cloud_files.queue_made")
    return _write(context, replace(named, queue_url=url, since_ms=context.clock.now_ms()))


def _is_there(url: str, options: NotificationOptions) -> bool:
    queue = Queue(url, options.login)
    try:
        return queue.exists()
    finally:
        queue.close()


def _read(context: SourceContext) -> Subscription | None:
    path = f"{context.log_path}/{_NAME}"
    if not context.storage.exists(path):
        return None
    body = json.loads(context.storage.read(path).decode().split("\n", 1)[1])
    return Subscription(body["streamId"], body["queueUrl"], tuple(body["places"]), body["own"], body["sinceMs"])


def _write(context: SourceContext, found: Subscription) -> Subscription:
    body = {
        "streamId": found.stream_id,
        "queueUrl": found.queue_url,
        "places": found.places,
        "own": found.own,
        "sinceMs": found.since_ms,
    }
    text = json.dumps(body, separators=(",", ":"), ensure_ascii=False)
    context.storage.replace(f"{context.log_path}/{_NAME}", f"v1\n{text}".encode())
    return found
