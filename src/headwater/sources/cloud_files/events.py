"""What a message of a queue says of files in S3: the objects that were created.

Three shapes are read: S3's own event, the same wrapped by SNS, and EventBridge's `Object Created`.

Invariants: keys are given as objects have them, not URL-encoded; events of other kinds name no file; a message that is
none of these raises.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

from headwater.io.paths import REMOTE

_CREATED = "ObjectCreated:"


class MalformedMessageError(ValueError):
    """The message is no event of S3."""


def created(body: str) -> list[str]:
    """The paths `s3://bucket/key` that a message says were written. Raises MalformedMessageError."""
    message = _parsed(body)
    if isinstance(message.get("Message"), str) and "Records" not in message:  # SNS's envelope
        message = _parsed(message["Message"])
    try:
        return list(_paths(message))
    except (KeyError, TypeError, AttributeError) as cause:
        raise MalformedMessageError(f"it lacks what an event of S3 has: {cause}") from cause


def _parsed(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError) as cause:
        raise MalformedMessageError("it is no JSON") from cause
    if not isinstance(message, dict):
        raise MalformedMessageError("it is no JSON object")
    return message


def _paths(message: dict[str, Any]) -> Iterator[str]:
    if "Records" in message:
        for record in message["Records"]:
            if record["eventName"].removeprefix("s3:").startswith(_CREATED):
                found = record["s3"]
                yield _path(found["bucket"]["name"], unquote_plus(found["object"]["key"]))
    elif "detail-type" in message:
        if message["detail-type"] == "Object Created":  # keys are not encoded there
            yield _path(message["detail"]["bucket"]["name"], message["detail"]["object"]["key"])
    elif message.get("Event") != "s3:TestEvent":  # sent when a notification is configured
        raise MalformedMessageError("it is no event of S3")


def _path(bucket: str, key: str) -> str:
    if not (isinstance(bucket, str) and isinstance(key, str) and bucket and key):
        raise MalformedMessageError("its bucket or key is no name")
    return f"{REMOTE}{bucket}/{key}"
