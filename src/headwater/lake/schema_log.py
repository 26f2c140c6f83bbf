"""The schema log of a stream's Delta source: under which columns the stream reads, one numbered file per change.

The folder is `<schemaTrackingLocation>/_schema_log_<table id>[_<streamingSourceTrackingId>]`, below the query's
checkpoint; each file is the line `v1` and one line of JSON. The format is Delta's own, so that Spark goes on from it
(see docs/spec/schema_log.md).

Invariants: an entry is written whole and never again; whoever finds its number taken has met another stream.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql.types import StructType

from headwater.errors import AnalysisError, SparkError
from headwater.io.storage import Storage
from headwater.lake.actions import Metadata, Protocol, parse_protocol

_VERSION = "v1"


@dataclass(frozen=True)
class Entry:
    """A definition of the table that a stream reads by.

    Attributes:
        version: the table's version that has it. schema_text: all columns, as JSON.
        partition_columns: their names; `partition_text` is their schema's JSON.
        source_path: the source's folder in the checkpoint, as Spark prints it.
        previous: the number of the entry that this one follows, if that is not the one before.
    """

    table_id: str
    version: int
    schema_text: str
    partition_text: str
    source_path: str
    configuration: Mapping[str, str] | None = None
    protocol: Protocol | None = None
    previous: int | None = None

    @classmethod
    def of(cls, metadata: Metadata, protocol: Protocol, version: int, source_path: str) -> Entry:
        """The entry for a table's definition."""
        names = metadata.partition_columns
        partitions = StructType([metadata.schema[name] for name in names])
        settings = dict(metadata.configuration)
        return cls(metadata.id, version, metadata.schema_text, partitions.json(), source_path, settings, protocol)

    @property
    def schema(self) -> StructType:
        """The columns with all their metadata. Raises DELTA_STREAMING_SCHEMA_LOG_PARSE_SCHEMA_FAILED."""
        return _schema(self.schema_text)

    def metadata(self, table: Metadata) -> Metadata:
        """The table's definition with these columns and properties. Raises as `schema`."""
        settings = table.configuration if self.configuration is None else self.configuration
        partitions = tuple(_schema(self.partition_text).names)
        return replace(table, schema_text=self.schema.json(), partition_columns=partitions, configuration=settings)

    def json(self) -> str:
        """Delta's text."""
        body: dict[str, Any] = {
            "tableId": self.table_id,
            "deltaCommitVersion": self.version,
            "dataSchemaJson": self.schema_text,
            "partitionSchemaJson": self.partition_text,
            "sourceMetadataPath": self.source_path,
        }
        if self.configuration is not None:
            body["tableConfigurations"] = dict(self.configuration)
        if self.protocol is not None:
            body["protocolJson"] = json.dumps(self.protocol.action(), separators=(",", ":"))
        if self.previous is not None:
            body["previousMetadataSeqNum"] = self.previous
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def parse(cls, text: str) -> Entry:
        """The inverse of `json`. Raises ValueError, KeyError or TypeError."""
        body = json.loads(text)
        protocol = body.get("protocolJson")
        return cls(
            body["tableId"],
            body["deltaCommitVersion"],
            body["dataSchemaJson"],
            body["partitionSchemaJson"],
            body["sourceMetadataPath"],
            body.get("tableConfigurations"),
            None if protocol is None else parse_protocol(json.loads(protocol)["protocol"]),
            body.get("previousMetadataSeqNum"),
        )


def _schema(text: str) -> StructType:
    try:
        return StructType.fromJson(json.loads(text))
    except (ValueError, KeyError, TypeError) as cause:
        raise SparkError("DELTA_STREAMING_SCHEMA_LOG_PARSE_SCHEMA_FAILED") from cause


class SchemaLog:
    """The log in one folder, as it was when it was opened. `current`: its last entry, if there is one.

    Raises DELTA_STREAMING_SCHEMA_LOG_DESERIALIZE_FAILED for an entry that is not whole.
    """

    def __init__(self, storage: Storage, folder: str, table: str) -> None:
        self.folder = folder
        self._storage = storage
        self._table = table
        numbers = [int(name) for name in storage.list(folder) if name.isdigit()]
        self._number = max(numbers, default=-1)
        self.current: Entry | None = self._read(self._number) if numbers else None

    @property
    def previous(self) -> Entry | None:
        """The entry that the last one follows; None if it is the first."""
        number = self._before()
        return self._read(number) if number >= 0 else None

    def write(self, entry: Entry, *, replaces: bool = False) -> Entry:
        """Add an entry; if it `replaces` the last one, it follows what that followed.

        Raises DELTA_STREAMING_SCHEMA_LOCATION_CONFLICT if another stream was here.
        """
        if replaces and self.current is not None:
            entry = replace(entry, previous=self._before())
        if entry == self.current:
            return entry
        path = os.path.join(self.folder, str(self._number + 1))
        try:
            self._storage.create(path, f"{_VERSION}\n{entry.json()}".encode())
        except FileExistsError as cause:
            raise AnalysisError(
                "DELTA_STREAMING_SCHEMA_LOCATION_CONFLICT", loc=self.folder, table=self._table
            ) from cause
        self._number += 1
        self.current = entry
        return entry

    def _before(self) -> int:
        named = None if self.current is None else self.current.previous
        return self._number - 1 if named is None else named

    def _read(self, number: int) -> Entry:
        path = os.path.join(self.folder, str(number))
        try:
            version, text = self._storage.read(path).decode().split("\n", 1)
            if version != _VERSION:
                raise ValueError(version)
            return Entry.parse(text)
        except (ValueError, KeyError, TypeError, OSError) as cause:
            raise SparkError("DELTA_STREAMING_SCHEMA_LOG_DESERIALIZE_FAILED", location=self.folder) from cause
