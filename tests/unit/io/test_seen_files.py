"""The log of files that an Auto Loader stream was given: segments, what they cost, and logs of earlier builds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from headwater.errors import ConcurrentWriteError, RuntimeSparkError
from headwater.io.compact_log import CompactLog
from headwater.io.local import LocalStorage
from headwater.io.seen_files import SEALED, SeenFiles


class Counting(LocalStorage):
    """Counts the bytes written."""

    def __init__(self) -> None:
        super().__init__("none")
        self.written = 0

    def create(self, path: str, data: bytes) -> None:
        self.written += len(data)
        super().create(path, data)


def line(number: int, at: int = 0) -> dict[str, object]:
    return {
        "path": f"file:///in/{number}-{at}.json",
        "timestamp": number,
        "batchId": number,
        "size": 5,
        "discoveryTime": 1,
    }


def opened(folder: Path, storage: LocalStorage | None = None) -> SeenFiles:
    return SeenFiles(storage or LocalStorage("none"), str(folder), lambda number: {"commitTime": number + 100})


def fill(log: SeenFiles, start: int, end: int, each: int = 1) -> None:
    for number in range(start, end):
        log.add(number, [line(number, at) for at in range(each)])


def segments(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.endswith(".parquet"))


def test_what_was_given_is_the_same_before_and_after_it_goes_into_segments(tmp_path: Path) -> None:
    for number in range(130):
        log = opened(tmp_path) if number % 7 == 0 else log  # noqa: F821
        fill(log, number, number + 1, 1 + number % 3)
        expected = [line(each, at) for each in range(number + 1) for at in range(1 + each % 3)]
        assert [(one["path"], one["batchId"]) for one in log.lines()] == [
            (one["path"], one["batchId"]) for one in expected
        ]
        assert log.get(number) is not None
    assert opened(tmp_path).latest() == 129
    assert [one["commitTime"] for one in opened(tmp_path).get(3) or []] == [103]
    paths = [path for table in opened(tmp_path).given(127) for path in table["path"].to_pylist()]
    assert paths == [line(128, at)["path"] for at in range(3)] + [line(129, 0)["path"]]


def test_what_is_written_does_not_grow_with_what_was_seen(tmp_path: Path) -> None:
    storage = Counting()
    log = opened(tmp_path, storage)
    log.add(0, [line(0, at) for at in range(SEALED)])
    fill(log, 1, 16)
    first = next(name for name in segments(tmp_path) if name.startswith("0-"))
    before = storage.written
    fill(log, 16, 216)
    assert first in segments(tmp_path), "it is sealed"
    assert storage.written - before < 200 * 1500
    assert sum(1 for _ in log.lines()) == SEALED + 215
    assert len(os.listdir(tmp_path)) < 2 * 140


def test_segments_are_few_and_a_line_is_written_few_times(tmp_path: Path) -> None:
    storage = Counting()
    log = opened(tmp_path, storage)
    fill(log, 0, 1000, 2)
    assert len(segments(tmp_path)) <= 25
    assert storage.written < 1000 * 1000
    assert len(list(log.lines())) == 2000


def test_what_became_of_a_file_is_known_wherever_its_line_lies(tmp_path: Path) -> None:
    log = opened(tmp_path)
    fill(log, 0, 20)
    done = {**line(3), "archiveTime": 9, "archiveMode": "DELETE"}
    late = {key: done[key] for key in ("path", "timestamp", "batchId", "archiveTime", "archiveMode")}
    log.add(20, [line(20), late])
    for end in (21, 30, 200):
        fill(log, (log.latest() or 0) + 1, end)
        lines = list(opened(tmp_path).lines())
        assert [one["batchId"] for one in lines] == list(range(end))
        assert [one.get("archiveMode") for one in lines if one["batchId"] in (3, 4)] == ["DELETE", None]
        assert (opened(tmp_path).get(20) or [])[0]["path"] == line(20)["path"]


def test_an_entry_without_files_counts(tmp_path: Path) -> None:
    log = opened(tmp_path)
    for number in range(40):
        log.add(number, [])
    assert opened(tmp_path).latest() == 39
    assert list(log.lines()) == []


def test_a_log_of_an_earlier_build_is_gone_on_from(tmp_path: Path) -> None:
    old = CompactLog(LocalStorage("none"), str(tmp_path))
    for number in range(23):
        kept = {key: line(number)[key] for key in ("path", "timestamp", "batchId")} if number < 5 else line(number)
        old.add(number, [kept])
    log = opened(tmp_path)
    assert log.latest() == 22
    for end in (23, 60, 300):
        fill(log, (log.latest() or 0) + 1, end)
        assert [one["path"] for one in log.lines()] == [line(number)["path"] for number in range(end)]
    assert not any(name.endswith(".compact") for name in os.listdir(tmp_path))


def test_an_earlier_build_does_not_go_on_from_segments_but_says_what_is_missing(tmp_path: Path) -> None:
    fill(opened(tmp_path), 0, 300)
    with pytest.raises(RuntimeSparkError, match="INCOMPLETE_STREAM_LOG"):
        CompactLog(LocalStorage("none"), str(tmp_path)).lines()


@pytest.mark.parametrize("lost", ["17", "segment"])
def test_a_gap_is_named(tmp_path: Path, lost: str) -> None:
    log = opened(tmp_path)
    fill(log, 0, 18 if lost == "17" else 300)
    name = lost if lost == "17" else min(segments(tmp_path), key=lambda one: int(one.split("-")[0]))
    if lost == "17":
        fill(log, 18, 19)
    (tmp_path / name).unlink()
    with pytest.raises(RuntimeSparkError, match="INCOMPLETE_STREAM_LOG"):
        list(opened(tmp_path).lines())


@pytest.mark.parametrize("kind", ["cut", "flipped", "empty"])
def test_a_damaged_segment_is_named(tmp_path: Path, kind: str) -> None:
    fill(opened(tmp_path), 0, 300)
    path = tmp_path / segments(tmp_path)[0]
    data = path.read_bytes()
    path.write_bytes({"cut": data[: len(data) // 2], "flipped": data[:40] + b"\0" + data[41:], "empty": b""}[kind])
    with pytest.raises(RuntimeSparkError, match=r"INCOMPLETE_STREAM_LOG[\s\S]*" + path.name):
        list(opened(tmp_path).lines())


def test_of_two_runs_one_learns_that_it_is_not_alone(tmp_path: Path) -> None:
    one, other = opened(tmp_path), opened(tmp_path)
    fill(one, 0, 3)
    fill(other, 3, 5)
    with pytest.raises(ConcurrentWriteError, match="CONCURRENT_STREAM_LOG_UPDATE"):
        one.add(3, [line(3)])


def test_segments_that_overlap_give_each_line_once(tmp_path: Path) -> None:
    """Two runs of a query may gather at the same time."""
    fill(opened(tmp_path), 0, 26)
    for first, last in ((0, 12), (5, 17)):
        other = tmp_path / f"other-{first}"
        log = opened(other)
        for number in range(26):
            log.add(number, [line(number)] if first <= number <= last else [])
        made = max(segments(other), key=lambda name: (other / name).stat().st_size)
        count = last - first + 1
        (tmp_path / f"{first}-{last}.{count}.parquet").write_bytes((other / made).read_bytes())
        for name in (first, last):
            (tmp_path / str(name)).unlink(missing_ok=True)
    assert [one["batchId"] for one in opened(tmp_path).lines()] == list(range(26))
