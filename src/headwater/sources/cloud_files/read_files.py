"""`read_files`: what SQL's table function of that name reads, all files there are now or, as a stream, each once.

Options and columns are Auto Loader's. Without `cloudFiles.format` the first file's name says what the files are.

Invariant: a batch read keeps nothing: its schema is inferred anew, unless `schemaLocation` has one.
"""

from __future__ import annotations

from dataclasses import replace
from typing import cast

from pyspark.sql.types import StructType

from headwater.errors import IllegalArgumentError, unsupported
from headwater.io.formats import Format, FormatOptions, formats
from headwater.io.formats.scan import nothing
from headwater.io.listing import ListingOptions, list_files
from headwater.io.usable import usable
from headwater.sources.bad_records import BadRecords
from headwater.sources.base import BatchInput, SourceContext, SourceRequest, scanned
from headwater.sources.cloud_files.options import FORMATS, PREFIX, CloudOptions
from headwater.sources.cloud_files.provider import CloudFilesProvider
from headwater.sources.cloud_files.stream import CloudFilesStream

_PACKED = (".gz", ".zst", ".bz2")


class ReadFilesProvider(CloudFilesProvider):
    """The source `read_files`."""

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:
        """See `CloudFilesProvider.schema`."""
        return super().schema(_with_format(request, context), context)

    def open(self, request: SourceRequest, context: SourceContext) -> CloudFilesStream:
        """See `SourceProvider.open`."""
        return super().open(_with_format(request, context), context)

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:
        """All rows of the files that are there now."""
        request = _with_format(request, context)
        options = CloudOptions.of(request)
        if BadRecords.asked(request.options, options.format):
            raise unsupported("badRecordsPath in a batch read", "Read with STREAM read_files(…).")
        if options.notifications.used:
            raise unsupported("useNotifications in a batch read", "Read with STREAM read_files(…).")
        shape = self.shape(request, context, options)
        listing = list_files(context.mounts, request.paths, ListingOptions.of(options.reader, context.time_zone))
        files = usable(listing.files, options.format, options.reader, context.settings)
        if not files:
            return BatchInput(nothing(shape.schema, metadata=request.file_column)), shape.schema
        scan = replace(shape.scan(files, options.reader, context), metadata=request.file_column)
        return scanned(cast(Format, formats.get(options.format)), scan), shape.schema


def _with_format(request: SourceRequest, context: SourceContext) -> SourceRequest:
    """The request with the format that the files' names have. Raises CF_SOURCE_FORMAT_MISSING."""
    if request.options.text(PREFIX + "format"):
        return request
    listing = list_files(context.mounts, request.paths, ListingOptions(), missing_ok=True)
    for file in listing.files:
        path = file.path.lower()
        for packed in _PACKED:
            path = path.removesuffix(packed)
        for name in FORMATS:
            found = formats.get(name)
            if found is not None and found.extensions and path.endswith(found.extensions):
                return replace(request, options=FormatOptions({**request.options, PREFIX + "format": name}))
    raise IllegalArgumentError("CF_SOURCE_FORMAT_MISSING")
