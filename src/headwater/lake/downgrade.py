"""DROP FEATURE of features that readers must know: readers without it read the table from here on, not its past.

First nothing in the newest version may need the feature any more: files are written again, properties unset. Then come
three commits with nothing in them, each with a checkpoint, so that no reader has to go behind them; then the commit
that drops the feature. It adds `checkpointProtection`: whoever cleans up the log must keep what the checkpoints stand
on, or know the features of the versions before. For the other way, without the past, see `truncation`.

Invariants: each step is a commit of its own and may be the last: the rows are the same after any of them, and the
statement can be given again; the feature goes only if nobody has committed since it was found unused.
Source: Delta 4.3, `AlterTableDropFeatureDeltaCommand` and `PreDowngradeTableFeatureCommand`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from pyspark.sql.types import DataType

from headwater.crash import crash_point
from headwater.duck import Connection
from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.paths import as_uri, real
from headwater.lake import alter, checkpoint, mapping, widening
from headwater.lake.actions import AddFile, Metadata, Protocol, encode_path
from headwater.lake.features import PROTECTION, without_feature
from headwater.lake.log import LogState
from headwater.lake.mapping import MODE
from headwater.lake.optimize import Optimize, optimize
from headwater.lake.transaction import Draft, Operation, WriteResult
from headwater.lake.unmapping import is_mapped, remove_mapping
from headwater.lake.vacuum import tombstones, vector_paths

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

PROPERTY = "delta.requireCheckpointProtectionBeforeVersion"
_VECTORS, _POLICY = "delta.enableDeletionVectors", "delta.checkpointPolicy"
_BARRIERS = 3


def drop_from_readers(table: LakeTable, feature: str, connection: Connection) -> WriteResult:
    """Drop the feature. Raises DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL, DELTA_FEATURE_DROP_CHECKPOINT_FAILED."""
    PREPARED[feature](table, connection)
    if feature == "deletionVectors":
        name_vectors(table)
    crash_point("lake.downgrade_prepared")
    for _ in range(_BARRIERS):
        barrier(table, feature)
    made = _drop(table, feature)
    write_checkpoint(table, feature)
    return made


def barrier(table: LakeTable, feature: str) -> None:
    """A commit with nothing in it, and a checkpoint of it. Raises DELTA_FEATURE_DROP_CHECKPOINT_FAILED."""
    state = table.newest()
    table.commit(Draft(Operation("Empty Commit", {}, isolation="SnapshotIsolation", bare=True), state.version))
    write_checkpoint(table, feature)


def write_checkpoint(table: LakeTable, feature: str) -> None:
    """A checkpoint of the newest version. Raises DELTA_FEATURE_DROP_CHECKPOINT_FAILED."""
    checkpoint.wait(table.path)
    try:
        checkpoint.write(table.path, table.version)
    except Exception as error:
        raise SparkError("DELTA_FEATURE_DROP_CHECKPOINT_FAILED", featureName=feature) from error


def _drop(table: LakeTable, feature: str) -> WriteResult:
    state = checked(table, feature)
    metadata = alter.metadata_of(state, table)
    assert state.protocol is not None
    configuration = {**metadata.configuration, PROPERTY: str(state.version + 1)}
    made = replace(metadata, configuration=configuration)
    return commit_drop(table, feature, state, made, without_feature(state.protocol, feature, {PROTECTION}))


def checked(table: LakeTable, feature: str) -> LogState:
    """The newest version, which does not need the feature. Raises DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL."""
    state = table.newest()
    if in_use(feature, state):
        raise SparkError("DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL", concurrentCommit="")
    return state


def commit_drop(
    table: LakeTable, feature: str, state: LogState, metadata: Metadata, protocol: Protocol, truncates: bool = False
) -> WriteResult:
    """The commit that drops the feature, if nobody has committed since `state`."""
    crash_point("lake.downgrade_checked")
    facts = {"featureName": feature, "truncateHistory": truncates}
    draft = Draft(
        Operation("DROP FEATURE", facts, isolation="Serializable", bare=True), state.version, alone=True,
        metadata=metadata, protocol=protocol,
    )  # fmt: skip
    try:
        return table.commit(draft)
    except ConcurrentWriteError as error:
        raise SparkError("DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL", concurrentCommit=str(error)) from error


def in_use(feature: str, state: LogState) -> bool:
    """Whether the version needs the feature."""
    assert state.metadata is not None
    settings = state.metadata.configuration
    return {
        "columnMapping": settings.get(MODE, "none").lower() != "none",
        "deletionVectors": settings.get(_VECTORS, "false").lower() == "true"
        or any(file.deletion_vector is not None for file in state.files.values()),
        "v2Checkpoint": settings.get(_POLICY, "classic").lower() == "v2",
        "typeWidening": widening.enabled(state.metadata) or widened(state.metadata),
        "vacuumProtocolCheck": False,
    }[feature.removesuffix("-preview")]


def widened(metadata: Metadata) -> bool:
    """Whether a column says that it became wider."""
    return bool(without_changes(metadata) != metadata.schema)


def without_changes(metadata: Metadata) -> DataType:
    """The table's columns, which say nothing of having become wider."""
    return mapping.without(metadata.schema, (widening.CHANGES,))


# ── so that nothing needs it ────────────────────────────────────────────────────────────────────────────────


def _no_mapping(table: LakeTable, connection: Connection) -> bool:
    if is_mapped(table):
        remove_mapping(table, connection, unset=True)
        return True
    return _unset(table, MODE)


def _unset(table: LakeTable, key: str) -> bool:
    if key not in alter.metadata_of(table.newest(), table).configuration:
        return False
    alter.unset_properties(table, [key])
    return True


def _no_vectors(table: LakeTable, connection: Connection) -> bool:
    was_set = _unset(table, _VECTORS)
    return bool(optimize(table, connection, Optimize(purge=True)).removed) or was_set


def name_vectors(table: LakeTable) -> None:
    """A VACUUM that does not know vectors must take their files for deleted just now, not for nobody's."""
    named = tuple(_vector_files(table))
    if named:
        operation = Operation("Deletion Vector Tombstones", {}, isolation="SnapshotIsolation", bare=True)
        table.commit(Draft(operation, table.newest().version, removes=named, data_change=False))


def _vector_files(table: LakeTable) -> Iterator[AddFile]:
    """The files of the vectors that older versions name."""
    root, seen = real(table.path) + "/", set[str]()
    for gone in tombstones(table.log, 0):
        for path in vector_paths(table.path, gone):
            if path not in seen:
                seen.add(path)
                inside = path.startswith(root)
                yield AddFile(encode_path(path.removeprefix(root)) if inside else as_uri(path), {}, 0, 0)


def _classic_checkpoints(table: LakeTable, _: Connection) -> bool:
    if not in_use("v2Checkpoint", table.newest()):
        return False
    alter.set_properties(table, {_POLICY: "classic"})
    return True


def _no_widening(table: LakeTable, connection: Connection) -> bool:
    """Files get the types that the table has now, and the columns say no more that they had others."""
    was_set = _unset(table, widening.SETTING)
    if not widened(alter.metadata_of(table.newest(), table)):
        return was_set
    optimize(table, connection, Optimize(widen=True))
    crash_point("lake.widened")
    state = table.newest()
    metadata = alter.metadata_of(state, table)
    listed = json.dumps(list(widening.told(metadata.schema)), separators=(",", ":"), ensure_ascii=False)
    operation = Operation("DROP FEATURE", {"columns": listed}, isolation="Serializable", bare=True)
    made = replace(metadata, schema_text=without_changes(metadata).json())
    table.commit(Draft(operation, state.version, metadata=made))
    return True


PREPARED: dict[str, Callable[[LakeTable, Connection], bool]] = {
    "columnMapping": _no_mapping,
    "deletionVectors": _no_vectors,
    "typeWidening": _no_widening,
    "typeWidening-preview": _no_widening,
    "vacuumProtocolCheck": lambda _, __: False,
    "v2Checkpoint": _classic_checkpoints,
}
"""What makes sure that the newest version does not need the feature, and says whether it had to commit for that."""
