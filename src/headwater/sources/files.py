"""The file source: folders of files of one format as batches and as streams.

As a stream it is Spark's FileStreamSource: files are found by listing, given to a batch number in its own log
(`sources/<i>/`, Spark's format) before the batch's offsets are logged, and read from that log ever after.

Invariants: a path is given to one batch only; the log entry is durable before an offset that needs it is; the same
offsets always name the same files.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from pyspark.sql.types import StructType

from headwater.duck import Connection
from headwater.errors import AnalysisError, IllegalArgumentError, unsupported
from headwater.io.compact_log import CompactLog
from headwater.io.file_log import FileLog
from headwater.io.file_queue import FileQueue, QueueOptions, Take
from headwater.io.formats import Format, FormatOptions, formats
from headwater.io.formats.base import ScanRequest
from headwater.io.formats.json_variant import OPTION as VARIANT
from headwater.io.formats.scan import FILE_FIELD, file_names, nothing
from headwater.io.listing import Listing, ListingOptions, expand, is_glob, list_files
from headwater.io.mounts import Mounts
from headwater.io.partitions import Partitions, assign, discover, merge_schema
from headwater.io.paths import bucket_and_key, is_remote
from headwater.io.routing import is_folder, may_come
from headwater.io.storage import FileStatus
from headwater.io.usable import ignores_missing, usable
from headwater.io.written import written_files
from headwater.settings import parse_duration_ms
from headwater.sources.bad_records import BadRecords
from headwater.sources.base import BatchInput, Offset, ReadLimit, SourceContext, SourceRequest, scanned, sources
from headwater.sources.records import with_records, without_rows

_AHEAD_BYTES = 128 * 1024 * 1024
"""No more is read ahead, for a batch and the one before it are in memory together then."""
_TOGETHER_BYTES = 80 * 1024 * 1024
"""No more than this of several batches is read ahead in one go: whoever waits for the first waits for all. Enough for
four files of a size that DuckDB reads on one thread each (below 32 MB)."""
_MADE = 20
"""So many inputs are kept, more than are read ahead."""
_FIXED = ("text", "binaryFile")
"""Formats whose columns are always the same."""
_INFERENCE = "spark.sql.streaming.schemaInference"


class FileProvider:
    """One format as a source."""

    file_columns = True

    def __init__(self, name: str) -> None:
        self._name = name

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:
        """The user's schema and the partition columns; inferred only if the session allows it."""
        fields, partitions = self._shape(request, context)
        return StructType(fields.fields + partitions.fields)

    def open(self, request: SourceRequest, context: SourceContext) -> FileStream:
        """See `SourceProvider.open`. Raises for options that streams do not take."""
        fields, partitions = self._shape(request, context)
        return FileStream(self._format(), request, context, (fields, partitions))

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:
        """All rows of the files that are there now. Raises UNSUPPORTED_FEATURE for badRecordsPath."""
        if BadRecords.asked(request.options, self._name):
            raise unsupported("badRecordsPath in a batch read", "Read with readStream and trigger(availableNow=True).")
        listing = _list(request, context)
        listing = replace(listing, files=usable(listing.files, self._name, request.options, context.settings))
        partitions = _partitions(listing, request, context)
        data = request.schema or self._infer(listing.files, request, context)
        fields, columns = merge_schema(data, partitions.schema)
        schema = StructType(fields.fields + columns.fields)
        if not listing.files:
            return BatchInput(nothing(schema, metadata=request.file_column)), schema
        largest_first = tuple(sorted(listing.files, key=lambda file: -file.size))  # as Spark packs its tasks
        scan = ScanRequest(
            largest_first,
            fields,
            request.options,
            metadata=request.file_column,
            time_zone=context.time_zone,
            partition_schema=columns,
            partition_values=partitions.values,
        )
        return scanned(self._format(), scan), schema

    def _shape(self, request: SourceRequest, context: SourceContext) -> tuple[StructType, StructType]:
        paths = _paths(request)
        infer = str(context.settings.get(_INFERENCE, "false")).lower() == "true"
        if request.schema is None and not infer and not self._fixed(request):
            raise IllegalArgumentError("STREAMING_SCHEMA_REQUIRED")
        for path in paths:
            if not is_glob(path) and not may_come(context.mounts.local(path)):
                raise AnalysisError("PATH_NOT_FOUND", path=context.mounts.local(path))
        listing = _list(request, context, missing_ok=True)
        data = request.schema or self._infer(listing.files, request, context)
        return merge_schema(data, _partitions(listing, request, context).schema)

    def _infer(self, files: tuple[FileStatus, ...], request: SourceRequest, context: SourceContext) -> StructType:
        if not files and not self._fixed(request):
            raise AnalysisError("UNABLE_TO_INFER_SCHEMA", format=_title(self._name))
        connection = context.database.connect(context.time_zone)
        try:
            return self._format().infer(connection, files, request.options)
        finally:
            connection.close()

    def _fixed(self, request: SourceRequest) -> bool:
        """Whether no file is needed to tell the columns."""
        return self._name in _FIXED or (self._name == "json" and VARIANT in request.options)

    def _format(self) -> Format:
        return cast(Format, formats.get(self._name))


for _name in ("avro", "binaryFile", "csv", "json", "orc", "parquet", "text", "xml"):
    sources.register(_name)(FileProvider(_name))


@dataclass(frozen=True)
class StreamOptions:
    """The options of a file stream; see Spark's guide for their meaning."""

    take: Take
    latest_first: bool
    max_age_ms: int | None
    name_only: bool
    clean: str
    archive: str | None

    @classmethod
    def of(cls, options: FormatOptions) -> StreamOptions:
        """Checked as Spark checks them."""
        for name in ("modifiedbefore", "modifiedafter"):
            if name in options:
                raise _refused(name, options[name], "it is not allowed in file stream sources")
        take = Take(_positive(options, "maxFilesPerTrigger"), _positive(options, "maxBytesPerTrigger"))
        if take.max_files is not None and take.max_bytes is not None:
            raise _refused(
                "maxBytesPerTrigger",
                take.max_bytes,
                "options 'maxFilesPerTrigger' and 'maxBytesPerTrigger' can't be both set at the same time",
            )
        latest_first = options.flag("latestFirst")
        limited = take.max_files is not None or take.max_bytes is not None
        max_age = None if latest_first and limited else parse_duration_ms(options.text("maxFileAge", "7d"))
        clean, archive = _clean(options)
        return cls(take, latest_first, max_age, options.flag("fileNameOnly"), clean, archive)


class FileStream:
    """A file source of a running query."""

    def __init__(
        self,
        file_format: Format,
        request: SourceRequest,
        context: SourceContext,
        shape: tuple[StructType, StructType],
    ) -> None:
        self._format, self._request, self._context = file_format, request, context
        self._fields, self._columns = shape
        self._options = StreamOptions.of(request.options)
        self._mounts = cast(Mounts, context.mounts)
        hidden = [FILE_FIELD] if request.file_column else []
        self.schema = StructType([*self._fields.fields, *self._columns.fields, *hidden])
        self.description = f"FileStreamSource[{self._mounts.uri(_paths(request)[0])}]"
        self.format = request.format.lower()
        self._bad_records = BadRecords.of(request.options, self.format, context)
        listing = ListingOptions.of(request.options)
        chosen = self._options
        self._queue = FileQueue(
            self._mounts,
            _paths(request),
            QueueOptions(listing, chosen.max_age_ms, chosen.latest_first, chosen.name_only),
        )
        log = CompactLog(context.storage, cast(str, context.log_path))
        self._log = FileLog(log, self._mounts, self._queue)
        self._frozen = False
        self._made: dict[tuple[FileStatus, ...], BatchInput] = {}
        self._variable = f"files_{os.path.basename(cast(str, context.log_path))}"

    def initial_offset(self) -> Offset | None:
        """None: the source starts before its first file."""
        return None

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        """Give new files to the next batch; what an earlier run gave and did not plan comes first."""
        self._log.catch_up(_number(start))  # the batch before may have been planned by a run that was still alive
        if self._log.latest > _number(start):
            return _offset(self._log.latest)
        if not self._frozen:
            self._queue.refresh()
        files = self._queue.take(Take() if limit.all else self._options.take)
        if files:
            self._log.give(files)
        return _offset(self._log.latest) if self._log.latest >= 0 else None

    def record(self, end: Offset) -> None:
        """See `RecordsOffsets`."""
        self._log.record(_number(end))

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """The rows of the files given to the batches after `start` up to `end`."""
        present = self._given(start, end)
        if self._bad_records is not None and present:
            return scanned(self._format, self._asked(connection, present))
        return self._input(present) if present else BatchInput(nothing(self.schema), rows=0)

    def _asked(self, connection: Connection, present: Sequence[FileStatus]) -> ScanRequest:
        """What to read of files, once their bad records are kept if that is asked for."""
        request = replace(self._scanned(present), variable=None)
        if self._bad_records is None:
            return request
        return self._bad_records.sift(connection, self._format, request, self._context.clock.now_ms())

    def records(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """See `KeepsRecords`."""
        present = self._given(start, end)
        if not present:
            return BatchInput(without_rows(nothing(self.schema)), rows=0)
        return with_records(self.format, self._format, self._asked(connection, present), self.schema.names)

    def _given(self, start: Offset | None, end: Offset) -> tuple[FileStatus, ...]:
        """The files of the batches after `start` up to `end` that are to be read."""
        options, settings = self._request.options, self._context.settings
        given = self._log.between(_number(start), _number(end), missing_ok=ignores_missing(options, settings))
        return usable(given, self._request.format.lower(), options, settings)

    def ahead(self, end: Offset | None, skip: int, most: int) -> Sequence[BatchInput]:
        """See `ReadsAhead`: the files found that are next in turn."""
        if self._log.latest > _number(end) or self._bad_records is not None:
            return []
        batches = self._queue.peek(self._options.take, skip + most)[skip:]
        sizes = itertools.accumulate(map(_bytes, batches))
        several = sum(size <= _TOGETHER_BYTES for size in sizes)
        return [self._input(tuple(files)) for files in batches[: max(several, 1)] if _bytes(files) <= _AHEAD_BYTES]

    def _input(self, present: tuple[FileStatus, ...]) -> BatchInput:
        """The rows of these files; a batch asks for what was looked at ahead of it."""
        if present not in self._made:
            self._made[present] = self._scan(present)
            while len(self._made) > _MADE:
                del self._made[next(iter(self._made))]
        return self._made[present]

    def _scan(self, present: Sequence[FileStatus]) -> BatchInput:
        found = scanned(self._format, self._scanned(present))
        return replace(found, variables={self._variable: file_names([file.path for file in present])})

    def _scanned(self, present: Sequence[FileStatus]) -> ScanRequest:
        names = [field.name for field in self._columns.fields]
        bases = frozenset(_bases(self._request, self._mounts))
        return ScanRequest(
            tuple(present),
            self._fields,
            self._request.options,
            metadata=self._request.file_column,
            time_zone=self._context.time_zone,
            partition_schema=self._columns,
            partition_values=assign(present, bases, names) if names else {},
            variable=self._variable,
        )

    def prepare_available_now(self) -> None:
        """Look once; later calls hand out what was found."""
        self._queue.refresh()
        self._frozen = True

    def commit(self, end: Offset) -> None:
        """Forget older batches; delete or archive the files of this one if asked."""
        number = _number(end)
        if self._options.clean != "off":
            for file in self._log.files(number):
                self._clean(file)
        self._log.forget(number)

    def reported_latest(self) -> Offset | None:
        """None, as in Spark."""
        return None

    def metrics(self) -> Mapping[str, str]:
        """None of its own."""
        return {}

    def stop(self) -> None:
        """Nothing is held."""

    def _clean(self, file: FileStatus) -> None:
        storage = self._context.storage
        if not storage.exists(file.path):
            return
        if self._options.clean == "delete":
            storage.delete(file.path)
        else:
            archive = self._mounts.local(cast(str, self._options.archive))
            storage.move(file.path, f"{archive}/{_below_root(file.path)}")


def _below_root(path: str) -> str:
    """The path without the root of its filesystem, or without its bucket."""
    return bucket_and_key(path)[1] if is_remote(path) else path.lstrip("/")


def _bytes(files: Sequence[FileStatus]) -> int:
    return sum(file.size for file in files)


def _offset(number: int) -> Offset:
    return f'{{"logOffset":{number}}}'


def _number(offset: Offset | None) -> int:
    """The batch number of an offset; Spark once wrote the bare number."""
    if offset is None:
        return -1
    value: Any = json.loads(offset)
    return int(value["logOffset"] if isinstance(value, dict) else value)


# ── what the user asked for ─────────────────────────────────────────────────────────────────────────────────


def _paths(request: SourceRequest) -> tuple[str, ...]:
    if not request.paths:
        raise IllegalArgumentError("PATH_NOT_SPECIFIED")
    return request.paths


def _list(request: SourceRequest, context: SourceContext, *, missing_ok: bool = False) -> Listing:
    paths = _paths(request)
    written = [written_files(context.storage, context.mounts, path) for path in paths]
    if any(files is not None for files in written):
        files = [file for group in written for file in group or ()]
        return Listing(tuple(sorted(files)), tuple(context.mounts.local(path) for path in paths))
    options = ListingOptions.of(request.options, context.time_zone)
    return list_files(context.mounts, paths, options, missing_ok=missing_ok)


def _partitions(listing: Listing, request: SourceRequest, context: SourceContext) -> Partitions:
    if request.options.flag("recursiveFileLookup"):
        return Partitions()
    infer = (
        str(context.settings.get("spark.sql.sources.partitionColumnTypeInference.enabled", "true")).lower() == "true"
    )
    return discover(listing.files, _bases(request, context.mounts), infer_types=infer)


def _bases(request: SourceRequest, mounts: Mounts) -> list[str]:
    """The folders above which no partition is looked for."""
    given = request.options.get("basepath")
    if given is not None:
        return [mounts.local(given)]
    matches = [match for path in _paths(request) for match in expand(mounts.local(path))]
    return [match if is_folder(match) else os.path.dirname(match) for match in matches]


def _clean(options: FormatOptions) -> tuple[str, str | None]:
    clean = options.text("cleanSource", "off").lower()
    if clean not in {"off", "delete", "archive"}:
        raise _refused("cleanSource", clean, "it must be one of archive, delete, off")
    archive = options.get("sourcearchivedir")
    if clean == "archive" and archive is None:
        raise _refused("cleanSource", clean, "archiving needs option 'sourceArchiveDir'")
    return clean, archive


def _positive(options: FormatOptions, name: str) -> int | None:
    text = options.get(name.lower())
    if text is None:
        return None
    if not text.strip().isdecimal() or int(text) <= 0:
        raise _refused(name, text, "must be a positive integer")
    return int(text)


def _refused(option: str, value: object, reason: str) -> IllegalArgumentError:
    return IllegalArgumentError("INVALID_SOURCE_OPTION", option=option, value=value, reason=reason)


def _title(name: str) -> str:
    return name.capitalize() if name in {"parquet", "text", "avro"} else name.upper()
