"""A running Auto Loader stream: which files come next, their rows, and what happens when a field is new.

Invariants: a path is given to one batch only (see `io.file_log`); when a field is new, the grown schema is kept
before the stream fails, so that the next start reads the same batch with it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

from pyspark.sql.types import StringType, StructField, StructType

from headwater.duck import Connection
from headwater.errors import UnknownFieldError
from headwater.io.file_log import FileLog
from headwater.io.file_queue import FileQueue, QueueOptions, Take
from headwater.io.formats import Format, FormatOptions, formats
from headwater.io.formats.base import ScanRequest
from headwater.io.formats.scan import FILE_FIELD, nothing
from headwater.io.listing import ListingOptions, spelled
from headwater.io.mounts import Mounts
from headwater.io.partitions import assign
from headwater.io.seen_files import SeenFiles
from headwater.io.storage import FileStatus
from headwater.io.usable import ignores_missing, usable
from headwater.sources.bad_records import BadRecords
from headwater.sources.base import BatchInput, Offset, ReadLimit, SourceContext, SourceRequest, scanned
from headwater.sources.cloud_files.cleaning import Cleaner
from headwater.sources.cloud_files.finding import finder
from headwater.sources.cloud_files.growth import widened
from headwater.sources.cloud_files.lifecycle import Lifecycle
from headwater.sources.cloud_files.nested import new_inside
from headwater.sources.cloud_files.options import GROWING, CloudOptions, refused
from headwater.sources.cloud_files.passed_over import PassedOver
from headwater.sources.cloud_files.schema import SchemaLog, new_fields
from headwater.sources.records import with_records, without_rows


@dataclass(frozen=True)
class Shape:
    """The columns of a stream.

    Attributes:
        fields: data columns.
        rescue: name of the rescued-data column, or None.
        columns: partition columns.
        log: where the schema is kept, or None if the user gave it.
        bases: folders above which no partition is looked for.
    """

    fields: StructType
    rescue: str | None
    columns: StructType
    log: SchemaLog | None
    bases: list[str]

    @property
    def schema(self) -> StructType:
        """All columns, in order."""
        rescued = [StructField(self.rescue, StringType(), True)] if self.rescue else []
        return StructType([*self.fields.fields, *rescued, *self.columns.fields])

    def scan(self, files: tuple[FileStatus, ...], reader: FormatOptions, context: SourceContext) -> ScanRequest:
        """What to read of files."""
        names = [field.name for field in self.columns.fields]
        return ScanRequest(
            files,
            self.fields,
            reader,
            rescue=self.rescue,
            time_zone=context.time_zone,
            partition_schema=self.columns,
            partition_values=assign(files, frozenset(self.bases), names) if names else {},
        )


class CloudFilesStream:
    """See the module."""

    def __init__(self, request: SourceRequest, context: SourceContext, options: CloudOptions, shape: Shape) -> None:
        self._request, self._context, self._options, self._shape = request, context, options, shape
        self._mounts = cast(Mounts, context.mounts)
        self._format = cast(Format, formats.get(options.format))
        hidden = [FILE_FIELD] if request.file_column else []
        self.schema = StructType([*shape.schema.fields, *hidden])
        self._path = self._mounts.uri(request.paths[0])
        self.description = f"CloudFilesSource[{self._path}]"
        self.format = options.format
        names = ListingOptions.of(options.reader, context.time_zone)
        told = options.notifications
        listing = QueueOptions(
            names,
            options.max_age_ms,
            overwrites=options.overwrites,
            incremental="false" if told.used else options.incremental,
            full_ms=told.backfill_ms,
        )
        self._queue = FileQueue(self._mounts, request.paths, listing)
        folder = cast(str, context.log_path)
        place = (folder.rpartition("/sources/")[0], int(folder.rpartition("/")[2]))
        self._lifecycle = Lifecycle(context.storage, context.clock, place)
        seen = SeenFiles(context.storage, folder, self._lifecycle.known)
        self._log = FileLog(seen, self._mounts, self._queue, self._lifecycle)
        self._passed_over = PassedOver(context.storage, folder)
        self._cleaner = self._cleaner_of(context, options)
        self._committed: int | None = None
        self._bad_records = BadRecords.of(request.options, options.format, context)
        self._finder = finder(request, context, told, self._queue, self._log)
        if not options.include_existing and self._log.latest < 0:
            self._pass_over_existing()

    def initial_offset(self) -> Offset | None:
        """None: the stream starts before its first file; without existing files, after the entry that holds them."""
        return None if self._options.include_existing else self._offset(0)

    def latest_offset(self, start: Offset | None, limit: ReadLimit) -> Offset | None:
        """Give new files to the next batch; what an earlier run gave and did not plan comes first."""
        self._finder.resume(start)
        self._log.catch_up(_number(start))  # the batch before may have been planned by a run that was still alive
        if self._log.latest > _number(start):
            return self._offset(self._log.latest)
        take = Take() if limit.all else self._options.take
        self._finder.look(start, take.max_files)
        files = self._queue.take(take)
        if files:
            self._log.give(files)
            self._finder.given(files)
        if self._log.latest == _number(start):
            return start  # the input path may have another name by now
        return self._offset(self._log.latest)

    def record(self, end: Offset) -> None:
        """See `RecordsOffsets`."""
        self._log.record(_number(end))
        self._lifecycle.planned(_number(end))

    def relation(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """The rows of the files given to the batches after `start` up to `end`.

        Raises UNKNOWN_FIELD_EXCEPTION when a field is new and the evolution mode says so.
        """
        request = self._asked(connection, start, end)
        return BatchInput(nothing(self.schema), rows=0) if request is None else scanned(self._format, request)

    def records(self, connection: Connection, start: Offset | None, end: Offset) -> BatchInput:
        """See `KeepsRecords`. Raises as `relation`."""
        request = self._asked(connection, start, end)
        if request is None:
            return BatchInput(without_rows(nothing(self.schema)), rows=0)
        return with_records(self.format, self._format, request, self.schema.names)

    def _asked(self, connection: Connection, start: Offset | None, end: Offset) -> ScanRequest | None:
        """What is to be read of the files after `start` up to `end`; None: there is none."""
        options, settings = self._options, self._context.settings
        missing_ok = ignores_missing(options.reader, settings)
        given = self._log.between(_number(start), _number(end), missing_ok=missing_ok)
        files = usable(given, options.format, options.reader, settings)
        self._passed_over.note(_number(end), self._log.given(_number(start), _number(end)), files)
        if not files:
            return None
        self._check_fields(connection, files)
        request = replace(
            self._shape.scan(files, self._options.reader, self._context), metadata=self._request.file_column
        )
        if self._bad_records is not None:
            now = self._context.clock.now_ms()
            request = self._bad_records.sift(connection, self._format, request, now)
        return request

    def prepare_available_now(self) -> None:
        """See `Finder.freeze`."""
        self._finder.freeze()

    def commit(self, end: Offset) -> None:
        """Forget older batches; delete or move files if asked."""
        number = _number(end)
        known = number - 1 if self._committed is None else self._committed
        for each in range(known + 1, number + 1):
            self._lifecycle.committed(each)
        if self._cleaner is not None:
            if self._committed is None:
                self._cleaner.load(self._log, number - 1)
            for each in range(known + 1, number + 1):
                self._cleaner.add(each, self._log.files(each))
            self._cleaner.run()
        self._committed = max(number, known)
        self._log.forget(number)
        self._finder.settle()

    def reported_latest(self) -> Offset | None:
        """The newest entry given."""
        return self._offset(self._log.latest) if self._log.latest >= 0 else None

    def metrics(self) -> Mapping[str, str]:
        """Databricks' backlog metrics."""
        files, size = self._queue.waiting
        return {"numFilesOutstanding": str(files), "numBytesOutstanding": str(size), **self._finder.metrics()}

    def stop(self) -> None:
        """Free what finds files."""
        self._finder.stop()

    def _cleaner_of(self, context: SourceContext, options: CloudOptions) -> Cleaner | None:
        """Raises INVALID_SOURCE_OPTION for a destination that the stream would read again."""
        clean = options.clean
        if clean.mode == "OFF":
            return None
        roots = [spelled(self._mounts, path)[0] for path in self._request.paths]
        target = self._mounts.local(clean.destination).rstrip("/") + "/"
        if clean.mode == "MOVE" and any(target.startswith(root + "/") for root in roots):
            name = "cloudFiles.cleanSource.moveDestination"
            raise refused(name, clean.destination, "it must not lie below the folder that is read")
        return Cleaner(clean, (context.storage, self._mounts), roots, self._lifecycle, self._passed_over)

    def _offset(self, number: int) -> Offset:
        started_ms, finished_ms = self._finder.times()
        body = {
            "seqNum": number,
            "sourceVersion": 1,
            "lastBackfillStartTimeMs": started_ms,
            "lastBackfillFinishTimeMs": finished_ms,
            "lastInputPath": self._path,
        }
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False)

    def _pass_over_existing(self) -> None:
        """Without `includeExistingFiles`, what lies there at the first start belongs to an entry that is never read."""
        self._queue.refresh()
        number = self._log.give(self._queue.take())
        self._lifecycle.skipping = True
        self._log.record(number)
        self._lifecycle.skipping = False
        self._log.forget(number)
        self._finder.passed_over()

    def _check_fields(self, connection: Connection, files: Sequence[FileStatus]) -> None:
        mode, known = self._options.mode, self._shape.fields
        if mode not in {*GROWING, "failOnNewColumns"} or self._options.fixed:
            return
        found = new_fields(connection, files, known, self._options)
        widening = mode == "addNewColumnsWithTypeWidening"
        wider = widened(connection, files, known, self._options) if widening else []
        inside = new_inside(connection, files, known, self._options)
        if not found and not wider and not inside:
            return
        grows = mode in GROWING and self._shape.log is not None
        if grows:
            kinds = {field.name: field for field in (*wider, *(growth.field for growth in inside))}
            fields = [*(kinds.get(field.name, field) for field in known.fields), *(field for field, _ in found)]
            cast(SchemaLog, self._shape.log).add(StructType(fields))
        names = [(field.name, path) for field, path in found]
        names += [(name, growth.path) for growth in inside for name in growth.names]
        names += [(field.name, files[0].path) for field in wider]
        raise UnknownFieldError(
            "UNKNOWN_FIELD_EXCEPTION.NEW_FIELDS_IN_RECORD_WITH_FILE_PATH",
            fields=", ".join(name for name, _ in names),
            filePath=names[0][1],
            isRetryable=str(grows).lower(),
            wayOut="Start the stream again: it reads them with the new columns."
            if grows
            else "Add them to the schema, or set cloudFiles.schemaEvolutionMode to addNewColumns or rescue.",
        )


def _number(offset: Offset | None) -> int:
    return -1 if offset is None else int(json.loads(offset)["seqNum"])
