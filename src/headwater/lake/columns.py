"""ALTER TABLE of what columns mean to the table: SET | DROP DEFAULT, SYNC IDENTITY, CLUSTER BY. No row is written.

Invariants: as of `alter`; a default may only be set where the table's protocol has `allowColumnDefaults`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pyspark.sql.types import StructField, StructType

from headwater.duck import Connection
from headwater.errors import AnalysisError, unsupported
from headwater.lake import clustering, identity
from headwater.lake.alter import Path, commit_definition, metadata_of, place
from headwater.lake.features import check_writable, raised
from headwater.lake.transaction import Draft, Operation, WriteResult
from headwater.lake.zorder import ColumnPath, named

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

DEFAULT, FEATURE = "CURRENT_DEFAULT", "allowColumnDefaults"


def field_of(schema: StructType, path: Path) -> StructField:
    """A column of the table. Raises UNRESOLVED_COLUMN; `unsupported` for a struct's field."""
    if len(path) > 1:
        raise unsupported("a DEFAULT of a struct's field", "Give the whole column a DEFAULT.")
    field: StructField = schema.fields[place(schema, path[0], path)]
    return field


def check_defaults(schema: StructType, features: tuple[str, ...], command: str) -> None:
    """Raise WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED for defaults in a table that may have none."""
    if FEATURE not in features and any(DEFAULT in (field.metadata or {}) for field in schema.fields):
        raise AnalysisError("WRONG_COLUMN_DEFAULTS_FOR_DELTA_FEATURE_NOT_ENABLED", commandType=command)


def set_default(table: LakeTable, path: Path, text: str | None) -> WriteResult:
    """SET DEFAULT, or DROP DEFAULT if `text` is None."""
    state = table.newest()
    metadata = metadata_of(state, table)
    assert state.protocol is not None
    old = field_of(metadata.schema, path)
    kept = {key: value for key, value in (old.metadata or {}).items() if key != DEFAULT}
    new = StructField(old.name, old.dataType, old.nullable, kept if text is None else {**kept, DEFAULT: text})
    schema = StructType([new if field.name == old.name else field for field in metadata.schema.fields])
    check_defaults(schema, state.protocol.writer_features, "ALTER TABLE")
    told: Any = json.dumps(new.jsonValue(), separators=(",", ":"), ensure_ascii=False)
    operation = Operation("CHANGE COLUMN", {"column": told})
    return commit_definition(table, state, operation, dataclasses.replace(metadata, schema_text=schema.json()))


def sync_identity(table: LakeTable, path: Path, connection: Connection) -> WriteResult:
    """SYNC IDENTITY: the column counts on from its furthest value."""
    state = table.newest()
    field = field_of(metadata_of(state, table).schema, path)
    metadata = identity.synced(table.path, state, field.name, connection)
    return commit_definition(table, state, identity.SYNC, metadata, reads_rows=True)


def cluster_by(table: LakeTable, columns: Sequence[ColumnPath]) -> WriteResult:
    """CLUSTER BY; () is NONE. A table that was not clustered gets the feature, as on Databricks.

    Raises DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED and what columns are refused for.
    """
    state = table.newest()
    metadata = metadata_of(state, table)
    assert state.protocol is not None
    if metadata.partition_columns:
        raise AnalysisError("DELTA_ALTER_TABLE_CLUSTER_BY_ON_PARTITIONED_TABLE_NOT_ALLOWED")
    domain = clustering.domain_for(metadata, columns)
    protocol = raised(state.protocol, metadata.schema, {**metadata.configuration, **clustering.SWITCHES})
    check_writable(protocol, metadata, table.path)
    found = clustering.named_columns(metadata, {domain.domain: domain.configuration})
    facts = {
        "oldClusteringColumns": ",".join(map(named, clustering.named_columns(metadata, state.domains))),
        "newClusteringColumns": ",".join(map(named, found)),
    }
    operation = Operation("CLUSTER BY", facts)
    return table.commit(Draft(operation, state.version, protocol=protocol, domains=(domain,)))
