"""Clustering columns of a Delta table: where the log keeps them, and which files OPTIMIZE clusters.

The columns are the table's metadata domain `delta.clustering`. Files that were clustered together are a cube: their
tags name the cube and its columns. A cube that has grown large is done with; smaller ones are clustered again with
what was added since.

Invariants: pure; a table without the domain, or with an empty one, is not clustered.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pyspark.sql.types import ArrayType, BinaryType, BooleanType, DataType, MapType, StructType, VariantType

from headwater.errors import AnalysisError
from headwater.lake.actions import AddFile, DomainMetadata, Metadata
from headwater.lake.mapping import logical_path, mode_of, physical_path
from headwater.lake.zorder import ColumnPath, field_at, leaf_paths, named

DOMAIN = "delta.clustering"
FEATURES = ("clustering", "domainMetadata")
"""What a writer of a clustered table must know."""
SWITCHES = {f"delta.feature.{name}": "supported" for name in FEATURES}
"""The properties that ask for it."""
_MOST_COLUMNS = 4
_PROVIDER = "liquid"
_ID, _COLUMNS = "ZCUBE_ID", "ZCUBE_ZORDER_BY"
_FULL_CUBE = 100 << 30
_UNORDERED = (ArrayType, BinaryType, BooleanType, MapType, StructType, VariantType)


def columns_of(domains: Mapping[str, str]) -> tuple[ColumnPath, ...]:
    """The clustering columns, each the physical names on the way to it; () for a table that is not clustered."""
    text = domains.get(DOMAIN)
    return tuple(tuple(path) for path in json.loads(text).get("clusteringColumns", ())) if text else ()


def domain(columns: Sequence[ColumnPath]) -> DomainMetadata:
    """The log's entry for these columns."""
    body = {"clusteringColumns": [list(path) for path in columns], "domainName": DOMAIN}
    return DomainMetadata(DOMAIN, json.dumps(body, separators=(",", ":")))


def domain_for(metadata: Metadata, columns: Sequence[ColumnPath]) -> DomainMetadata:
    """The log's entry for a table's columns. Raises Delta's errors for those that cannot cluster it."""
    if metadata.partition_columns:
        raise AnalysisError("DELTA_CLUSTER_BY_WITH_PARTITIONED_BY")
    indexed = int(metadata.configuration.get("delta.dataSkippingNumIndexedCols", "32"))
    mode = mode_of(metadata)
    return domain([physical_path(metadata.schema, path, mode) for path in check(metadata.schema, columns, indexed)])


def named_columns(metadata: Metadata, domains: Mapping[str, str]) -> tuple[ColumnPath, ...]:
    """The clustering columns by the names that users see."""
    mode = mode_of(metadata)
    return tuple(logical_path(metadata.schema, path, mode) for path in columns_of(domains))


def check_same(metadata: Metadata, domains: Mapping[str, str], columns: Sequence[ColumnPath]) -> None:
    """Raise DELTA_CLUSTERING_COLUMNS_MISMATCH unless the table is clustered by just these columns."""
    there = named_columns(metadata, domains)
    if [[name.lower() for name in path] for path in there] != [[name.lower() for name in path] for path in columns]:
        raise AnalysisError(
            "DELTA_CLUSTERING_COLUMNS_MISMATCH",
            providedClusteringColumns=", ".join(named(path) for path in columns),
            existingClusteringColumns=", ".join(named(path) for path in there),
        )


def check(schema: StructType, columns: Sequence[ColumnPath], indexed: int = 32) -> tuple[ColumnPath, ...]:
    """The columns as the schema spells them. Raises Delta's errors for those that cannot cluster.

    Args:
        indexed: how many leaf columns have statistics; -1 means all.
    """
    if len(columns) > _MOST_COLUMNS:
        raise AnalysisError(
            "DELTA_CLUSTER_BY_INVALID_NUM_COLUMNS", numColumnsLimit=_MOST_COLUMNS, actualNumColumns=len(columns)
        )
    found = [_found(schema, path) for path in columns]
    spelled = tuple(path for path, _ in found)
    repeated = {named(path) for path in spelled if spelled.count(path) > 1}
    if repeated:
        listed = ", ".join(f"`{name}`" for name in sorted(repeated))
        raise AnalysisError("DELTA_DUPLICATE_COLUMNS_FOUND", coltype="in CLUSTER BY", duplicateCols=listed)
    unordered = [f"{named(path)} : {kind.simpleString().upper()}" for path, kind in found if _is_unordered(kind)]
    if unordered:
        listed = ", ".join(unordered)
        raise AnalysisError("DELTA_CLUSTERING_COLUMNS_DATATYPE_NOT_SUPPORTED", columnsWithDataTypes=listed)
    leaves = leaf_paths(schema)
    measured = set(leaves if indexed < 0 else leaves[:indexed])
    missing = [named(path) for path in spelled if path not in measured]
    if missing:
        raise AnalysisError(
            "DELTA_CLUSTERING_COLUMN_MISSING_STATS", columns=", ".join(missing), schema=schema.treeString()
        )
    return spelled


def _found(schema: StructType, path: ColumnPath) -> tuple[ColumnPath, DataType]:
    found = field_at(schema, path)
    if found is None:
        raise AnalysisError("DELTA_COLUMN_NOT_FOUND_IN_SCHEMA", columnName=named(path), tableSchema=schema.treeString())
    return found


def _is_unordered(kind: DataType) -> bool:
    return isinstance(kind, _UNORDERED)


# ── cubes ───────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class Cubes:
    """What a clustered table's files are.

    Attributes:
        chosen: the files to cluster (again).
        clustered, others: files in a cube of the table's columns, and those that are not. count: of the cubes.
        merged_cubes: cubes among the chosen.
    """

    chosen: tuple[AddFile, ...] = ()
    clustered: tuple[AddFile, ...] = ()
    others: tuple[AddFile, ...] = ()
    count: int = 0
    merged_cubes: int = 0


def cubes(files: Sequence[AddFile], columns: Sequence[ColumnPath], *, full: bool) -> Cubes:
    """Which files OPTIMIZE clusters. With `full`, also those clustered by other columns."""
    listed = _listed(columns)
    found: dict[str, list[AddFile]] = {}
    others, new = [], []
    for file in files:
        tags = _tags(file)
        if tags.get(_COLUMNS) == listed and tags.get(_ID):
            found.setdefault(tags[_ID], []).append(file)
            continue
        others.append(file)
        if full or file.other.get("clusteringProvider") != _PROVIDER:
            new.append(file)
    partial = [members for members in found.values() if sum(file.size for file in members) < _FULL_CUBE]
    clustered = tuple(file for members in found.values() for file in members)
    if not new and len(partial) < 2:
        return Cubes((), clustered, tuple(others), len(found))
    chosen = tuple(file for members in (*partial, new) for file in members)
    return Cubes(chosen, clustered, tuple(others), len(found), len(partial))


def new_cube(columns: Sequence[ColumnPath]) -> dict[str, Any]:
    """What the log says besides of files that are clustered together now."""
    tags = {_ID: str(uuid.uuid4()), _COLUMNS: _listed(columns)}
    return {"tags": tags, "clusteringProvider": _PROVIDER}


def _tags(file: AddFile) -> Mapping[str, str]:
    return file.other.get("tags") or {}


def _listed(columns: Sequence[ColumnPath]) -> str:
    return json.dumps([named(path) for path in columns], separators=(",", ":"))
