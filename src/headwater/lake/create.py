"""Making a Delta table, and putting a new definition in the place of an old one.

Invariants: one commit each; a replaced table keeps its history and a protocol that can read it, and nothing else (it
has a new id, as in Delta, so a stream that reads it stops).
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql.types import StructType

from headwater.crash import crash_point
from headwater.lake import clustering
from headwater.lake.actions import Metadata
from headwater.lake.column_ids import MAX_ID
from headwater.lake.plan import Write, new_table, plan
from headwater.lake.transaction import Draft, Operation, WriteResult
from headwater.lake.zorder import ColumnPath, named

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable


@dataclass(frozen=True)
class NewTable:
    """A table as asked for.

    Attributes:
        schema: its columns, NOT NULL ones as such.
        managed: whether the catalog owns its files, for history.
        cluster_by: clustering columns, each the names on the way to it.
    """

    schema: StructType
    partition_by: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    description: str | None = None
    managed: bool = False
    cluster_by: tuple[ColumnPath, ...] = ()

    def operation(self, name: str) -> Operation:
        """How history names the table's making."""
        made = creation(name, self.partition_by, self.properties, self.description, managed=self.managed)
        listed = json.dumps([named(path) for path in self.cluster_by], separators=(",", ":"))
        return dataclasses.replace(made, parameters={**made.parameters, "clusterBy": listed})


def creation(
    name: str, partition_by: tuple[str, ...], properties: Mapping[str, str], description: str | None, *, managed: bool
) -> Operation:
    """How history names the making of a table, with Delta's parameters."""
    facts = {
        "partitionBy": json.dumps(partition_by, separators=(",", ":")),
        "clusterBy": "[]",
        "description": description,
        "isManaged": str(managed).lower(),
        "properties": json.dumps(dict(properties), separators=(",", ":")),
    }
    return Operation(name, facts)


def _with_ids(operation: Operation, metadata: Metadata) -> Operation:
    """What history tells, with the highest column id, which is among the properties of a table that maps columns."""
    if MAX_ID not in metadata.configuration:
        return operation
    properties = json.loads(operation.parameters["properties"]) | {MAX_ID: metadata.configuration[MAX_ID]}
    listed = json.dumps(properties, separators=(",", ":"))
    return dataclasses.replace(operation, parameters={**operation.parameters, "properties": listed})


def create(table: LakeTable, made: NewTable) -> WriteResult:
    """Commit the first version of a table that is not there yet. Raises Delta's errors for clustering columns."""
    properties = {**made.properties, **(clustering.SWITCHES if made.cluster_by else {})}
    metadata, protocol = new_table(made.schema, made.partition_by, properties, table.clock.now_ms(), made.description)
    draft = Draft(_with_ids(made.operation("CREATE TABLE"), metadata), -1, metadata=metadata, protocol=protocol)
    if made.cluster_by:
        draft = dataclasses.replace(draft, domains=(clustering.domain_for(metadata, made.cluster_by),))
    return table.commit(draft)


def replace(table: LakeTable, made: NewTable, name: str = "CREATE OR REPLACE TABLE") -> WriteResult:
    """Commit a new, empty table in the place of the old one. Raises DELTA_METADATA_CHANGED if it changes meanwhile."""
    state = table.newest()
    write = Write(
        made.schema,
        "overwrite",
        partition_by=made.partition_by,
        cluster_by=made.cluster_by,
        properties=made.properties,
        description=made.description,
        replaces_table=True,
        operation=made.operation(name),
    )
    planned = plan(state, write, table.clock.now_ms())
    draft = planned.draft(())
    draft = dataclasses.replace(draft, operation=_with_ids(draft.operation, planned.metadata))
    crash_point("lake.table_replaced")
    return table.commit(draft)
