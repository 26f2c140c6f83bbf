"""Auto Loader killed while it reads files anew, moves what it has read, keeps bad records and gathers its log.

Invariants: each content of a file arrives once, no file is moved unread or lost, each bad record is kept once.
"""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.kill import KILLED, Feed, Job, Nursery

POINTS = tuple(f"step{number}:1" for number in range(1, 9)) + tuple(
    f"{point}:{hit}" for point in ("storage.temp", "storage.created") for hit in (1, 2, 3)
)


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    with Nursery() as one:
        yield one


def finish(nursery: Nursery, job: Job) -> None:
    (outcome,) = nursery.run(job)
    assert outcome.status == 0, outcome.error


def killed(nursery: Nursery, job: Job, crash: str) -> bool:
    (outcome,) = nursery.run(Job(job.folder, job.source, crash=crash, options=job.options))
    assert outcome.status in (0, KILLED), outcome.error
    return outcome.status == KILLED


def test_every_content_of_an_overwritten_file_arrives_once(nursery: Nursery, tmp_path: Path) -> None:
    feed = Feed(tmp_path, "cloudFiles")
    job = Job(str(tmp_path), "cloudFiles", options=(("cloudFiles.allowOverwrites", "true"),))
    kills = 0
    for point in POINTS:
        feed.add()
        os.replace(tmp_path / "in" / f"{feed.chunks - 1:05}.json", tmp_path / "in" / "same.json")
        kills += killed(nursery, job, point)
        finish(nursery, job)
    assert kills >= len(POINTS) - 2
    feed.check()


def test_files_are_moved_after_their_rows_have_arrived_and_none_is_lost(nursery: Nursery, tmp_path: Path) -> None:
    done = tmp_path / "done"
    options = {"": "MOVE", ".retentionDuration": "0 seconds", ".moveDestination": str(done)}
    chosen = tuple((f"cloudFiles.cleanSource{name}", value) for name, value in options.items())
    feed, job = Feed(tmp_path, "cloudFiles"), Job(str(tmp_path), "cloudFiles", options=chosen)
    kills = 0
    for point in (*POINTS, "storage.rename:1", "storage.rename:2", "cloud_files.cleaned:1", "cloud_files.cleaned:2"):
        feed.add()
        kills += killed(nursery, job, point)
        left = {path.name for folder in (tmp_path / "in", done) if folder.exists() for path in folder.iterdir()}
        assert {f"{number:05}.json" for number in range(feed.chunks)} <= left
    assert kills >= len(POINTS)
    feed.add()
    finish(nursery, job)
    feed.check()
    assert list((tmp_path / "in").iterdir()) == []
    assert len(list(done.iterdir())) == feed.chunks


def test_a_corrupt_file_is_never_deleted_or_moved_whenever_the_run_is_killed(nursery: Nursery, tmp_path: Path) -> None:
    done = tmp_path / "done"
    options = {"": "MOVE", ".retentionDuration": "0 seconds", ".moveDestination": str(done)}
    chosen = tuple((f"cloudFiles.cleanSource{name}", value) for name, value in options.items())
    several = ("cloudFiles.maxFilesPerTrigger", "1000")
    job = Job(str(tmp_path), "cloudFiles", options=(*chosen, several, ("ignoreCorruptFiles", "true")))
    feed, packed, kills = Feed(tmp_path, "cloudFiles"), gzip.compress(b'{"id":-1,"k":"cut"}' * 100), 0
    points = (*POINTS, "storage.rename:1", "storage.rename:2", "cloud_files.cleaned:1")
    for number, point in enumerate(points):
        feed.add()
        (tmp_path / "in" / f"{number:05}.json.gz").write_bytes(packed[:-20])
        kills += killed(nursery, job, point)
    assert kills >= len(points) - 3
    feed.add()
    finish(nursery, job)
    feed.check()
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == [
        f"{number:05}.json.gz" for number in range(len(points))
    ]
    assert len(list(done.iterdir())) == feed.chunks


def test_every_bad_record_is_kept_once(nursery: Nursery, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    options = (("badRecordsPath", str(bad)), ("cloudFiles.maxFilesPerTrigger", "1000"))
    feed, job = Feed(tmp_path, "cloudFiles"), Job(str(tmp_path), "cloudFiles", options=options)
    kills = 0
    for number, point in enumerate(POINTS):
        feed.add()
        with (tmp_path / "in" / f"{feed.chunks - 1:05}.json").open("a") as file:
            file.write(f"broken {number}\n")
        kills += killed(nursery, job, point)
    assert kills >= len(POINTS) - 2
    finish(nursery, job)
    feed.check()
    kept = [json.loads(line)["record"] for path in bad.glob("*/bad_records/part-*") for line in path.open()]
    assert sorted(kept) == sorted(f"broken {number}" for number in range(len(POINTS)))


def test_each_file_arrives_once_while_the_log_of_files_is_gathered(nursery: Nursery, tmp_path: Path) -> None:
    """One file a batch: entries up to 9, 19, 29, … are gathered two later, and deleted a hundred entries later."""
    feed, job = Feed(tmp_path, "cloudFiles", rows=1), Job(str(tmp_path), "cloudFiles")
    log = tmp_path / "checkpoint" / "sources" / "0"
    gathered = [f"seen_files.{point}:{hit}" for hit in (1, 2) for point in ("gathered", "segment")]
    deleted = [f"seen_files.deleted:{hit}" for hit in (1, 2, 9)]
    kills = 0
    for points in (gathered, deleted):
        for point in points:
            for _ in range(21):
                feed.add()
            kills += killed(nursery, job, point)
            segments = [path.name for path in log.iterdir() if path.name.endswith(".parquet")]
            assert kills == 1 or segments, "killed while or after it was made"
    assert kills == len(gathered) + len(deleted)
    finish(nursery, job)
    feed.check()
    assert sum(path.name.isdecimal() for path in log.iterdir()) < feed.chunks
