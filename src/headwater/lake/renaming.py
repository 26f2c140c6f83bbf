"""RENAME COLUMN and DROP COLUMN of a Delta table with column mapping: its definition changes, no file does.

Files know a column by its physical name, so another name for users is a change of the schema alone, and a dropped
column's values are no longer asked for.

Invariants: as of `lake.alter`; a column that a constraint, a generated column, partitioning or clustering needs is not
taken away; what names columns elsewhere in the definition (partitioning, statistics) is renamed with them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import StructField, StructType

from headwater.errors import AnalysisError
from headwater.lake import clustering
from headwater.lake.actions import Metadata
from headwater.lake.alter import Path, commit_definition, edited, metadata_of, place
from headwater.lake.log import LogState
from headwater.lake.mapping import mode_of
from headwater.lake.schema import check_storable
from headwater.lake.transaction import Operation, WriteResult
from headwater.lake.widening import type_at
from headwater.lake.zorder import column_path, named
from headwater.types.ddl import type_sql

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

_STATISTICS = "delta.dataSkippingStatsColumns"
_ADVICE = (
    "\nPlease enable Column Mapping on your Delta table with mapping mode 'name'.\n"
    "You can use one of the following commands.\n\n"
    "ALTER TABLE table_name SET TBLPROPERTIES ('delta.columnMapping.mode' = 'name')\n\n"
    "Note, if your table is not on the required protocol version it will be upgraded.\n"
    "Column mapping requires at least protocol (2, 5)\n"
)

Check = Callable[[Metadata, Path], None]
"""Raises if an expression of the table names the column."""


def rename_column(table: LakeTable, path: Path, name: str, check: Check) -> WriteResult:
    """RENAME COLUMN. Raises DELTA_UNSUPPORTED_RENAME_COLUMN without mapping, and what a name is refused for."""
    state = table.newest()
    metadata = metadata_of(state, table)
    _check_mapped(metadata, "DELTA_UNSUPPORTED_RENAME_COLUMN")
    spelled = _spelled(metadata.schema, path)
    made = renamed(metadata, spelled, name)
    check(metadata, spelled)
    facts = {"oldColumnPath": named(spelled), "newColumnPath": named((*spelled[:-1], name))}
    return commit_definition(table, state, Operation("RENAME COLUMN", facts), made)


def drop_columns(table: LakeTable, paths: Sequence[Path], check: Check) -> WriteResult:
    """DROP COLUMNS. Raises DELTA_UNSUPPORTED_DROP_COLUMN without mapping, and what a column is kept for."""
    state = table.newest()
    metadata = metadata_of(state, table)
    _check_mapped(metadata, "DELTA_UNSUPPORTED_DROP_COLUMN")
    spelled = tuple(_spelled(metadata.schema, path) for path in paths)
    made = dropped(metadata, spelled)
    _check_needed(state, metadata, spelled)
    for path in spelled:
        check(metadata, path)
    facts = {"columns": json.dumps([named(path) for path in spelled], separators=(",", ":"))}
    return commit_definition(table, state, Operation("DROP COLUMNS", facts), made)


def renamed(metadata: Metadata, path: Path, name: str) -> Metadata:
    """The definition with a column under another name.

    Raises FIELD_ALREADY_EXISTS, and INVALID_FIELD_NAME for a part of an array or a map.
    """
    if not isinstance(type_at(metadata.schema, path[:-1]), StructType):
        around = ".".join(f"`{part}`" for part in path[:-1])
        raise AnalysisError("INVALID_FIELD_NAME", fieldName=f"{around}.`{name}`", path=around)

    def rename(struct: StructType) -> StructType:
        index = place(struct, path[-1], path)
        old = struct.fields[index]
        others = [*struct.fields[:index], *struct.fields[index + 1 :]]
        if any(field.name.lower() == name.lower() for field in others):
            wanted = ".".join(f"`{part}`" for part in (*path[:-1], name))
            shown = f'"{type_sql(metadata.schema)}"'
            raise AnalysisError("FIELD_ALREADY_EXISTS", op="rename", fieldNames=wanted, struct=shown)
        new = StructField(name, old.dataType, old.nullable, old.metadata)
        return StructType([*struct.fields[:index], new, *struct.fields[index + 1 :]])

    schema = edited(metadata.schema, path, rename)
    check_storable(schema, mapped=True)
    partitions = metadata.partition_columns
    if len(path) == 1:
        partitions = tuple(name if column == path[0] else column for column in partitions)
    made = replace(metadata, schema_text=schema.json(), partition_columns=partitions)
    return _with_statistics(made, lambda column: (*path[:-1], name, *column[len(path) :]), path)


def dropped(metadata: Metadata, paths: Sequence[Path]) -> Metadata:
    """The definition without columns.

    Raises DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA for a struct's last field and
    DELTA_UNSUPPORTED_DROP_NESTED_COLUMN_FROM_NON_STRUCT_TYPE for a part of an array or a map.
    """
    for path in paths:

        def drop(struct: StructType, path: Path = path) -> StructType:
            index = place(struct, path[-1], path)
            if len(struct.fields) == 1:
                raise AnalysisError("DELTA_DROP_COLUMN_ON_SINGLE_FIELD_SCHEMA", schema=struct.treeString())
            return StructType([*struct.fields[:index], *struct.fields[index + 1 :]])

        around = type_at(metadata.schema, path[:-1])
        if around is not None and not isinstance(around, StructType):
            raise AnalysisError("DELTA_UNSUPPORTED_DROP_NESTED_COLUMN_FROM_NON_STRUCT_TYPE", struct=around)
        schema = edited(metadata.schema, path, drop)
        metadata = _with_statistics(replace(metadata, schema_text=schema.json()), lambda _: None, path)
    return metadata


def _with_statistics(metadata: Metadata, change: Callable[[Path], Path | None], path: Path) -> Metadata:
    """The definition with the columns that statistics are named for changed, as far as they lie at or below `path`."""
    text = metadata.configuration.get(_STATISTICS)
    if text is None:
        return metadata
    columns: list[Path | None] = []
    for name in text.split(","):
        column = column_path(name.strip())
        below = [part.lower() for part in column[: len(path)]] == [part.lower() for part in path]
        columns.append(change(column) if below else column)
    kept = ",".join(named(column) for column in columns if column is not None)
    return replace(metadata, configuration={**metadata.configuration, _STATISTICS: kept})


def _check_mapped(metadata: Metadata, condition: str) -> None:
    if mode_of(metadata) == "none":
        raise AnalysisError(condition, advice=_ADVICE)


def _check_needed(state: LogState, metadata: Metadata, paths: Sequence[Path]) -> None:
    """Raise for a column that the table's files are arranged by."""
    names = {named(path) for path in paths}
    partitions = [name for name in metadata.partition_columns if named((name,)) in names]
    if partitions:
        raise AnalysisError("DELTA_UNSUPPORTED_DROP_PARTITION_COLUMN", columnList=",".join(partitions))
    clustered = [named(path) for path in clustering.named_columns(metadata, state.domains)]
    kept = [name for name in clustered if name in names]
    if kept:
        raise AnalysisError("DELTA_UNSUPPORTED_DROP_CLUSTERING_COLUMN", columnList=",".join(kept))


def _spelled(schema: StructType, path: Path) -> Path:
    """The column's names as the schema has them. Raises UNRESOLVED_COLUMN."""
    spelled: list[str] = []
    for name in path:
        kind = type_at(schema, spelled)
        spelled.append(kind.fields[place(kind, name, path)].name if isinstance(kind, StructType) else name.lower())
    return tuple(spelled)
