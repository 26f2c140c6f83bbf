"""Opening an Auto Loader stream: options, the schema and where it is kept, partition columns.

The schema lies where `cloudFiles.schemaLocation` says, else under the query's checkpoint, one folder per input path.

Invariants: a schema that is kept is never inferred again; it is kept before the stream reads its first row.
"""

from __future__ import annotations

import os
import zlib
from typing import cast

from pyspark.sql.types import StringType, StructField, StructType

from headwater.errors import AnalysisError, IllegalArgumentError, unsupported
from headwater.io.formats import json_variant
from headwater.io.formats.binary_file import SCHEMA as BINARY_FILE
from headwater.io.listing import ListingOptions, expand, is_glob, list_files, one_each
from headwater.io.mounts import Mounts
from headwater.io.partitions import Partitions, discover, merge_schema
from headwater.io.routing import is_folder, may_come
from headwater.sources.base import BatchInput, SourceContext, SourceRequest
from headwater.sources.cloud_files.options import CloudOptions
from headwater.sources.cloud_files.schema import SchemaLog, infer
from headwater.sources.cloud_files.stream import CloudFilesStream, Shape


class CloudFilesProvider:
    """The source `cloudFiles`."""

    file_columns = True

    def schema(self, request: SourceRequest, context: SourceContext) -> StructType:
        """Data columns, rescued-data column, partition columns."""
        return self.shape(request, context, CloudOptions.of(request)).schema

    def open(self, request: SourceRequest, context: SourceContext) -> CloudFilesStream:
        """See `SourceProvider.open`."""
        options = CloudOptions.of(request)
        shape = self.shape(request, context, options)
        return CloudFilesStream(request, context, options, shape)

    def batch(self, request: SourceRequest, context: SourceContext) -> tuple[BatchInput, StructType]:  # noqa: ARG002
        """Refused: Auto Loader is a stream."""
        raise unsupported("reading cloudFiles as a batch", "Use spark.readStream with trigger(availableNow=True).")

    def shape(self, request: SourceRequest, context: SourceContext, options: CloudOptions) -> Shape:
        """The columns, inferred if they are neither given nor kept. Raises PATH_NOT_FOUND."""
        if not request.paths:
            raise IllegalArgumentError("PATH_NOT_SPECIFIED")
        mounts = cast(Mounts, context.mounts)
        for path in request.paths:
            if not is_glob(path) and not may_come(mounts.local(path)):
                raise AnalysisError("PATH_NOT_FOUND", path=mounts.uri(path))
        log = self._log(request, context, options)
        data = request.schema or _fixed(options) or self._data(context, (request, options), log)
        fields, columns = merge_schema(data, self._partitions(request, mounts, options).schema)
        return Shape(fields, options.rescue, columns, log, bases(request, mounts))

    def _data(
        self, context: SourceContext, asked: tuple[SourceRequest, CloudOptions], log: SchemaLog | None
    ) -> StructType:
        """The kept schema, else a fresh one, kept if there is a place."""
        request, options = asked
        kept = log.latest() if log else None
        if kept is not None:
            return kept
        listing = list_files(context.mounts, request.paths, ListingOptions.of(options.reader), missing_ok=True)
        if not listing.files:
            raise AnalysisError("CF_EMPTY_DIR_FOR_SCHEMA_INFERENCE", path=", ".join(request.paths))
        connection = context.database.connect(context.time_zone)
        try:
            schema = infer(connection, listing.files, options)
        finally:
            connection.close()
        if log:
            log.add(schema)
        return schema

    def _log(self, request: SourceRequest, context: SourceContext, options: CloudOptions) -> SchemaLog | None:
        if request.schema is not None or options.fixed:
            return None
        if options.schema_location is not None:
            return SchemaLog(context.storage, context.mounts.local(options.schema_location))
        if context.checkpoint is None:
            return None
        return SchemaLog(context.storage, f"{context.checkpoint}/cloud_files/{_path_key(request, context.mounts)}")

    def _partitions(self, request: SourceRequest, mounts: Mounts, options: CloudOptions) -> Partitions:
        """What the folders' names say: all folders are looked at, their files are not."""
        wanted = options.partition_columns
        if wanted == () or (wanted is None and options.reader.flag("recursiveFileLookup")):
            return Partitions()
        files = one_each(mounts, request.paths, ListingOptions.of(options.reader))
        found = discover(files, bases(request, mounts), infer_types=options.infer_types or wanted is None)
        if wanted is None:
            return found
        known = {field.name.lower(): field for field in found.schema.fields}
        fields = [known.get(column.lower(), StructField(column, StringType(), True)) for column in wanted]
        return Partitions(StructType(fields), {})


def _fixed(options: CloudOptions) -> StructType | None:
    """The columns of a format that always has the same, or the one that holds a record whole."""
    if not options.fixed:
        return None
    known = {"text": StructType([StructField("value", StringType())]), "binaryfile": BINARY_FILE}
    return known.get(options.format) or json_variant.schema_of(options.reader)


def bases(request: SourceRequest, mounts: Mounts) -> list[str]:
    """The folders above which no partition is looked for."""
    given = request.options.get("basepath")
    if given is not None:
        return [mounts.local(given)]
    matches = [match for path in request.paths for match in expand(mounts.local(path))]
    return [match if is_folder(match) else os.path.dirname(match) for match in matches]


def _path_key(request: SourceRequest, mounts: Mounts) -> str:
    return f"{zlib.crc32(' '.join(mounts.uri(path).rstrip('/') for path in request.paths).encode()):08x}"
