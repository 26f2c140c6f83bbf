"""Manifests of a Delta table: lists of its data files for engines that read Parquet but no Delta log (Athena, Presto).

`_symlink_format_manifest/[partition folders/]manifest` names the files of one partition, a URI per line.

Invariants: each manifest is replaced whole, so a reader sees an old list or a new one; partitions without files have no
manifest; a table without partitions always has one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from headwater.errors import AnalysisError
from headwater.io.data_files import escape
from headwater.io.partitions import NULL_FOLDER
from headwater.io.storage import Storage
from headwater.lake.actions import AddFile, Metadata
from headwater.lake.mapping import mode_of
from headwater.lake.snapshot import local_path

if TYPE_CHECKING:
    from headwater.lake.table import LakeTable

MODE = "symlink_format_manifest"
FOLDER = "_symlink_format_manifest"


def generate(table: LakeTable, storage: Storage, uri: Callable[[str], str]) -> None:
    """Write the manifests of the newest version, and take those of partitions that are no more away.

    Args:
        uri: how readers name a local path.

    Raises DELTA_UNSUPPORTED_GENERATE_WITH_DELETION_VECTORS, DELTA_UNSUPPORTED_MANIFEST_GENERATION_WITH_COLUMN_MAPPING.
    """
    snapshot = table.snapshot()
    if mode_of(snapshot.metadata) != "none":
        raise AnalysisError("DELTA_UNSUPPORTED_MANIFEST_GENERATION_WITH_COLUMN_MAPPING")
    if any(file.deletion_vector is not None for file in snapshot.files):
        raise AnalysisError("DELTA_UNSUPPORTED_GENERATE_WITH_DELETION_VECTORS")
    root = os.path.join(table.path, FOLDER)
    lists: dict[str, list[str]] = {} if snapshot.metadata.partition_columns else {"": []}
    for file in snapshot.files:
        lists.setdefault(_folder(file, snapshot.metadata), []).append(uri(local_path(table.path, file)))
    before = {file.path for file in storage.walk(root)} if storage.exists(root) else set()
    for folder, files in lists.items():
        path = os.path.join(root, folder, "manifest")
        storage.replace(path, "".join(f"{name}\n" for name in sorted(files)).encode())
        before.discard(path)
    for path in before:
        storage.delete(path)


def _folder(file: AddFile, metadata: Metadata) -> str:
    values: Mapping[str, str | None] = file.partition_values
    parts = (f"{escape(name)}={_value(values.get(name))}" for name in metadata.partition_columns)
    return os.path.join("", *parts)


def _value(text: str | None) -> str:
    return NULL_FOLDER if text is None else escape(text)
