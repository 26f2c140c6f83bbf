"""Shared handles: the same one while the log is the same, at its newest version, another one for another table."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from headwater.clock import SystemClock
from headwater.io.local import LocalStorage
from headwater.lake.handles import shared
from headwater.lake.table import LakeTable
from headwater.types.ddl import parse_schema
from support.lake import connection, numbers, rows

SCHEMA = parse_schema("id bigint, name string")
CLOCK = SystemClock()


class Counting(LocalStorage):
    """Counts the listings of folders, one for each log that is read from its beginning."""

    listings = 0

    def list(self, folder: str) -> list[str]:
        self.listings += 1
        return super().list(folder)


def filled(path: Path, versions: int = 1) -> str:
    table = LakeTable.at(str(path))
    for batch in range(versions):
        table.append(connection(), numbers(1, batch), SCHEMA)
    return table.path


def test_commits_of_others_are_seen_without_reading_the_log_again(tmp_path: Path) -> None:
    path, storage = filled(tmp_path), Counting()
    table = shared(path, storage, CLOCK)
    LakeTable.open(path).append(connection(), numbers(1, 1), SCHEMA)
    shared(path + os.sep, storage, CLOCK).append(connection(), numbers(1, 2), SCHEMA)
    assert shared(path, storage, CLOCK) is table
    assert (table.version, len(rows(table)), storage.listings) == (2, 3, 1)


def test_a_table_made_again_in_the_same_folder_is_another(tmp_path: Path) -> None:
    path, storage = filled(tmp_path / "t", 3), LocalStorage()
    old = shared(path, storage, CLOCK)
    shutil.rmtree(path)
    filled(tmp_path / "t", 4)
    new = shared(path, storage, CLOCK)
    assert new is not old
    assert (new.version, new.metadata.id != old.metadata.id, len(rows(new))) == (3, True, 4)
    shutil.rmtree(path)
    assert shared(path, storage, CLOCK).version == -1
    filled(tmp_path / "t")
    assert shared(path, storage, CLOCK).version == 0


def test_each_storage_and_clock_has_its_own(tmp_path: Path) -> None:
    path, storage = filled(tmp_path), LocalStorage()
    table = shared(path, storage, CLOCK)
    assert shared(path, LocalStorage(), CLOCK) is not table
    assert shared(path, storage, SystemClock()) is not table


def test_only_the_tables_used_last_are_kept(tmp_path: Path) -> None:
    path, storage = filled(tmp_path / "t"), LocalStorage()
    table = shared(path, storage, CLOCK)
    for number in range(100):
        shared(str(tmp_path / str(number)), storage, CLOCK)
    assert shared(path, storage, CLOCK) is not table
