"""The log of files given to batches, and what a second run on it sees."""

from __future__ import annotations

from pathlib import Path

import pytest

from headwater.errors import ConcurrentWriteError
from headwater.io.compact_log import CompactLog
from headwater.io.file_log import FileLog
from headwater.io.file_queue import FileQueue
from headwater.io.local import LocalStorage
from headwater.io.mounts import Mounts
from headwater.io.seen_files import SeenFiles

KINDS = (CompactLog, SeenFiles)
Kind = type[CompactLog] | type[SeenFiles]
both = pytest.mark.parametrize("kind", KINDS)


def _opened(folder: Path, kind: Kind) -> tuple[FileLog, FileQueue]:
    mounts = Mounts({})
    queue = FileQueue(mounts, [str(folder / "in")])
    log = kind(LocalStorage("none"), str(folder / "log"))
    return FileLog(log, mounts, queue), queue


@both
def test_what_another_run_gave_meanwhile_is_not_given_again(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "in").mkdir()
    late, late_queue = _opened(tmp_path, kind)
    early, early_queue = _opened(tmp_path, kind)
    (tmp_path / "in" / "a").write_text("")
    for queue in (early_queue, late_queue):
        queue.refresh()
    assert early.give(early_queue.take()) == 0
    early.record(0)
    late.catch_up(0)
    assert late.latest == 0
    assert [file.path for file in late.files(0)] == [str(tmp_path / "in" / "a")]
    assert late_queue.take() == []


@both
def test_an_entry_without_files_counts(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "in").mkdir()
    log, _ = _opened(tmp_path, kind)
    assert log.give([]) == 0
    log.record(0)
    assert _opened(tmp_path, kind)[0].latest == 0


@both
def test_what_was_given_is_in_the_log_when_it_was_recorded(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "in").mkdir()
    log, queue = _opened(tmp_path, kind)
    for name in "abc":
        (tmp_path / "in" / name).write_text("")
        queue.refresh()
        log.give(queue.take())
    assert _opened(tmp_path, kind)[0].latest == -1
    log.record(1)
    log.record(1)
    other, _ = _opened(tmp_path, kind)
    assert other.latest == 1
    assert [file.path for file in other.files(1)] == [str(tmp_path / "in" / "b")]
    log.record(2)
    assert _opened(tmp_path, kind)[0].latest == 2


@both
def test_of_two_runs_that_give_the_same_entry_one_learns_it_when_it_records(tmp_path: Path, kind: Kind) -> None:
    (tmp_path / "in").mkdir()
    runs = [_opened(tmp_path, kind)[0] for _ in range(2)]
    assert [log.give([]) for log in runs] == [0, 0]
    runs[0].record(0)
    with pytest.raises(ConcurrentWriteError, match="CONCURRENT_STREAM_LOG_UPDATE"):
        runs[1].record(0)
