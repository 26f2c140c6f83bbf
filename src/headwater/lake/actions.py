"""The actions of a Delta log, as immutable values and as the JSON lines they are written in.

Invariants: paths in actions are percent-encoded and relative to the table, as the protocol has them; an action
that is read and written again keeps every field that Headwater knows.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, unquote

from pyspark.sql.types import StructType


@dataclass(frozen=True, slots=True)
class AddFile:
    """A data file that joins the table.

    Attributes:
        path: percent-encoded, relative to the table (or an absolute URI).
        partition_values: text by column name; None is null.
        size: bytes. modification_time: milliseconds since the epoch.
        data_change: False if the commit only rearranges rows.
        stats: Delta's statistics as JSON text, if any.
        deletion_vector: the descriptor, if rows of the file are deleted.
        other: what else the log says of it (`tags`, `baseRowId`, …), kept as it is.
    """

    path: str
    partition_values: Mapping[str, str | None]
    size: int
    modification_time: int
    data_change: bool = True
    stats: str | None = None
    deletion_vector: Mapping[str, Any] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    @property
    def rows(self) -> int | None:
        """Number of rows by the statistics, if they say; rows that a deletion vector takes away do not count."""
        found = json.loads(self.stats).get("numRecords") if self.stats else None
        return found if found is None or self.deletion_vector is None else found - self.deletion_vector["cardinality"]

    def action(self) -> dict[str, Any]:
        """The log line of this file."""
        line: dict[str, Any] = {
            "path": self.path,
            "partitionValues": dict(self.partition_values),
            "size": self.size,
            "modificationTime": self.modification_time,
            "dataChange": self.data_change,
        }
        if self.stats is not None:
            line["stats"] = self.stats
        if self.deletion_vector is not None:
            line["deletionVector"] = dict(self.deletion_vector)
        return {"add": {**line, **self.other}}

    def removal(self, timestamp_ms: int, data_change: bool = True) -> RemoveFile:
        """The action that takes this file out of the table."""
        return RemoveFile(
            self.path, timestamp_ms, data_change, self.partition_values, self.size, self.deletion_vector, self.other
        )


@dataclass(frozen=True, slots=True)
class RemoveFile:
    """A data file that leaves the table."""

    path: str
    deletion_timestamp: int | None
    data_change: bool = True
    partition_values: Mapping[str, str | None] | None = None
    size: int | None = None
    deletion_vector: Mapping[str, Any] | None = None
    other: Mapping[str, Any] = field(default_factory=dict)

    def action(self) -> dict[str, Any]:
        """The log line of this removal."""
        line: dict[str, Any] = {
            "path": self.path,
            "deletionTimestamp": self.deletion_timestamp,
            "dataChange": self.data_change,
            "extendedFileMetadata": True,
            "partitionValues": dict(self.partition_values or {}),
            "size": self.size,
        }
        if self.deletion_vector is not None:
            line["deletionVector"] = dict(self.deletion_vector)
        return {"remove": {**line, **self.other}}


@dataclass(frozen=True, slots=True)
class ChangeFile:
    """A file of the change data feed: rows with `_change_type`. `path` as of a data file."""

    path: str
    partition_values: Mapping[str, str | None]
    size: int

    def action(self) -> dict[str, Any]:
        """The log line of this file."""
        values = dict(self.partition_values)
        return {"cdc": {"path": self.path, "partitionValues": values, "size": self.size, "dataChange": False}}


@dataclass(frozen=True, slots=True)
class DomainMetadata:
    """Metadata of a feature (`delta.clustering`, …). `configuration`: its JSON text."""

    domain: str
    configuration: str
    removed: bool = False

    def action(self) -> dict[str, Any]:
        """The log line of this domain."""
        return {"domainMetadata": {"domain": self.domain, "configuration": self.configuration, "removed": self.removed}}


@dataclass(frozen=True)
class Protocol:
    """What a reader and a writer of the table must be able to do."""

    reader_version: int
    writer_version: int
    reader_features: tuple[str, ...] = ()
    writer_features: tuple[str, ...] = ()

    def action(self) -> dict[str, Any]:
        """The log line of this protocol."""
        line: dict[str, Any] = {"minReaderVersion": self.reader_version, "minWriterVersion": self.writer_version}
        if self.reader_version >= 3:
            line["readerFeatures"] = list(self.reader_features)
        if self.writer_version >= 7:
            line["writerFeatures"] = list(self.writer_features)
        return {"protocol": line}


@dataclass(frozen=True)
class Metadata:
    """Name, schema, partitioning and properties of the table. `created_time`: milliseconds since the epoch."""

    id: str
    schema_text: str
    partition_columns: tuple[str, ...] = ()
    configuration: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None
    description: str | None = None
    created_time: int | None = None

    @cached_property
    def schema(self) -> StructType:
        """The table's columns; Delta's schema JSON is Spark's own."""
        return StructType.fromJson(json.loads(self.schema_text))

    def action(self) -> dict[str, Any]:
        """The log line of this metadata."""
        line: dict[str, Any] = {"id": self.id}
        if self.name is not None:
            line["name"] = self.name
        if self.description is not None:
            line["description"] = self.description
        line |= {
            "format": {"provider": "parquet", "options": {}},
            "schemaString": self.schema_text,
            "partitionColumns": list(self.partition_columns),
            "configuration": dict(self.configuration),
        }
        if self.created_time is not None:
            line["createdTime"] = self.created_time
        return {"metaData": line}


@dataclass(frozen=True)
class Txn:
    """A writer's own counter: `app_id` has done everything up to `version`."""

    app_id: str
    version: int
    last_updated: int | None = None

    def action(self) -> dict[str, Any]:
        """The log line of this counter."""
        line: dict[str, Any] = {"appId": self.app_id, "version": self.version}
        if self.last_updated is not None:
            line["lastUpdated"] = self.last_updated
        return {"txn": line}


@dataclass(frozen=True)
class Commit:
    """One version of the log.

    `info` is its `commitInfo` (empty if the writer left none); `removes_first`: the log names the files that leave
    before those that join.
    """

    version: int
    adds: tuple[AddFile, ...] = ()
    removes: tuple[RemoveFile, ...] = ()
    txns: tuple[Txn, ...] = ()
    metadata: Metadata | None = None
    protocol: Protocol | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    timestamp_ms: int = 0
    changes: tuple[ChangeFile, ...] = ()
    domains: tuple[DomainMetadata, ...] = ()
    removes_first: bool = True

    @property
    def changes_data(self) -> bool:
        """Whether rows came or went, rather than only moved between files."""
        return any(file.data_change for file in self.adds) or any(file.data_change for file in self.removes)

    def lines(self) -> bytes:
        """The bytes of the log file."""
        files: Iterable[Any] = (*self.removes, *self.adds, *self.changes)
        parts: Iterable[Any] = (self.protocol, self.metadata, *self.domains, *self.txns, *files)
        actions = [{"commitInfo": dict(self.info)}, *(part.action() for part in parts if part is not None)]
        return b"".join(json.dumps(a, separators=(",", ":"), ensure_ascii=False).encode() + b"\n" for a in actions)


def parse_commit(version: int, data: bytes, timestamp_ms: int = 0) -> Commit:
    """A log file as a `Commit`. Unknown actions are passed over, as the protocol asks."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in data.splitlines():
        if line.strip():
            for kind, body in json.loads(line).items():
                found.setdefault(kind, []).append(body)
    info = found.get("commitInfo", [{}])[0]
    kinds = [kind for kind in found if kind in ("add", "remove")]
    metadata, protocol = found.get("metaData"), found.get("protocol")
    return Commit(
        version,
        tuple(map(parse_add, found.get("add", ()))),
        tuple(map(parse_remove, found.get("remove", ()))),
        tuple(map(parse_txn, found.get("txn", ()))),
        parse_metadata(metadata[-1]) if metadata else None,
        parse_protocol(protocol[-1]) if protocol else None,
        info,
        info.get("inCommitTimestamp") or timestamp_ms,
        tuple(map(parse_change, found.get("cdc", ()))),
        tuple(map(parse_domain, found.get("domainMetadata", ()))),
        kinds[:1] != ["add"],
    )


def parse_add(body: Mapping[str, Any]) -> AddFile:
    """An `add` of the log."""
    return AddFile(
        body["path"],
        body.get("partitionValues") or {},
        body["size"],
        body["modificationTime"],
        body.get("dataChange", True),
        body.get("stats"),
        body.get("deletionVector"),
        _other(body),
    )


def parse_remove(body: Mapping[str, Any]) -> RemoveFile:
    """A `remove` of the log."""
    return RemoveFile(
        body["path"],
        body.get("deletionTimestamp"),
        body.get("dataChange", True),
        body.get("partitionValues"),
        body.get("size"),
        body.get("deletionVector"),
        _other(body),
    )


_KEPT = ("tags", "baseRowId", "defaultRowCommitVersion", "clusteringProvider")


def _other(body: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept beside the fields that Headwater uses."""
    found = {key: body[key] for key in _KEPT if body.get(key) is not None}
    if "tags" in found:
        found["tags"] = dict(found["tags"])
    return found


def parse_change(body: Mapping[str, Any]) -> ChangeFile:
    """A `cdc` of the log."""
    return ChangeFile(body["path"], body.get("partitionValues") or {}, body["size"])


def parse_domain(body: Mapping[str, Any]) -> DomainMetadata:
    """A `domainMetadata` of the log."""
    return DomainMetadata(body["domain"], body.get("configuration", ""), body.get("removed", False))


def parse_txn(body: Mapping[str, Any]) -> Txn:
    """A `txn` of the log."""
    return Txn(body["appId"], body["version"], body.get("lastUpdated"))


def parse_metadata(body: Mapping[str, Any]) -> Metadata:
    """A `metaData` of the log."""
    return Metadata(
        body["id"],
        body["schemaString"],
        tuple(body.get("partitionColumns") or ()),
        dict(body.get("configuration") or {}),
        body.get("name"),
        body.get("description"),
        body.get("createdTime"),
    )


def parse_protocol(body: Mapping[str, Any]) -> Protocol:
    """A `protocol` of the log."""
    return Protocol(
        body["minReaderVersion"],
        body["minWriterVersion"],
        tuple(body.get("readerFeatures") or ()),
        tuple(body.get("writerFeatures") or ()),
    )


def new_table_id() -> str:
    """A fresh table id."""
    return str(uuid.uuid4())


def encode_path(path: str) -> str:
    """A relative file path as the log writes it."""
    return quote(path, safe="/-_.~!$&'()*+,;=:@")


def decode_path(path: str) -> str:
    """A log's path as the file system has it."""
    return unquote(path)
