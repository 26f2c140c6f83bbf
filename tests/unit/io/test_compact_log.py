"""Spark's compactible logs, read and written."""

import pytest

from headwater.errors import ConcurrentWriteError, RuntimeSparkError
from headwater.io.compact_log import CompactLog
from headwater.io.local import LocalStorage


@pytest.fixture
def log(tmp_path):
    return CompactLog(LocalStorage("none"), str(tmp_path / "log"))


def fill(log, count, start=0):
    for number in range(start, start + count):
        log.add(number, [{"path": f"f{number}", "batchId": number}])


def test_an_entry_is_spark_text_with_a_checksum_beside_it(log, tmp_path):
    log.add(0, [{"path": "file:///ü", "timestamp": 1, "batchId": 0}])
    assert (tmp_path / "log" / "0").read_text() == 'v1\n{"path":"file:///ü","timestamp":1,"batchId":0}'
    assert (tmp_path / "log" / ".0.crc").read_bytes()[:8] == b"crc\0\0\0\2\0"


def test_every_tenth_entry_holds_all_before_it(log, tmp_path):
    fill(log, 23)
    names = {path.name for path in (tmp_path / "log").iterdir() if not path.name.startswith(".")}
    assert {"9.compact", "19.compact", "22"} <= names
    assert "9" not in names
    assert len((tmp_path / "log" / "19.compact").read_text().splitlines()) == 21
    assert [line["batchId"] for line in log.lines()] == list(range(23))


def test_a_log_is_read_again_after_a_restart(log, tmp_path):
    fill(log, 12)
    again = CompactLog(LocalStorage("none"), str(tmp_path / "log"))
    assert again.latest() == 11
    fill(again, 10, start=12)
    assert len(again.lines()) == 22


def test_a_second_writer_of_an_entry_is_refused(log, tmp_path):
    fill(log, 1)
    with pytest.raises(ConcurrentWriteError, match="CONCURRENT_STREAM_LOG_UPDATE"):
        CompactLog(LocalStorage("none"), str(tmp_path / "log")).add(0, [])


def test_old_entries_go_once_a_compact_one_covers_them(tmp_path):
    log = CompactLog(LocalStorage("none"), str(tmp_path / "log"), retained=5)
    fill(log, 40)
    names = [path.name for path in (tmp_path / "log").iterdir() if not path.name.startswith(".")]
    assert len(names) < 10
    assert len(log.lines()) == 40


@pytest.mark.parametrize("name", ["3", "9.compact", "15"])
def test_a_missing_entry_that_is_needed_is_an_error_that_names_it(log, tmp_path, name):
    fill(log, 3 + 1 if name == "3" else 18)
    target = tmp_path / "log" / name
    if name == "3":
        fill(log, 2, start=4)
    target.unlink()
    fresh = CompactLog(LocalStorage("none"), str(tmp_path / "log"))
    with pytest.raises(RuntimeSparkError, match=r"INCOMPLETE_STREAM_LOG"):
        fresh.lines()


def test_a_changed_entry_is_found_by_its_checksum(log, tmp_path):
    fill(log, 1)
    (tmp_path / "log" / "0").write_text("v1\n{}")
    with pytest.raises(RuntimeSparkError, match="checksum"):
        log.lines()


def test_a_cut_off_entry_names_the_file(log, tmp_path):
    fill(log, 1)
    (tmp_path / "log" / "0").write_text('v1\n{"path":"f')
    (tmp_path / "log" / ".0.crc").unlink()
    with pytest.raises(RuntimeSparkError, match=r"log/0.*cut off"):
        log.lines()


def test_a_sinks_log_may_begin_late(tmp_path):
    log = CompactLog(LocalStorage("none"), str(tmp_path / "log"), from_any=True)
    fill(log, 15, start=57)
    assert [line["batchId"] for line in log.lines()] == list(range(57, 72))
