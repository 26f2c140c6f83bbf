"""The options of Auto Loader: `cloudFiles.*` and the format's own.

Invariants: an option that would change what is read and is not implemented raises; an unknown `cloudFiles.` option
raises unless `cloudFiles.validateOptions` is false.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import Literal, cast, get_args

from headwater.errors import IllegalArgumentError, unsupported
from headwater.io.file_places import Incremental
from headwater.io.file_queue import Take
from headwater.io.formats import FormatOptions
from headwater.io.formats.json_variant import OPTION as VARIANT
from headwater.settings import parse_duration_ms
from headwater.sources.base import SourceRequest
from headwater.sources.cloud_files.cleaning import Clean
from headwater.sources.cloud_files.notification_options import NAMES as NOTIFICATIONS
from headwater.sources.cloud_files.notification_options import NotificationOptions, is_tag, short_duration

EvolutionMode = Literal["addNewColumns", "addNewColumnsWithTypeWidening", "rescue", "failOnNewColumns", "none"]
GROWING = ("addNewColumns", "addNewColumnsWithTypeWidening")
"""Modes that write a grown schema."""
FORMATS = ("json", "csv", "xml", "parquet", "avro", "orc", "text", "binaryfile")
FIXED = ("text", "binaryfile")
"""Formats whose columns are always the same."""
PREFIX = "cloudfiles."
RESCUED = "_rescued_data"

_IMPLEMENTED = {
    "format": "format",
    "schemalocation": "schemaLocation",
    "schemahints": "schemaHints",
    "schemaevolutionmode": "schemaEvolutionMode",
    "infercolumntypes": "inferColumnTypes",
    "partitioncolumns": "partitionColumns",
    "includeexistingfiles": "includeExistingFiles",
    "maxfilespertrigger": "maxFilesPerTrigger",
    "maxbytespertrigger": "maxBytesPerTrigger",
    "maxfileage": "maxFileAge",
    "validateoptions": "validateOptions",
    "allowoverwrites": "allowOverwrites",
    "useincrementallisting": "useIncrementalListing",
    "cleansource": "cleanSource",
    "cleansource.retentionduration": "cleanSource.retentionDuration",
    "cleansource.movedestination": "cleanSource.moveDestination",
}
_WITHOUT_EFFECT = {
    "listonstart": "listOnStart",
    "usemanagedfileevents": "useManagedFileEvents",
    "cleansource.waitforcompletion": "cleanSource.waitForCompletion",
}
"""Accepted: a trigger finds all new files in any case, and cleaning is always waited for."""
_OFF = {"usestrictglobber": ("useStrictGlobber", "true")}
"""Accepted with this value only."""
_REFUSED = ("pathRewrites", "connectionString", "queueName")
_KNOWN = {**_IMPLEMENTED, **NOTIFICATIONS, **_WITHOUT_EFFECT}
_DAY_MS = 86_400_000
_BYTES = {
    "": 1,
    "b": 1,
    "k": 1 << 10,
    "kb": 1 << 10,
    "m": 1 << 20,
    "mb": 1 << 20,
    "g": 1 << 30,
    "gb": 1 << 30,
    "t": 1 << 40,
}


@dataclass(frozen=True)
class CloudOptions:
    """Checked options.

    Attributes:
        format: one of `FORMATS`.
        schema_location: the user's folder for schemas, or None.
        hints: DDL of columns whose types the user knows.
        mode: what a new field does.
        infer_types: infer types of json and csv columns instead of reading them as strings.
        partition_columns: folder names that become columns; None takes all that are there.
        include_existing: read what lies there at the first start.
        take: how much a batch takes.
        max_age_ms: files older than this beside the newest are passed over.
        rescue: name of the rescued-data column, or None.
        overwrites: a file that is written anew is read anew.
        clean: what becomes of files that were read.
        notifications: whether and how files are found by events.
        incremental: see `file_queue.QueueOptions`.
        reader: the format's own options.
    """

    format: str
    schema_location: str | None
    hints: str
    mode: EvolutionMode
    infer_types: bool
    partition_columns: tuple[str, ...] | None
    include_existing: bool
    take: Take
    max_age_ms: int | None
    rescue: str | None
    overwrites: bool
    clean: Clean
    notifications: NotificationOptions
    incremental: Incremental
    reader: FormatOptions

    @property
    def fixed(self) -> bool:
        """Whether the columns are always the same: nothing is inferred, new or rescued."""
        return _is_fixed(self.format, self.reader)

    @classmethod
    def of(cls, request: SourceRequest) -> CloudOptions:
        """From a request. Raises for what cannot be."""
        options = request.options
        _check_names(options)
        kind = _format(options)
        fixed = _is_fixed(kind, options)
        mode = _mode(options, request.schema is not None or fixed)
        given = options.get("rescueddatacolumn")
        rescue = given or (RESCUED if request.schema is None and mode != "none" else None)
        if rescue is not None and fixed:
            raise refused("rescuedDataColumn", rescue, f"the columns of {kind} are always the same")
        columns = options.get(PREFIX + "partitioncolumns")
        return cls(
            format=kind,
            schema_location=options.get(PREFIX + "schemalocation"),
            hints=options.text(PREFIX + "schemahints"),
            mode=mode,
            infer_types=options.flag(PREFIX + "infercolumntypes"),
            partition_columns=None
            if columns is None
            else tuple(part.strip() for part in columns.split(",") if part.strip()),
            include_existing=options.flag(PREFIX + "includeexistingfiles", True),
            take=Take(options.number(PREFIX + "maxfilespertrigger", 1000), _bytes(options)),
            max_age_ms=_duration(options, "maxFileAge"),
            rescue=rescue,
            overwrites=options.flag(PREFIX + "allowoverwrites"),
            clean=_clean(options),
            notifications=NotificationOptions.of(options),
            incremental=_incremental(options),
            reader=_reader_options(options, request.schema is None),
        )


def _is_fixed(kind: str, options: FormatOptions) -> bool:
    return kind in FIXED or (kind == "json" and VARIANT in options)


def prefixed_names() -> frozenset[str]:
    """The options that begin with `cloudFiles.`, without that, in lower case."""
    return frozenset({*_IMPLEMENTED, *NOTIFICATIONS, *_WITHOUT_EFFECT, *_OFF, *(name.lower() for name in _REFUSED)})


def refused(option: str, value: object, reason: str) -> IllegalArgumentError:
    """The error for an option with an impossible value."""
    return IllegalArgumentError("INVALID_SOURCE_OPTION", option=option, value=value, reason=reason)


def _check_names(options: FormatOptions) -> None:
    for key in [key.removeprefix(PREFIX) for key in options if key.startswith(PREFIX)]:
        if key in _OFF:
            name, only = _OFF[key]
            if options[PREFIX + key].lower() != only:
                raise unsupported(
                    f"cloudFiles.{name}={options[PREFIX + key]}",
                    "Leave the option out: `*` stands for a part of one name.",
                )
        elif key in {name.lower() for name in _REFUSED}:
            raise unsupported(
                f"cloudFiles.{key}", "Leave the option out: queues are those of AWS, or folders are listed."
            )
        elif not (key in _KNOWN or is_tag(key)) and options.flag(PREFIX + "validateoptions", True):
            known = [*_KNOWN.values(), *(name for name, _ in _OFF.values())]
            near = difflib.get_close_matches(key, [name.lower() for name in known], 1)
            hint = f" Did you mean cloudFiles.{next(n for n in known if n.lower() == near[0])}?" if near else ""
            raise IllegalArgumentError("CF_UNKNOWN_OPTION_KEYS_ERROR", optionList=f"cloudFiles.{key}", hint=hint)


def _format(options: FormatOptions) -> str:
    name = options.text(PREFIX + "format").lower()
    if not name:
        raise IllegalArgumentError("CF_SOURCE_FORMAT_MISSING")
    if name not in FORMATS:
        raise refused("cloudFiles.format", name, f"it must be one of {', '.join(FORMATS)}")
    return name


def _mode(options: FormatOptions, has_schema: bool) -> EvolutionMode:
    text = options.text(PREFIX + "schemaevolutionmode") or ("none" if has_schema else "addNewColumns")
    by_name = {mode.lower(): mode for mode in get_args(EvolutionMode)}
    if text.lower() not in by_name:
        raise refused("cloudFiles.schemaEvolutionMode", text, f"it must be one of {', '.join(by_name.values())}")
    mode = by_name[text.lower()]
    if has_schema and mode in GROWING:
        raise IllegalArgumentError("CF_ADD_NEW_NOT_SUPPORTED", mode=mode)
    if has_schema and options.text(PREFIX + "schemahints"):
        raise refused(
            "cloudFiles.schemaHints", options[PREFIX + "schemahints"], "it cannot be given together with a schema"
        )
    return cast(EvolutionMode, mode)


def _incremental(options: FormatOptions) -> Incremental:
    """Full listings unless asked otherwise, as in Databricks from runtime 17.3 on; the option is deprecated there."""
    text = options.text(PREFIX + "useincrementallisting", "false").lower()
    if text not in get_args(Incremental):
        raise refused("cloudFiles.useIncrementalListing", text, "it must be one of auto, true, false")
    return cast(Incremental, text)


def _duration(options: FormatOptions, name: str) -> int | None:
    """Milliseconds; None if it is not given. Raises INVALID_SOURCE_OPTION."""
    text = options.get(PREFIX + name.lower())
    if text is None:
        return None
    try:
        return parse_duration_ms(short_duration(text))
    except ValueError as cause:
        raise refused(f"cloudFiles.{name}", text, str(cause)) from cause


def _clean(options: FormatOptions) -> Clean:
    """Raises INVALID_SOURCE_OPTION for a retention too short to delete after, and a move without a destination."""
    mode = options.text(PREFIX + "cleansource", "OFF").upper()
    if mode not in ("OFF", "DELETE", "MOVE"):
        raise refused("cloudFiles.cleanSource", mode, "it must be one of OFF, DELETE, MOVE")
    text = options.text(PREFIX + "cleansource.retentionduration", "30 days")
    try:
        retention = parse_duration_ms(short_duration(text))
    except ValueError as cause:
        raise refused("cloudFiles.cleanSource.retentionDuration", text, str(cause)) from cause
    if mode == "DELETE" and retention <= 7 * _DAY_MS:
        raise refused("cloudFiles.cleanSource.retentionDuration", text, "to delete it must be more than 7 days")
    destination = options.text(PREFIX + "cleansource.movedestination")
    if mode == "MOVE" and not destination:
        raise refused("cloudFiles.cleanSource", mode, "it needs cloudFiles.cleanSource.moveDestination")
    return Clean(mode, retention, destination)


def _bytes(options: FormatOptions) -> int | None:
    text = options.get(PREFIX + "maxbytespertrigger")
    if text is None:
        return None
    match = re.fullmatch(r"\s*(\d+)\s*([a-zA-Z]*)\s*", text)
    if match is None or match[2].lower() not in _BYTES:
        raise refused("cloudFiles.maxBytesPerTrigger", text, "it must be a size such as 10g")
    return int(match[1]) * _BYTES[match[2].lower()]


def _reader_options(options: FormatOptions, inferring: bool) -> FormatOptions:
    rest = {key: value for key, value in options.items() if not key.startswith(PREFIX)}
    if inferring:
        rest.setdefault("header", "true")
    return FormatOptions(rest)
