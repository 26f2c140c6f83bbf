"""The `delta` sink: each batch is one commit of a Delta table, exactly once.

The commit carries (query id, batch id) as the table's own transaction counter, so a batch that is run again, here
or by another process, adds nothing. The table is made by the first batch, or at the start for `toTable`. With
auto-compaction a batch may be followed by a second commit, which joins small files.

Invariants: see `lake.table`; an empty batch is committed too, so the counter follows the query.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from headwater.catalog import Catalog, Table
from headwater.catalog.model import TableKind
from headwater.crash import crash_point
from headwater.errors import AnalysisError
from headwater.lake.auto_compact import Rule, compact, rule_of
from headwater.lake.clustering import check_same
from headwater.lake.create import NewTable, create
from headwater.lake.file_sizes import Lookup, Sizes, of_write
from headwater.lake.schema import as_nullable
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Operation
from headwater.lake.zorder import column_path
from headwater.sinks.base import Batch, OutputMode, SinkContext, SinkRequest, SinkResult, sinks

if TYPE_CHECKING:
    from headwater.lake.plan import WriteArguments

_AUTO_MERGE = "spark.databricks.delta.schema.autoMerge.enabled"


class DeltaSink:
    """One query's end of a Delta table.

    Args:
        table: the table, there or not yet. request: schema handling and partitioning. context: names the counter.
    """

    def __init__(self, table: LakeTable, request: SinkRequest, context: SinkContext, description: str) -> None:
        self.description = description
        self._table = table
        self._request = request
        self._query_id = context.query_id
        self._settings = _lookup(context)
        auto_merge = (self._settings(_AUTO_MERGE) or "false").lower() == "true"
        self._merge_schema = request.options.flag("mergeSchema", auto_merge)
        self._sizes()
        self._compaction()

    def add_batch(self, batch: Batch) -> SinkResult:
        """Commit the batch. Raises Delta's schema and conflict errors."""
        complete = batch.output_mode == "complete"
        write = self._table.overwrite if complete else self._table.append
        result = write(batch.connection, batch.query, batch.schema, **self._arguments(batch))
        if result.committed:
            batch.ran()
            rule = self._compaction()
            if rule is not None:
                crash_point("lake.compaction_begun")
                compact(self._table, batch.connection, rule)
        return SinkResult()

    def check(self, batch: Batch) -> None:
        """See `ChecksRows`."""
        self._table.check(batch.connection, batch.query, batch.schema, **self._arguments(batch))

    def _arguments(self, batch: Batch) -> WriteArguments:
        complete = batch.output_mode == "complete"
        return {
            "txn": (self._query_id, batch.batch_id),
            "merge_schema": self._merge_schema,
            "overwrite_schema": complete and self._request.options.flag("overwriteSchema"),
            "partition_by": self._request.partition_by,
            "operation": self._operation(batch),
            "sizes": self._sizes(),
        }

    def _sizes(self) -> Sizes:
        return of_write(self._request.options, self._settings, self._properties())

    def _compaction(self) -> Rule | None:
        return rule_of(self._settings, self._properties())

    def _properties(self) -> Mapping[str, str]:
        return self._table.metadata.configuration if self._table.version >= 0 else {}

    def stop(self) -> None:
        """Nothing is held."""

    def _operation(self, batch: Batch) -> Operation:
        parameters = {
            "outputMode": batch.output_mode.capitalize(),
            "queryId": self._query_id,
            "epochId": str(batch.batch_id),
        }
        return Operation("STREAMING UPDATE", parameters, self._request.options.get("usermetadata"))


class DeltaProvider:
    """`writeStream.format("delta")` to a path or a table.

    Options: `path`, `mergeSchema`, `overwriteSchema` (complete mode), `userMetadata`, `maxRecordsPerFile`,
    `optimizeWrite`. `clusterBy` makes a clustered table, or must agree with the one that is there.
    """

    output_modes: tuple[OutputMode, ...] = ("append", "complete")

    def open(self, request: SinkRequest, context: SinkContext) -> DeltaSink:
        """Check mode and target, and make the table of `toTable` if there is none. Raises Delta's errors."""
        if request.output_mode not in self.output_modes:
            mode = request.output_mode.capitalize()
            raise AnalysisError("DELTA_UNSUPPORTED_OUTPUT_MODE", dataSource="delta", mode=mode)
        if request.cluster_by and request.partition_by:
            raise AnalysisError("SPECIFY_CLUSTER_BY_WITH_PARTITIONED_BY_IS_NOT_ALLOWED")
        path = request.path or request.options.get("path")
        if request.table:
            location = location_of(request, context, path)
        elif path:
            location = path
        else:
            raise AnalysisError("_LEGACY_ERROR_TEMP_2047")
        table = LakeTable.at(context.mounts.local(location), context.storage, context.clock)
        if request.cluster_by:
            _cluster(table, request)
        return DeltaSink(table, request, context, f"DeltaSink[{context.mounts.uri(location)}]")


def _lookup(context: SinkContext) -> Lookup:
    settings = getattr(context.session, "settings", None)
    return settings.lookup if settings is not None else lambda _key: None


def _cluster(table: LakeTable, request: SinkRequest) -> None:
    """Make the table with its clustering columns if there is none. Raises if it has others."""
    columns = tuple(column_path(name) for name in request.cluster_by)
    if table.version >= 0:
        check_same(table.metadata, table.newest().domains, columns)
    else:
        create(table, NewTable(as_nullable(request.schema), cluster_by=columns))


def location_of(request: SinkRequest, context: SinkContext, path: str | None) -> str:
    """Where the table of `toTable` lies; makes it if the catalog does not know it."""
    catalog: Catalog = context.catalog
    found = catalog.stored(request.table)
    if found is None:
        with catalog.metastore.claim(*catalog.split(request.table), context.storage):
            return _create(request, catalog, context, path)
    if found.provider != "delta" or found.location is None:
        name = ".".join(found.full_name)
        raise AnalysisError("DELTA_NOT_A_DELTA_TABLE", tableName=name)
    return found.location


def _create(request: SinkRequest, catalog: Catalog, context: SinkContext, path: str | None) -> str:
    database, name = catalog.split(request.table)
    location = context.mounts.local(path) if path else catalog.managed_location(request.table)
    if not LakeTable.exists(location):
        columns = tuple(column_path(name) for name in request.cluster_by)
        made = NewTable(as_nullable(request.schema), request.partition_by, managed=not path, cluster_by=columns)
        create(LakeTable.at(location, context.storage, context.clock), made)
    kind: TableKind = "EXTERNAL" if path else "MANAGED"
    table = Table(database, name, kind, "delta", location, created_ms=context.clock.now_ms())
    catalog.add_table(table, if_not_exists=True)
    return location


sinks.register("delta")(DeltaProvider())
