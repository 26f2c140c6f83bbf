"""The options of file notifications: whether they are used, which queue, which account, tags, listings beside them.

Invariants: credentials are in no `repr`; options of services that are not there are refused by name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from headwater.errors import IllegalArgumentError, unsupported
from headwater.io.aws import Login
from headwater.io.formats import FormatOptions
from headwater.settings import parse_duration_ms

PREFIX = "cloudfiles."
TAG = "resourcetag."
NAMES = {
    "usenotifications": "useNotifications",
    "queueurl": "queueUrl",
    "region": "region",
    "fetchparallelism": "fetchParallelism",
    "backfillinterval": "backfillInterval",
    "awsaccesskey": "awsAccessKey",
    "awssecretkey": "awsSecretKey",
    "rolearn": "roleArn",
    "roleexternalid": "roleExternalId",
    "rolesessionname": "roleSessionName",
    "stsendpoint": "stsEndpoint",
}
"""The options of this module, beside `resourceTag.<key>`; without `cloudFiles.`, by their lower-case form."""
_OF_QUEUE = re.compile(r"https?://(?:sqs\.([a-z0-9-]+)\.|([a-z0-9-]+)\.queue\.)[a-z.]+/")


@dataclass(frozen=True)
class NotificationOptions:
    """Checked options.

    Attributes:
        used: files are found by events instead of listings.
        queue_url: the user's queue, or None: one is set up.
        login: the account of queue, topic and bucket's events.
        tags: of what is set up.
        parallelism: how many requests fetch messages side by side.
        backfill_ms: how often files are listed beside, or None for never but at the first start.
    """

    used: bool = False
    queue_url: str | None = None
    login: Login = field(default_factory=Login)
    tags: Mapping[str, str] = field(default_factory=dict)
    parallelism: int = 1
    backfill_ms: int | None = None

    @classmethod
    def of(cls, options: FormatOptions) -> NotificationOptions:
        """From a reader's options. Raises INVALID_SOURCE_OPTION, and UNSUPPORTED_FEATURE for other clouds' services."""
        if options.flag(PREFIX + "useManagedFileEvents"):
            raise unsupported(
                "cloudFiles.useManagedFileEvents (file events are a service of Databricks)",
                "Set cloudFiles.useNotifications to true, or leave both out: folders are listed.",
            )
        url = options.get(PREFIX + "queueurl")
        return cls(
            used=options.flag(PREFIX + "useNotifications"),
            queue_url=url,
            login=_login(options, url),
            tags=_tags(options),
            parallelism=_positive(options, "fetchParallelism"),
            backfill_ms=_interval(options),
        )


def is_tag(key: str) -> bool:
    """Whether an option, without `cloudFiles.` and in lower case, is a tag."""
    return key.startswith(TAG) and len(key) > len(TAG)


def short_duration(text: str) -> str:
    """`14 days` or `interval 14 days` as `14d`."""
    text = text.lower().removeprefix("interval ").strip().strip("'")
    match = re.fullmatch(r"\s*(\d+)\s*([a-z])[a-z]*\s*", text)
    return f"{match[1]}{match[2]}" if match and len(text.split()) == 2 else text


def _login(options: FormatOptions, url: str | None) -> Login:
    access, secret = options.get(PREFIX + "awsaccesskey"), options.get(PREFIX + "awssecretkey")
    if (access is None) != (secret is None):
        raise _refused("awsAccessKey", "***", "cloudFiles.awsAccessKey and cloudFiles.awsSecretKey belong together")
    arn = options.get(PREFIX + "rolearn")
    if arn is not None and not re.fullmatch(r"arn:[\w-]+:iam::\d*:role/.+", arn):
        raise _refused("roleArn", arn, "it must be the ARN of a role")
    role = None
    if arn is not None:
        name = options.text(PREFIX + "rolesessionname", "headwater-auto-loader")
        role = (arn, options.get(PREFIX + "roleexternalid"), name)
    found = _OF_QUEUE.match(url or "")
    region = options.get(PREFIX + "region") or (found and (found[1] or found[2])) or None
    keys = (access, secret) if access is not None and secret is not None else None
    return Login(region, keys, role, options.get(PREFIX + "stsendpoint"))


def _tags(options: FormatOptions) -> dict[str, str]:
    begin = PREFIX + TAG
    return {options.spelling.get(key, key)[len(begin) :]: options[key] for key in options if key.startswith(begin)}


def _positive(options: FormatOptions, name: str) -> int:
    number = options.number(PREFIX + name, 1) or 0
    if not 1 <= number <= 100:
        raise _refused(name, number, "it must be between 1 and 100")
    return number


def _interval(options: FormatOptions) -> int | None:
    text = options.get(PREFIX + "backfillinterval")
    if text is None:
        return None
    try:
        interval = parse_duration_ms(_weeks(short_duration(text)))
    except ValueError as cause:
        raise _refused("backfillInterval", text, str(cause)) from cause
    if interval <= 0:
        raise _refused("backfillInterval", text, "it must be more than nothing")
    return interval


def _weeks(text: str) -> str:
    return f"{int(text[:-1]) * 7}d" if re.fullmatch(r"\d+w", text) else text


def _refused(name: str, value: object, reason: str) -> IllegalArgumentError:
    return IllegalArgumentError("INVALID_SOURCE_OPTION", option=f"cloudFiles.{name}", value=value, reason=reason)
