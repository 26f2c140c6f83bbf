"""DROP FEATURE of features that readers must know: readers without it read the table from here on, not its past.

First nothing in the newest version may need the feature any more: files are written again, properties unset. Then come
three commits with nothing in them, each with a checkpoint, so that no reader has to go behind them; then the commit
that drops the feature. It adds `checkpointProtection`: whoever cleans up the log must keep what the checkpoints stand
on, or know the features of the versions before. Here, such a table's log is not cleaned up at all.

Invariants: each step is a commit of its own and may be the last: the rows are the same after any of them, and the
statement can be given again; the feature goes only if nobody has committed since it was found unused.
Source: Delta 4.3, `AlterTableDropFeatureDeltaCommand` and `PreDowngradeTableFeatureCommand`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from headwater.crash import crash_point
from headwater.duck import Connection
from headwater.errors import ConcurrentWriteError, SparkError
from headwater.io.paths import as_uri, real
from headwater.lake import alter, checkpoint
from headwater.lake.actions import AddFile, Protocol, encode_path
from headwater.lake.features import PROTECTION, is_reader_feature, named_features
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
    crash_point("lake.downgrade_prepared")
    for _ in range(_BARRIERS):
        state = table.newest()
        table.commit(Draft(Operation("Empty Commit", {}, isolation="SnapshotIsolation", bare=True), state.version))
        _checkpoint(table, feature)
    made = _drop(table, feature)
    _checkpoint(table, feature)
    return made


def _checkpoint(table: LakeTable, feature: str) -> None:
    checkpoint.wait(table.path)
    try:
        checkpoint.write(table.path, table.version)
    except Exception as error:
        raise SparkError("DELTA_FEATURE_DROP_CHECKPOINT_FAILED", featureName=feature) from error


def _drop(table: LakeTable, feature: str) -> WriteResult:
    state = table.newest()
    metadata = alter.metadata_of(state, table)
    assert state.protocol is not None
    if _in_use(feature, state):
        raise SparkError("DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL", concurrentCommit="")
    configuration = {**metadata.configuration, PROPERTY: str(state.version + 1)}
    crash_point("lake.downgrade_checked")
    facts = {"featureName": feature, "truncateHistory": False}
    draft = Draft(
        Operation("DROP FEATURE", facts, isolation="Serializable", bare=True), state.version, alone=True,
        metadata=replace(metadata, configuration=configuration), protocol=_without(state.protocol, feature),
    )  # fmt: skip
    try:
        return table.commit(draft)
    except ConcurrentWriteError as error:
        raise SparkError("DELTA_FEATURE_DROP_CONFLICT_REVALIDATION_FAIL", concurrentCommit=str(error)) from error


def _without(protocol: Protocol, feature: str) -> Protocol:
    """The protocol without the feature, with the protection of what was before."""
    left = {*named_features(protocol), PROTECTION} - {feature}
    readers = tuple(sorted(name for name in left if is_reader_feature(name)))
    if not readers:
        return Protocol(1, 7, (), tuple(sorted(left)))
    if readers == ("columnMapping",) and protocol.reader_version < 3:
        return Protocol(2, 7, (), tuple(sorted(left)))
    return Protocol(3, 7, readers, tuple(sorted(left)))


def _in_use(feature: str, state: LogState) -> bool:
    assert state.metadata is not None
    settings = state.metadata.configuration
    return {
        "columnMapping": settings.get(MODE, "none").lower() != "none",
        "deletionVectors": settings.get(_VECTORS, "false").lower() == "true"
        or any(file.deletion_vector is not None for file in state.files.values()),
        "v2Checkpoint": settings.get(_POLICY, "classic").lower() == "v2",
    }[feature]


# ── so that nothing needs it ────────────────────────────────────────────────────────────────────────────────


def _no_mapping(table: LakeTable, connection: Connection) -> None:
    if is_mapped(table):
        remove_mapping(table, connection, unset=True)
    elif MODE in alter.metadata_of(table.newest(), table).configuration:
        alter.unset_properties(table, [MODE])


def _no_vectors(table: LakeTable, connection: Connection) -> None:
    if _VECTORS in alter.metadata_of(table.newest(), table).configuration:
        alter.unset_properties(table, [_VECTORS])
    optimize(table, connection, Optimize(purge=True))
    # A VACUUM that does not know vectors must take their files for deleted just now, not for nobody's.
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


def _classic_checkpoints(table: LakeTable, _: Connection) -> None:
    if _in_use("v2Checkpoint", table.newest()):
        alter.set_properties(table, {_POLICY: "classic"})


PREPARED: dict[str, Callable[[LakeTable, Connection], None]] = {
    "columnMapping": _no_mapping,
    "deletionVectors": _no_vectors,
    "v2Checkpoint": _classic_checkpoints,
}
"""What makes sure that the newest version does not need the feature."""
