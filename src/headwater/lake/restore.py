"""RESTORE: a Delta table gets the files, schema and properties back that it had at an older version.

Invariants: nothing is written but one commit, which follows the version that was read or fails; files that are gone
are named before anything changes; the protocol is never lowered; identity columns go on from their highest value.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pyspark.sql.types import StructField, StructType

from headwater.crash import crash_point
from headwater.errors import AnalysisError, IllegalArgumentError
from headwater.io.routing import exists
from headwater.lake.actions import AddFile, DomainMetadata, Metadata, Protocol
from headwater.lake.features import check_writable, raised
from headwater.lake.log import LogState
from headwater.lake.snapshot import local_path
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation

_HIGH_WATER, _STEP = "delta.identity.highWaterMark", "delta.identity.step"
_MOST_NAMED = 100


@dataclass(frozen=True)
class Restored:
    """What a RESTORE did: the table's size (bytes) and files after it, and what went and came."""

    table_size: int
    files: int
    removed: int
    added: int
    removed_size: int
    added_size: int

    @property
    def metrics(self) -> dict[str, int]:
        """The counts under Delta's names, in history's order."""
        return {
            "numRestoredFiles": self.added,
            "removedFilesSize": self.removed_size,
            "numRemovedFiles": self.removed,
            "restoredFilesSize": self.added_size,
            "numOfFilesAfterRestore": self.files,
            "tableSizeAfterRestore": self.table_size,
        }


def restore(table: LakeTable, version: int, timestamp: str | None = None, *, ignore_missing: bool = False) -> Restored:
    """Put the table back to `version`; `timestamp` is what the user asked for in its place, for history.

    Raises DELTA_CANNOT_RESTORE_TABLE_VERSION, an error that names files which are gone (unless `ignore_missing`),
    DELTA_CONCURRENT_WRITE and its kin if anybody commits meanwhile, and errors of features that are not here.
    """
    with table.changing():
        now = table.newest()
        then = _state_at(table, version, now.version)
        assert now.metadata is not None
        assert then.metadata is not None
        metadata = replace(then.metadata, schema_text=_with_high_water(then.metadata, now.metadata))
        protocol = merged(now, then)
        check_writable(protocol, metadata, table.path)
        added = tuple(replace(file, data_change=True) for file in _missing_in(now, then))
        removed = _missing_in(then, now)
        if not ignore_missing:
            _check_there(table.path, added, version)
        restored = Restored(
            _size(then.files.values()), len(then.files), len(removed), len(added), _size(removed), _size(added)
        )
        crash_point("lake.restore_ready")
        asked = {"version": None if timestamp is not None else version, "timestamp": timestamp}
        table.commit(
            Draft(
                Operation("RESTORE", asked, None, "Serializable", bare=True),
                now.version,
                added,
                tuple(removed),
                alone=True,
                metadata=metadata if metadata != now.metadata else None,
                protocol=protocol,
                metrics=restored.metrics,
                domains=tuple(_domains(now, then)),
                made=(),
            )
        )
    return restored


def _state_at(table: LakeTable, version: int, newest: int) -> LogState:
    if version == newest:
        return table.newest()
    first, _ = table.log.versions()
    if not 0 <= version < newest:
        raise AnalysisError(
            "DELTA_CANNOT_RESTORE_TABLE_VERSION", version=version, startVersion=max(first, 0), endVersion=newest
        )
    return table.log.load(version)


def _missing_in(other: LogState, state: LogState) -> list[AddFile]:
    """The files of `state` that `other` lacks, or has with other rows deleted."""
    there = {path: _vector(file) for path, file in other.files.items()}
    return [file for path, file in state.files.items() if path not in there or there[path] != _vector(file)]


def _vector(file: AddFile) -> tuple[object, ...]:
    vector = file.deletion_vector or {}
    return tuple(vector.get(key) for key in ("storageType", "pathOrInlineDv", "offset"))


def _size(files: Iterable[AddFile]) -> int:
    return sum(file.size for file in files)


def _check_there(path: str, files: Iterable[AddFile], version: int) -> None:
    gone = [file.path for file in files if not exists(local_path(path, file))]
    if gone:
        raise IllegalArgumentError(
            "_LEGACY_ERROR_TEMP_3102",
            msg=f"Not all files from version {version} are available in file system.\n Missed files (top {_MOST_NAMED} "
            f"files): {', '.join(gone[:_MOST_NAMED])}.\n Please use more recent version or timestamp for restoring.\n"
            " To disable check update option spark.sql.files.ignoreMissingFiles",
        )


# ── what besides the files comes back ───────────────────────────────────────────────────────────────────────


def merged(one: LogState, other: LogState) -> Protocol:
    """The least protocol that allows what either allows."""
    assert one.protocol is not None
    assert other.protocol is not None
    if one.protocol == other.protocol:
        return one.protocol
    # The lower version goes first: what it implies is named then.
    base, more = sorted((one.protocol, other.protocol), key=lambda protocol: protocol.writer_version)
    names = {*more.reader_features, *more.writer_features}
    wanted = {f"delta.feature.{name}": "supported" for name in names}
    versions = {"delta.minReaderVersion": more.reader_version, "delta.minWriterVersion": more.writer_version}
    return raised(base, StructType(), {**wanted, **{key: str(value) for key, value in versions.items()}})


def _with_high_water(then: Metadata, now: Metadata) -> str:
    """The old schema's JSON, with identity columns where the new one has left off."""
    latest = {field.name.lower(): field.metadata or {} for field in now.schema.fields}
    fields = [_raised_field(field, latest.get(field.name.lower(), {})) for field in then.schema.fields]
    return then.schema_text if fields == then.schema.fields else StructType(fields).json()


def _raised_field(field: StructField, latest: dict[str, int]) -> StructField:
    facts = field.metadata or {}
    if _HIGH_WATER not in latest or _STEP not in facts:
        return field
    furthest = max if facts[_STEP] > 0 else min
    mark = furthest(latest[_HIGH_WATER], facts.get(_HIGH_WATER, latest[_HIGH_WATER]))
    return StructField(field.name, field.dataType, field.nullable, {**facts, _HIGH_WATER: mark})


def _domains(now: LogState, then: LogState) -> Iterable[DomainMetadata]:
    for name, text in then.domains.items():
        if now.domains.get(name) != text:
            yield DomainMetadata(name, text)
    for name, text in now.domains.items():
        if name not in then.domains:
            yield DomainMetadata(name, text, removed=True)
