"""What a write will do to a Delta table, decided before any row is written: schema, partitioning, what it replaces.

Invariants: pure (no files, no clock); a write that the table's schema or properties forbid is refused here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

from pyspark.sql.types import StructType
from sqlglot import exp

from headwater.errors import AnalysisError, SparkError
from headwater.lake import clustering, widening
from headwater.lake.actions import AddFile, DomainMetadata, Metadata, Protocol, new_table_id
from headwater.lake.column_ids import assigned
from headwater.lake.columns import check_defaults
from headwater.lake.conflicts import NOTHING, Reads, reads, whole
from headwater.lake.features import check_change_columns, check_writable, protocol_for, raised
from headwater.lake.file_sizes import Sizes
from headwater.lake.identity import ONLY_MARKS, check_defined, moved
from headwater.lake.log import LogState
from headwater.lake.mapping import MODE, mode_of, physical_path, user_schema
from headwater.lake.partitions import Partition, partition_of
from headwater.lake.properties import checked, kept
from headwater.lake.schema import as_nullable, check_partitioning, check_storable, merge, stored
from headwater.lake.transaction import Draft, Operation
from headwater.lake.zorder import ColumnPath

if TYPE_CHECKING:
    from typing_extensions import TypedDict

    class WriteArguments(TypedDict, total=False):
        """What `LakeTable.append` and `overwrite` take besides the rows; see `Write`."""

        txn: tuple[str, int] | None
        counters: tuple[tuple[str, int], ...]
        merge_schema: bool
        overwrite_schema: bool
        partition_by: tuple[str, ...]
        cluster_by: tuple[ColumnPath, ...]
        dynamic_partitions: bool
        replace_where: exp.Expr | None
        predicate: str | None
        replace_strange: bool
        properties: Mapping[str, str]
        description: str | None
        replaces_table: bool
        operation: Operation | None
        user_metadata: str | None
        sizes: Sizes
        reads_since: int | None


@dataclass(frozen=True)
class Write:
    """A write as asked for.

    Attributes:
        schema: the rows' columns.
        txn: (application, version): the write is done once for it. counters: others that it sets.
        merge_schema: add columns that the table lacks. overwrite_schema: with `overwrite`, take the rows' schema.
        partition_by, cluster_by: for a new table; must agree with an existing one.
        dynamic_partitions: with `overwrite`, replace only partitions that get rows.
        replace_where: with `overwrite`, replace only rows that meet this DuckDB predicate over the table's columns.
        predicate: how history says it. replace_strange: the new rows need not meet it.
        properties, description: of a new table.
        replaces_table: with `overwrite`, the table becomes a new one: nothing of its definition stays.
        operation: how history names it; default `WRITE`. user_metadata: free text for history.
        sizes: where a file ends.
        reads_since: the rows come from the table itself, from this version or a later one.
    """

    schema: StructType
    mode: Literal["append", "overwrite"]
    txn: tuple[str, int] | None = None
    counters: tuple[tuple[str, int], ...] = ()
    merge_schema: bool = False
    overwrite_schema: bool = False
    partition_by: tuple[str, ...] = ()
    cluster_by: tuple[ColumnPath, ...] = ()
    dynamic_partitions: bool = False
    replace_where: exp.Expr | None = None
    predicate: str | None = None
    replace_strange: bool = False
    properties: Mapping[str, str] | None = None
    description: str | None = None
    replaces_table: bool = False
    operation: Operation | None = None
    user_metadata: str | None = None
    sizes: Sizes = field(default_factory=Sizes)
    reads_since: int | None = None


@dataclass(frozen=True)
class Planned:
    """A write that is allowed.

    Attributes:
        metadata: the table's when it is done; `changed` says if it must be committed.
        live: the files that are there, of a write that reads the table.
        domains: metadata of features that it sets. tags: what the commit says of itself to other writers.
    """

    write: Write
    metadata: Metadata
    protocol: Protocol | None
    changed: bool
    read_version: int
    live: tuple[AddFile, ...] = ()
    domains: tuple[DomainMetadata, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)

    def draft(self, adds: tuple[AddFile, ...]) -> Draft:
        """The transaction that makes `adds` part of the table, in place of the files that the write's mode says."""
        removes, reads = self._replaced(adds)
        since = self.write.reads_since
        return Draft(
            self._operation(),
            self.read_version if since is None else min(since, self.read_version),
            adds,
            removes,
            reads,
            txn=self.write.txn,
            counters=self.write.counters,
            metadata=self.metadata if self.changed else None,
            protocol=self.protocol,
            domains=self.domains,
            tags=self.tags,
        )

    def numbered(self, given: Iterable[str], rows: int) -> Planned:
        """The write after it has numbered that many rows in the identity columns that they do not bring (`given`)."""
        names = {name.lower() for name in given}
        places = [at for at, field in enumerate(self.metadata.schema.fields) if field.name.lower() not in names]
        metadata = moved(self.metadata, places, rows)
        if metadata == self.metadata:
            return self
        tags = {} if self.changed else ONLY_MARKS
        return replace(self, metadata=metadata, changed=True, tags=tags)

    def _operation(self) -> Operation:
        if self.write.operation is not None:
            return self.write.operation
        mode = {"append": "Append", "overwrite": "Overwrite"}[self.write.mode]
        parameters = {"mode": mode, "partitionBy": json.dumps(self.write.partition_by, separators=(",", ":"))}
        if self.write.replace_where is not None:
            where = self.write.replace_where
            parameters["predicate"] = self.write.predicate or where.sql(dialect="databricks")
        elif self.write.mode == "overwrite" and self.write.dynamic_partitions:
            parameters["isDynamicPartitionOverwrite"] = "true"
        return Operation("WRITE", parameters, self.write.user_metadata)

    def _replaced(self, adds: tuple[AddFile, ...]) -> tuple[tuple[AddFile, ...] | None, Reads]:
        """The files that leave, and what was read to know them."""
        if self.write.mode == "append":
            return None, NOTHING if self.write.reads_since is None else whole(self.live)
        if not self.write.dynamic_partitions:
            return self.live, whole(self.live)
        partitions = frozenset(map(partition_of, adds))
        leaving = tuple(file for file in self.live if partition_of(file) in partitions)
        return leaving, reads(leaving, lambda added: _first_of(added, partitions))


def _first_of(files: Sequence[AddFile], partitions: frozenset[Partition]) -> AddFile | None:
    return next((file for file in files if partition_of(file) in partitions), None)


def plan(state: LogState, write: Write, now_ms: int) -> Planned:
    """Check `write` against the table at `state`. Raises Delta's schema, partition and feature errors."""
    check_storable(write.schema, mapped=_maps(state, write))
    if state.metadata is None or state.protocol is None:
        made = _defined(write, now_ms)
        return Planned(write, *made, changed=True, read_version=state.version, domains=_domains(made[0], write))
    read = write.mode == "overwrite" or write.reads_since is not None
    live = tuple(state.files.values()) if read else ()
    if write.replaces_table:
        _check_mode(state.metadata, write)
        return replace(_replacing(state, state.protocol, write, now_ms), live=live)
    check_writable(state.protocol, state.metadata, "")
    _check_mode(state.metadata, write)
    metadata = _evolved(state.metadata, write)
    domains = _reclustered(state, write, metadata)
    changed = metadata != state.metadata
    check_change_columns(metadata, "RESERVED_CDC_COLUMNS_ON_WRITE")
    protocol = raised(state.protocol, metadata.schema, metadata.configuration) if changed else None
    return Planned(write, metadata, protocol, changed, state.version, live, domains)


def _reclustered(state: LogState, write: Write, metadata: Metadata) -> tuple[DomainMetadata, ...]:
    """Other clustering columns, if the write may set them. Raises DELTA_CLUSTERING_COLUMNS_MISMATCH if not."""
    assert state.metadata is not None
    if not write.cluster_by:
        return ()
    if write.mode == "overwrite" and write.overwrite_schema and clustering.columns_of(state.domains):
        columns = clustering.check(as_nullable(write.schema), write.cluster_by)
        mode = mode_of(metadata)
        return (clustering.domain([physical_path(metadata.schema, path, mode) for path in columns]),)
    clustering.check_same(state.metadata, state.domains, write.cluster_by)
    return ()


def _domains(metadata: Metadata, write: Write) -> tuple[DomainMetadata, ...]:
    return (clustering.domain_for(metadata, write.cluster_by),) if write.cluster_by else ()


def properties_of(write: Write) -> dict[str, str]:
    """The properties of the table that the write makes, with the features that it needs."""
    return {**(write.properties or {}), **(clustering.SWITCHES if write.cluster_by else {})}


def _maps(state: LogState, write: Write) -> bool:
    """Whether the table will map its columns, so that any name will do."""
    if state.metadata is not None and not write.replaces_table:
        return mode_of(state.metadata) != "none"
    return any(
        key.lower() == MODE.lower() and value.lower() != "none" for key, value in (write.properties or {}).items()
    )


def _defined(write: Write, now_ms: int) -> tuple[Metadata, Protocol]:
    properties = properties_of(write)
    _check_columns(write)
    return new_table(as_nullable(write.schema), write.partition_by, properties, now_ms, write.description)


def _check_columns(write: Write) -> None:
    if not write.schema.fields:
        raise AnalysisError("DELTA_EMPTY_DATA")


def _replacing(state: LogState, protocol: Protocol, write: Write, now_ms: int) -> Planned:
    """A protocol is never lowered: older versions of the table are still there to be read."""
    properties = properties_of(write)
    _check_columns(write)
    made, _ = new_table(
        write.schema, write.partition_by, properties, now_ms, write.description, replaces=state.metadata
    )
    needed = raised(protocol, made.schema, properties)
    check_writable(needed, made, "")
    domains = _domains(made, write)
    if clustering.columns_of(state.domains) and not domains:
        domains = (clustering.domain(()),)
    return Planned(write, made, needed, True, state.version, domains=domains)


def new_table(
    schema: StructType,
    partition_by: tuple[str, ...],
    properties: Mapping[str, str],
    now_ms: int,
    description: str | None = None,
    *,
    replaces: Metadata | None = None,
) -> tuple[Metadata, Protocol]:
    """Metadata and protocol of a table that does not exist yet, or `replaces` another; it may have no columns yet.

    Raises what a schema, its partitioning or a property is refused for, unknown features by name.
    """
    properties = checked(properties)
    check_storable(schema, mapped=properties.get(MODE, "none").lower() != "none")
    schema = stored(schema)
    partitions = check_partitioning(schema, partition_by)
    check_defined(schema, partitions)
    metadata = Metadata(
        new_table_id(), schema.json(), partitions, kept(properties), description=description, created_time=now_ms
    )
    mapped = replaces is not None and mode_of(replaces) == mode_of(metadata) != "none"
    metadata = assigned(metadata, replaces if mapped else None, overwrites=True)
    protocol = protocol_for(schema, properties)
    check_defaults(schema, protocol.writer_features, "CREATE TABLE")
    check_writable(protocol, metadata, "")
    return metadata, protocol


def _check_mode(metadata: Metadata, write: Write) -> None:
    if write.mode == "overwrite" and metadata.configuration.get("delta.appendOnly", "").lower() == "true":
        raise SparkError("DELTA_CANNOT_MODIFY_APPEND_ONLY", table_name=metadata.name or metadata.id)
    if write.overwrite_schema and write.dynamic_partitions:
        raise AnalysisError("DELTA_OVERWRITE_SCHEMA_WITH_DYNAMIC_PARTITION_OVERWRITE")


def _evolved(metadata: Metadata, write: Write) -> Metadata:
    if write.mode == "overwrite" and write.overwrite_schema:
        schema = as_nullable(stored(write.schema))
        partitions = check_partitioning(schema, write.partition_by)
        if (schema, partitions) == (user_schema(metadata.schema), metadata.partition_columns):
            return metadata
        made = replace(metadata, schema_text=schema.json(), partition_columns=partitions)
        return assigned(made, metadata, overwrites=True)
    _check_partitions(metadata, write)
    widens = write.merge_schema and widening.enabled(metadata)
    schema = merge(metadata.schema, write.schema, grow=write.merge_schema, widen=widens)
    schema = widening.recorded(metadata.schema, schema) if widens else schema
    return metadata if schema == metadata.schema else assigned(replace(metadata, schema_text=schema.json()), metadata)


def _check_partitions(metadata: Metadata, write: Write) -> None:
    asked = tuple(name.lower() for name in write.partition_by)
    if asked and asked != tuple(name.lower() for name in metadata.partition_columns):
        raise AnalysisError(
            "DELTA_PARTITION_MISMATCH",
            provided=", ".join(write.partition_by),
            current=", ".join(metadata.partition_columns) or "none",
        )
