"""SHALLOW CLONE: a Delta table whose first files are those of another table, where they lie.

Invariants: one commit, with absolute names of the source's files, which stay the source's: a clone that fails deletes
none of them, and VACUUM of the clone does not reach them. The source's history, name and comment are not taken over,
nor its row ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from headwater.crash import crash_point
from headwater.errors import SparkError
from headwater.io.mounts import quote_uri
from headwater.io.paths import absolute, as_uri
from headwater.lake.actions import AddFile, DomainMetadata, new_table_id
from headwater.lake.features import check_writable, raised
from headwater.lake.log import LogState
from headwater.lake.restore import merged
from headwater.lake.snapshot import local_path
from headwater.lake.table import LakeTable
from headwater.lake.transaction import Draft, Operation
from headwater.lake.vacuum import vector_paths

_OWN = ("baseRowId", "defaultRowCommitVersion")
_OWN_DOMAINS = ("delta.rowTracking",)


@dataclass(frozen=True)
class Cloned:
    """What a clone refers to: the source's size in bytes and its files."""

    source_size: int
    source_files: int

    @property
    def metrics(self) -> dict[str, int]:
        """The counts under Delta's names; a shallow clone copies and removes nothing."""
        return {
            "removedFilesSize": 0,
            "numRemovedFiles": 0,
            "sourceTableSize": self.source_size,
            "numCopiedFiles": 0,
            "copiedFilesSize": 0,
            "sourceNumOfFiles": self.source_files,
        }


def clone(
    target: LakeTable, source: LakeTable, version: int | None, name: str, properties: Mapping[str, str] | None = None
) -> Cloned:
    """Make `target` (absent or empty) a shallow clone of `source` at `version`, default the newest.

    Args:
        name: the source's, for history.
        properties: put over the source's.

    Raises DELTA_UNSUPPORTED_NON_EMPTY_CLONE, DELTA_VERSION_NOT_FOUND, DELTA_CONCURRENT_WRITE and its kin, and errors
    of features that are not here.
    """
    now = target.newest()
    if now.files:
        raise SparkError("DELTA_UNSUPPORTED_NON_EMPTY_CLONE")
    then = source.newest() if version is None else source.log.load(version)
    assert then.metadata is not None
    assert then.protocol is not None
    old = now.metadata
    metadata = replace(
        then.metadata,
        id=old.id if old else new_table_id(),
        name=old.name if old else None,
        description=old.description if old else None,
        configuration={**then.metadata.configuration, **(properties or {})},
    )
    protocol = raised(merged(now, then) if old else then.protocol, metadata.schema, properties or {})
    check_writable(protocol, metadata, target.path)
    adds = tuple(_absolute(source.path, file) for file in then.files.values())
    cloned = Cloned(sum(file.size for file in adds), len(adds))
    crash_point("lake.clone_ready")
    target.commit(
        Draft(
            Operation("CLONE", {"source": name, "sourceVersion": then.version}, None, "Serializable", bare=True),
            now.version,
            adds,
            (),
            alone=True,
            metadata=metadata,
            protocol=protocol,
            metrics=cloned.metrics,
            domains=tuple(_domains(then)),
            made=(),
        )
    )
    return cloned


def _absolute(folder: str, file: AddFile) -> AddFile:
    other = {key: value for key, value in file.other.items() if key not in _OWN}
    vector = file.deletion_vector
    if vector is not None and vector.get("storageType") == "u":
        (path,) = vector_paths(folder, file)
        vector = {**vector, "storageType": "p", "pathOrInlineDv": _uri(path)}
    path = _uri(local_path(folder, file))
    return replace(file, path=path, data_change=True, deletion_vector=vector, other=other)


def _uri(path: str) -> str:
    return quote_uri(as_uri(absolute(path)))


def _domains(state: LogState) -> list[DomainMetadata]:
    return [DomainMetadata(name, text) for name, text in state.domains.items() if name not in _OWN_DOMAINS]
