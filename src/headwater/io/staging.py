"""Where DuckDB writes files that are to lie in a folder: the folder itself, or for S3 a local one that is uploaded.

Invariants: what is published lies in the folder whole, under the same names; what is not leaves nothing behind; a
local folder costs nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from headwater.io.paths import is_remote
from headwater.io.s3 import s3_storage

_UPLOADS = 4


class Stage:
    """A place to write.

    Attributes:
        folder: the local folder to write into.
        target: where the files are to lie.
    """

    def __init__(self, folder: str, target: str) -> None:
        self.folder, self.target = folder, target

    def publish(self, names: Sequence[str]) -> None:
        """Let the files of these names (relative to the folder) lie in the target. Raises OSError."""
        if self.folder is self.target:
            return
        storage = s3_storage()
        with ThreadPoolExecutor(_UPLOADS, "headwater-upload") as pool:
            sent = [
                pool.submit(storage.upload, os.path.join(self.folder, name), os.path.join(self.target, name))
                for name in names
            ]
        try:
            for one in sent:
                one.result()
        except OSError:
            storage.delete_all(os.path.join(self.target, name) for name in names)
            raise


def staging_folder(target: str, name: str) -> str:
    """Where files are written that are then moved into `target`: below `name` in it, for S3 in a new local folder."""
    if is_remote(target):
        return tempfile.mkdtemp(prefix="headwater-upload-")
    return os.path.join(target, name)


@contextmanager
def staged(target: str) -> Iterator[Stage]:
    """A stage for the files of `target`; a local target is made if it is not there."""
    if not is_remote(target):
        os.makedirs(target, exist_ok=True)
        yield Stage(target, target)
        return
    folder = tempfile.mkdtemp(prefix="headwater-upload-")
    try:
        yield Stage(folder, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
