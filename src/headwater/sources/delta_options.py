"""The options of a stream of a Delta table, checked.

Invariant: what Delta refuses is refused here, before the stream is opened.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from headwater.errors import IllegalArgumentError, unsupported
from headwater.io.formats.base import FormatOptions
from headwater.lake.tail import TailRules

_DEFAULT_FILES = 1000
_BYTES = re.compile(r"^\s*(\d+)\s*([kmgtp]?)(?:i?b)?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class StreamOptions:
    """The stream's options; `files`/`bytes` None is no limit; `ordered`: the table as it is comes by event time."""

    files: int | None
    bytes: int | None
    rules: TailRules
    ordered: bool = False

    @classmethod
    def parse(cls, options: FormatOptions) -> StreamOptions:
        """From the reader's options. Raises DELTA_ILLEGAL_OPTION, and UNSUPPORTED_FEATURE for what is not here."""
        ordered = options.flag("withEventTimeOrder")
        if ordered and reads_feed(options):
            raise unsupported("the option `withEventTimeOrder` of a stream of changes")
        size = _bytes(options)
        files = _positive(options, "maxFilesPerTrigger")
        pattern = options.get("excluderegex")
        changes = options.flag("ignoreChanges")
        rules = TailRules(
            changes or options.flag("ignoreDeletes") or options.flag("ignoreFileDeletion"),
            changes or options.flag("ignoreFileDeletion"),
            options.flag("skipChangeCommits"),
            options.flag("failOnDataLoss", True),
            re.compile(pattern) if pattern else None,
            reads_feed(options),
        )
        return cls(files if files is not None or size is not None else _DEFAULT_FILES, size, rules, ordered)


def reads_feed(options: FormatOptions) -> bool:
    """Whether the changes are asked for, by either of the option's names."""
    return options.flag("readChangeFeed") or options.flag("readChangeData")


def _positive(options: FormatOptions, name: str) -> int | None:
    text = options.get(name.lower())
    if text is None:
        return None
    if not text.strip().isdigit() or int(text) <= 0:
        raise IllegalArgumentError("DELTA_ILLEGAL_OPTION", input=text, name=name, explain="must be a positive integer")
    return int(text)


def _bytes(options: FormatOptions) -> int | None:
    text = options.get("maxbytespertrigger")
    if text is None:
        return None
    match = _BYTES.match(text)
    if match is None or int(match[1]) <= 0:
        explain = "must be a size, such as 10g or 500m"
        raise IllegalArgumentError("DELTA_ILLEGAL_OPTION", input=text, name="maxBytesPerTrigger", explain=explain)
    return int(match[1]) << (10 * " kmgtp".index(match[2].lower() or " "))
