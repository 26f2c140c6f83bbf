"""Taking column mapping off a table: its files are written again with the columns' own names.

Invariants: one commit, on the very version whose files were read: a file that came meanwhile would have names that
nobody knows any more; rows stay as they are, and the table's older versions stay readable.
Source: Delta 4.3, `RemoveColumnMappingCommand`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from pyspark.sql.types import ArrayType, DataType, MapType, StructType

from headwater.crash import crash_point
from headwater.duck import Connection
from headwater.errors import AnalysisError
from headwater.lake import clustering
from headwater.lake.actions import AddFile, DomainMetadata, Metadata
from headwater.lake.alter import metadata_of
from headwater.lake.column_ids import MAX_ID
from headwater.lake.features import check_writable
from headwater.lake.file_sizes import Limits, Sizes
from headwater.lake.log import LogState
from headwater.lake.mapping import MODE, mode_of, without
from headwater.lake.optimize import in_bins
from headwater.lake.schema import FORBIDDEN
from headwater.lake.snapshot import read_files
from headwater.lake.transaction import Draft, Operation, WriteResult, discard

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

_KEY = "delta.columnMapping."


def is_mapped(table: LakeTable) -> bool:
    """Whether the table's newest version maps its columns."""
    metadata = table.newest().metadata
    return metadata is not None and mode_of(metadata) != "none"


def remove_mapping(table: LakeTable, connection: Connection, *, unset: bool = False) -> WriteResult:
    """Write the files again and commit; with `unset` the property goes, else it is `none`.

    Raises DELTA_INVALID_COLUMN_NAMES_WHEN_REMOVING_COLUMN_MAPPING, and DELTA_CONCURRENT_WRITE whoever else commits
    meanwhile.
    """
    with table.changing():
        state = table.newest()
        old = metadata_of(state, table)
        made = _unmapped(old, unset=unset)
        assert state.protocol is not None
        check_writable(state.protocol, made, table.path)
        files = tuple(state.files.values())
        adds = _written(table, connection, old, made, files)
        crash_point("lake.unmapped")
        draft = Draft(
            Operation("REMOVE COLUMN MAPPING", {}, isolation="Serializable"), state.version, adds, files,
            alone=True, metadata=made, data_change=False, domains=_domains(state, old, made),
        )  # fmt: skip
        return table.commit(draft)


def _unmapped(old: Metadata, *, unset: bool) -> Metadata:
    schema = cast(StructType, without(old.schema, (_KEY,)))
    strange = [name for name in _names(schema) if any(char in name for char in FORBIDDEN)]
    if strange:
        listed = ", ".join(strange)
        raise AnalysisError("DELTA_INVALID_COLUMN_NAMES_WHEN_REMOVING_COLUMN_MAPPING", invalidColumnNames=listed)
    gone = {MODE, MAX_ID} if unset else {MAX_ID}
    configuration = {key: value for key, value in old.configuration.items() if key not in gone}
    if not unset:
        configuration[MODE] = "none"
    return replace(old, schema_text=schema.json(), configuration=configuration)


def _names(kind: DataType) -> list[str]:
    """The names of a type's fields at any depth."""
    if isinstance(kind, StructType):
        return [name for field in kind.fields for name in (field.name, *_names(field.dataType))]
    if isinstance(kind, ArrayType):
        return _names(kind.elementType)
    if isinstance(kind, MapType):
        return _names(kind.keyType) + _names(kind.valueType)
    return []


def _written(
    table: LakeTable, connection: Connection, old: Metadata, made: Metadata, files: Sequence[AddFile]
) -> tuple[AddFile, ...]:
    """The rows of the files in new ones; if one cannot be written, none is left."""
    adds: list[AddFile] = []
    try:
        for bin_ in in_bins(files, Limits().large):
            written = table.writer(made).write(connection, read_files(table.path, old, bin_), made.schema, Sizes())
            adds += [replace(file, data_change=False) for file in written]
    except BaseException:
        discard(table.path, adds)
        raise
    return tuple(adds)


def _domains(state: LogState, old: Metadata, made: Metadata) -> tuple[DomainMetadata, ...]:
    """The clustering columns by the names that files have now."""
    columns = clustering.named_columns(old, state.domains)
    return (clustering.domain_for(made, columns),) if columns else ()
